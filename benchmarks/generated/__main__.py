"""Narratives drawn from a grammar over drawn worlds: what storymesh takes beside bare SQL, and whether both agree.

    python -m benchmarks.generated --seeds 10 --cases 20000

Every program is a process of its own with the same memory and threads. Figures are CPU seconds without the start of the
process and without reading the definitions. Exit 1 where a text differs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.generated.narrative import draw_narrative
from benchmarks.generated.world import write_products
from benchmarks.reference import CACHE, ROOT


@dataclass(frozen=True)
class Result:
    """What one seed took: CPU seconds of telling, of everything, and of bare SQL; peaks in MiB; texts that differ."""

    seed: int
    configs: tuple[str, ...]
    records: int
    told: float
    ours: float
    bare: float
    peaks: tuple[float, float]
    stages: dict[str, dict[str, float]]
    digest: str
    differing: tuple[str, ...]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="how many narratives (default: %(default)s)")
    parser.add_argument("--first", type=int, default=1, help="the first seed (default: %(default)s)")
    parser.add_argument("--cases", type=int, default=20_000, help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="(default: %(default)s)")
    parser.add_argument("--memory", default="4GB", help="DuckDB's memory limit (default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where scratch files go (default: %(default)s)")
    parser.add_argument(
        "--beside", action="store_true", help="SQL also writes the cases, and facts and sources beside the texts"
    )
    parser.add_argument("--results", type=Path, help="write the figures here, as JSON")
    wanted = parser.parse_args()
    wanted.cache.mkdir(parents=True, exist_ok=True)
    results = []
    print(
        "| seed | configs | records | told s | released s | SQL s | told / SQL | released / SQL "
        "| MiB | SQL MiB | other words |"
    )
    print(f"|{'---|' * 11}")
    for seed in range(wanted.first, wanted.first + wanted.seeds):
        with tempfile.TemporaryDirectory(dir=wanted.cache, prefix="generated-") as scratch:
            given = {"threads": wanted.threads, "memory": wanted.memory, "beside": wanted.beside}
            result = measure(seed, wanted.cases, Path(scratch).resolve(), **given)
        results.append(result)
        print(
            f"| {seed} | {' '.join(result.configs)} | {result.records:,} | {result.told:.1f} | {result.ours:.1f} "
            f"| {result.bare:.1f} | {result.told / result.bare:.2f} | {result.ours / result.bare:.2f} "
            f"| {result.peaks[0]:,.0f} | {result.peaks[1]:,.0f} | {len(result.differing)} |",
            flush=True,
        )
    for name, ratios in (
        ("told", [result.told / result.bare for result in results]),
        ("released", [result.ours / result.bare for result in results]),
    ):
        print(f"{name} / SQL in CPU seconds: median {statistics.median(ratios):.2f}, worst {max(ratios):.2f}")
    for result in results:
        for difference in result.differing:
            print(f"seed {result.seed}: {difference}")
    if wanted.results:
        wanted.results.write_text(json.dumps([vars(result) for result in results], indent=1) + "\n", encoding="utf-8")
    return 1 if any(result.differing for result in results) else 0


def measure(
    seed: int, cases: int, scratch: Path, threads: int = 2, memory: str = "4GB", *, beside: bool = False
) -> Result:
    """Tell the narrative of a seed by both programs and compare their texts; with `beside`, SQL writes more of what a
    release has beside texts."""
    products, inputs = scratch / f"products-{seed}-{cases}", scratch / "inputs.json"
    drawn = draw_narrative(seed)
    write_products(drawn.world, cases, products)
    given = {"seed": seed, "folder": str(products), "threads": threads, "memory": memory, "beside": beside}
    inputs.write_text(json.dumps(given), encoding="utf-8")
    stages, peaks = {}, []
    for program in ("ours", "twin"):
        peaks.append(_run(program, inputs, scratch / program, threads))
        found = json.loads((scratch / program / "stages.json").read_text(encoding="utf-8"))
        stages[program] = {name: stage["cpu"] for name, stage in found.items()}
    told = sum(cpu for name, cpu in stages["ours"].items() if name != "release")
    release = json.loads((scratch / "ours" / "release.json").read_text(encoding="utf-8"))
    differing = [words for config in drawn.texts for words in find_differences(scratch, config)]
    return Result(
        seed=seed,
        configs=tuple(drawn.texts),
        records=release["records"],
        told=told,
        ours=sum(stages["ours"].values()),
        bare=sum(stages["twin"].values()),
        peaks=(peaks[0], peaks[1]),
        stages=stages,
        digest=release["digest"],
        differing=tuple(differing),
    )


def _run(program: str, inputs: Path, out: Path, threads: int) -> float:
    """Run a program in a process of its own. Returns its peak of memory in MiB."""
    limits = {"OMP_NUM_THREADS": str(threads), "ARROW_NUM_THREADS": str(threads)}
    out.mkdir(parents=True)
    command = [sys.executable, "-m", f"benchmarks.generated.{program}", str(inputs), str(out)]
    with (out / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **limits}, stdout=log, stderr=log)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{program} failed:\n{(out / 'log.txt').read_text(errors='replace')[-6000:]}")
    return used.ru_maxrss / 1024


def find_differences(scratch: Path, config: str) -> list[str]:
    """Return what differs between the two programs in one config, an example for each column."""
    import duckdb

    found = []
    ours, bare = (f"read_parquet('{scratch / program / config}.parquet')" for program in ("ours", "twin"))
    with duckdb.connect() as db:
        counts = db.execute(
            f"SELECT count(*) FILTER (b.id IS NULL), count(*) FILTER (a.id IS NULL), count(*), "
            f"any_value(coalesce(a.id, b.id)) FILTER (a.id IS NULL OR b.id IS NULL) "
            f"FROM {ours} AS a FULL JOIN {bare} AS b USING (id)"
        ).fetchall()[0]
        if counts[0] or counts[1] or not counts[2]:
            found.append(
                f"{config}: of {counts[2]} records {counts[0]} are storymesh's alone, {counts[1]} SQL's ({counts[3]})"
            )
        columns = [row[0] for row in db.execute(f"DESCRIBE FROM {bare}").fetchall()]
        for column in [name for name in columns if name not in ("facts", "sources")]:
            rows = db.execute(
                f'SELECT count(*), any_value(a.id), any_value(a."{column}"::VARCHAR), any_value(b."{column}"::VARCHAR) '
                f'FROM {ours} AS a JOIN {bare} AS b USING (id) WHERE a."{column}" IS DISTINCT FROM b."{column}"'
            ).fetchall()[0]
            if rows[0]:
                found.append(f"{config}.{column} differs in {rows[0]} records: {rows[1]}\n  {rows[2]}\n  {rows[3]}")
    return found


if __name__ == "__main__":
    sys.exit(main())
