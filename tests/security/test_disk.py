"""The disk itself: files are whole or not there; a disk that is full, forbidden or out of reach is said in words."""

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from storymesh.atomic_write import staged_file, write_atomically
from storymesh.dataset.build_step import BuildStep
from storymesh.engine.open import open_engine
from storymesh.outage import as_unavailable
from storymesh.product.store import ProductStore
from storymesh.product.warehouse import Warehouse
from storymesh.temporary_folder import temporary_folder
from tests.product.conftest import Desk, good_rows
from tests.support.paths import importable

Command = Callable[..., Any]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A product that was published."""
    desk = Desk(tmp_path / "mesh")
    desk.root.mkdir()
    desk.publish(good_rows(2))
    return desk


def versions(desk: Desk) -> list[str]:
    return [snapshot.version for snapshot in desk.store.list_snapshots("delays")]


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
    done = subprocess.run(command, env=importable(), capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert versions(desk) == before
    desk.publish(good_rows(4000))
    assert versions(desk)[:1] == before


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
    done = subprocess.run(command, env=importable(), capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert sorted(store.rglob("*")) == before


def test_an_outage_is_told_from_a_defect() -> None:
    assert as_unavailable(ValueError("a defect")) is None
    assert as_unavailable(KeyError("no space left")) is None
