"""The store on disk: what is lost or damaged is found again or said in words; nothing else goes."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from storymesh.dataset.build_step import build_step
from storymesh.engine.open import open_engine
from storymesh.errors import StorymeshError
from storymesh.lifecycle.verify import verify_release
from storymesh.mesh.mesh import load_mesh
from storymesh.product.content_version import content_version
from storymesh.release.catalog import list_releases
from tests.product.conftest import Desk, a_row, good_rows

VERSIONS = 3


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Desk(tmp_path_factory.mktemp("published") / "mesh")
    for count in range(1, VERSIONS + 1):
        made.publish(good_rows(count))
    return made.root


@pytest.fixture
def desk(tmp_path: Path, published: Path) -> Desk:
    """A product that was published three times."""
    return Desk(Path(shutil.copytree(published, tmp_path / "mesh")))


def versions(desk: Desk) -> list[str]:
    """Every version that readers have, each with the content that it had."""
    found = desk.store.list_snapshots("delays")
    with open_engine() as engine:
        for snapshot in found:
            assert content_version(engine, list(snapshot.files), desk.contract()) == snapshot.version
    return [snapshot.version for snapshot in found]


def database(desk: Desk) -> Path:
    return desk.store.folder / "catalog.db"


def remove(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def without_the_row(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM iceberg_tables")


def without_tables(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE iceberg_tables")
        connection.execute("DROP TABLE iceberg_namespace_properties")


LOSSES = {"removed": remove, "empty": empty, "without the table": without_the_row, "without any table": without_tables}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_lost_catalog_is_found_again_by_a_reader(loss: str, desk: Desk) -> None:
    before = versions(desk)
    LOSSES[loss](database(desk))
    assert versions(desk) == before
    assert desk.store.latest_snapshot("delays") is not None


@pytest.mark.parametrize("loss", LOSSES)
def test_publishing_after_a_lost_catalog_keeps_every_earlier_snapshot(loss: str, desk: Desk) -> None:
    before = versions(desk)
    LOSSES[loss](database(desk))
    desk.publish(good_rows(VERSIONS + 1))
    assert versions(desk)[:VERSIONS] == before
    assert len(versions(desk)) == VERSIONS + 1


def test_a_lost_catalog_is_found_at_the_newest_metadata_that_is_whole(desk: Desk) -> None:
    before = versions(desk)
    newest = max((desk.store.folder / "warehouse/delays/metadata").glob("*.metadata.json"))
    newest.with_name(f"99999-{'a' * 8}-0000-0000-0000-{'b' * 12}.metadata.json").write_text("{half", encoding="utf-8")
    database(desk).unlink()
    assert versions(desk) == before


def test_a_lost_catalog_without_whole_metadata_is_refused_and_nothing_is_removed(desk: Desk) -> None:
    folder = desk.store.folder / "warehouse/delays"
    for path in folder.glob("metadata/*.metadata.json"):
        path.write_bytes(path.read_bytes()[:100])
    database(desk).unlink()
    data = sorted(folder.rglob("*.parquet"))
    for act in (lambda: desk.store.list_snapshots("delays"), lambda: desk.publish(good_rows(9))):
        with pytest.raises(StorymeshError, match="lost the table"):
            act()
    assert sorted(folder.rglob("*.parquet")) == data


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to be one" * 9, b"SQLite format 3\0half"])
def test_a_damaged_catalog_is_refused_in_words_and_moving_it_away_brings_everything_back(
    content: bytes, desk: Desk
) -> None:
    before = versions(desk)
    database(desk).write_bytes(content)
    with pytest.raises(StorymeshError, match="catalog") as refused:
        desk.publish(good_rows(9))
    assert "move it away" in refused.value.hint
    database(desk).rename(database(desk).with_suffix(".away"))
    assert versions(desk) == before


def test_a_metadata_file_that_is_gone_is_said_with_what_to_do(desk: Desk) -> None:
    before = versions(desk)
    newest = max((desk.store.folder / "warehouse/delays/metadata").glob("*.metadata.json"))
    newest.unlink()
    with pytest.raises(StorymeshError, match="damaged") as refused:
        desk.store.list_snapshots("delays")
    assert "move" in refused.value.hint
    database(desk).unlink()
    assert set(versions(desk)) <= set(before)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[20] ^= 0xFF
    path.write_bytes(content)


def swap(path: Path) -> None:
    """Write other rows, which Parquet reads."""
    table = pq.read_table(path)
    pq.write_table(table.set_column(0, "id", [[f"x{number}" for number in range(len(table))]]), path)


DAMAGES = {"removed": remove, "empty": empty, "cut short": cut, "changed in one byte": flip, "other rows": swap}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_published_file_is_made_again_when_the_same_content_is_published(damage: str, desk: Desk) -> None:
    before = versions(desk)
    (file,) = desk.store.find_snapshot("delays", before[-1]).files
    DAMAGES[damage](Path(file))
    done = desk.publish(good_rows(VERSIONS))
    assert done.unchanged
    assert versions(desk) == before


@pytest.mark.parametrize("damage", ["removed", "cut short"])
def test_a_damaged_earlier_version_is_made_again_when_the_product_goes_back_to_it(damage: str, desk: Desk) -> None:
    before = versions(desk)
    (file,) = desk.store.find_snapshot("delays", before[0]).files
    DAMAGES[damage](Path(file))
    desk.publish(good_rows(1))
    assert sorted(versions(desk)) == sorted(before)
    latest = desk.store.latest_snapshot("delays")
    assert latest is not None
    assert latest.version == before[0]


@pytest.mark.parametrize("damage", ["removed", "empty", "cut short"])
def test_reading_a_damaged_published_file_says_which_and_what_to_do(damage: str, desk: Desk) -> None:
    snapshot = desk.store.latest_snapshot("delays")
    assert snapshot is not None
    path = Path(snapshot.files[0])
    DAMAGES[damage](path)
    with pytest.raises(StorymeshError, match=path.name) as refused:
        list(snapshot.files)
    assert "publish it again" in refused.value.hint


@pytest.mark.parametrize("damage", ["removed", "empty", "cut short"])
def test_a_damaged_manifest_is_said_in_words(damage: str, desk: Desk) -> None:
    for path in (desk.store.folder / "warehouse/delays/metadata").glob("*.avro"):
        DAMAGES[damage](path)
    with pytest.raises(StorymeshError, match="manifest"):
        desk.store.latest_snapshot("delays")


def test_an_equal_publication_reads_no_digest_again_where_the_bytes_are_equal(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []

    def counting(engine: Any, files: Any, contract: Any) -> str:
        counted.append(1)
        return content_version(engine, files, contract)

    monkeypatch.setattr("storymesh.product.publish.content_version", counting)
    assert desk.publish(good_rows(VERSIONS)).unchanged
    assert counted == [], "it is made while the rows are written"


CACHED = ("cases.parquet", "splits.parquet", "precedents.parquet", "records/report.parquet")


def test_damaged_cached_files_are_made_again_and_the_release_stays_the_same(released_harbour: Path) -> None:
    from storymesh.mesh.snapshot_pinning import pin_build
    from storymesh.release.rewritten_records import write_all_records

    mesh = load_mesh(released_harbour)
    build = pin_build(mesh, mesh.narrative("late-repairs"))
    folder = build.files.folder
    whole = {name: (folder / name).read_bytes() for name in CACHED}
    damages = ("removed", "empty", "cut short", "changed in one byte")
    for turn in range(len(damages)):  # each file has each damage once
        for place, name in enumerate(CACHED):
            DAMAGES[damages[(place + turn) % len(damages)]](folder / name)
        write_all_records(build)
        with open_engine() as engine:
            for name in CACHED:
                (folder / "before.parquet").write_bytes(whole[name])
                found, wanted = (
                    engine.content_digest(engine.read_parquet(folder / file)) for file in (name, "before.parquet")
                )
                assert found == wanted, (name, turn)


def test_what_a_killed_writer_left_beside_cached_files_goes_with_the_next_one(released_harbour: Path) -> None:
    from storymesh.mesh.snapshot_pinning import pin_build

    mesh = load_mesh(released_harbour)
    build = pin_build(mesh, mesh.narrative("late-repairs"))
    folder = build.files.folder
    left = [folder / ".cases.parquet.0123456789ab", folder / "records/.report.parquet.part-0.77"]
    for path in left:
        path.write_bytes(b"half")
    with build_step(build, "cases") as step:
        assert step.whole
    assert all(path.exists() for path in left), "somebody else may be writing them"
    (folder / "cases.parquet").unlink()
    with build_step(build, "cases") as step:
        assert not step.whole
    assert not any(path.exists() for path in left)


ODD_NAMES = [
    "with space",
    "per%cent",
    "a#b?c=d&e",
    "quote'd\"",
    "[glob]*",
    "ümläut",
    "semi;colon",
    "--flag",
    "{brace}$HOME",
]


def test_a_store_may_be_in_folders_of_any_name(tmp_path: Path) -> None:
    desk = Desk(tmp_path.joinpath(*ODD_NAMES))
    desk.root.mkdir(parents=True)
    desk.publish(good_rows(2))
    desk.publish([*good_rows(2), a_row(7)])
    assert len(versions(desk)) == 2
    database(desk).unlink()
    assert len(versions(desk)) == 2


def test_a_lost_catalog_of_a_released_mesh_leaves_every_release_reproducible(released_harbour: Path) -> None:
    from storymesh.lifecycle.rebuild import reopen_build

    for path in (released_harbour / ".storymesh").glob("*/catalog.db"):
        path.unlink()
    (release,) = list_releases(released_harbour / "releases")
    assert not verify_release(release.path, open_engine).differences
    build = reopen_build(release, load_mesh(released_harbour).warehouse, open_engine)
    assert all(Path(file).is_file() for snapshot in build.snapshots.values() for file in snapshot.files)


def test_publishing_again_adds_no_schema_where_the_contract_is_the_same(desk: Desk) -> None:
    desk.publish(good_rows(VERSIONS + 1))
    table = desk.store.load_table("delays")
    assert table is not None
    assert len(table.schemas()) == 1
