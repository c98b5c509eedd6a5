"""A whole mesh is run, told by a model, looked at, copied, changed and broken: afterwards no secret stands in anything
that was printed or written, and no name of a person outside of the products."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from storymesh.orchestration.alerts import WEBHOOK
from tests.security.test_key import spellings
from tests.security.test_signature import key_file
from tests.support.command import CommandResult
from tests.support.harbour import make_harbour
from tests.support.model_server import Call, Outcome, Server, Status

SECRETS = {
    "STORYMESH_PSEUDONYM_KEY": "p5eud0nym-k3y-of-the-harbour'; --",
    "STORYMESH_NARRATOR_KEY": "sk-narrator-0123456789",
    "OPENAI_API_KEY": "sk-openai-9876543210",
    "HF_TOKEN": "hf_t0ken-of-the-harbour",
    WEBHOOK: "http://127.0.0.1:9/hooks/t0ken-in-an-address",
    "OPENLINEAGE_API_KEY": "lineage-k3y-of-the-harbour",
}
NARRATOR = """\
  retold: {{from: report, narrator: {{model: "openai:small", base_url: "{url}", prompt: retell.jinja, attempts: 2,
    otherwise: keep}}}}
dataset:
  pseudonymise: [boat.skipper]
"""
RELEASE = "late-repairs@1.0.0-r1"


def answer(call: Call) -> Outcome:
    """Return the key that came: in an error at first, then in a story, and at last the story alone."""
    key = call.headers.get("Authorization", "")
    if call.number % 5 == 0:
        return Status(429, f"too many for {key}", {"retry-after": "0"})
    story = call.prompt.partition("STORY:")[2].strip()
    return f"{story} {key}" if call.number % 5 == 1 else story


@pytest.fixture
def told_harbour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A harbour whose skippers are pseudonyms, with a config that a model retells; the environment has secrets."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    key = Ed25519PrivateKey.from_private_bytes(b"q" * 32)
    monkeypatch.setenv("STORYMESH_SIGNING_KEY_FILE", str(key_file(tmp_path / "signing.pem", key)))
    root = tmp_path / "harbour"
    make_harbour(root, boats=3, repairs=12)
    folder = root / "narratives/late_repairs"
    with Server(answer) as server:
        narrative = folder / "narrative.yaml"
        text = narrative.read_text(encoding="utf-8")
        narrative.write_text(text.replace("\ndataset:\n", NARRATOR.format(url=server.url), 1), encoding="utf-8")
        report = folder / "report.md.jinja"
        report.write_text("{{ boat.skipper }}: " + report.read_text(encoding="utf-8"), encoding="utf-8")
        (folder / "retell.jinja").write_text("Tell it again.\nSTORY: {{ story }}", encoding="utf-8")
        yield root
        keys = {call.headers.get("Authorization") for call in server.calls}
        assert keys == {f"Bearer {SECRETS['STORYMESH_NARRATOR_KEY']}"}, "the model was asked, with the key for it"


def commands(root: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield what is done with the mesh: the exit code that is expected, and a command."""
    beside = root.parent
    yield 0, ["run"]
    yield 0, ["releases", "--verify"]
    yield 0, ["preview", "late-repairs"]
    yield 0, ["explain", "late-repairs"]
    yield 0, ["explain", "late-repairs", "--sql"]
    yield 0, ["explain", "late-repairs", "--case", "R003"]
    yield 0, ["trace", "report/R003"]
    yield 0, ["trace", "report/R003", "--format", "json"]
    yield 0, ["export", RELEASE, "--to", "ocel", "--into", str(beside / "events.json")]
    yield 0, ["rebuild", RELEASE]
    yield 0, ["pull", RELEASE, str(beside / "pulled")]
    yield 0, ["push", RELEASE, "--to", "us/harbour", "--dry-run"]
    yield 0, ["narrate", "late-repairs", "retold", "--dry-run"]
    boats = root / "domains/fleet/sources/boats.csv"
    whole = boats.read_text(encoding="utf-8")
    boats.write_text(whole.replace("skipper", "captain"), encoding="utf-8")
    yield 1, ["run"]
    boats.write_text(whole.replace(",10,", ",ten,").replace(",11,", ",eleven,"), encoding="utf-8")
    yield 1, ["run"]
    boats.write_text(whole.replace(",10,", ",15,"), encoding="utf-8")
    yield 0, ["run"]
    yield 0, ["diff", RELEASE, "late-repairs@1.0.0-r2"]
    yield 0, ["forget", "--product", "fleet.boats", "--key", "boat-0"]
    yield 0, ["forget", "--product", "fleet.boats", "--key", "boat-0", "--yes"]
    yield 0, ["expire"]
    yield 2, ["trace", "report/nobody"]


def contents(root: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of every file below a folder: as it is, and what a table or a database in it holds."""
    for path in root.rglob("*"):
        if path.is_symlink() or not path.is_file():
            continue
        content = path.read_bytes()
        yield str(path), content
        if path.suffix == ".parquet":
            yield str(path), str(pq.read_table(path).to_pylist()).encode()
        elif content.startswith(b"SQLite format 3\0"):
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
                yield str(path), "\n".join(database.iterdump()).encode()
            database.close()


def test_no_secret_is_printed_or_written(told_harbour: Path, storymesh: Callable[..., CommandResult]) -> None:
    shown: list[tuple[str, bytes]] = []
    for code, words in commands(told_harbour):
        done = storymesh(told_harbour, *words)
        assert done.code == code, (words, done.out, done.err)
        shown.append((" ".join(words), (done.out + done.err).encode()))
    (told_harbour.parent / "signing.pem").unlink()
    shutil.rmtree(told_harbour / "domains")  # as their owners wrote them
    left = list(contents(told_harbour.parent))
    assert len(left) > 100
    secrets = {spelling for secret in SECRETS.values() for spelling in spellings(secret)} | {b"q" * 32}
    hits = [(name, secret) for name, content in [*shown, *left] for secret in secrets if secret in content]
    assert hits == []
    # Products hold what their contracts restrict; nothing else does.
    elsewhere = [(name, content) for name, content in left if "/.storymesh/fleet/" not in name]
    assert [name for name, content in [*shown, *elsewhere] if b"Skipper 1" in content] == []
    assert any(b"Skipper 1" in content for name, content in left if "/.storymesh/fleet/" in name)
    assert any(b"p-" in content for name, content in shown if name.startswith("preview"))
