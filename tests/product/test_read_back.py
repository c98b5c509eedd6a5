"""What an independent writer wrote is published as the same value, or its row is quarantined: never as another value.

`values.yaml` says for each reader and each type what is published and what is quarantined. The property test draws
values: STORYMESH_READ_BACK is the number of its examples (default: 2 of each writer, of 60 rows).
"""

import csv
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, localcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storymesh.contract.definition import TYPES
from storymesh.contract.read import read_contract
from storymesh.engine.open import open_engine
from storymesh.product.content_version import content_version
from storymesh.product.definition import read_product
from storymesh.product.publish import publish
from storymesh.product.sources.open import open_product_rows
from storymesh.product.store import ProductStore
from storymesh.product.warehouse import Warehouse

EXAMPLES = int(os.environ.get("STORYMESH_READ_BACK", "2"))
SCENARIOS = yaml.safe_load((Path(__file__).parent / "values.yaml").read_text(encoding="utf-8"))
Row = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of a file: the published rows and the quarantined ones, by id."""

    published: dict[str, Row]
    quarantined: dict[str, Row]


def outcome(root: Path, properties: list[Row], write: Callable[[Path], str | None]) -> Outcome:
    """Publish what `write` writes into a domain's folder; it returns the name of its file, or None for dbt's."""
    folder = root / "domains/d"
    (folder / "products").mkdir(parents=True)
    (root / "contracts/d").mkdir(parents=True)
    source = write(folder)
    custom = [{"property": "timeless", "value": True}, {"property": "quarantineLimit", "value": 1}]
    key = {"name": "id", "logicalType": "string", "primaryKey": True, "required": True}
    table = {"name": "t", "logicalType": "object", "customProperties": custom, "properties": [key, *properties]}
    head = {"version": "1.0.0", "status": "active", "id": "d.t"}
    contract = {"apiVersion": "v3.2.0", "kind": "DataContract", **head, "name": "T", "schema": [table]}
    (root / "contracts/d/t.odcs.yaml").write_text(json.dumps(contract))
    product = {"apiVersion": "v1.0.0", "kind": "DataProduct", **head}
    if source:
        product["customProperties"] = [{"property": "source", "value": source}]
    (folder / "products/t.odps.yaml").write_text(json.dumps(product))
    read = read_product(folder / "products/t.odps.yaml", root), read_contract(root / "contracts/d/t.odcs.yaml", root)
    store = ProductStore(Warehouse(root / ".storymesh"), "d")
    with open_engine() as engine:
        rows = open_product_rows(*read, folder, folder / "built.duckdb", engine, [folder])
        done = publish(*read, rows, store, engine, "run1")
        snapshot = store.latest_snapshot("t")
        assert snapshot is not None
        assert snapshot.version == content_version(engine, snapshot.files, read[1])
    published = ds.dataset(list(snapshot.files), schema=snapshot.schema).to_table().to_pylist()
    refused = pq.read_table(done.quarantine_path).to_pylist() if done.quarantine_path else []
    return Outcome({row["id"]: row for row in published}, {row["id"]: row for row in refused})


def write_parquet(folder: Path, table: pa.Table) -> str:
    pq.write_table(table, folder / "t.parquet")
    return "t.parquet"


def parquet_of_duckdb(folder: Path, table: pa.Table) -> str:
    duckdb.from_arrow(table).write_parquet(str(folder / "t.parquet"))
    return "t.parquet"


def table_of_dbt(folder: Path, table: pa.Table) -> None:
    with duckdb.connect(str(folder / "built.duckdb")) as session:
        session.register("given", table)
        session.execute("CREATE TABLE t AS FROM given")


def write_csv(folder: Path, names: list[str], rows: list[list[str | None]]) -> str:
    with (folder / "t.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])
    return "t.csv"


def write_json_lines(folder: Path, names: list[str], rows: list[list[str | None]]) -> str:
    """Write values that are JSON already."""
    pairs = ([f"{json.dumps(name)}: {value or 'null'}" for name, value in zip(names, row, strict=True)] for row in rows)
    lines = [", ".join(members) for members in pairs]
    (folder / "t.jsonl").write_text("".join(f"{{{line}}}\n" for line in lines), encoding="utf-8")
    return "t.jsonl"


@dataclass(frozen=True)
class FormattedNumber:
    """A number of a cell, and how Excel shows it."""

    value: float
    number_format: str


def write_xlsx(folder: Path, names: list[str], rows: list[list[Any]]) -> str:
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in [names, *rows]:
        cells = list(row)
        for index, value in enumerate(row):
            if isinstance(value, FormattedNumber):
                cells[index] = WriteOnlyCell(sheet, value.value)
                cells[index].number_format = value.number_format
            elif value == "#N/A":
                cells[index] = WriteOnlyCell(sheet, value)
                cells[index].data_type = "s"
        sheet.append(cells)
    book.save(folder / "t.xlsx")
    return "t.xlsx"


def model_of_dbt(folder: Path, values: list[str]) -> None:
    """Make a table in which row n has a value, given as SQL, in its column n alone."""
    rows = [f"SELECT '{index}' AS id, {value} AS c{index}" for index, value in enumerate(values)]
    with duckdb.connect(str(folder / "built.duckdb")) as session:
        session.execute("SET TimeZone = 'UTC'")
        session.execute(f"CREATE TABLE t AS {' UNION ALL BY NAME '.join(rows)}")


def arrow_type(name: str) -> pa.DataType:
    types = {
        "struct<n:double>": pa.struct([("n", pa.float64())]),
        "uuid": pa.uuid(),
        "decimal256(50,2)": pa.decimal256(50, 2),
        "decimal(20,4)": pa.decimal128(20, 4),
        "timestamp[ns,Berlin]": pa.timestamp("ns", "Europe/Berlin"),
        "list<float16>": pa.list_(pa.float16()),
        "struct<n:double,at:timestamp[ns]>": pa.struct([("n", pa.float64()), ("at", pa.timestamp("ns"))]),
        "map<string,int64>": pa.map_(pa.string(), pa.int64()),
        "dictionary": pa.dictionary(pa.int32(), pa.string()),
    }
    return types.get(name) or pa.type_for_alias(name)


def scenario_table(cases: list[Row]) -> pa.Table:
    """Return a table in which row n has a value in its column n alone, of the type that the case names."""
    columns: dict[str, pa.Array] = {"id": pa.array([str(index) for index in range(len(cases))])}
    for index, case in enumerate(cases):
        kind = arrow_type(case["arrow"])
        given = case["given"]
        if pa.types.is_map(kind):
            given = [tuple(pair) for pair in given]
        elif pa.types.is_decimal(kind):
            given = Decimal(given)
        elif pa.types.is_timestamp(kind) and isinstance(given, str):
            given = pa.scalar(given).cast(pa.timestamp(kind.unit)).cast(pa.int64()).as_py()
        elif pa.types.is_binary(kind) or kind == pa.uuid():
            given = given.encode()
        values = [None] * index + [given] + [None] * (len(cases) - index - 1)
        if pa.types.is_temporal(kind):
            columns[f"c{index}"] = pa.array(values, pa.int32() if kind.bit_width == 32 else pa.int64()).cast(kind)
        else:
            columns[f"c{index}"] = pa.array(values, kind)
    return pa.table(columns)


def write_scenarios(reader: str, cases: list[Row], folder: Path) -> str | None:
    names = ["id", *(f"c{index}" for index in range(len(cases)))]
    if reader == "dbt":
        return model_of_dbt(folder, [case["given"] for case in cases])
    if reader == "parquet":
        return write_parquet(folder, scenario_table(cases))
    rows: list[list[Any]] = []
    for index, case in enumerate(cases):
        row = [f'"{index}"' if reader == "jsonl" else str(index), *[None] * len(cases)]
        row[index + 1] = FormattedNumber(case["given"], case["format"]) if "format" in case else case["given"]
        rows.append(row)
    writers = {"csv": write_csv, "jsonl": write_json_lines, "xlsx": write_xlsx}
    return writers[reader](folder, names, rows)


@pytest.mark.parametrize("reader", SCENARIOS)
def test_each_value_is_published_or_quarantined_as_the_table_says(reader: str, tmp_path: Path) -> None:
    cases = SCENARIOS[reader]
    properties = [{"name": f"c{index}", **case["as"]} for index, case in enumerate(cases)]
    found = outcome(tmp_path, properties, lambda folder: write_scenarios(reader, cases, folder))
    said = {}
    for index in range(len(cases)):
        row = found.published.get(str(index))
        if row is None:
            refused = found.quarantined[str(index)]
            assert refused["reasons"] == [f"type: c{index}"]
            said[index] = {"quarantined": refused[f"c{index}"]}
        else:
            said[index] = {"published": plain(row[f"c{index}"])}
    outcomes = ("published", "quarantined")
    wanted = {index: {key: case[key] for key in outcomes if key in case} for index, case in enumerate(cases)}
    assert said == wanted


@pytest.mark.parametrize("reader", SCENARIOS)
def test_the_table_has_every_type_published_and_quarantined(reader: str) -> None:
    outcomes = ("published", "quarantined")
    shown = {(case["as"]["logicalType"], key) for case in SCENARIOS[reader] for key in outcomes if key in case}
    # Every text of a CSV and every JSON value is a text.
    never = {("string", "quarantined")} if reader in ("csv", "jsonl") else set()
    assert shown == {(kind, key) for kind in TYPES for key in outcomes} - never


def plain(value: Any) -> Any:
    """Return a value as YAML has it: numbers and lists as they are, moments and decimals as texts."""
    match value:
        case Decimal() | datetime() | date():
            return str(value)
        case dict():
            return {name: plain(item) for name, item in value.items() if item is not None}
        case list():
            return [plain(item) for item in value]
        case _:
            return value


NUMBER = {"logicalType": "number"}
DECIMAL = {"logicalType": "number", "physicalType": "decimal(38,9)"}
INNER = [("n", {"logicalType": "integer"}), ("d", DECIMAL), ("t", {"logicalType": "string"})]
PROPERTIES: dict[str, Row] = {
    "integer": {"logicalType": "integer"},
    "number": NUMBER,
    "decimal": DECIMAL,
    "boolean": {"logicalType": "boolean"},
    "date": {"logicalType": "date"},
    "moment": {"logicalType": "timestamp"},
    "text": {"logicalType": "string"},
    "items": {"logicalType": "array", "items": {"logicalType": "integer"}},
    "object": {"logicalType": "object", "properties": [{"name": name, **kind} for name, kind in INNER]},
}
ARROW_TYPES: dict[str, pa.DataType] = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "decimal": pa.decimal128(38, 9),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "moment": pa.timestamp("us"),
    "text": pa.string(),
    "items": pa.list_(pa.int64()),
    "object": pa.struct([("n", pa.int64()), ("d", pa.decimal128(38, 9)), ("t", pa.string())]),
}
integers = st.integers(-(2**63), 2**63 - 1)
decimals = st.decimals(-(10**28), 10**28, places=9) | st.decimals(-100, 100, places=2)
texts = st.text(st.characters(exclude_categories=["Cs"]))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "integer": integers,
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "decimal": decimals,
    "boolean": st.booleans(),
    "date": st.dates(),
    "moment": st.datetimes(),
    "text": texts,
    "items": st.lists(st.none() | integers, max_size=4),
    "object": st.fixed_dictionaries({"n": st.none() | integers, "d": st.none() | decimals, "t": st.none() | texts}),
}
rows_of_values = st.lists(
    st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()}), min_size=30, max_size=60
)


def as_json(value: Any) -> str:
    match value:
        case Decimal():
            return str(value)
        case datetime() | date():
            return json.dumps(value.isoformat())
        case dict():
            return "{" + ",".join(f"{json.dumps(name)}:{as_json(item)}" for name, item in value.items()) + "}"
        case list():
            return "[" + ",".join(map(as_json, value)) + "]"
        case _:
            return json.dumps(value)


def as_field(value: Any) -> str | None:
    match value:
        case None | "":
            return None
        case datetime() | date():
            return value.isoformat()
        case dict() | list():
            return as_json(value)
        case _:
            return str(value)


def as_cell(value: Any) -> Any:
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    match value:
        case int() if not isinstance(value, bool) and abs(value) > 2**53:
            return str(value)
        case Decimal() if len(value.as_tuple().digits) > 15:
            return str(value)
        case date() if value.year < 1901:
            return value.isoformat()
        case datetime():
            return value.isoformat()
        case str():
            formula = value.startswith("=") or "_x" in value or "\r" in value  # or what XML does not keep
            return None if not value or formula or ILLEGAL_CHARACTERS_RE.search(value) else value
        case dict() | list():
            text = as_json(value)
            return None if ILLEGAL_CHARACTERS_RE.search(text) or "_x" in text else text
        case _:
            return value


def arrow_table(rows: list[Row]) -> pa.Table:
    names = {"id": pa.string(), **ARROW_TYPES}
    return pa.Table.from_pylist(rows, pa.schema(list(names.items())))


def texts_of(rows: list[Row], written: Callable[[Any], Any]) -> tuple[list[str], list[list[Any]]]:
    return list(rows[0]), [[written(row[name]) for name in rows[0]] for row in rows]


WRITERS: dict[str, Callable[[Path, list[Row]], str | None]] = {
    "csv": lambda folder, rows: write_csv(folder, *texts_of(rows, as_field)),
    "jsonl": lambda folder, rows: write_json_lines(folder, *texts_of(rows, as_json)),
    "parquet": lambda folder, rows: write_parquet(folder, arrow_table(rows)),
    "parquet of duckdb": lambda folder, rows: parquet_of_duckdb(folder, arrow_table(rows)),
    "xlsx": lambda folder, rows: write_xlsx(folder, *texts_of(rows, as_cell)),
    "dbt": lambda folder, rows: table_of_dbt(folder, arrow_table(rows)),
}


@pytest.mark.parametrize("writer", WRITERS)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=rows_of_values)
def test_what_was_written_is_read_back_or_quarantined(writer: str, rows: list[Row]) -> None:
    rows = [{"id": f"r{index}", **row} for index, row in enumerate(rows)]
    with TemporaryDirectory() as folder:
        properties = [{"name": name, **kind} for name, kind in PROPERTIES.items()]
        found = outcome(Path(folder), properties, lambda to: WRITERS[writer](to, rows))
    assert found.published.keys() | found.quarantined.keys() == {row["id"] for row in rows}
    for row in rows:
        if (back := found.published.get(row["id"])) is not None:
            assert {name: repr(back[name]) for name in row} == {name: repr(written(writer, row[name])) for name in row}
    # What is held exactly is not refused.
    assert len(found.quarantined) <= len(rows) // 10


def written(writer: str, value: Any) -> Any:
    """Return a drawn value as it stands in the file, and is told apart there."""
    if writer == "xlsx" and isinstance(value, str | dict | list) and as_cell(value) is None:
        return None
    if writer == "xlsx" and isinstance(value, float):
        return float(f"{value:.16g}") + 0  # openpyxl writes no more digits; a sheet knows no minus zero
    if writer in ("csv", "xlsx") and value == "":
        return None
    match value:
        case Decimal():
            with localcontext(prec=60):
                return value.quantize(Decimal("1e-9")) + 0  # no minus zero
        case datetime():
            return value.replace(fold=0)
        case dict():
            return {name: written("", value[name]) for name, _ in INNER}
        case _:
            return value
