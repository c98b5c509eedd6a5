"""Drawn narratives on DuckDB and on Spark: whether every release has the same digest.

    python -m benchmarks.generated.on_spark --seeds 10 --cases 1500 --at 'local[2]' server

`local[2]` is a Spark of this process with ANSI on, `server` is Spark Connect with ANSI off; each is started once for
all seeds. Exit 1 where a digest differs.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benchmarks.generated.narrative import draw_narrative
from benchmarks.generated.ours import build_of
from benchmarks.generated.world import write_products
from benchmarks.reference import CACHE
from benchmarks.spark import SETTINGS

from storymesh.engine.engine import OpenEngine
from storymesh.engine.open import open_spark
from storymesh.release.manifest import ReleaseManifest
from storymesh.release.rewritten_records import write_all_records
from storymesh.release.write import write_release
from tests.support.spark import connect_server, pyspark_folder, speaking_to_servers


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="how many narratives (default: %(default)s)")
    parser.add_argument("--first", type=int, default=1, help="the first seed (default: %(default)s)")
    parser.add_argument("--cases", type=int, default=1_500, help="(default: %(default)s)")
    parser.add_argument("--at", nargs="+", default=["local[2]", "server"], help="(default: local[2] server)")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where scratch files go (default: %(default)s)")
    wanted = parser.parse_args()
    wanted.cache.mkdir(parents=True, exist_ok=True)
    pyspark_folder()
    differing = 0
    print(f"| seed | configs | records | duckdb | {' | '.join(wanted.at)} |\n|{'---|' * (4 + len(wanted.at))}")
    with ExitStack() as ending:
        clusters = {place: cluster_at(place, ending) for place in wanted.at}
        for seed in range(wanted.first, wanted.first + wanted.seeds):
            with tempfile.TemporaryDirectory(dir=wanted.cache, prefix="generated-") as scratch:
                ours, others = releases(seed, wanted.cases, Path(scratch).resolve(), clusters)
            verdicts = ["same" if other.digest == ours.digest else "differs" for other in others.values()]
            differing += "differs" in verdicts
            row = [str(seed), " ".join(ours.configs), f"{ours.records:,}", ours.digest[:12], *verdicts]
            print(f"| {' | '.join(row)} |", flush=True)
    return 1 if differing else 0


def cluster_at(place: str, ending: ExitStack) -> OpenEngine:
    """Return what opens the Spark of a place; a server runs until `ending`."""
    settings = {**SETTINGS, "spark.sql.shuffle.partitions": "4"}
    if place != "server":
        return open_spark(remote=None, master=place, settings=settings)
    server = ending.enter_context(connect_server("local[2]", {**settings, "spark.sql.ansi.enabled": "false"}))
    return open_spark(remote=server.address.remote, master=None, settings={})


def releases(
    seed: int, cases: int, scratch: Path, clusters: Mapping[str, OpenEngine]
) -> tuple[ReleaseManifest, dict[str, ReleaseManifest]]:
    """Return the release of a seed's narrative by DuckDB, and that of each Spark."""
    products = scratch / "products"
    write_products(draw_narrative(seed).world, cases, products)
    found = {}
    for place, cluster in {"duckdb": None, **clusters}.items():
        build = replace(build_of(seed, products, scratch / f"at-{len(found)}"), open_cluster=cluster)
        with speaking_to_servers():
            write_all_records(build)
        found[place] = write_release(build).manifest
    return found.pop("duckdb"), found


if __name__ == "__main__":
    sys.exit(main())
