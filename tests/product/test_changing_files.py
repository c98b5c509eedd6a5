"""A file that somebody writes to while it is read: its rows are all of one state of it, or an error says so."""

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storymesh.engine.open import open_engine
from storymesh.errors import SourceUnreadable
from storymesh.input_file import open_input
from storymesh.product.sources import csv, dbt_model, json_lines, parquet, source, xlsx
from storymesh.product.sources.open import open_product_rows
from tests.product.conftest import Desk, a_row
from tests.product.test_read_back import write_csv, write_json_lines, write_xlsx

ROWS = 400


def states(folder: Path, name: str, write: Callable[[Path, list[str], Any], object]) -> list[bytes]:
    """Return two contents of a file of as many rows, which differ in every one of them."""
    contents = []
    for code in "WC":
        rows = [a_row(number, code=code) for number in range(ROWS)]
        write(folder, list(rows[0]), [[str(value) for value in row.values()] for row in rows])
        contents.append((folder / name).read_bytes())
        (folder / name).unlink()
    return contents


def write_parquet(folder: Path, names: list[str], rows: list[list[str]]) -> None:
    table = pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows])
    pq.write_table(table, folder / "t.parquet", row_group_size=40)


def write_database(folder: Path, names: list[str], rows: list[list[str]]) -> None:
    table = pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows])
    with duckdb.connect(str(folder / "t.duckdb")) as session:
        session.register("given", table)
        session.execute("CREATE TABLE delays AS FROM given")


def write_json(folder: Path, names: list[str], rows: list[list[str]]) -> None:
    write_json_lines(folder, names, [[f'"{value}"' for value in row] for row in rows])


WRITERS: dict[str, Callable[[Path, list[str], Any], object]] = {
    "t.csv": write_csv,
    "t.jsonl": write_json,
    "t.parquet": write_parquet,
    "t.xlsx": write_xlsx,
    "t.duckdb": write_database,
}


def rewrite(path: Path, content: bytes) -> None:
    with path.open("r+b") as file:
        file.write(content)


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def truncate(path: Path, content: bytes) -> None:
    os.truncate(path, path.stat().st_size // 2)


def replace(path: Path, content: bytes) -> None:
    beside = path.with_name("beside")
    beside.write_bytes(content)
    beside.replace(path)


def delete(path: Path, content: bytes) -> None:
    path.unlink()


CHANGES = (rewrite, append, truncate, replace, delete)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv, "BLOCK_BYTES", 1024)
    monkeypatch.setattr(json_lines, "_BLOCK_BYTES", 1024)
    for module in (json_lines, parquet, xlsx, dbt_model):
        monkeypatch.setattr(module, "BATCH_ROWS", 20)


@dataclass
class Writer:
    """Somebody who changes a file before it is opened for the `opening`-th time, or after `batches` of its rows."""

    change: Callable[[], object]
    opening: int | None = None
    batches: int | None = None
    opened: int = 0

    def open_input(self, path: Path, root: Path) -> BufferedReader:
        if self.opened == self.opening:
            self.change()
        self.opened += 1
        return open_input(path, root)


MOMENTS = (*({"opening": number} for number in range(4)), {"batches": 0}, {"batches": 1}, {"batches": 3})


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("name", WRITERS)
def test_rows_are_of_one_state_of_a_file_that_changes(name: str, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = desk.root / "domains/shipping"
    folder.mkdir(parents=True)
    before, after = states(folder, name, WRITERS[name])
    product, contract = desk.product(None if name == "t.duckdb" else name), desk.contract()
    path = folder / name
    errors: list[str] = []
    with open_engine() as engine:
        # A database is opened once, by a process of its own.
        moments = MOMENTS[-1:] * len(CHANGES) if name == "t.duckdb" else (*MOMENTS, *MOMENTS[1:5])
        for change, moment in zip(itertools.cycle(CHANGES), moments, strict=False):
            path.write_bytes(before)
            writer = Writer(partial(change, path, after), **moment)
            monkeypatch.setattr(source, "open_input", writer.open_input)
            codes = []
            try:
                for number, batch in enumerate(open_product_rows(product, contract, folder, path, engine)):
                    if number == writer.batches:
                        writer.change()
                    codes += batch["code"].to_pylist()
            except SourceUnreadable as error:
                errors.append(str(error))
            else:
                assert codes in (["W"] * ROWS, ["C"] * ROWS), (change, moment)
    assert any("has changed while it was read" in error for error in errors)
    assert all("has changed while" in error or "does not exist" in error for error in errors), errors


def test_a_file_that_is_gone_when_it_is_read_is_said_to_be(desk: Desk) -> None:
    for name in ("t.csv", "t.jsonl"):
        folder = desk.root / "domains/shipping"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(states(folder, name, WRITERS[name])[0])
        with open_engine() as engine:
            rows = open_product_rows(desk.product(name), desk.contract(), folder, Path("none"), engine)
            (folder / name).unlink()
            with pytest.raises(SourceUnreadable, match="does not exist"):
                rows.read_all()
