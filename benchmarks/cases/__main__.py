"""Cases and precedents of the reference mesh at growing sizes: storymesh, SQL by hand and pandas side by side.

    python -m benchmarks.cases --delays 10000 100000 1000000

Every contender reads the same Parquet files in a process of its own, with the same threads and the same memory limit
for DuckDB, and what the peers wrote is compared with what storymesh wrote. Exit 1 where they differ.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.cases.contender import CONTENDERS
from benchmarks.reference import CACHE, ROOT, products

KIB, MIB, GIB = 2**10, 2**20, 2**30
POLL = 0.05  # seconds between two looks at a process: its memory and what it has spilled


@dataclass
class Run:
    """One contender at one size: `stages` as the contender wrote them; bytes; `ended` says why it did not finish."""

    delays: int
    contender: str
    stages: dict[str, dict[str, float]] = field(default_factory=dict)
    peak: int = 0
    spilled: int = 0
    whole_cpu: float = 0.0
    ended: str = ""
    compared: bool = False
    differences: dict[str, str] = field(default_factory=dict)

    @property
    def wall(self) -> float:
        return sum(stage["wall"] for stage in self.stages.values())

    @property
    def cpu(self) -> float:
        return sum(stage["cpu"] for stage in self.stages.values())

    @property
    def cases(self) -> float:
        return self.stages["cases"]["rows"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delays", type=int, nargs="+", default=[10_000, 100_000], help="(default: %(default)s)")
    parser.add_argument("--contenders", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--memory", default="3GB", help="DuckDB's memory limit (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="(default: %(default)s)")
    parser.add_argument(
        "--ceiling", type=float, default=8, help="GiB at which a process is ended (default: %(default)s)"
    )
    parser.add_argument("--repeat", type=int, default=1, help="take the least of so many runs (default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where products are kept (default: %(default)s)")
    parser.add_argument("--results", type=Path, help="write the figures here, as JSON")
    wanted = parser.parse_args()
    limits = {"STORYMESH_MEMORY": wanted.memory, "STORYMESH_THREADS": str(wanted.threads)}
    environment = {**os.environ, **limits, "STORYMESH_PSEUDONYM_KEY": "benchmark"}
    environment |= {"OMP_NUM_THREADS": str(wanted.threads), "OPENBLAS_NUM_THREADS": str(wanted.threads)}
    wanted.cache.mkdir(parents=True, exist_ok=True)
    runs: list[Run] = []
    print(f"DuckDB: {wanted.memory}, {wanted.threads} threads; ratio: CPU seconds to those of sql\n{_heading()}")
    for delays in wanted.delays:
        folder = products(delays, wanted.cache)
        with tempfile.TemporaryDirectory(dir=wanted.cache, prefix="run-") as scratch:
            for name in sorted(wanted.contenders, key=lambda name: (name != "sql", name != "storymesh")):
                tries = [
                    _run(name, delays, folder, Path(scratch), environment, wanted.ceiling * GIB)
                    for _ in range(wanted.repeat)
                ]
                runs.append(min(tries, key=lambda run: (run.ended, run.cpu)))
            finished = {run.contender: run for run in runs if run.delays == delays and not run.ended}
            for name, run in finished.items():
                if name != "storymesh" and "storymesh" in finished:
                    run.differences = _compare(folder, Path(scratch), name, environment)
                    run.compared = True
        for run in (run for run in runs if run.delays == delays):
            print(_line(run, runs), flush=True)
    if wanted.results:
        figures = [vars(run) | {"ratio": _ratio(run, runs)} for run in runs]
        wanted.results.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    for run in runs:
        for key, words in run.differences.items():
            print(f"{run.delays} {run.contender}: {key} differs from storymesh: {words}")
    return 1 if any(run.differences for run in runs) else 0


def _run(name: str, delays: int, folder: Path, scratch: Path, environment: dict[str, str], ceiling: float) -> Run:
    out, spill, log = scratch / name, scratch / f"{name}.tmp", scratch / f"{name}.log"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    spill.mkdir()
    run = Run(delays, name)
    command = [sys.executable, "-m", "benchmarks.cases.contender", name, str(folder), str(out)]
    with log.open("wb") as words:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**environment, "TMPDIR": str(spill)}, stdout=words, stderr=words
        )
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            run.spilled = max(run.spilled, _bytes(spill))
            if not run.ended and _resident(process.pid) > ceiling:
                run.ended = f"over {ceiling / GIB:g} GiB"
                process.kill()
            time.sleep(POLL)
    process.returncode = os.waitstatus_to_exitcode(status)  # it has been waited for
    run.peak, run.whole_cpu = usage.ru_maxrss * KIB, usage.ru_utime + usage.ru_stime
    if process.returncode == 0:
        run.stages = json.loads((out / "stages.json").read_text(encoding="utf-8"))
    elif not run.ended:
        run.ended = _last_words(log.read_text(encoding="utf-8", errors="replace"))
    shutil.rmtree(spill)
    return run


def _last_words(log: str) -> str:
    """The error at the end of a traceback, without the advice that may follow it."""
    lines = [line for line in log.splitlines() if line and not line.startswith(" ")]
    errors = [line for line in lines if line.split(":")[0].endswith(("Error", "Exception"))]
    return (errors or lines or ["no words"])[-1].replace("|", "/")


def _compare(folder: Path, scratch: Path, name: str, environment: dict[str, str]) -> dict[str, str]:
    command = [sys.executable, "-m", "benchmarks.cases.compare", str(folder), str(scratch / "storymesh")]
    done = subprocess.run(
        [*command, str(scratch / name)], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _resident(pid: int) -> int:
    try:
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _bytes(folder: Path) -> int:
    total = 0
    for here, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(here, name).stat().st_blocks * 512
            except FileNotFoundError:  # the engine takes its files away when it likes
                continue
    return total


def _ratio(run: Run, runs: list[Run]) -> float | None:
    sql = [one for one in runs if one.delays == run.delays and one.contender == "sql" and not one.ended]
    return run.cpu / sql[0].cpu if sql and not run.ended else None


def _growth(run: Run, runs: list[Run]) -> float | None:
    """CPU seconds a case, to those at the size before."""
    before = [one for one in runs if one.contender == run.contender and one.delays < run.delays and not one.ended]
    if run.ended or not before:
        return None
    last = max(before, key=lambda one: one.delays)
    return (run.cpu / run.cases) / (last.cpu / last.cases)


COLUMNS = (
    *("delays", "contender", "wall s", "CPU s", "cases", "precedents", "cases/s"),
    *("peak MiB", "spilled MiB", "ratio", "growth", "says the same"),
)


def _heading() -> str:
    return f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"


def _line(run: Run, runs: list[Run]) -> str:
    if run.ended:
        cells = [f"{run.delays:,}", run.contender, *[""] * 5, f"{run.peak / MIB:,.0f}", "", "", "", run.ended]
    else:
        ratio, growth = _ratio(run, runs), _growth(run, runs)
        same = ("no" if run.differences else "yes") if run.compared else ""
        cells = [
            *(f"{run.delays:,}", run.contender, f"{run.wall:.1f}", f"{run.cpu:.1f}"),
            *(f"{run.stages[stage]['cpu']:.1f}" for stage in ("cases", "precedents")),
            f"{run.cases / run.wall:,.0f}",
            *(f"{run.peak / MIB:,.0f}", f"{run.spilled / MIB:,.0f}"),
            f"{ratio:.2f}" if ratio else "",
            f"{growth:.2f}" if growth else "",
            same,
        ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
