"""What a product says of a raw file that does not say it itself: files of every kind are read as they are, what does
not fit is kept as it came with its file and line, and a hostile file is refused in words."""

import gzip
import io
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storymesh.contract.cast import plan_cast
from storymesh.contract.local_moments import add_utc_moments, utc_column
from storymesh.contract.value_forms import PLAIN, GapChoice, HourChoice, ValueForms, format_fault
from storymesh.engine.open import open_engine
from storymesh.errors import DefinitionErrors, SourceUnreadable
from storymesh.product.quarantine import FILE, LINE
from storymesh.product.sample import sample_quarantine
from storymesh.product.sources import bounds
from storymesh.product.sources.open import open_product_rows
from tests.product.conftest import Desk

HEAD = "id,at,code,hours,cost"
LINES = ["d0,2024-03-01T12:00:00Z,W,0,1.50", "d1,2024-03-01 12:00,,2,", "d2,2024-03-02,C,4,1234.00"]
TEXT = "\n".join([HEAD, *LINES]) + "\n"
EXPECTED = [("d0", "2024-03-01 12:00:00", "W", 0, "1.50"), ("d1", "2024-03-01 12:00:00", None, 2, None),
            ("d2", "2024-03-02 00:00:00", "C", 4, "1234.00")]  # fmt: skip
NAMES = HEAD.split(",")


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def compressed(content: bytes) -> bytes:
    return bytes(pa.compress(content, codec="zstd", asbytes=True))


def workbook(rows: list[list[Any]], sheet: str = "Data", offset: tuple[int, int] = (0, 0)) -> bytes:
    from openpyxl import Workbook

    book = Workbook()
    book.active.title = "Cover"
    book.active["A1"] = "a report"
    page = book.create_sheet(sheet)
    for number, row in enumerate(rows, offset[0] + 1):
        for column, value in enumerate(row, offset[1] + 1):
            page.cell(number, column, value)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


ROWS = [line.split(",") for line in LINES]
CELLS = [[cell or None for cell in row] for row in [NAMES, *ROWS]]
GERMAN = [
    "id;at;code;hours;cost",
    "d0;01.03.2024 12:00;W;0;1,50",
    "d1;1.3.2024 12:00;k.A.;2;-",
    "d2;02.03.2024;C;4;1.234,00",
]
OF_GERMAN = {"dates": ["%d.%m.%Y %H:%M", "%d.%m.%Y"], "decimal": ",", "thousands": ".", "nulls": ["k.A.", "-"]}
TABBED = "\n".join("\t".join(row) for row in ROWS)

READ: dict[str, tuple[dict[str, bytes], dict[str, Any]]] = {
    "a tab, and names for a file without a header": (
        {"x.txt": TABBED.encode()},
        {"file": "x.txt", "format": "csv", "delimiter": "tab", "names": NAMES},
    ),
    "names that take the place of the header": (
        {"x.csv": TEXT.replace(HEAD, "a,b,c,d,e").encode()},
        {"file": "x.csv", "header": True, "names": NAMES},
    ),
    "another quote": (
        {"x.csv": f"{HEAD}\n'd0',{LINES[0][3:]}\n{LINES[1]}\n{LINES[2]}\n".encode()},
        {"file": "x.csv", "quote": "'"},
    ),
    "an escape": ({"x.csv": TEXT.replace("d0", '"d\\0"').encode()}, {"file": "x.csv", "escape": "\\"}),
    "no quotes": ({"x.csv": TEXT.encode()}, {"file": "x.csv", "quote": "none"}),
    "lines above": ({"x.csv": b'a report, of\r\nmany "things\r\r' + TEXT.encode()}, {"file": "x.csv", "skipRows": 3}),
    "utf-16": ({"x.csv": TEXT.encode("utf-16")}, {"file": "x.csv", "encoding": "utf-16"}),
    "latin-1": ({"x.csv": TEXT.replace("\n", "\r\n").encode("latin-1")}, {"file": "x.csv", "encoding": "latin-1"}),
    "german": ({"x.csv": "\n".join(GERMAN).encode()}, {"file": "x.csv", **OF_GERMAN}),
    "columns of their own": (
        {"x.csv": "\n".join(GERMAN).encode()},
        {
            "file": "x.csv",
            "thousands": ",",
            "dates": "%m/%d/%Y",
            "columns": {
                "COST": {"decimal": ",", "thousands": ".", "nulls": "-"},
                "at": {"dates": OF_GERMAN["dates"]},
                "code": {"nulls": "k.A."},
            },
        },
    ),
    "one format": (
        {"x.csv": TEXT.replace("2024-03-01T12:00:00Z", "03/01/24 12:00 PM").encode()},
        {"file": "x.csv", "dates": "%m/%d/%y %I:%M %p"},
    ),
    "epochs": (
        {
            "x.csv": TEXT.replace("2024-03-01T12:00:00Z", "1709294400")
            .replace("2024-03-01 12:00", "1709294400.0")
            .encode()
        },
        {"file": "x.csv", "dates": "%s"},
    ),
    "zst": ({"x.csv.zst": compressed(TEXT.encode())}, {"file": "x.csv.zst"}),
    "gzip": ({"x.csv.gz": gzip.compress(TEXT.encode())}, {"file": "x.csv.gz"}),
    "zip": ({"x.zip": zipped({"x.csv": TEXT.encode()})}, {"file": "x.zip"}),
    "one of a zip": (
        {"x.csv.zip": zipped({"x.csv": TEXT.encode(), "y.csv": b"a\n"})},
        {"file": "x.csv.zip", "member": "x.csv"},
    ),
    "several files, in the order of their names": (
        {
            "b.csv": "\n".join([HEAD, *LINES[1:]]).encode(),
            "a.csv": f"cost,hours,code,at,id\n{','.join(ROWS[0][::-1])}\n".encode(),
        },
        {"file": "*.csv"},
    ),
    "several workbooks and compressed files": (
        {"1.csv.gz": gzip.compress(f"{HEAD}\n{LINES[0]}".encode()), "2.csv": "\n".join([HEAD, *LINES[1:]]).encode()},
        {"file": "?.csv*"},
    ),
    "a sheet": ({"x.xlsx": workbook(CELLS)}, {"file": "x.xlsx", "sheet": "Data"}),
    "a sheet by its number": ({"x.xlsx": workbook(CELLS)}, {"file": "x.xlsx", "sheet": 2}),
    "a range": (
        {"x.xlsx": workbook([*([["x"] * 9] * 2), *([None, "y", *row, "z"] for row in CELLS), ["sum"] * 9])},
        {"file": "x.xlsx", "sheet": 2, "range": "C3:G6"},
    ),
    "a range without an end, and names": (
        {"x.xlsx": workbook(CELLS[1:], offset=(4, 2))},
        {"file": "x.xlsx", "sheet": "Data", "range": "C5", "names": NAMES},
    ),
    "german json": (
        {
            "x.jsonl": "\n".join(
                json.dumps(dict(zip(NAMES, line.split(";"), strict=True))) for line in GERMAN[1:]
            ).encode()
        },
        {"file": "x.jsonl", **OF_GERMAN},
    ),
    "json in another encoding": (
        {
            "x.jsonl": "\n".join(
                json.dumps(dict(zip(NAMES, [v or None for v in row], strict=True))) for row in ROWS
            ).encode("utf-16")
        },
        {"file": "x.jsonl", "encoding": "utf-16"},
    ),
}


def write(desk: Desk, name: str, content: bytes) -> Path:
    path = desk.root / "domains/shipping" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def read_as_promised(desk: Desk, source: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of a source with the types of the contract; every value has to fit."""
    contract, product = desk.contract(), desk.product(source)
    folder = desk.root / "domains/shipping"
    with open_engine() as engine, open_product_rows(product, contract, folder, Path("none"), engine) as rows:
        columns = dict(zip(contract.properties, rows.schema.names, strict=True))
        plan = plan_cast(contract, rows.schema, columns, product.layout.forms)
        table = pa.Table.from_batches(engine.map_batches(rows, rows.schema, plan.select))
    assert not any(len(column) - column.null_count for column in table.columns[len(contract.properties) :])
    return [
        (a, str(b), c, d, None if e is None else str(e))
        for a, b, c, d, e in zip(*(column.to_pylist() for column in table.columns[:5]), strict=True)
    ]


@pytest.mark.parametrize("name", READ)
def test_a_raw_file_is_read_as_it_is(name: str, desk: Desk) -> None:
    files, source = READ[name]
    for file, content in files.items():
        write(desk, file, content)
    assert read_as_promised(desk, source) == EXPECTED


def test_parquet_files_of_several_types_are_read_as_one(desk: Desk) -> None:
    first = pa.table(
        {"id": ["a"], "at": [datetime(2024, 1, 1)], "code": ["W"], "hours": pa.array([2], pa.int8()), "cost": [1.5]}
    )
    second = first.set_column(3, "hours", pa.array([2**40], pa.int64())).set_column(0, "id", pa.array(["b"]))
    for name, table in (("p/1.parquet", first), ("p/2.parquet", second)):
        pq.write_table(table, write(desk, name, b""))
    assert desk.publish_source({"file": "p/*.parquet", "zone": "Asia/Kolkata"}).rows_out == 2
    assert [row["at"].hour for row in desk.published()] == [18, 18], "a moment without an offset is of the zone"
    pq.write_table(first.set_column(3, "hours", pa.array([["x"]])), write(desk, "p/3.parquet", b""))
    with pytest.raises(SourceUnreadable, match=r"p/3\.parquet: its column 'hours' is list<.*int64 in other files"):
        desk.publish_source({"file": "p/*.parquet"})


def utc_of(local: datetime, zone: str) -> set[datetime]:
    """The moments at which a clock of the zone shows a local time: none, one or two."""
    found = {local.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC) for fold in (0, 1)}
    return {each for each in found if each.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == local}


ZONES = ("Europe/Prague", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca", "UTC")


@settings(max_examples=8, deadline=None)
@given(
    moments=st.lists(st.datetimes(datetime(1975, 1, 1), datetime(2036, 12, 31)).map(lambda t: t.replace(microsecond=0)),
                     min_size=40, max_size=60),
    zone=st.sampled_from(ZONES),
)  # fmt: skip
def test_local_times_are_those_of_the_zone(moments: list[datetime], zone: str) -> None:
    days = ((3, 31), (10, 27), (4, 7), (10, 6), (3, 10), (11, 3), (3, 17), (4, 14))
    changes = [datetime(2024, month, day, hour, 30) for month, day in days for hour in (0, 1, 2, 3)]
    locals_ = [*moments, *changes]
    choices: tuple[HourChoice, ...] = ("refuse", "first", "second")
    schema = pa.schema([(choice, pa.timestamp("us")) for choice in choices])
    naive = pa.table(dict.fromkeys(choices, locals_), schema)
    with open_engine() as engine:
        table = engine.materialize(naive.to_batches(), schema)
        for choice in choices:
            gap: GapChoice = "refuse" if choice == "refuse" else "shift"
            forms = ValueForms(zone=zone, repeated_hour=choice, skipped_hour=gap)
            table = add_utc_moments(table, {choice: choice}, {choice: pa.timestamp("us")}, forms)
        rows = engine.fetch_rows(table.select(**{choice: table[utc_column(choice)] for choice in choices}))
    for row, local in zip(rows, locals_, strict=True):
        there = sorted(moment.replace(tzinfo=None) for moment in utc_of(local, zone))
        shifted = local.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC).replace(tzinfo=None)
        wanted = {0: [None, shifted, shifted], 1: there * 3, 2: [None, *there]}[len(there)]
        assert [row["refuse"], row["first"], row["second"]] == wanted, local


def test_an_hour_that_a_clock_leaves_out_or_has_twice_is_quarantined(desk: Desk) -> None:
    lines = [
        f"d{number},{at},W,0,1"
        for number, at in enumerate(["31.3.2024 02:30", "27.10.2024 02:30", "27.10.2024 03:30", "2024-03-31T02:30:00Z"])
    ]
    write(desk, "x.csv", "\n".join([HEAD, *lines]).encode())
    source = {"file": "x.csv", "columns": {"at": {"dates": "%d.%m.%Y %H:%M"}}, "zone": "Europe/Prague"}
    done = desk.publish_source(source)
    met = "type: at (2): met '31.3.2024 02:30', '27.10.2024 02:30'"
    wanted = "wanted: at is timestamp, written as %d.%m.%Y %H:%M, an hour that Europe/Prague has once"
    assert done.reasons() == (f"{met}, {wanted}",)
    with open_engine() as engine:
        refused = sample_quarantine(engine, desk.store, desk.contract(), desk.product(source).layout.forms, 5)
    assert refused is not None
    found = [(row.file, row.line, row.broken[0].met) for row in refused.sample]
    assert found == [("x.csv", 2, {"at": "31.3.2024 02:30"}), ("x.csv", 3, {"at": "27.10.2024 02:30"})]


PLACES: dict[str, tuple[dict[str, bytes], dict[str, Any], list[tuple[str, int]]]] = {
    "lines above, values of several lines and empty lines": (
        {
            "x.csv": b"a report\n"
            + HEAD.encode()
            + b'\n"d\n0",2024-03-01,X,0,1\n\n\nd1,2024-03-01,W,0,1\nd2,2024-03-01,X,0,1\n'
        },
        {"file": "x.csv", "skipRows": 1},
        [("x.csv", 3), ("x.csv", 8)],
    ),
    "no header": (
        {"x.csv": b"d0,2024-03-01,X,0,1\nd1,2024-03-01,W,0,1\n\nd2,2024-03-01,X,0,1\n"},
        {"file": "x.csv", "names": NAMES},
        [("x.csv", 1), ("x.csv", 4)],
    ),
    "several files": (
        {
            "a/1.csv": TEXT.replace(",W", ",X").encode(),
            "a/2.csv": "\n".join([HEAD, "e0,2024-03-01,W,0,1", "e1,2024-03-01,W,0,1", "e2,2024-03-01,X,0,1"]).encode(),
        },
        {"file": "a/*.csv"},
        [("a/1.csv", 2), ("a/2.csv", 4)],
    ),
    "a workbook": (
        {
            "x.xlsx": workbook(
                [
                    NAMES,
                    ["d0", "2024-03-01", "X", 0, 1],
                    [None] * 5,
                    ["d1", "2024-03-01", "X", 0, 1],
                    ["d2", "2024-03-01", "W", 0, 1],
                ],
                offset=(2, 1),
            )
        },
        {"file": "x.xlsx", "sheet": "Data", "range": "B3"},
        [("x.xlsx", 4), ("x.xlsx", 6)],
    ),
    "json lines": (
        {
            "x.jsonl": b"\n".join(
                [
                    b"",
                    *(
                        json.dumps(dict(zip(NAMES, [i, "2024-03-01", c, 0, 1], strict=True))).encode()
                        for i, c in (("d0", "X"), ("d1", "W"), ("d2", "X"))
                    ),
                ]
            )
        },
        {"file": "x.jsonl"},
        [("x.jsonl", 2), ("x.jsonl", 4)],
    ),
}


@pytest.mark.parametrize("name", PLACES)
def test_a_refused_row_has_its_file_and_line(name: str, desk: Desk) -> None:
    files, source, places = PLACES[name]
    for file, content in files.items():
        write(desk, file, content)
    desk.limit = 0.9
    done = desk.publish_source(source)
    assert done.quarantine_path is not None
    table = pq.read_table(done.quarantine_path)
    assert list(zip(table[FILE].to_pylist(), table[LINE].to_pylist(), strict=True)) == places


def test_a_refused_row_of_a_product_in_partitions_has_its_line(desk: Desk) -> None:
    desk.properties = "      - {name: day, logicalType: string, partitioned: true, partitionKeyPosition: 1}\n"
    lines = [f"d{number},2024-03-01,{'X' if number in (1, 4) else 'W'},0,1,{'ba'[number % 2]}" for number in range(6)]
    write(desk, "x.csv", "\n".join([f"{HEAD},day", *lines]).encode())
    done = desk.publish_source("x.csv")
    assert done.quarantine_path is not None
    table = pq.read_table(done.quarantine_path).to_pylist()
    assert sorted((row["id"], row[LINE]) for row in table) == [("d1", 3), ("d4", 6)]


@pytest.mark.parametrize(
    ("fields", "line", "words"),
    [
        ("{file: x.csv, delimeter: tab}", "1:15", "unknown field 'delimeter' (did you mean 'delimiter'?)"),
        (
            "{file: x.csv, delimiter: ';;'}",
            "1:26",
            "';;' is no delimiter: one character, or one of comma, semicolon, tab",
        ),
        ("{file: x.csv, encoding: utf8000}", "1:25", "'utf8000' is no encoding"),
        ("{file: x.csv, zone: Europe/Pragu}", "1:21", "'Europe/Pragu' is no time zone (did you mean 'Europe/Prague'?)"),
        ("{file: x.csv, zone: CEST}", "1:21", "'CEST' is no time zone"),
        ("{file: x.csv, dates: '%d.%m'}", "1:22", "'%d.%m' lacks %Y"),
        ("{file: x.csv, dates: ['%d.%k.%Y']}", "1:23", "'%d.%k.%Y' has %k, which is not read"),
        ("{file: x.csv, times: '%d %H:%M'}", "1:22", "is of a day, and a time of day is wanted"),
        ("{file: x.csv, decimal: x}", "1:24", "'x' is no mark before the decimals"),
        ("{file: x.csv, decimal: ',', thousands: ','}", "1:1", "is the mark of both decimals and thousands"),
        ("{file: x.csv, skippedHour: shift}", "1:1", "repeatedHour and skippedHour are of a zone"),
        ("{file: x.csv, skipRows: -1}", "1:25", "'skipRows' is -1"),
        ("{file: x.csv, header: 'no'}", "1:23", "'header' is 'no'"),
        ("{file: x.csv, names: [a, a]}", "1:1", "the name 'a' stands twice among names"),
        ("{file: x.csv, format: cvs}", "1:23", "'format' is 'cvs'"),
        ("{file: x.csv, sheet: Data}", "1:15", "'sheet' does not apply to a CSV, which 'x.csv' is (leave it away)"),
        ("{file: x.xlsx, range: 'A:B'}", "1:23", "'A:B' is no range of a sheet"),
        ("{file: x.parquet, delimiter: tab}", "1:19", "'delimiter' does not apply to Parquet"),
        (
            "{delimiter: tab}",
            "1:1",
            "source names a file, or a server of the contract: {server: ledger, table: orders}",
        ),
        ("{file: x.csv, server: ledger}", "1:1", "source names a file and a server: rows come from one of them"),
        ("{file: x.csv, table: x}", "1:1", "'table' is of a server, and none is named"),
        (
            "{server: ledger, table: x, query: select 1}",
            "1:1",
            "source names a table and a query: leave one of",
        ),
        ("{server: ''}", "1:10", "'server' is"),
        ("{file: ../x.csv}", "1:8", "the path has to be relative to the domain's folder, and stay in it"),
        ("[x.csv]", "1:1", "source names a file, ['x.csv'] does not"),
    ],
)
def test_what_is_wrong_in_a_source_is_a_finding_at_its_place(fields: str, line: str, words: str, desk: Desk) -> None:
    from storymesh.product.definition import read_product

    desk.product("x.csv")
    path = desk.root / "domains/shipping/products/delays.odps.yaml"
    head = path.read_text().replace("x.csv", "").split("customProperties")[0]
    path.write_text(f"{head}customProperties:\n- property: source\n  value:\n    {fields}\n")
    with pytest.raises(DefinitionErrors) as errors:
        read_product(path, desk.root)
    [finding] = errors.value.findings
    row, column = line.split(":")
    assert (finding.location.line, finding.location.column) == (7 + int(row), 4 + int(column)), str(finding)
    assert words in str(finding)


WRONG: dict[str, tuple[dict[str, bytes], dict[str, Any], str]] = {
    "no file of a pattern": ({}, {"file": "a/*.csv"}, "no file has a name of this pattern"),
    "a file that lacks a column": (
        {"1.csv": TEXT.encode(), "2.csv": TEXT.replace("hours", "hrs").encode()},
        {"file": "*.csv"},
        "2.csv: there is no column 'hours'",
    ),
    "a file of another kind": (
        {"a/1.csv": TEXT.encode(), "a/2.doc": b"x"},
        {"file": "a/*"},
        r"a/2\.doc: a file '\.doc' cannot be read",
    ),
    "two files in a zip": (
        {"x.zip": zipped({"a.csv": b"a", "b.csv": b"b"})},
        {"file": "x.zip"},
        r"has 2 files inside \(say which one: member: NAME \(a\.csv, b\.csv\)",
    ),
    "no such file in a zip": (
        {"x.csv.zip": zipped({"a.csv": b"a"})},
        {"file": "x.csv.zip", "member": "b.csv"},
        "has no file 'b.csv' inside",
    ),
    "an empty zip": ({"x.csv.zip": zipped({})}, {"file": "x.csv.zip"}, "has 0 files inside"),
    "no zip": ({"x.csv.zip": b"PK nothing"}, {"file": "x.csv.zip"}, "is damaged: File is not a zip file"),
    "a cut zip": ({"x.csv.zip": zipped({"a.csv": TEXT.encode() * 99})[:-40]}, {"file": "x.csv.zip"}, "is damaged"),
    "no zst": ({"x.csv.zst": b"nothing of it"}, {"file": "x.csv.zst"}, "is damaged"),
    "a cut zst": ({"x.csv.zst": compressed(bytes(range(256)) * 4000)[:-40]}, {"file": "x.csv.zst"}, "."),
    "another encoding": (
        {"x.csv": HEAD.encode() + b"\n\xff"},
        {"file": "x.csv", "encoding": "ascii"},
        "is not ascii on line 2",
    ),
    "half of utf-16": (
        {"x.csv": TEXT.encode("utf-16")[:-1]},
        {"file": "x.csv", "encoding": "utf-16"},
        "is not utf-16 on line",
    ),
    "utf-16 that is not said": ({"x.csv": TEXT.encode("utf-16")}, {"file": "x.csv", "quote": "'"}, "say what it is in"),
    "fewer names than fields": (
        {"x.csv": TEXT.encode()},
        {"file": "x.csv", "names": ["id", "at"]},
        "its first line has 5 fields, and names has 2",
    ),
    "a row of more fields": (
        {"x.csv": b"#\n" + TEXT.encode() + b"a,b,c,d,e,f\n"},
        {"file": "x.csv", "skipRows": 1},
        "line 6 has 6 fields, 5 are wanted",
    ),
    "an open quote of another kind": (
        {"x.csv": TEXT.encode() + b"'d3,,,,"},
        {"file": "x.csv", "quote": "'"},
        "the quote that opens on line 5 is never closed",
    ),
    "an open quote behind an escape": (
        {"x.csv": TEXT.encode() + b'"d3\\",,,,'},
        {"file": "x.csv", "escape": "\\"},
        "the quote that opens on line 5 is never closed",
    ),
    "more lines above than there are": (
        {"x.csv": TEXT.encode()},
        {"file": "x.csv", "skipRows": 99},
        "the file is empty",
    ),
    "no such sheet": (
        {"x.xlsx": workbook(CELLS)},
        {"file": "x.xlsx", "sheet": "Date"},
        "has no sheet 'Date' .did you mean 'Data'",
    ),
    "no such number of a sheet": (
        {"x.xlsx": workbook(CELLS)},
        {"file": "x.xlsx", "sheet": 3},
        "the workbook has 2 sheets, and sheet is 3",
    ),
    "an empty range": (
        {"x.xlsx": workbook(CELLS)},
        {"file": "x.xlsx", "sheet": 2, "range": "X9:Z20"},
        "the sheet is empty",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_cannot_be_read_so_is_refused_in_words(name: str, desk: Desk) -> None:
    files, source, words = WRONG[name]
    for file, content in files.items():
        write(desk, file, content)
    with pytest.raises(SourceUnreadable, match=words):
        desk.publish_source(source)


@pytest.mark.parametrize("file", ["x.csv.zst", "x.csv.zip", "x.csv.gz"])
def test_a_file_that_opens_too_far_is_not_read(file: str, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "FREE_BYTES", 2**20)
    content = HEAD.encode() + b"\n" + b"a,2024-03-01,W,0,1\n" * 2_000_000
    pack = {"zst": compressed, "zip": lambda text: zipped({"x.csv": text}), "gz": gzip.compress}[
        file.rpartition(".")[2]
    ]
    write(desk, file, pack(content))
    with pytest.raises(SourceUnreadable, match=r"opens to more than .* times what it takes on disk"):
        desk.publish_source(file)


def test_an_archive_is_not_unpacked(desk: Desk) -> None:
    """Where its paths lead does not matter, and what systems put beside a file is no file."""
    write(desk, "x.csv.zip", zipped({"../../etc/x.csv": TEXT.encode(), "__MACOSX/x": b"", "/a/.DS_Store": b""}))
    before = sorted(desk.root.parent.rglob("*.csv"))
    assert len(desk.source_rows("x.csv.zip")) == 3
    assert sorted(desk.root.parent.rglob("*.csv")) == before


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(desk, "x.csv", b"x" * (3 * 2**20))
    monkeypatch.setattr(bounds, "MAX_LINE", 2**20)
    with pytest.raises(SourceUnreadable, match="has a line of more than 1 MiB"):
        desk.source_rows({"file": "x.csv", "skipRows": 1})


@pytest.mark.parametrize("format_", ["%Y%m%d", "%d/%b/%Y:%H:%M:%S %z", "%Y-%j", "%s", "%A, %d. %B %Y", "100%% %d%m%y"])
def test_formats_that_are_read(format_: str) -> None:
    assert format_fault(format_, of_day=True) is None


def test_nothing_is_done_where_nothing_is_said(desk: Desk) -> None:
    assert desk.product("x.csv").layout.forms == PLAIN
