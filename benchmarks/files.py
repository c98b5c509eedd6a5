"""What it costs to make a product of files: the first time, when nothing has changed, and after every kind of change.

    python -m benchmarks.files --mails 10000 --entries 1000000 [--peer .venv-bench/datachain/bin/python]

Every step is a process of its own, with its imports; CPU seconds are those of all its processes. `reader alone` reads
the same files in one process and keeps nothing, so what a file costs beside the reader is the difference. With
`--peer`, DataChain does the same work in the environment of requirements/bench/datachain.txt: one column kept of each
mail, delta by its time of change. `inventory` is a listing that is made up, so that a million files need no disk.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

MESH = Path(__file__).parent.parent / "tests/meshes/mailroom"
MAILS = "domains/desk/sources/mail"
HEAD = (
    "From: desk@carrier.example\nTo: desk@example.com\nSubject: SHP-{number:06d} is late\n"
    "Date: Tue, 12 Mar 2024 07:30:00 +0000\n\n"
)
BODY = "We expect a delay of {hours} hours for shipment SHP-{number:06d}. "
A_FOLDER = 1_000
MIB = 2**20
DATACHAIN = """
import sys
from email import message_from_bytes
from datachain import read_storage
from datachain.lib.file import File

def subject(file: File) -> str:
    return str(message_from_bytes(file.read_bytes())["Subject"])

delta = {"delta": True, "delta_on": "file.path", "delta_compare": "file.last_modified"}
mails = read_storage("file://" + sys.argv[1], update=True, **delta)
mails.map(subject=subject).save("subjects")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mails", type=int, default=10_000)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--peer", type=Path, help="the Python of an environment with DataChain")
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.step is not None:
        STEPS[asked.step[0]](asked.step[1])
        return
    with tempfile.TemporaryDirectory() as scratch:
        root = write_mesh(Path(scratch) / "mesh", asked.mails)
        show(measure_steps(root, asked.mails, asked.entries))
        if asked.peer is not None:
            show(measure_peer(asked.peer, write_mails(Path(scratch) / "peer", asked.mails), Path(scratch)))


def write_mesh(root: Path, mails: int) -> Path:
    """Write a mesh whose product is made of so many mails."""
    shutil.copytree(MESH, root)
    shutil.rmtree(root / MAILS)
    write_mails(root / MAILS, mails)
    return root


def write_mails(folder: Path, mails: int) -> Path:
    """Write so many mails of some 0.6 kB, a thousand in a folder, last changed long ago."""
    for number in range(mails):
        path = folder / f"f{number // A_FOLDER}" / f"m{number}.eml"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_mail(path, number)
    return folder


def write_mail(path: Path, number: int, at: int = 1_700_000_000) -> None:
    path.write_text(HEAD.format(number=number) + BODY.format(hours=number % 97, number=number) * 8, encoding="utf-8")
    os.utime(path, (at, at))


def measure_steps(root: Path, mails: int, entries: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each step with what it cost."""
    folder = root / MAILS
    yield "reader alone", run_step("reader", str(folder))
    first = run_step("gather", str(root))
    yield "first run", first
    yield "nothing changed", run_step("digest", str(root))
    write_mail(folder / "f0/m0.eml", mails + 1, at=1_700_000_100)
    yield "1 changed", run_step("gather", str(root))
    for number in range(1, min(101, mails)):
        write_mail(folder / f"f{number // A_FOLDER}/m{number}.eml", mails + number, at=1_700_000_200)
    yield "100 changed", run_step("gather", str(root))
    (folder / "f0").rename(folder / "moved")
    yield "a folder of 1,000 renamed", run_step("gather", str(root))
    (folder / "moved/m5.eml").unlink()
    yield "1 deleted", run_step("gather", str(root))
    yield "rows of all files", run_step("rows", str(root))
    shutil.rmtree(root / ".storymesh")
    for round_ in range(1, 6):
        yield f"killed, {round_}", killed_step(root, mails * round_ // 6)
    yield "the rest", run_step("gather", str(root))
    yield f"inventory of {entries:,}", run_step("inventory", str(entries))


def run_step(name: str, argument: str) -> dict[str, Any]:
    """Run a step in a process of its own; return what it said, with the CPU seconds of all its processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "benchmarks.files", "--step", name, argument]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {**json.loads(said.splitlines()[-1]), "cpu_s": round(cpu, 2)}


def killed_step(root: Path, reading: int) -> dict[str, Any]:
    """Kill a run, with all its processes, when the inventory has so many readings; return how many it has then."""
    command = [sys.executable, "-m", "benchmarks.files", "--step", "gather", str(root)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    while process.poll() is None and kept_readings(root) < reading:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return {"kept": kept_readings(root)}


def kept_readings(root: Path) -> int:
    import sqlite3

    path = root / ".storymesh/desk/files/mails.sqlite"
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            return int(database.execute("SELECT count(*) FROM readings").fetchone()[0])
    except sqlite3.Error:
        return 0


def measure_peer(python: Path, folder: Path, scratch: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what the same steps cost with DataChain."""
    environment = {**os.environ, "DATACHAIN_ROOT_DIR": str(scratch / "datachain"), "DATACHAIN_ANON_ANALYTICS": "false"}
    environment |= {"HOME": str(scratch), "DATACHAIN_NO_ANALYTICS": "1", "ITERATIVE_DO_NOT_TRACK": "1"}

    script = scratch / "subjects.py"
    script.write_text(DATACHAIN, encoding="utf-8")

    def run() -> dict[str, Any]:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        ran = subprocess.run([python, script, str(folder)], capture_output=True, text=True, env=environment)
        if ran.returncode:
            return {"failed": ran.stderr.strip().splitlines()[-1]}
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {"cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2)}

    yield "DataChain: first run", run()
    yield "DataChain: nothing changed", run()
    write_mail(folder / "f0/m0.eml", 7, at=1_700_000_100)
    yield "DataChain: 1 changed", run()


def show(results: Iterator[tuple[str, dict[str, Any]]]) -> None:
    for name, found in results:
        words = ", ".join(
            f"{key} {value if isinstance(value, str) else format(value, ',')}" for key, value in found.items()
        )
        print(f"{name:28} {words}", flush=True)


def step_reader(folder: str) -> None:
    from storymesh.files.reading.readers import load_reader

    read, before, count = load_reader("mail", {}), time.process_time(), 0
    for path in Path(folder).rglob("*.eml"):
        read(path.read_bytes())
        count += 1
    say(read=count, inside_s=round(time.process_time() - before, 2))


def collection_of(root: str) -> Any:
    from storymesh.mesh.file_collections import file_collection
    from storymesh.mesh.mesh import load_mesh

    mesh = load_mesh(Path(root))
    mesh.prepare_store()
    return mesh, file_collection(mesh, mesh.product("desk.mails"))


def step_gather(root: str) -> None:
    mesh, collection = collection_of(root)
    with mesh.open_engine() as engine:
        import pyarrow.compute  # noqa: F401 - is of the imports

        own, others = usage()
        found = collection.gather(engine)
        after_own, after_others = usage()
    inside = {"own_s": round(after_own - own, 2), "readers_s": round(after_others - others, 2)}
    say(listed=found.listed, opened=found.opened, read=found.read, **inside)


def step_digest(root: str) -> None:
    _, collection = collection_of(root)
    before = time.process_time()
    assert collection.source_digest() is not None
    say(inside_s=round(time.process_time() - before, 3))


def step_rows(root: str) -> None:
    mesh, collection = collection_of(root)
    with mesh.open_engine() as engine:
        before = time.process_time()
        rows = collection.open_rows(engine).reader().read_all().num_rows
        say(rows=rows, inside_s=round(time.process_time() - before, 2))


def step_inventory(entries: str) -> None:
    from storymesh.files.inventory import Inventory
    from storymesh.files.listing import FileEntry, listing_digest
    from storymesh.files.reading.reading import Refused

    def listing() -> Iterator[FileEntry]:
        return (
            FileEntry(f"s3://bucket/folder-{n // 1000:04d}/file-{n:07d}.eml", f"{n:032x}-{n}", n, n)
            for n in range(int(entries))
        )

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "inventory.sqlite"
        before = time.process_time()
        sum(1 for _ in listing())
        seconds = {"listing_s": round(time.process_time() - before, 2)}  # is in each of those that follow
        with Inventory(path) as inventory:
            for name in ("new_s", "again_s"):
                before = time.process_time()
                opened = inventory.take_listing(listing())
                waiting = inventory.pending()
                while some := list(islice(waiting, 5_000)):
                    known = [(entry, f"{entry.size:064x}", None) for entry in some]
                    inventory.store(known, None, {sha: Refused("no text") for _, sha, _ in known})
                inventory.count_missing()
                inventory.finish()
                seconds[name] = round(time.process_time() - before, 2)
        before = time.process_time()
        listing_digest(listing())
        seconds["digest_s"] = round(time.process_time() - before, 2)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        say(opened=opened, **seconds, memory_mib=memory, sqlite_mib=path.stat().st_size // MIB)


def usage() -> tuple[float, float]:
    """Return the CPU seconds of this process, and of those that it has waited for."""
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime, others.ru_utime + others.ru_stime


def say(**found: Any) -> None:
    print(json.dumps(found))


STEPS: dict[str, Callable[[str], None]] = {
    "reader": step_reader,
    "gather": step_gather,
    "digest": step_digest,
    "rows": step_rows,
    "inventory": step_inventory,
}

if __name__ == "__main__":
    main()
