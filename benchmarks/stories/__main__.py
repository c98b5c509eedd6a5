"""The reference narrative told by several programs: same words out, and what each costs.

    python -m benchmarks.stories --delays 200000 --peers DIR

Each program runs in processes of its own with the same number of threads. Their texts, and the facts and sources of
those that write them, are compared record by record with what storymesh wrote. Exit 1 where they differ.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from benchmarks.reference import CACHE, ROOT, YARDSTICK, pinned, products
from benchmarks.stories.compare import Compared, compare, count
from benchmarks.stories.inputs import CONFIGS, ROW_GROUP

PROGRAMS = {
    "storymesh": "by_storymesh", "sql": "by_sql", "pandas": "by_pandas", "map": "by_map", "datatrove": "by_datatrove",
    "datachain": "by_datachain", "distilabel": "by_distilabel", "data-designer": "by_data_designer",
}  # fmt: skip
PEERS = ("datatrove", "datachain", "distilabel", "data-designer")  # each comes from an environment of its own
TEXTS_ONLY = ("map", *PEERS)  # they start from the cases and precedents that storymesh wrote
POLL = 0.1  # seconds between two looks at the memory of a program


@dataclass
class Run:
    """What one program took, its start included: seconds, bytes, records by config, where it differs from storymesh."""

    program: str
    wall: float = 0.0
    cpu: float = 0.0
    peak: int = 0
    records: dict[str, int] = field(default_factory=dict)
    stages: dict[str, dict[str, float]] = field(default_factory=dict)
    differences: list[Compared] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delays", type=int, default=20_000, help="(default: %(default)s)")
    parser.add_argument("--programs", nargs="+", choices=list(PROGRAMS), default=list(PROGRAMS))
    parser.add_argument("--peers", type=Path, help="a folder with an environment for each peer; else they are left out")
    parser.add_argument("--threads", type=int, default=2, help="(default: %(default)s)")
    parser.add_argument("--memory", default="4GB", help="DuckDB's memory limit (default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where products are kept (default: %(default)s)")
    parser.add_argument("--results", type=Path, help="write the figures here, as JSON")
    wanted = parser.parse_args()
    wanted.cache.mkdir(parents=True, exist_ok=True)
    folder = products(wanted.delays, wanted.cache.resolve())
    names = [name for name in PROGRAMS if name == "storymesh" or name in wanted.programs]
    names = [name for name in names if name not in PEERS or peer_python(wanted.peers, name) is not None]
    with tempfile.TemporaryDirectory(dir=wanted.cache, prefix="stories-") as made:
        scratch = Path(made).resolve()
        inputs = scratch / "inputs.json"
        given = _given(folder, scratch, wanted.threads, wanted.memory)
        inputs.write_text(json.dumps(given), encoding="utf-8")
        runs = []
        for name in names:
            if name in TEXTS_ONLY and not Path(given["rows"][0]).exists():
                _write_rows(scratch / "storymesh", given["rows"])
            python = peer_python(wanted.peers, name) if name in PEERS else None
            run = _run(name, python or Path(sys.executable), inputs, scratch / name, wanted.threads)
            run.records = {config: count(scratch / name, config) for config in CONFIGS}
            if name != "storymesh":
                run.differences = [
                    one for config in CONFIGS for one in compare(scratch / "storymesh", scratch / name, config)
                ]
            runs.append(run)
            print(f"{name}: {run.wall:.1f} s", file=sys.stderr, flush=True)
    print(_table(runs, wanted.delays))
    if wanted.results:
        wanted.results.write_text(json.dumps([_plain(run) for run in runs], indent=1) + "\n", encoding="utf-8")
    for run in runs:
        for one in run.differences:
            print(f"{run.program}: {one}")
    return 1 if any(run.differences for run in runs) else 0


def peer_python(peers: Path | None, name: str) -> Path | None:
    """The Python of a peer's own environment in the folder `peers`; None where there is none."""
    python = peers.absolute() / name / "bin" / "python" if peers is not None else None
    return python if python is not None and python.exists() else None


def _given(folder: Path, scratch: Path, threads: int, memory: str) -> dict[str, Any]:
    build = pinned(folder, scratch / "store", YARDSTICK)
    labels = set()
    for role, contract in build.contracts.items():
        document = yaml.safe_load(
            (ROOT / "contracts" / f"{contract.id.replace('.', '/')}.odcs.yaml").read_text("utf-8")
        )
        for item in document["schema"][0]["properties"]:
            labels |= {(item["name"], code["value"], code["label"]) for code in item.get("enum", [])}
        assert len(build.snapshots[role].files) == 1
    return {
        "folder": str(folder),
        "products": {
            snapshot.product: {"file": snapshot.files[0], "version": snapshot.version}
            for snapshot in build.snapshots.values()
        },
        "labels": sorted(labels),
        "templates": str(YARDSTICK),
        "rows": [str(scratch / "rows" / f"{part}.parquet") for part in range(threads)],
        "threads": threads,
        "memory": memory,
    }


def _write_rows(told: Path, rows: list[str]) -> None:
    """storymesh's cases with their split and precedents, in one file for each process that will tell them."""
    import duckdb

    Path(rows[0]).parent.mkdir()
    with duckdb.connect() as db:
        for part, path in enumerate(rows):
            db.execute(
                f"COPY (SELECT c.*, s.split, p.precedents FROM '{told}/cases.parquet' AS c "
                f"JOIN '{told}/splits.parquet' AS s USING (case_id) LEFT JOIN '{told}/precedents.parquet' AS p "
                f"USING (case_id) WHERE hash(case_id) % {len(rows)} = {part}) "
                f"TO '{path}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP})"
            )


def _run(name: str, python: Path, inputs: Path, out: Path, threads: int) -> Run:
    out.mkdir()
    limits = {
        "STORYMESH_PSEUDONYM_KEY": "benchmark",
        "OMP_NUM_THREADS": str(threads),
        "ARROW_NUM_THREADS": str(threads),
    }
    command = [str(python), "-m", f"benchmarks.stories.{PROGRAMS[name]}", str(inputs), str(out)]
    run, log, began = Run(name), out / "log.txt", time.monotonic()
    with log.open("wb") as words:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **limits}, stdout=words, stderr=words, start_new_session=True
        )
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            run.peak = max(run.peak, _memory(process.pid))
            time.sleep(POLL)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{name} failed with {process.returncode}:\n{log.read_text(errors='replace')[-4000:]}")
    run.wall, run.cpu = (
        time.monotonic() - began,
        usage.ru_utime + usage.ru_stime,
    )  # of its children too, once they ended
    run.stages = json.loads((out / "stages.json").read_text(encoding="utf-8"))
    return run


def _memory(session: int) -> int:
    """Bytes of memory that the processes of a session hold, what they share counted once."""
    total = 0
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and os.getsid(int(folder.name)) == session:
                text = (folder / "smaps_rollup").read_text(encoding="ascii")
                total += next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
        except (OSError, StopIteration):  # it has ended meanwhile
            continue
    return total * 1024


def _plain(run: Run) -> Mapping[str, Any]:
    return {**vars(run), "differences": [str(difference) for difference in run.differences]}


def _table(runs: list[Run], delays: int) -> str:
    by_name = {run.program: run for run in runs}
    head = (
        "program",
        "wall s",
        "CPU s",
        "peak MiB",
        "records",
        "records/s",
        "CPU to pandas",
        "CPU to sql",
        "other words",
    )
    lines = [f"{delays:,} delays", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for run in runs:
        ratios = [
            f"{run.cpu / by_name[peer].cpu:.2f}" if peer in by_name and run.program not in TEXTS_ONLY else ""
            for peer in ("pandas", "sql")
        ]
        differing = str(sum(difference.rows for difference in run.differences)) if run.program != "storymesh" else ""
        cells = [f"{run.wall:.1f}", f"{run.cpu:.1f}", f"{run.peak / 2**20:,.0f}", f"{sum(run.records.values()):,}"]
        cells += [f"{sum(run.records.values()) / run.wall:,.0f}", *ratios, differing]
        lines.append(f"| {run.program}{' (texts only)' if run.program in TEXTS_ONLY else ''} | {' | '.join(cells)} |")
    stages = list(dict.fromkeys(stage for run in runs for stage in run.stages))
    lines += ["", f"| CPU s of | {' | '.join(stages)} |", f"|{'---|' * (len(stages) + 1)}"]
    for run in runs:
        cells = [f"{run.stages[stage]['cpu']:.1f}" if stage in run.stages else "" for stage in stages]
        lines.append(f"| {run.program} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
