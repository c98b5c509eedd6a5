"""Settings that libraries look for in the folder where they run, which is a mesh of a stranger: they choose nothing."""

from pathlib import Path

import pytest

from storymesh.orchestration.openlineage import open_client

ELSEWHERE = {
    "another collector": "transport: {type: http, url: 'http://127.0.0.1:9/elsewhere'}\n",
    "a file": "transport: {type: file, log_file_path: events.json}\n",
    "a class": "transport: {type: evil_transport.Transport}\n",
    "no YAML": "transport: [\n",
}


@pytest.fixture(autouse=True)
def in_a_mesh_of_a_stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OPENLINEAGE_URL", "http://127.0.0.1:9/collector")
    monkeypatch.delenv("OPENLINEAGE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil_transport.py").write_text("open('ran', 'w')\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize("kind", ELSEWHERE)
def test_a_file_of_openlineage_in_the_mesh_says_nothing_of_where_events_go(kind: str, tmp_path: Path) -> None:
    (tmp_path / "openlineage.yml").write_text(ELSEWHERE[kind])
    transport = open_client().transport
    assert getattr(transport, "url", None) == "http://127.0.0.1:9/collector"
    assert not (tmp_path / "ran").exists()


def test_a_file_that_the_operator_names_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yml").write_text(ELSEWHERE["a file"])
    monkeypatch.setenv("OPENLINEAGE_CONFIG", str(tmp_path / "mine.yml"))
    assert open_client().transport.kind == "file"
    monkeypatch.delenv("OPENLINEAGE_CONFIG")
    (tmp_path / "home/.openlineage").mkdir()
    (tmp_path / "home/.openlineage/openlineage.yml").write_text(ELSEWHERE["a file"])
    assert open_client().transport.kind == "file"
