"""A release on the Hub: the same files, private, under its version; and never in public what is internal. The Hub is a
stand-in on this machine."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from datasets import load_dataset

from storymesh.engine.open import open_engine
from storymesh.lifecycle.verify import verify_release
from storymesh.mesh.mesh import Mesh, load_mesh
from storymesh.mesh.snapshot_pinning import pin_build
from storymesh.release.catalog import find_release
from storymesh.release.layout import record_files
from storymesh.release.write import write_release
from tests.support.hub_stand_in import TOKEN, Hub, Repository, hub
from tests.support.release_meshes import publish_all, release_all, storymesh

INTERNAL = "prints values that are internal"


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        # Xet, which is what sends large files where it is installed, has a protocol that is nowhere written down.
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        yield server


def test_a_release_arrives_whole_and_private(roadside: Mesh, there: Hub, tmp_path: Path) -> None:
    code, out, err = storymesh(roadside.root, "push", "roadside@1.0.0-r1", "--to", "me/roadside")
    assert code == 0, out + err
    assert f"{there.address}/datasets/me/roadside holds it now: tag 1.0.0-r1" in out
    assert TOKEN not in out + err
    repository = there.repositories["me/roadside"]
    assert repository.private
    release = find_release(roadside.releases, "roadside@1.0.0-r1")
    shards = {path.read_bytes() for path in release.path.rglob("*.parquet")}
    assert set(there.large.values()) == shards, "Parquet goes to the store of large files"
    assert any(path.endswith("/complete") for path in there.asked), "and what is large, in parts"
    assert repository.tags == {"1.0.0-r1": repository.head}
    for path, content in repository.files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    assert verify_release(tmp_path, open_engine).differences == ()
    # The same again sends nothing; the next release replaces the files of the first.
    code, out, _ = storymesh(roadside.root, "push", "roadside@1.0.0-r1", "--to", "me/roadside")
    assert (code, "has this version already" in out, len(repository.commits)) == (0, True, 1)
    repository.files |= {".gitattributes": b"", "data/old/train-00000-of-00001.parquet": b"old"}
    code, _, _ = storymesh(roadside.root, "push", "roadside", "--to", "me/roadside")
    release = find_release(roadside.releases, "roadside")
    assert code == 0
    assert set(repository.files) == {
        ".gitattributes",
        *(str(path.relative_to(release.path)) for path in release.path.rglob("*") if path.is_file()),
    }
    assert [commit["description"] for commit in repository.commits][-1] == f"digest {release.digest}"
    assert list(repository.tags) == ["1.0.0-r1", "1.0.0-r2"]


def test_every_shard_arrives_and_loads(moved: Mesh, there: Hub, tmp_path: Path) -> None:
    build = pin_build(moved, moved.narrative("roadside"))
    shutil.rmtree(moved.releases / "roadside/1.0.0-r2")  # its records, in shards, would be no new release
    release = write_release(build, shard_rows=40)
    shards = record_files(release.path, "report")["train"]
    assert len(shards) > 1
    code, out, err = storymesh(moved.root, "push", "roadside", "--to", "me/roadside")
    assert code == 0, out + err
    files = there.repositories["me/roadside"].files
    for path in shards:
        assert files[str(path.relative_to(release.path))] == path.read_bytes()
    for path, content in files.items():
        (tmp_path / "copy" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / path).write_bytes(content)
    assert verify_release(tmp_path / "copy", open_engine).differences == ()
    loaded = load_dataset(str(tmp_path / "copy"), "report", cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == release.configs["report"]


def test_a_public_release_goes_to_a_public_place(moved: Mesh, there: Hub) -> None:
    contract = moved.root / "contracts/fleet/trucks.odcs.yaml"
    text = contract.read_text(encoding="utf-8")
    assert text.count("restricted") == 1
    contract.write_text(text.replace("restricted", "public"), encoding="utf-8")
    mesh = load_mesh(moved.root)
    publish_all(mesh, "fleet.trucks")
    shutil.rmtree(mesh.releases / "roadside/1.0.0-r2")
    release_all(mesh)
    code, out, err = storymesh(mesh.root, "push", "roadside", "--to", "me/open", "--public")
    assert code == 0, out + err
    assert not there.repositories["me/open"].private
    assert there.repositories["me/open"].files
    # Without the word it is private, and so it does not go where everybody reads.
    code, _, err = storymesh(mesh.root, "push", "roadside", "--to", "me/open")
    assert (code, "--public says that it may" in err) == (1, True)


def test_a_store_of_large_files_that_refuses_leaves_no_commit(roadside: Mesh, there: Hub) -> None:
    there.broken = True
    code, _, err = storymesh(roadside.root, "push", "roadside", "--to", "me/roadside")
    assert (code, "refused me/roadside: 403" in err) == (1, True)
    repository = there.repositories["me/roadside"]
    assert (repository.commits, repository.tags, repository.files) == ([], {}, {})


def test_large_files_that_do_not_arrive_are_reported(
    roadside: Mesh, there: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", False)  # which the stand-in does not speak
    code, _, err = storymesh(roadside.root, "push", "roadside", "--to", "me/roadside")
    assert (code, "the large files of me/roadside did not arrive" in err) == (1, True), err
    assert "HF_HUB_DISABLE_XET=1" in err
    assert TOKEN not in err
    assert there.repositories["me/roadside"].commits == []


def test_a_dry_run_shows_what_would_go_and_asks_nobody(roadside: Mesh, there: Hub) -> None:
    code, out, err = storymesh(roadside.root, "push", "roadside", "--to", "me/roadside", "--dry-run")
    assert code == 0
    release = find_release(roadside.releases, "roadside")
    card = release.path / "README.md"
    assert f"{card.stat().st_size:,}  README.md" in out
    assert "private dataset me/roadside" in out
    assert "prints internal values" in out
    assert "nothing was sent" in err
    assert there.asked == []


def test_internal_values_never_go_to_a_public_place(roadside: Mesh, there: Hub) -> None:
    code, _, err = storymesh(roadside.root, "push", "roadside", "--to", "me/roadside", "--public")
    assert (code, INTERNAL in err, there.asked) == (1, True, [])
    there.repositories["me/open"] = Repository(private=False)
    code, _, err = storymesh(roadside.root, "push", "roadside", "--to", "me/open")
    assert (code, INTERNAL in err) == (1, True)
    assert there.repositories["me/open"].commits == []


def test_errors_do_not_show_the_token(roadside: Mesh, there: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_another")
    code, out, err = storymesh(roadside.root, "push", "roadside", "--to", "me/roadside")
    assert (code, " 401 " in err, "set HF_TOKEN" in err) == (1, True, True)
    assert "hf_another" not in out + err
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    code, _, err = storymesh(roadside.root, "push", "roadside", "--to", "me/roadside")
    assert (code, "http://127.0.0.1:9 cannot be reached" in err) == (1, True)
    code, _, err = storymesh(roadside.root, "push", "roadside", "--to", "roadside")
    assert (code, "name it ORG/DATASET" in err) == (2, True)
