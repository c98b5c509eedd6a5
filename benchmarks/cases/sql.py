"""The peer in SQL: what somebody who knows DuckDB well writes for the same cases and precedents, file by file."""

import os
import tempfile
from pathlib import Path
from string import Template

import duckdb

HERE = Path(__file__).resolve().parent
VIEWS = {name: name for name in ("shipments", "ports", "disruptions", "resolutions")} | {"delays": "shipment_delays"}


def cases(products: Path, out: Path) -> int:
    """Writes cases.parquet and splits.parquet under `out`; returns the number of cases."""
    with _connected() as db:
        db.execute("SET VARIABLE pseudonym_key = ?", [os.environ["STORYMESH_PSEUDONYM_KEY"]])
        for view, product in VIEWS.items():
            db.execute(f"CREATE VIEW {view} AS FROM '{products / product}.parquet'")
        return _run(db, "cases", out)


def precedents(out: Path) -> int:
    """Writes precedents.parquet under `out`, from the files of `cases`; returns the number of its rows."""
    with _connected() as db:
        return _run(db, "precedents", out)


def _run(db: duckdb.DuckDBPyConnection, name: str, out: Path) -> int:
    db.execute(Template((HERE / f"{name}.sql").read_text(encoding="utf-8")).substitute(out=out))
    return int(db.execute(f"SELECT count(*) FROM '{out / name}.parquet'").fetchall()[0][0])


def _connected() -> duckdb.DuckDBPyConnection:
    db = duckdb.connect()
    db.execute(f"SET memory_limit = '{os.environ['STORYMESH_MEMORY']}'")
    db.execute(f"SET threads = {os.environ['STORYMESH_THREADS']}")
    db.execute(f"SET temp_directory = '{tempfile.gettempdir()}'")
    db.execute("SET preserve_insertion_order = false; SET enable_progress_bar = false; SET TimeZone = 'UTC'")
    return db
