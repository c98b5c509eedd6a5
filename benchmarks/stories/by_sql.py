"""Bare DuckDB SQL, written by hand for this narrative: `python -m benchmarks.stories.by_sql INPUTS OUT`."""

import json
import sys
from pathlib import Path

import duckdb
from benchmarks.stories.inputs import CONFIGS, Stages

HERE = Path(__file__).resolve().parent / "sql"


def main(inputs: Path, out: Path) -> None:
    given = json.loads(inputs.read_text(encoding="utf-8"))
    out.mkdir(parents=True, exist_ok=True)
    db = duckdb.connect()
    db.execute(f"SET memory_limit = '{given['memory']}'; SET threads = {given['threads']}")
    db.execute(f"SET temp_directory = '{out / 'spilled'}'; SET preserve_insertion_order = false; SET TimeZone = 'UTC'")
    for product, one in given["products"].items():
        db.execute(f"CREATE VIEW {product.split('.')[1]} AS FROM read_parquet('{one['file']}')")
    db.execute("CREATE TABLE label (kind VARCHAR, code VARCHAR, words VARCHAR)")
    db.executemany("INSERT INTO label VALUES (?, ?, ?)", given["labels"])
    versions = " ".join(f"WHEN '{product}' THEN '{one['version']}'" for product, one in given["products"].items())
    db.execute(
        f"CREATE TEMP MACRO source(product, key) AS "
        f"{{'product': product, 'version': CASE product {versions} END, 'key': key}}"
    )
    db.execute((HERE / "macros.sql").read_text(encoding="utf-8"))
    stages = Stages(out)

    def run(name: str) -> None:
        written = out / f"{name}.parquet"
        with stages.measured(name):
            db.execute((HERE / f"{name}.sql").read_text(encoding="utf-8").replace(f"{{{name}}}", str(written)))

    run("cases")
    db.execute(f"CREATE VIEW cases AS FROM '{out / 'cases.parquet'}'")
    run("precedents")
    run("report")
    run("question")  # one table that the other three configs read
    for config in CONFIGS[1:]:
        run(config)
    stages.write()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
