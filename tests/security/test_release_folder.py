"""A release of a stranger is opened, verified, copied, compared and traced without doing what it asks for."""

import os
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import storymesh as package
from storymesh.engine.open import open_engine
from storymesh.errors import StorymeshError, WrongUsage
from storymesh.lifecycle.diff import compare_releases
from storymesh.lifecycle.pull import load_config, pull_release
from storymesh.lifecycle.verify import verify_release
from storymesh.mesh.lookup import named_release, next_release
from storymesh.mesh.mesh import Mesh
from storymesh.release.catalog import read_release
from storymesh.release.layout import MANIFEST, hash_files
from tests.support.edited_release import edit_lock, relist
from tests.support.release_meshes import storymesh

REPORT = "data/report/train-00000-of-00001.parquet"


def place_link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def place_endless_link(path: Path) -> None:
    path.symlink_to("/dev/zero")


def place_twin_link(path: Path) -> None:
    twin = path.with_name(f".{path.name}")
    twin.write_bytes(b"twin")
    path.symlink_to(twin.name)


def place_pipe(path: Path) -> None:
    os.mkfifo(path)


def place_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path.name)
    finally:
        os.chdir(here)


def place_folder(path: Path) -> None:
    path.mkdir()


def place_loop(path: Path) -> None:
    path.symlink_to(path.name)


PLACES = {
    "a link out": place_link,
    "a link to a device": place_endless_link,
    "a link inside": place_twin_link,
    "a link to itself": place_loop,
    "a named pipe": place_pipe,
    "a socket": place_socket,
    "a folder": place_folder,
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize(
    "name", ["data/report/train-00000-of-00001.parquet", "definition/contracts/fleet/trucks.odcs.yaml"]
)
def test_what_is_no_file_of_its_own_is_neither_verified_nor_copied(
    folder: Path, tmp_path: Path, name: str, place: Callable[[Path], None]
) -> None:
    (folder / name).unlink()
    place(folder / name)
    differences = verify_release(folder, open_engine).differences
    assert differences
    assert name in differences[0] or "report" in differences[0]
    with pytest.raises(StorymeshError, match="is not whole"):
        pull_release(read_release(folder), tmp_path / "into", open_engine)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sent"], "nothing is left"


@pytest.mark.parametrize("place", [place_link, place_endless_link, place_pipe, place_loop])
def test_a_lock_that_is_no_file_is_not_read(folder: Path, place: Callable[[Path], None]) -> None:
    (folder / MANIFEST).unlink()
    place(folder / MANIFEST)
    with pytest.raises(StorymeshError, match=r"release\.json cannot be read"):
        verify_release(folder, open_engine)
    code, _, err = storymesh(folder.parent, "releases", str(folder), "--verify")
    assert code in (1, 2), err
    assert "Traceback" not in err


@pytest.mark.parametrize("part", ["data", "data/report", "definition", "drops"])
def test_a_folder_behind_a_link_is_not_entered(folder: Path, tmp_path: Path, part: str) -> None:
    (folder / part).rename(tmp_path / "elsewhere")
    (folder / part).symlink_to(tmp_path / "elsewhere")
    assert f"{part} is a link" in " ".join(verify_release(folder, open_engine).differences)
    with pytest.raises(StorymeshError, match="is a link"):
        pull_release(read_release(folder), tmp_path / "into", open_engine)
    with pytest.raises(StorymeshError, match="is a link"):
        load_config(read_release(folder), "report")


def test_a_file_larger_than_the_lock_says_is_not_copied(folder: Path, tmp_path: Path) -> None:
    with (folder / "README.md").open("ab") as file:
        file.truncate(2**41)
    with pytest.raises(StorymeshError, match=r"README\.md is not the file that was written: it has"):
        pull_release(read_release(folder), tmp_path / "into", open_engine)
    edit_lock(folder, lambda lock: lock["sizes"].update({"README.md": 2**41}))
    with pytest.raises(StorymeshError, match=r"and .* room for"):
        pull_release(read_release(folder), tmp_path / "into", open_engine)
    assert not (tmp_path / "into").exists()


@pytest.mark.parametrize(
    "name",
    ["extra.txt", "data/report/train-00001-of-00002.parquet", "definition/narratives/roadside/.x.jinja", "run.sh"],
)
def test_a_file_that_the_lock_does_not_list_is_found_and_not_copied(folder: Path, tmp_path: Path, name: str) -> None:
    shutil.copy(folder / REPORT, folder / name)
    assert f"{name} is no file of this release" in verify_release(folder, open_engine).differences
    with pytest.raises(StorymeshError, match="is no file of this release"):
        pull_release(read_release(folder), tmp_path / "into", open_engine)


def test_hidden_files_of_a_repository_stay_where_they_are(folder: Path, tmp_path: Path) -> None:
    (folder / ".git" / "hooks").mkdir(parents=True)
    (folder / ".git" / "hooks" / "post-checkout").write_text("rm -rf /", encoding="utf-8")
    (folder / ".cache").symlink_to("/")
    assert verify_release(folder, open_engine).differences == ()
    pull_release(read_release(folder), tmp_path / "into", open_engine)
    assert not list((tmp_path / "into").glob(".*"))
    assert hash_files(tmp_path / "into") == hash_files(folder)


COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "x\" FROM (SELECT 1); COPY (SELECT content FROM read_text('/etc/hostname')) TO '/tmp/attacked'; --": (
        pa.string(),
        "has a column",
    ),
    "x'); --": (pa.string(), "has a column"),
    "": (pa.string(), "has a column"),
    "a b": (pa.string(), "has a column"),
    "\x1b]0;owned\x07": (pa.string(), "has a column"),
    "x" * 1_000: (pa.string(), "has a column"),
    "ｘ": (pa.string(), "has a column"),
    "quoted": (pa.struct([('a" , 1); --', pa.int64())]), "has in its column 'quoted' a part"),
    "deep": (pa.list_(pa.struct([("a", pa.struct([("b';", pa.int64())]))])), "has in its column 'deep' a part"),
    "twice": (pa.struct([("a", pa.int64()), ("a", pa.int64())]), "two parts of one name"),
    "bytes": (pa.binary(), "the type binary"),
    "map": (pa.map_(pa.string(), pa.string()), "the type map"),
    "span": (pa.duration("us"), "the type duration"),
}


@pytest.mark.parametrize(("name", "kind", "message"), [(name, *rest) for name, rest in COLUMNS.items()])
def test_a_parquet_file_with_other_columns_is_opened_by_no_engine(
    folder: Path, tmp_path: Path, name: str, kind: pa.DataType, message: str
) -> None:
    table = pq.read_table(folder / REPORT)
    table = table.append_column(name, pa.nulls(table.num_rows, kind))
    pq.write_table(table, folder / REPORT)
    relist(folder)
    opened = []

    def counting_open(**options: Any) -> Any:
        opened.append(options)
        return open_engine(**options)

    differences = verify_release(folder, counting_open).differences
    assert message in " ".join(differences)
    assert all(difference.isprintable() for difference in differences)
    sent = read_release(folder)
    edited = replace(sent, manifest=sent.manifest.model_copy(update={"digest": "1" * 64}))
    uses: tuple[Callable[[], Any], ...] = (
        lambda: pull_release(sent, tmp_path / "into", counting_open),
        lambda: compare_releases(sent, edited, counting_open),
        lambda: load_config(sent, "report"),
    )
    for use in uses:
        with pytest.raises(StorymeshError, match=r"is not whole|is not as its lock says"):
            use()
    assert opened == []
    assert not Path("/tmp/attacked").exists()


FILES: dict[str, bytes] = {
    "empty": b"",
    "only the magic": b"PAR1PAR1",
    "a footer longer than the file": b"PAR1" + b"\xff\xff\xff\x7f" + b"PAR1",
    "a footer of nothing": b"PAR1" + b"\0\0\0\0" + b"PAR1",
    "a footer of noise": b"PAR1" + bytes(range(256)) + (256).to_bytes(4, "little") + b"PAR1",
    "a footer of zeros": b"PAR1" + bytes(1_000) + (1_000).to_bytes(4, "little") + b"PAR1",
    "encrypted": b"PARE" + bytes(100) + (100).to_bytes(4, "little") + b"PARE",
    "text": b"id,text\n1,a\n" * 100,
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES.keys())
@pytest.mark.parametrize("name", [REPORT, "drops/case.parquet"])
def test_a_damaged_parquet_file_is_named(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    relist(folder)
    assert f"{name} cannot be read" in " ".join(verify_release(folder, open_engine).differences)


@pytest.mark.parametrize("cut", [1, 7, 8, 9, 100, 4_000])
def test_a_parquet_file_that_was_cut_off_is_named(folder: Path, cut: int) -> None:
    content = (folder / REPORT).read_bytes()
    (folder / REPORT).write_bytes(content[:-cut])
    relist(folder)
    differences = verify_release(folder, open_engine).differences
    assert f"{REPORT} cannot be read" in " ".join(differences)


def test_a_small_file_that_says_it_holds_billions_of_rows_is_not_opened(folder: Path) -> None:
    rows = pa.nulls(30_000_000, pa.bool_())
    pq.write_table(pa.table({"id": rows}), folder / REPORT, row_group_size=30_000_000)
    relist(folder)
    assert "more than such a file can" in " ".join(verify_release(folder, open_engine).differences)


def test_a_file_of_many_columns_is_not_opened(folder: Path) -> None:
    columns = {f"c{number}": pa.array([1]) for number in range(6_000)}
    pq.write_table(pa.table(columns), folder / REPORT)
    relist(folder)
    assert "has 6,000 columns" in " ".join(verify_release(folder, open_engine).differences)


@pytest.mark.parametrize("feature", ["Image", "Audio", "Video", "Array2D", "Translation", "Pdf", "os.system"])
def test_features_that_open_other_files_are_not_loaded(folder: Path, feature: str) -> None:
    table = pq.read_table(folder / REPORT)
    metadata = {"huggingface": f'{{"info": {{"features": {{"text": {{"_type": "{feature}"}}}}}}}}'}
    pq.write_table(table.replace_schema_metadata(metadata), folder / REPORT)
    relist(folder)
    assert f"asks `datasets` to read {feature}" in " ".join(verify_release(folder, open_engine).differences)
    with pytest.raises(StorymeshError, match="asks `datasets` to read"):
        load_config(read_release(folder), "report")


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../outside.parquet", "https://127.0.0.1:1/x.parquet", "hf://datasets/a/b"]
)
def test_a_card_does_not_say_which_files_are_loaded(folder: Path, tmp_path: Path, path: str) -> None:
    card = (folder / "README.md").read_text(encoding="utf-8")
    (folder / "README.md").write_text(card.replace("data/report/train-*.parquet", path), encoding="utf-8")
    relist(folder)
    rows = package.load(str(folder), config="report", split="train", cache_dir=str(tmp_path / "cache"))
    assert len(rows) == read_release(folder).configs["report"]["train"]


def test_a_release_with_a_script_runs_none(folder: Path, tmp_path: Path) -> None:
    for name in ("sent.py", "report.py", "__init__.py"):
        (folder / name).write_text("raise SystemExit('attacked')", encoding="utf-8")
    relist(folder)
    package.load(str(folder), config="report", split="test", cache_dir=str(tmp_path / "cache"))
    assert "sent" not in sys.modules


def test_a_catalogue_inside_of_a_release_is_not_opened(folder: Path, roadside: Mesh, tmp_path: Path) -> None:
    shutil.copytree(roadside.store / "fleet", folder / "fleet")
    relist_all = [path for path in (folder / "fleet").rglob("*") if path.is_file() and path.suffix == ".lock"]
    for path in relist_all:
        path.unlink()
    code, _, _ = storymesh(roadside.root, "trace", str(folder), "report/B001")
    assert code == 1, "it has files that its lock does not list"
    relist(folder)
    code, _, err = storymesh(tmp_path, "rebuild", str(folder), "--into", str(tmp_path / "again"))
    assert code in (1, 2), err
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("given", ["abc", "0" * 63, "Z" * 64, "0" * 64 + "\n"])
def test_a_digest_that_is_none_is_wrong_usage(folder: Path, given: str) -> None:
    code, _, err = storymesh(folder.parent, "releases", str(folder), "--verify", "--digest", given)
    assert (code, "is no digest of a lock" in err) == (2, True)
    with pytest.raises(WrongUsage, match="is no digest of a lock"):
        package.load(str(folder), config="report", digest=given)


@pytest.mark.parametrize("name", ["x" * 5_000, "x/" * 3_000, "a\0b", "..", "~", "\x1b[2J", "roadside@" + "9" * 5_000])
def test_a_name_of_no_release_is_wrong_usage(roadside: Mesh, name: str) -> None:
    with pytest.raises(WrongUsage):
        named_release(name, roadside.root)


def test_a_release_at_the_top_of_a_disk_has_none_beside_it(folder: Path) -> None:
    with pytest.raises(WrongUsage, match="is the last release"):
        next_release(replace(read_release(folder), path=Path("/sent")))
