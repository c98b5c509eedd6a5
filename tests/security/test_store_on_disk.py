"""The store on disk: what is lost, damaged, full or forbidden is found again or said in words; nothing else goes."""

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from storymesh.atomic_write import staged_file, write_atomically
from storymesh.dataset.build_step import BuildStep, build_step
from storymesh.engine.open import open_engine
from storymesh.errors import StorymeshError
from storymesh.lifecycle.verify import verify_release
from storymesh.mesh.mesh import load_mesh
from storymesh.outage import as_unavailable
from storymesh.product.content_version import content_version
from storymesh.product.store import ProductStore
from storymesh.product.warehouse import Warehouse
from storymesh.release.catalog import list_releases
from storymesh.temporary_folder import temporary_folder
from tests.product.conftest import Desk, a_row, good_rows
from tests.support.paths import importable

Command = Callable[..., Any]
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
    assert len(counted) == 1


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


def test_a_step_is_whole_only_with_every_listed_file_as_it_was(tmp_path: Path) -> None:
    files = [tmp_path / "a", tmp_path / "b"]
    for path in files:
        path.write_bytes(b"content")
    assert not BuildStep(tmp_path, "step").whole
    BuildStep(tmp_path, "step").seal(files)
    assert BuildStep(tmp_path, "step").whole
    for listed in (b"", b"no list at all\n", b"0000  a\n"):
        (tmp_path / "step.sha256").write_bytes(listed)
        assert not BuildStep(tmp_path, "step").whole


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        done.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name[:5]}")
        fsync(descriptor)

    def renamed(self: Path, target: Path) -> Path:
        done.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    write_atomically(tmp_path / "file", "content")
    assert done == ["sync .file", "rename", f"sync {tmp_path.name[:5]}"]


def test_every_file_of_a_table_is_on_the_disk_before_the_catalog_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[str] = set()
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        synced.add(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    desk = Desk(tmp_path)
    desk.publish(good_rows(2))
    files = {str(path) for path in (desk.store.folder / "warehouse").rglob("*") if path.is_file()}
    assert files
    assert files <= synced


HOLDER = """
import sys, time
from pathlib import Path
from storymesh.temporary_folder import temporary_folder
with temporary_folder("spill", Path(sys.argv[1])) as folder:
    (folder / "spilled").write_bytes(b"x" * 1000)
    print(folder, flush=True)
    time.sleep(600)
"""


def test_the_spill_folder_of_a_killed_process_goes_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, env=importable(), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            folder = Path(process.stdout.readline().strip())
            with temporary_folder("spill", tmp_path) as own:
                assert folder.is_dir(), "its process lives"
                with temporary_folder("spill", tmp_path):
                    assert own.is_dir(), "so does this one"
        finally:
            process.kill()
    assert (folder / "spilled").is_file(), "nobody has cleaned up yet"
    with temporary_folder("spill", tmp_path):
        assert not folder.exists()
    assert list(tmp_path.iterdir()) == []


def test_sweeping_follows_no_link_and_leaves_other_folders_alone(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("here", encoding="utf-8")
    within = tmp_path / "tmp"
    within.mkdir()
    (within / "storymesh-spill-link").symlink_to(precious)
    (within / "storymesh-spill-file").write_text("a file", encoding="utf-8")
    (within / "storymesh-other").mkdir()
    fresh, old = within / "storymesh-spill-fresh", within / "storymesh-spill-old"
    fresh.mkdir()
    (fresh / "spilled").write_text("x", encoding="utf-8")
    old.mkdir()
    os.utime(old, (time.time() - 90_000, time.time() - 90_000))
    with temporary_folder("spill", within):
        pass
    assert (precious / "file").is_file()
    assert fresh.is_dir(), "another version of storymesh may use it"
    assert not old.exists()
    assert (within / "storymesh-other").is_dir()


def test_an_engine_that_ends_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with open_engine() as engine:
        assert [path.name.startswith("storymesh-spill-") for path in tmp_path.iterdir()] == [True]
        assert engine.fetch_value(engine.materialize([], pq.read_table(_tiny(tmp_path)).schema).count()) == 0
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


def _tiny(folder: Path) -> Path:
    import pyarrow as pa

    pq.write_table(pa.table({"a": [1]}), folder / "tiny.parquet")
    return folder / "tiny.parquet"


OUTAGES = {
    "no space": OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    "no quota": OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
    "a file too large": OSError(errno.EFBIG, os.strerror(errno.EFBIG)),
    "a read-only disk": OSError(errno.EROFS, os.strerror(errno.EROFS)),
    "no permission": PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/x"),
    "a disk that does not read": OSError(errno.EIO, os.strerror(errno.EIO)),
    "a read-only database": sqlite3.OperationalError("attempt to write a readonly database"),
    "a full database": sqlite3.OperationalError("database or disk is full"),
    "a database that cannot be opened": sqlite3.OperationalError("unable to open database file"),
    "a damaged database": sqlite3.DatabaseError("database disk image is malformed"),
}


@pytest.mark.parametrize("outage", OUTAGES)
@pytest.mark.parametrize(
    "command", ["check", "releases", "preview late-repairs", "forget --product fleet.boats --key x"]
)
def test_a_disk_that_does_not_do_its_part_is_words_in_every_command(
    outage: str, command: str, storymesh: Command, harbour: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OUTAGES[outage]

    for name in ("storymesh.mesh.mesh.load_mesh", "storymesh.mesh.check.check_files"):
        monkeypatch.setattr(name, fail)
    done = storymesh(harbour, *command.split())
    assert done.code == 1, done.err
    assert done.err.startswith("storymesh: ")
    assert "Traceback" not in done.err
    assert len(done.err.splitlines()) == 2, "what is wrong, and what to do"


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


def test_a_full_disk_leaves_no_half_written_file(tmp_path: Path) -> None:
    def fill() -> None:
        with staged_file(tmp_path / "file") as staged:
            staged.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space"):
        fill()
    assert list(tmp_path.iterdir()) == []


LIMITED = """
import resource, signal, sys
from pathlib import Path
from tests.product.conftest import Desk, good_rows
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from storymesh.outage import as_unavailable
for size in sys.argv[2:]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), resource.RLIM_INFINITY))
    try:
        Desk(Path(sys.argv[1])).publish(good_rows(4000))
    except Exception as error:
        if as_unavailable(error) is None:
            sys.exit(f"{size}: {type(error)}: {error}")
    else:
        sys.exit(f"{size}: it was published")
"""


def test_a_publication_on_a_disk_that_fills_up_is_refused_in_words_and_the_next_one_works(desk: Desk) -> None:
    before = versions(desk)
    # -B: what is imported under such a limit would be compiled to half a file.
    command = [sys.executable, "-B", "-c", LIMITED, str(desk.root), "1000", "17000"]
    done = subprocess.run(command, env=importable(), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert versions(desk) == before
    desk.publish(good_rows(4000))
    assert versions(desk)[:VERSIONS] == before


def test_a_lost_catalog_of_a_released_mesh_leaves_every_release_reproducible(released_harbour: Path) -> None:
    from storymesh.lifecycle.rebuild import open_pinned_build

    for path in (released_harbour / ".storymesh").glob("*/catalog.db"):
        path.unlink()
    (release,) = list_releases(released_harbour / "releases")
    assert not verify_release(release.path, open_engine).differences
    build = open_pinned_build(release, load_mesh(released_harbour).warehouse, open_engine)
    assert all(Path(file).is_file() for snapshot in build.snapshots.values() for file in snapshot.files)


def test_another_folder_that_is_named_as_the_store_keeps_its_rights(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    (shared / "of somebody else").write_text("x", encoding="utf-8")
    Warehouse(shared).prepare_folder()
    assert shared.stat().st_mode & 0o777 == 0o755
    assert ProductStore(Warehouse(shared), "shipping").list_snapshots("delays") == []


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root may write everywhere")
def test_publishing_into_a_store_that_may_not_be_written_is_words(desk: Desk) -> None:
    script = (
        "import sys; from pathlib import Path; from storymesh.outage import as_unavailable\n"
        "from storymesh.errors import StorymeshError\n"
        "import os\n"
        "from tests.product.conftest import Desk, good_rows\n"
        "Desk(Path(sys.argv[2])).publish(good_rows(1))  # imports everything while it may\n"
        "if os.geteuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "from storymesh.product.store import ProductStore; from storymesh.product.warehouse import Warehouse\n"
        "from storymesh.product.staging import open_staging; import pyarrow as pa\n"
        "store = ProductStore(Warehouse(Path(sys.argv[1])), 'shipping')\n"
        "try:\n"
        "    with open_staging(store, 'delays', pa.schema([('id', pa.string())]), 1): pass\n"
        "except StorymeshError: sys.exit(0)\n"
        "except Exception as error: sys.exit(0 if as_unavailable(error) else repr(error))\n"
        "sys.exit('it was opened')\n"
    )
    store = desk.root / ".storymesh"
    for folder in (desk.root, *desk.root.parents):
        if folder.stat().st_uid == os.geteuid() and folder.is_relative_to("/tmp") and folder != Path("/tmp"):
            folder.chmod(0o755)
    store.chmod(0o755)
    before = sorted(store.rglob("*"))
    command = [sys.executable, "-c", script, str(store), str(desk.root.parent / "other")]
    done = subprocess.run(command, env=importable(), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert sorted(store.rglob("*")) == before


def test_publishing_again_adds_no_schema_where_the_contract_is_the_same(desk: Desk) -> None:
    desk.publish(good_rows(VERSIONS + 1))
    table = desk.store.load_table("delays")
    assert table is not None
    assert len(table.schemas()) == 1


def test_an_outage_is_told_from_a_defect() -> None:
    assert as_unavailable(ValueError("a defect")) is None
    assert as_unavailable(KeyError("no space left")) is None
