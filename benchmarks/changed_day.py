"""How much of a release is another one after the delays of one day have changed.

    python -m benchmarks.changed_day --delays 100000

The narrative of the reference mesh is told of generated products. Then the estimates and outcomes of the delays of one
day are others, of a day in the middle or of the last one, and it is told again. Records are compared by their ids.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from benchmarks.reference import CACHE, pinned, products

CHANGED = "final_delay_hours"
EVENT = "detected_at"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delays", type=int, default=100_000)
    parser.add_argument("--cache", type=Path, default=CACHE)
    asked = parser.parse_args()
    given = products(asked.delays, asked.cache)
    with tempfile.TemporaryDirectory(prefix="storymesh-day-") as folder:
        before = tell(given, Path(folder) / "before")
        print("| changed day | delays of it | config | records | changed | share |\n|---|---|---|---|---|---|")
        for name, share in (("in the middle", 0.5), ("the last", 1.0)):
            changed = Path(folder) / name.replace(" ", "-")
            count = change_day(given, changed / "products", share)
            after = tell(changed / "products", changed / "told")
            for config, files in after.items():
                records, others = compare(before[config], files)
                print(
                    f"| {name} | {count:,} | {config} | {records:,} | {others:,} | {others / records:.1%} |", flush=True
                )


def tell(folder: Path, out: Path) -> dict[str, Path]:
    """Return config -> its records, told of the products in `folder`."""
    from storymesh.release.rewritten_records import write_all_records

    build = pinned(folder, out / "store")
    write_all_records(build)
    return {config: build.files.records(config) for config in build.configs}


def change_day(given: Path, folder: Path, share: float) -> int:
    """Copy the products with other outcomes of the delays of one day, behind `share` of all. Return how many."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    shutil.copytree(given, folder)
    path = folder / "shipment_delays.parquet"
    rows = pq.read_table(path)
    days = pc.cast(rows[EVENT], pa.date32(), safe=False)
    every = sorted(set(days.drop_null().to_pylist()))
    # Behind the last one, hardly a delay has ended.
    day = every[min(int(share * len(every)), len(every) - 1)]
    chosen = pc.fill_null(pc.equal(days, pa.scalar(day)), False)
    other = pc.if_else(chosen, pc.add(rows[CHANGED], pa.scalar(30, rows[CHANGED].type)), rows[CHANGED])
    pq.write_table(rows.set_column(rows.schema.get_field_index(CHANGED), CHANGED, other), path)
    return int(pc.sum(chosen).as_py())


def compare(before: Path, after: Path) -> tuple[int, int]:
    """Return how many records there are now, and how many of these were not there, or said something else."""
    import duckdb

    with duckdb.connect() as db:
        # Where a row comes from names the version of its product, which is another one of course.
        columns = [name for name, *_ in db.execute(f"DESCRIBE FROM '{after}'").fetchall() if name != "sources"]
        told = "hash(" + ", ".join(f'"{name}"' for name in columns) + ")"
        (records, others) = db.execute(
            f"SELECT count(*), count(*) FILTER (b.id IS NULL OR a.told <> b.told) FROM (SELECT id, {told} AS told "
            f"FROM '{after}') AS a LEFT JOIN (SELECT id, {told} AS told FROM '{before}') AS b USING (id)"
        ).fetchall()[0]
    return records, others


if __name__ == "__main__":
    main()
