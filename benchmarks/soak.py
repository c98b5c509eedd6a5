"""A soak: a mesh is run again and again, and each run meets a fault at a random moment. Afterwards nothing may be lost,
doubled or half there, and the next run that nobody disturbs has to make what is missing.

    python -m benchmarks.soak --rounds 200 --seed 1
    python -m benchmarks.soak --rounds 2 --faults write full

Faults: the process is killed at one of its writes to the mesh (`write`) or at any moment (`kill`), or told to end
(`term`); the disk is full from one of its writes on (`full`), no file may grow beyond a size (`limit`), or nothing may
be written (`forbidden`); a raw file is damaged (`damaged`); two runs work at once, of which one is killed (`twice`).
Before each run a raw file changes, so that there is something to publish and to release. Which fault a run meets is
drawn, unless `--faults` says which ones, one after the other.
"""

import argparse
import importlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType

from benchmarks.faults import (
    LEAVING,
    MEASURED,
    allow_writing,
    die_at_write,
    fill_disk_at_write,
    forbid_writing,
    leave_measurements,
    limit_file_size,
)

ROOT = Path(__file__).resolve().parent.parent
MESH = ROOT / "tests/meshes/plain_files"
EVERY = 8  # rounds between two runs that nobody disturbs
KEY = "a key for the soak"
FAULTS = (
    "write",
    "write",
    "write",
    "write",
    "kill",
    "kill",
    "term",
    "full",
    "full",
    "limit",
    "forbidden",
    "damaged",
    "twice",
)
UNSWEPT = ("audit-", "clean-")


class Broken(AssertionError):
    """Something was lost, doubled or left half done."""


TRUCKS = "domains/fleet/sources/trucks.csv"  # of the product fleet.trucks, whose drivers are told as pseudonyms


@dataclass
class Seen:
    """What has been there once and has to stay: versions of products, and releases with their locks."""

    versions: dict[str, list[str]] = field(default_factory=dict)
    releases: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """Of a run that nobody disturbs: how long it takes, how often it writes to the mesh, and what it imports."""

    seconds: float = 1.0
    writes: int = 1
    modules: tuple[str, ...] = ()


class Soak:
    """One mesh in a folder of its own, and a random generator that decides everything but the faults that are given."""

    def __init__(self, folder: Path, seed: int, say: Callable[[str], None], faults: Sequence[str] = ()) -> None:
        self.random = random.Random(seed)
        self.faults = faults
        self.root = folder / "mesh"
        self.folder = folder
        self.say = say
        self.seen = Seen()
        self.met: Counter[str] = Counter()
        self.measured = Measured()
        self.ended: Counter[str] = Counter()
        shutil.copytree(MESH, self.root)
        # Two of its configs are enough: the others cost time, and are written in the same way.
        narrative = self.root / "narratives/roadside/narrative.yaml"
        lines = narrative.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not line.lstrip().startswith(("choice:", "verdict:"))]
        narrative.write_text("".join(kept), encoding="utf-8")
        # Whoever may not write has to reach the mesh all the same.
        for path in (folder, self.root):
            path.chmod(0o755)

    def run(self, rounds: int) -> None:
        self.calm("first")
        self._preload()
        for number in range(1, rounds + 1):
            self.change(number)
            fault = self.faults[(number - 1) % len(self.faults)] if self.faults else self.random.choice(FAULTS)
            self.met[fault] += 1
            told = self.disturbed(fault)
            self.ended[told.partition(" ")[0]] += 1
            self.look()
            self.say(f"{number:>4} {fault:<10} {told}")
            if told.startswith("refused"):
                self.say(f"{'':>16}{self._said().splitlines()[0][:160]}")
            if number % EVERY == 0 or number == rounds:
                self.calm(f"after {number}")

    def change(self, number: int) -> None:
        """A raw file gets a content that it never had, in one step, as its owners should leave it."""
        path = self.root / TRUCKS
        head, *lines = path.read_text(encoding="utf-8").splitlines()
        chosen = self.random.randrange(len(lines))
        lines[chosen] = f"{lines[chosen].rpartition(',')[0]},Driver {number}"
        staged = path.with_name(f".{path.name}")
        staged.write_text("\n".join([head, *lines, ""]), encoding="utf-8")
        staged.replace(path)

    def disturbed(self, fault: str) -> str:
        """One run that meets the fault; says how it ended."""
        moment = self.random.uniform(0, self.measured.seconds)
        match fault:
            case "write":
                place = self.random.randint(1, self.measured.writes)
                ended = self._ended(self._start(lambda: die_at_write(self._roots(), place, self.folder)))
                return f"{ended} at write {place}"
            case "kill" | "term":
                return f"{self._struck([self._start()], moment, fault)} after {moment:.1f} s"
            case "twice":
                return f"{self._struck([self._start(), self._start()], moment, 'kill')} after {moment:.1f} s"
            case "full":
                place = self.random.randint(1, self.measured.writes)
                ended = self._ended(self._start(lambda: fill_disk_at_write(self._roots(), place)))
                return f"{ended} with a disk full at write {place}"
            case "limit":
                size = int(2 ** self.random.uniform(10, 19))
                return f"{self._ended(self._start(lambda: limit_file_size(size)))} with at most {size:,} bytes a file"
            case "forbidden":
                try:
                    return f"{self._ended(self._start(lambda: forbid_writing(self.root)))} without the right to write"
                finally:
                    allow_writing(self.root)
            case "damaged":
                path = self.root / "domains/road/sources/breakdowns.parquet"
                whole = path.read_bytes()
                path.write_bytes(whole[: self.random.randrange(len(whole))])
                try:
                    return f"{self._ended(self._start())} with a raw file cut short"
                finally:
                    path.write_bytes(whole)
            case other:
                raise AssertionError(other)

    def calm(self, when: str) -> None:
        """A run that nobody disturbs makes everything that is missing, and leaves nothing behind."""
        began = time.monotonic()
        told = self._ended(self._start(lambda: leave_measurements((str(self.root),), self.folder)))
        if told != "done":
            raise Broken(f"{when}: the run that nobody disturbed ended with {told}:\n{self._said()}")
        self.measured = Measured(**json.loads((self.folder / MEASURED).read_text(encoding="utf-8")))
        self.look()
        if left := [*sorted(self._left()), *self._going()]:
            raise Broken(f"{when}: left behind: {left}")
        self.require_newest(when)
        self._compare_rows(when)
        self.say(f"     whole      {when}: {self._counted()}, {time.monotonic() - began:.1f} s")

    def require_newest(self, when: str) -> None:
        """Raise Broken where the newest release is not made of the newest versions."""
        lock = json.loads(list(self.seen.releases.values())[-1])
        for role, member in lock["cast"].items():
            newest = self.seen.versions[member["product"]][-1]
            if member["product_version"] != newest:
                raise Broken(f"{when}: the newest release tells {role} from {member['product_version']}, not {newest}")

    def look(self) -> None:
        """What readers see now: all that was there before is there, and what is new is whole."""
        from storymesh.engine.open import open_engine
        from storymesh.lifecycle.verify import verify_release
        from storymesh.mesh.mesh import load_mesh
        from storymesh.product.content_version import content_version
        from storymesh.product.store import ProductStore
        from storymesh.release.catalog import list_releases

        mesh = load_mesh(self.root)
        for product in mesh.products:
            domain, name = product.split(".")
            found = ProductStore(mesh.warehouse, domain).list_snapshots(name)
            versions = [snapshot.version for snapshot in found]
            if lost := set(self.seen.versions.get(product, ())) - set(versions):
                raise Broken(f"{product} has lost {lost}")
            if len(set(versions)) < len(versions):
                raise Broken(f"{product} has a version twice: {versions}")
            known = set(self.seen.versions.get(product, ()))
            fresh = [snapshot for snapshot in found if snapshot.version not in known]
            for snapshot in [*fresh, *self.random.sample(found, min(1, len(found)))]:
                with open_engine() as engine:
                    version = content_version(engine, snapshot.files, mesh.contract(product))
                if version != snapshot.version:
                    raise Broken(f"{product} {snapshot.version} does not hold what it held")
            self.seen.versions[product] = versions
        releases = {}
        for release in list_releases(mesh.releases):
            lock = (release.path / "release.json").read_bytes()
            name = f"{release.narrative} {release.version}"
            if self.seen.releases.get(name, lock) != lock:
                raise Broken(f"{name} has changed")
            if name not in self.seen.releases and (damage := verify_release(release.path, open_engine).differences):
                raise Broken(f"{name} is not whole: {damage}")
            releases[name] = lock
        if lost := set(self.seen.releases) - set(releases):
            raise Broken(f"lost: {lost}")
        numbers = [int(name.rpartition("-r")[2]) for name in releases]
        self.require_numbers(numbers)
        digests = [json.loads(lock)["digest"] for lock in releases.values()]
        if len(set(digests)) < len(digests):
            raise Broken("two releases hold the same")
        self.seen.releases = releases

    def require_numbers(self, numbers: list[int]) -> None:
        """Raise Broken where releases are not numbered from 1 on."""
        if numbers != list(range(1, len(numbers) + 1)):
            raise Broken(f"the releases are numbered {numbers}")

    def _roots(self) -> tuple[str, ...]:
        """The folders whose writes count."""
        return (str(self.root),)

    # --- processes ---

    def _start(
        self, prepare: Callable[[], None] = lambda: None, work: "Callable[[Path, Path], int] | None" = None
    ) -> int:
        """The id of a process that runs the mesh, forked from this one, which has imported the libraries."""
        sys.stdout.flush()
        process = os.fork()
        if process:
            return process
        out = os.open(self.folder / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for number in (1, 2):
            os.dup2(out, number)
        code = 99
        try:
            prepare()
            code = (work or run_mesh)(self.root, self.folder)
            for leave in LEAVING:
                leave()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)

    def _preload(self) -> None:
        """Import what a run imports, so that each of many runs does not: what that is, the first run has left."""
        for name in self.measured.modules:
            if not name.startswith(("storymesh_location", "__")):
                with suppress(ImportError, AttributeError):
                    importlib.import_module(name)

    def _struck(self, processes: list[int], moment: float, how: str) -> str:
        time.sleep(moment)
        with suppress(ProcessLookupError):
            os.kill(processes[0], signal.SIGKILL if how == "kill" else signal.SIGTERM)
        return ", ".join(self._ended(process) for process in processes)

    def _ended(self, process: int) -> str:
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        if code == 99:
            raise Broken(f"a run ended in an error that it did not expect:\n{self._said()}")
        names = {0: "done", 1: "refused", 130: "stopped", -signal.SIGKILL: "killed"}
        return names.get(code, f"code {code}")

    def _said(self) -> str:
        return (self.folder / "said.txt").read_text(encoding="utf-8", errors="replace")[-3000:]

    # --- what a mesh looks like that nobody disturbs ---

    def _left(self) -> list[str]:
        from storymesh.mesh.mesh import load_mesh
        from storymesh.product.store import ProductStore

        mesh = load_mesh(self.root)
        found = [str(path) for path in mesh.releases.glob("*/.cutting-*")]
        for product in mesh.products:
            table = ProductStore(mesh.warehouse, product.split(".")[0]).load_table(product.split(".")[1])
            assert table is not None
            found += [f"{product}: {name}" for name in table.metadata.refs if name.startswith(UNSWEPT)]
        return found

    def _going(self) -> list[str]:
        import dagster as dg

        from storymesh.mesh.mesh import load_mesh
        from storymesh.orchestration.instance import open_instance

        with open_instance(load_mesh(self.root)) as instance:
            ended = {"SUCCESS", "FAILURE", "CANCELED"}
            statuses = [status for status in dg.DagsterRunStatus if status.value not in ended]
            going = instance.get_runs(dg.RunsFilter(statuses=statuses))
            return [f"the run {run.run_id} counts as {run.status.value}" for run in going]

    def _compare_rows(self, when: str) -> None:
        """The rows of the product that changes are those of its raw file."""
        import csv

        import pyarrow.parquet as pq

        from storymesh.mesh.mesh import load_mesh
        from storymesh.product.store import ProductStore

        latest = ProductStore(load_mesh(self.root).warehouse, "fleet").latest_snapshot("trucks")
        assert latest is not None
        with (self.root / TRUCKS).open(encoding="utf-8", newline="") as file:
            wanted = sorted(tuple(row.values()) for row in csv.DictReader(file))
        found = [row for path in latest.files for row in pq.read_table(path).to_pylist()]
        if sorted(tuple(row.values()) for row in found) != wanted:
            raise Broken(f"{when}: fleet.trucks does not hold the rows of {TRUCKS}")

    def _counted(self) -> str:
        versions = sum(map(len, self.seen.versions.values()))
        return f"{versions} versions of products, {len(self.seen.releases)} releases"


def run_mesh(root: Path, folder: Path) -> int:
    """The exit code of `storymesh run` in this process; 99 for an error that it did not expect."""
    from storymesh.errors import StorymeshError
    from storymesh.mesh.mesh import load_mesh
    from storymesh.orchestration.run.execute import execute_run

    os.environ["STORYMESH_PSEUDONYM_KEY"] = KEY
    try:
        outcome = execute_run(load_mesh(root), [], lambda told: None, folder / f"run-{os.getpid()}.log")
    except KeyboardInterrupt:
        return 130
    except StorymeshError as error:
        print(f"{error.message} ({error.hint})")
        return 1
    for failed in outcome.failures.values():
        print(f"{failed.step}: {failed.message}")
        if not failed.expected:
            return 99
    return 0 if outcome.success else 1


def soak(rounds: int, seed: int, say: Callable[[str], None], faults: Sequence[str] = ()) -> Mapping[str, int]:
    """Fault -> how often it was met. Raises Broken with what was lost."""
    with tempfile.TemporaryDirectory(prefix="storymesh-soak-") as folder:
        mesh = Soak(Path(folder), seed, say, faults)
        mesh.run(rounds)
        say(f"ended: {dict(mesh.ended)}")
        return MappingProxyType(dict(mesh.met))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", nargs="+", choices=sorted(set(FAULTS)), default=())
    asked = parser.parse_args()
    began = time.monotonic()
    met = soak(asked.rounds, asked.seed, partial(print, flush=True), asked.faults)
    told = ", ".join(f"{fault} {count}" for fault, count in sorted(met.items()))
    spent = sum(resource.getrusage(who).ru_utime for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(f"{asked.rounds} faults ({told}), nothing lost: {time.monotonic() - began:.0f} s, {spent:.0f} s of CPU")


if __name__ == "__main__":
    main()
