"""Whole meshes: copied aside, run by the command line, and what came of it read."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.support.built_once import built_once
from tests.support.paths import ROOT

KEY = "a key for tests"  # pseudonyms, and with them digests, are those of a key
LIMIT_S = 900
PREPARED = Path(__file__).with_name("preloaded.py")


@dataclass(frozen=True)
class Ran:
    """One command that ended: its exit code, what it said on both channels, and where it ran."""

    mesh: Path
    code: int
    output: str

    def line(self, begin: str) -> str:
        """Return the one line of the summary that begins with `begin`, with single spaces."""
        found = [" ".join(line.split()) for line in self.output.splitlines() if line.startswith(begin)]
        assert len(found) == 1, f"'{begin}' begins {len(found)} lines of:\n{self.output}"
        return found[0]


def copied(folder: str, target: Path) -> Path:
    """Copy what git tracks below `folder` of the checkout to `target`, as a clone would have it. Return `target`."""
    listed = subprocess.run(["git", "ls-files", "-z", folder or "."], cwd=ROOT, check=True, capture_output=True)
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            new = target / Path(name).relative_to(folder)
            new.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, new)
    return target


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a user: nothing of ours but the key, and the library of this checkout."""
    ours = ("DAGSTER", "STORYMESH", "DBT_", "GX_", "HF_", "DO_NOT_TRACK", "PYTEST")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    paths = [str(ROOT / "platform"), *filter(None, [kept.get("PYTHONPATH")])]
    return {**kept, "CI": "true", "STORYMESH_PSEUDONYM_KEY": KEY, "PYTHONPATH": os.pathsep.join(paths), **more}


def command(*arguments: str, mesh: Path) -> list[str]:
    return [sys.executable, "-m", "storymesh.cli", *arguments, "--mesh", str(mesh)]


def storymesh(*arguments: str, mesh: Path, **more: str) -> Ran:
    """Run the command line in a process of its own."""
    done = subprocess.run(
        command(*arguments, mesh=mesh),
        cwd=mesh,
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert "Traceback" not in done.stdout, done.stdout
    return Ran(mesh, done.returncode, done.stdout)


@dataclass(frozen=True)
class Elsewhere:
    """A mesh that was run in another folder, with the time it took and the folder as it was before."""

    ran: Ran
    seconds: float
    start: Path


class Preloaded:
    """The command line without the seconds that its imports take: each command is a process of its own, forked from
    one that has imported the libraries, so that a test can afford to run, and to kill, many."""

    def __init__(self, scratch: Path) -> None:
        self._out = scratch / "said.txt"
        self._server = subprocess.Popen(
            [sys.executable, str(PREPARED)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )

    def start(self, *arguments: str, mesh: Path, **more: str) -> int:
        """Begin the command, with `more` in its environment, and return the id of its process. Call `ended` before
        another begins."""
        self._mesh = mesh
        self._out.write_bytes(b"")
        self._send([[*arguments, "--mesh", str(mesh)], more, str(self._out)])
        return int(self._receive())

    def ended(self) -> Ran:
        """Wait until the command has ended. The exit code is minus the signal that killed it."""
        code = int(self._receive())
        return Ran(self._mesh, code, self._out.read_text(encoding="utf-8"))

    def output(self) -> str:
        """Return what the command has written by now."""
        return self._out.read_text(encoding="utf-8")

    def run(self, *arguments: str, mesh: Path, **more: str) -> Ran:
        self.start(*arguments, mesh=mesh, **more)
        return self.ended()

    def close(self) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(timeout=LIMIT_S)

    def _send(self, what: Any) -> None:
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(what) + "\n")
        self._server.stdin.flush()

    def _receive(self) -> str:
        assert self._server.stdout is not None
        return self._server.stdout.readline()


def run_once(factory: pytest.TempPathFactory, name: str, preloaded: Preloaded, copy: Callable[[Path], Path]) -> Ran:
    """Return the first run of the mesh that `copy` puts into a folder: made once for all tests, which only read it."""

    def build(folder: Path) -> None:
        ran = preloaded.run("run", mesh=copy(folder))
        assert ran.code == 0, ran.output
        assert "Traceback" not in ran.output, ran.output
        (folder / "ran.json").write_text(json.dumps([str(ran.mesh), ran.output]), encoding="utf-8")

    folder = built_once(factory, name, build)
    mesh, message = json.loads((folder / "ran.json").read_text(encoding="utf-8"))
    return Ran(Path(mesh), 0, message)


def timed(start: Path, mesh: Path, preloaded: Preloaded) -> Elsewhere:
    """Copy `start` to `mesh`, run it there and measure the time."""
    shutil.copytree(start, mesh)
    began = time.monotonic()
    ran = preloaded.run("run", mesh=mesh)
    assert ran.code == 0, ran.output
    return Elsewhere(ran, time.monotonic() - began, start)


def locks(mesh: Path, narrative: str) -> list[dict[str, Any]]:
    """Return `release.json` of each release of the narrative, in order."""
    folders = sorted((mesh / "releases" / narrative).iterdir())
    hidden = [folder.name for folder in folders if folder.name.startswith(".") and folder.is_dir()]
    assert not hidden, f"a release that was not finished: {hidden}"
    paths = [folder / "release.json" for folder in folders if folder.is_dir()]
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def loaded(mesh: Path, narrative: str, cache: Path, version: str = "1.0.0-r1") -> dict[str, dict[str, list[Any]]]:
    """Return the records of a release by config and split, as Hugging Face `datasets` loads them."""
    from datasets import get_dataset_config_names, load_dataset

    path = mesh / "releases" / narrative / version
    lock = json.loads((path / "release.json").read_text(encoding="utf-8"))
    assert sorted(get_dataset_config_names(str(path))) == sorted(lock["configs"])
    found = {
        config: {split: rows.to_list() for split, rows in load_dataset(str(path), config, cache_dir=cache).items()}
        for config in lock["configs"]
    }
    for config, splits in lock["configs"].items():
        assert {name: len(rows) for name, rows in found[config].items()} == {
            name: count for name, count in splits.items() if count
        }
    assert not any(lock["certificate"].values())
    return found


def every(configs: Mapping[str, Mapping[str, list[Any]]], config: str) -> dict[str, dict[str, Any]]:
    """Return the records of one config over all splits, by case."""
    return {record["case_id"]: record for rows in configs[config].values() for record in rows}


def products(mesh: Path) -> dict[str, list[str]]:
    """Return by product the versions that were published, in order."""
    from storymesh.mesh.mesh import load_mesh
    from storymesh.product.store import ProductStore

    found = load_mesh(mesh)
    return {
        product: [
            snapshot.version for snapshot in ProductStore(found.warehouse, one_domain(product)).list_snapshots(product)
        ]
        for product in found.products
    }


def rows_of(mesh: Path, product: str) -> list[dict[str, Any]]:
    """Return the rows that a reader of the product sees now."""
    from storymesh.product.store import ProductStore
    from storymesh.product.warehouse import Warehouse

    latest = ProductStore(Warehouse(mesh / ".storymesh"), one_domain(product)).latest_snapshot(product)
    assert latest is not None
    return [row for file in latest.files for row in pq.ParquetFile(file).read().to_pylist()]


def one_domain(product: str) -> str:
    return product.partition(".")[0]


def quarantined(mesh: Path, product: str) -> list[dict[str, Any]]:
    """Return the rows that the latest publication of the product refused, with their reasons."""
    domain, _, name = product.partition(".")
    files = sorted(
        (mesh / ".storymesh" / domain / "quarantine" / name).glob("*.parquet"), key=lambda item: item.stat().st_mtime
    )
    rows: list[dict[str, Any]] = pq.read_table(files[-1]).to_pylist()
    return rows


def red_checks(mesh: Path) -> set[str]:
    """Return the checks that are red after the mesh's latest run, as Dagster has them: `domain/product: check`."""
    import dagster as dg

    from storymesh.mesh.mesh import load_mesh
    from storymesh.orchestration.instance import open_instance

    with open_instance(load_mesh(mesh)) as instance:
        run_id = instance.get_runs(limit=1)[0].run_id
        records = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        found = [record.dagster_event.asset_check_evaluation_data for record in records if record.dagster_event]
    return {
        f"{item.asset_key.to_user_string()}: {item.check_name}"
        for item in found
        if not item.passed and item.severity is dg.AssetCheckSeverity.ERROR
    }


def statuses(mesh: Path) -> set[str]:
    """Return the statuses that the mesh's runs have, as Dagster remembers them."""
    from storymesh.mesh.mesh import load_mesh
    from storymesh.orchestration.instance import open_instance

    with open_instance(load_mesh(mesh)) as instance:
        return {run.status.value for run in instance.get_runs()}


def untraced(mesh: Path, narrative: str, queries: int, every: int = 1) -> tuple[int, dict[str, list[str]]]:
    """Return how many values the records of the latest release print, and by record those that do not lead back. Of the
    records of each config, look at one in `every`, evenly taken.

    A value leads back to a row of its product at its version, or to a query that counts it again: so many `queries` of
    the counts are confirmed, evenly taken.
    """
    from storymesh.engine.open import open_engine
    from storymesh.product.warehouse import Warehouse
    from storymesh.provenance.trace import Tracer
    from storymesh.release.catalog import list_releases
    from storymesh.release.definition_snapshot import open_released_build
    from storymesh.release.layout import record_files

    release = list_releases(mesh / "releases", narrative)[-1]
    build = open_released_build(release, Warehouse(mesh / ".storymesh"), open_engine)
    wrong: dict[str, list[str]] = {}
    values = 0
    with Tracer(build) as tracer:
        for config, splits in release.configs.items():
            files = [file for parts in record_files(release.path, config).values() for file in parts]
            records = [
                row for file in files for row in pq.read_table(file).drop_columns(["facts", "sources"]).to_pylist()
            ]
            assert len(records) == sum(splits.values())
            for trace_record in tracer.trace_records(config, records[::every]):
                found = list(trace_record.mistakes)
                for column in trace_record.columns:
                    printed = [span for span in column.spans if span.expression is not None]
                    if "".join(span.text for span in column.spans) != column.text:
                        found.append(f"{column.name} is not covered")
                    # What leads nowhere may be words of the template itself only, of which it chooses some.
                    unled = [span for span in printed if not (span.origins or span.because)]
                    found += [
                        f"{span.text}: {span.expression}" for span in unled if "choose(" not in str(span.expression)
                    ]
                    values += len(printed) - len(unled)
                if found:
                    wrong[trace_record.record] = found
        for record, words in tracer.confirm(queries).items():
            wrong[record] = [*wrong.get(record, []), *words]
    return values, wrong


def unswept(mesh: Path) -> Iterator[Path]:
    """Yield the data files in the stores that no published snapshot names."""
    from storymesh.mesh.mesh import load_mesh
    from storymesh.product.store import ProductStore

    found = load_mesh(mesh)
    known = {
        file
        for product in found.products
        for snapshot in ProductStore(found.warehouse, one_domain(product)).list_snapshots(product)
        for file in snapshot.files
    }
    return (path for path in found.store.glob("*/warehouse/**/*.parquet") if str(path.resolve()) not in known)
