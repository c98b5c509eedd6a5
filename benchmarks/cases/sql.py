"""The peer in SQL: what somebody who knows DuckDB well writes for the same cases and precedents, file by file."""

import os
import tempfile
from pathlib import Path
from string import Template

import duckdb

HERE = Path(__file__).resolve().parent
BLOCK = 2_000_000
"""Delays that are linked at once: DuckDB cannot spill the lists that it gathers, so many are linked in blocks."""
WHOLE = ("ports", "disruptions")
BLOCKED = {"shipments": "shipments", "resolutions": "resolutions", "delays": "shipment_delays"}


def cases(products: Path, out: Path) -> int:
    """Writes cases*.parquet and splits*.parquet under `out`, one of each a block; returns the number of cases."""
    with _connected() as db:
        db.execute("SET VARIABLE pseudonym_key = ?", [os.environ["STORYMESH_PSEUDONYM_KEY"]])
        for name in WHOLE:
            db.execute(f"CREATE VIEW {name} AS FROM '{products / name}.parquet'")
        delays = db.execute(f"SELECT count(*) FROM '{products / 'shipment_delays.parquet'}'").fetchall()[0][0]
        blocks = 1 + delays // BLOCK
        for block in range(blocks):
            # What belongs to one shipment stays together, so that a block needs no other.
            where = f"WHERE hash(shipment_id) % {blocks} = {block}" if blocks > 1 else ""
            for view, product in BLOCKED.items():
                db.execute(f"CREATE OR REPLACE VIEW {view} AS FROM '{products / product}.parquet' {where}")
            _run(db, "cases", out, block or "")
        return _count(db, out / "cases*.parquet")


def precedents(out: Path) -> int:
    """Writes precedents.parquet under `out`, from the files of `cases`; returns the number of its rows."""
    with _connected() as db:
        _run(db, "precedents", out)
        return _count(db, out / "precedents.parquet")


def _run(db: duckdb.DuckDBPyConnection, name: str, out: Path, block: int | str = "") -> None:
    db.execute(Template((HERE / f"{name}.sql").read_text(encoding="utf-8")).substitute(out=out, block=block))


def _count(db: duckdb.DuckDBPyConnection, path: Path) -> int:
    return int(db.execute(f"SELECT count(*) FROM '{path}'").fetchall()[0][0])


def _connected() -> duckdb.DuckDBPyConnection:
    db = duckdb.connect()
    db.execute(f"SET memory_limit = '{os.environ['STORYMESH_MEMORY']}'")
    db.execute(f"SET threads = {os.environ['STORYMESH_THREADS']}")
    db.execute(f"SET temp_directory = '{tempfile.gettempdir()}'")
    db.execute("SET preserve_insertion_order = false; SET enable_progress_bar = false; SET TimeZone = 'UTC'")
    return db
