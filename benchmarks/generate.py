"""Makes the reference mesh's raw sources at any scale: the same seed and size give the same bytes.

    python benchmarks/generate.py --out DIR --delays 1000000 --seed 7 --mesh --truth truth.parquet

The defaults make what is committed under `domains/*/sources`. With `--mesh` DIR becomes a whole mesh root, with
`--products` it holds the finished products as Parquet in place of raw sources.
"""

import argparse
import shutil
from pathlib import Path

from generator.cases import read_disruptions
from generator.exports import Drawing, write_sources
from generator.odds import WORLDS
from generator.products import write_products

HERE = Path(__file__).resolve().parent.parent
DELAYS = 4900
SEED = 7
LEFT_OUT = shutil.ignore_patterns("sources", "target", "logs", "dbt_packages", "__pycache__", "*.duckdb", "*.wal")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to; domains/*/sources under it")
    parser.add_argument("--delays", type=int, default=DELAYS, help="how many delays (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="(default: %(default)s)")
    words = "what moves the odds: see generator/odds.py (default: %(default)s)"
    parser.add_argument("--world", choices=WORLDS, default="steady", help=words)
    parser.add_argument("--mesh", action="store_true", help="copy contracts, domains and narratives as well")
    parser.add_argument("--products", action="store_true", help="write the products, not the raw sources behind them")
    parser.add_argument("--truth", type=Path, help="write here what truly caused each delay and would have worked best")
    wanted = parser.parse_args()
    if wanted.delays < 1:
        parser.error("--delays wants at least 1")
    if wanted.mesh and wanted.products:
        parser.error("--mesh wants raw sources, --products writes none: choose one")
    disruptions = read_disruptions(HERE / "domains" / "canal" / "sources" / "disruptions.csv")
    write = write_products if wanted.products else write_sources
    if wanted.mesh and wanted.out.resolve() != HERE:
        for name in ("contracts", "domains", "narratives"):
            if (HERE / name).is_dir():
                shutil.copytree(HERE / name, wanted.out / name, ignore=LEFT_OUT, dirs_exist_ok=True)
    drawing = Drawing(wanted.delays, wanted.seed, disruptions, WORLDS[wanted.world])
    write(wanted.out, HERE, drawing, wanted.truth)


if __name__ == "__main__":
    main()
