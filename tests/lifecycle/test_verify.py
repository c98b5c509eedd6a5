"""A release says what it is, and its files are held to it: one change in any of them is found, and named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from storymesh.engine.open import open_engine
from storymesh.errors import StorymeshError, WrongUsage
from storymesh.lifecycle.verify import verify_release
from storymesh.mesh.lookup import named_release
from storymesh.mesh.mesh import Mesh
from storymesh.release.catalog import find_release
from storymesh.release.layout import MANIFEST
from storymesh.release.manifest import manifest_json, read_manifest
from tests.support.release_meshes import storymesh

ADVICE = "data/advice/test-00000-of-00001.parquet"


@pytest.fixture
def folder(roadside: Mesh, tmp_path: Path) -> Path:
    """A copy of the first release, which stands in no mesh."""
    found = find_release(roadside.releases, "roadside@1.0.0-r1")
    return Path(shutil.copytree(found.path, tmp_path / "copy"))


def lock_says(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    lock = json.loads((folder / MANIFEST).read_text())
    change(lock)
    (folder / MANIFEST).write_text(json.dumps(lock), encoding="utf-8")


def rewritten(folder: Path, name: str, query: str) -> None:
    """A file of the release replaced by what a query gives of it, with the lock none the wiser."""
    table = duckdb.sql(query.format(f"read_parquet('{folder / name}')")).to_arrow_table()
    pq.write_table(table, folder / name)
    lock_says(folder, lambda lock: lock.pop("files"))


def test_an_untouched_release_has_no_differences(folder: Path) -> None:
    found = verify_release(folder, open_engine)
    assert found.differences == ()
    assert found.digest == read_manifest(folder).digest
    assert found.records == sum(sum(rows.values()) for rows in found.release.configs.values())
    (folder / ".gitattributes").write_text("", encoding="utf-8")
    assert verify_release(folder, open_engine).differences == (), "what a repository adds is not the release's"


def test_every_file_is_listed_with_its_digest(folder: Path) -> None:
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert set(read_manifest(folder).files or ()) == there - {MANIFEST}
    (folder / "README.md").write_text("Anything else.", encoding="utf-8")
    (folder / "drops/case.parquet").unlink()
    shutil.copy(folder / ADVICE, folder / "data/advice/extra.parquet")
    message = " ".join(verify_release(folder, open_engine).differences)
    assert "README.md is not the file that was written" in message
    assert "drops/case.parquet is missing" in message
    assert "data/advice/extra.parquet is no file of this release" in message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT * FROM {} ORDER BY id LIMIT 3", "advice/test: 3 records are there"),
        ('SELECT * REPLACE ("at" + INTERVAL 1 MINUTE AS "at") FROM {}', "advice: the digest of its records is"),
        ("SELECT * REPLACE (first(id) OVER () AS id) FROM {}", "records have the id of another"),
        ('SELECT * REPLACE ("at" - INTERVAL 1 YEAR AS "at") FROM {}', "moments, where none may be"),
        ("SELECT 1 AS nothing FROM {}", "its files cannot be read as records"),
    ],
)
def test_records_that_somebody_changed_are_found(folder: Path, query: str, message: str) -> None:
    rewritten(folder, ADVICE, query)
    assert message in " ".join(verify_release(folder, open_engine).differences)


def test_a_case_in_two_splits_is_found_from_the_files(folder: Path) -> None:
    train = folder / "data/advice/train-00000-of-00001.parquet"
    rewritten(folder, ADVICE, f"SELECT * FROM {{}} UNION ALL (FROM read_parquet('{train}') LIMIT 1)")
    message = " ".join(verify_release(folder, open_engine).differences)
    assert "the certificate, from the records: 1 ids" in message
    assert "1 questions" in message


def test_drops_are_counted_again(folder: Path) -> None:
    rewritten(folder, "drops/advice.parquet", "SELECT * REPLACE ('lost' AS reason) FROM {}")
    message = " ".join(verify_release(folder, open_engine).differences)
    assert "drops of advice, 'lost':" in message
    assert "drops: their digest is" in message


def test_a_file_that_is_no_parquet_is_named(folder: Path) -> None:
    (folder / ADVICE).write_bytes(b"PAR1 not at all PAR1")
    assert f"{ADVICE} cannot be read" in " ".join(verify_release(folder, open_engine).differences)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lock: lock.update(digest="0" * 64), "the digest is not that of the digests below it"),
        (lambda lock: lock.update(version="2.0.0-r1"), "is not one of narrative version 1.0.0"),
        (lambda lock: lock["certificate"].update(ids=3), "its certificate says 3 ids"),
        (lambda lock: lock["configs"]["advice"].update(test=1), "tell or drop different numbers of cases"),
        (lambda lock: lock.update(fingerprint="0" * 64), "is not the definition"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_found(
    folder: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    lock_says(folder, change)
    assert message in " ".join(verify_release(folder, open_engine).differences)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lock: lock.pop("fingerprint"), "does not say its fingerprint"),
        (lambda lock: lock.update(cast=[]), r"cannot be read: cast: .*, not '\[\]'"),
        (lambda lock: lock.update(narrative="../../etc"), "cannot be read: narrative: "),
        (lambda lock: lock.update(version="../1.0.0-r1"), "cannot be read: version: "),
        (lambda lock: lock["configs"].update({"../advice": {"train": 1}}), r"cannot be read: configs\.\.\./advice"),
        (lambda lock: lock["configs"]["advice"].update(test=-1), r"cannot be read: configs\.advice\.test"),
        (lambda lock: lock["cast"]["truck"].update(product="fleet/../x"), r"cannot be read: cast\.truck\.product"),
        (lambda lock: lock["files"].update({"/etc/passwd": "0" * 64}), "not a path inside the release"),
        (lambda lock: lock["files"].update({"data/../../x": "0" * 64}), "not a path inside the release"),
        (lambda lock: lock.update(digest="abc"), "cannot be read: digest: "),
    ],
)
def test_a_damaged_or_hostile_manifest_is_refused_with_its_place(
    folder: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    lock_says(folder, change)
    with pytest.raises(StorymeshError, match=message):
        verify_release(folder, open_engine)


def test_a_manifest_that_is_no_json_is_refused(folder: Path) -> None:
    (folder / MANIFEST).write_text("{", encoding="utf-8")
    with pytest.raises(StorymeshError, match=r"release\.json cannot be read"):
        verify_release(folder, open_engine)


def test_a_manifest_is_written_as_it_was_read(folder: Path) -> None:
    text = (folder / MANIFEST).read_text(encoding="utf-8")
    assert manifest_json(read_manifest(folder)) == text
    assert json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n" == text


def test_an_older_manifest_without_its_later_members_is_read(folder: Path) -> None:
    def shorten(lock: dict[str, Any]) -> None:
        for name in ("conflicts", "files", "storymesh", "created"):
            del lock[name]

    lock_says(folder, shorten)
    assert verify_release(folder, open_engine).differences == ()


def test_the_command_reports_differences_and_exits_with_one(roadside: Mesh, folder: Path) -> None:
    code, out, _ = storymesh(roadside.root, "releases", "--verify")
    assert (code, [line[:19] for line in out.splitlines()[::2]]) == (0, ["✓ roadside 1.0.0-r1", "✓ roadside 1.0.0-r2"])
    (folder / "drops/case.parquet").unlink()
    code, out, _ = storymesh(roadside.root, "releases", str(folder), "--verify")
    assert code == 1
    assert "drops/case.parquet is missing" in out
    code, out, _ = storymesh(roadside.root, "releases", str(folder), "--verify", "--format", "json")
    (told,) = json.loads(out)
    assert (code, told["version"], told["recomputed"]) == (1, "1.0.0-r1", None)
    assert told["differences"]


def test_releases_have_names(roadside: Mesh) -> None:
    assert named_release("roadside", roadside.root).version == "1.0.0-r2"
    assert named_release("roadside@1.0.0-r1", roadside.root).version == "1.0.0-r1"
    assert named_release(str(roadside.releases / "roadside/1.0.0-r1"), None).version == "1.0.0-r1"
    with pytest.raises(WrongUsage, match=r"has no release 1\.0\.0-r3.*did you mean '1\.0\.0-r"):
        named_release("roadside@1.0.0-r3", roadside.root)
    with pytest.raises(WrongUsage, match=r"'rodside' has no release .*did you mean 'roadside'"):
        named_release("rodside", roadside.root)
    with pytest.raises(WrongUsage, match=r"is no release: it has no release\.json"):
        named_release("some/where", roadside.root)
