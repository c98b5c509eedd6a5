"""docs/benchmarks.md and its plot, measured anew: `make bench`, or

    python -m benchmarks.page --seeds 6 --cases 20000 --delays 20000 --peers .venv-bench

It runs `benchmarks.generated` and `benchmarks.stories`, each program in a process of its own, and writes what they
took, on which machine and by which versions. Peers are the programs of `benchmarks.stories` that have an environment of
their own below `--peers`; those that have none are left out and named.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.reference import CACHE, ROOT
from benchmarks.stories.__main__ import PEERS, TEXTS_ONLY, peer_python
from jinja2 import Environment, StrictUndefined

PAGE, PLOT = "benchmarks.md", "benchmarks.svg"
TEMPLATE = Path(__file__).with_name("page.md.jinja")
DRAWING = "draw"  # the environment below `--peers` that draws
OWN = ("duckdb", "ibis-framework", "pyarrow", "pandas", "jinja2", "datasets")
NAMES = {"sql": "SQL by hand (DuckDB)", "pandas": "pandas + Jinja2", "map": "datasets.map + Jinja2"}
NAMES |= {"data-designer": "Data Designer", "datachain": "DataChain"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=6, help="narratives that are drawn (default: %(default)s)")
    parser.add_argument("--first", type=int, default=1, help="the first seed (default: %(default)s)")
    parser.add_argument("--cases", type=int, default=20_000, help="of each of them (default: %(default)s)")
    parser.add_argument("--delays", type=int, default=20_000, help="of the reference mesh (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="(default: %(default)s)")
    parser.add_argument("--peers", type=Path, default=ROOT / ".venv-bench", help="(default: %(default)s)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="(default: %(default)s)")
    wanted = parser.parse_args()
    if least := next((name for name in ("seeds", "cases", "delays", "threads") if getattr(wanted, name) < 1), None):
        parser.error(f"--{least} is {getattr(wanted, least)}, at least 1 is wanted")
    peers = wanted.peers.absolute()
    _drawing_python(peers)  # before anything is measured
    load, commit = os.getloadavg()[0], _output(["git", "rev-parse", "--short", "HEAD"]) or "an unknown commit"
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="page-") as made:
        scratch = Path(made)
        sizes = {"--threads": wanted.threads, "--results": scratch / "narratives.json"}
        drawn = {"--seeds": wanted.seeds, "--first": wanted.first, "--cases": wanted.cases, **sizes}
        differing = _run("benchmarks.generated", drawn)
        told = {"--delays": wanted.delays, "--peers": peers, **sizes, "--results": scratch / "programs.json"}
        differing |= _run("benchmarks.stories", told)
        narratives = json.loads((scratch / "narratives.json").read_text(encoding="utf-8"))
        programs = json.loads((scratch / "programs.json").read_text(encoding="utf-8"))
        _draw(peers, scratch / "figures.json", wanted.out / PLOT, narratives, programs)
    (wanted.out / PAGE).write_text(render_page(wanted, peers, narratives, programs, load, commit), encoding="utf-8")
    return 1 if differing else 0


def _run(module: str, options: Mapping[str, object]) -> bool:
    """Run a benchmark. Return True where its programs do not say the same."""
    words = [str(word) for option in options.items() for word in option]
    done = subprocess.run([sys.executable, "-m", module, *words], cwd=ROOT)
    if done.returncode not in (0, 1):
        raise SystemExit(done.returncode)
    return done.returncode == 1


def _draw(peers: Path, figures: Path, svg: Path, narratives: list[Any], programs: list[Any]) -> None:
    given = {"programs": [{"name": _name(run), "cpu": run["cpu"]} for run in programs], "narratives": narratives}
    figures.write_text(json.dumps(given), encoding="utf-8")
    command = [str(_drawing_python(peers)), "-m", "benchmarks.page.draw", str(figures), str(svg)]
    subprocess.run(command, cwd=ROOT, check=True)


def _drawing_python(peers: Path) -> Path:
    """Return the Python that draws. Raises SystemExit where there is none."""
    python = peers / DRAWING / "bin" / "python"
    if not python.exists():
        raise SystemExit(f"{python} is not there, and it draws the plot: make bench makes it")
    return python


def _name(run: Mapping[str, Any]) -> str:
    program = run["program"]
    return f"{NAMES.get(program, program)}{' (texts only)' if program in TEXTS_ONLY else ''}"


def render_page(
    wanted: argparse.Namespace, peers: Path, narratives: list[Any], programs: list[Any], load: float, commit: str
) -> str:
    """Return the page, in Markdown; `load` and `commit` are those at the beginning."""
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["median"] = statistics.median
    first = f"--first {wanted.first} " if wanted.first != 1 else ""
    missing = [NAMES.get(peer, peer) for peer in PEERS if peer_python(peers, peer) is None]
    versions = [f"{name} {version(name)}" for name in OWN]
    versions += [f"{peer} {found}" for peer in PEERS if (found := _peer_version(peers, peer))]
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        commit=commit,
        options=f"{first}--seeds {wanted.seeds} --cases {wanted.cases} --delays {wanted.delays}",
        delays=wanted.delays,
        cases=wanted.cases,
        programs=[{**run, "name": _name(run), "total": sum(run["records"].values())} for run in programs],
        left_out=missing,
        narratives=narratives,
        distribution={
            name: [row[key] / row["bare"] for row in narratives]
            for name, key in (("told", "told"), ("released", "ours"))
        },
        processor=_processor(),
        cores=os.cpu_count(),
        threads=wanted.threads,
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
        system=platform.system(),
        load=(load, os.getloadavg()[0]),
        python=platform.python_version(),
        versions=versions,
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _peer_version(peers: Path, peer: str) -> str | None:
    if (python := peer_python(peers, peer)) is None:
        return None
    asked = f"from importlib.metadata import version; print(version({peer!r}))"
    return _output([str(python), "-c", asked])


def _output(command: Sequence[str]) -> str | None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or None


if __name__ == "__main__":
    sys.exit(main())
