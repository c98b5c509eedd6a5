"""Rows are read from every kind of file, and an unreadable file gives an error with a hint."""

import gzip
import json
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storymesh.engine.open import open_engine
from storymesh.errors import SourceUnreadable
from storymesh.product.sources.csv_quotes import QuoteChecker, UnbalancedQuote
from storymesh.product.sources.open import open_product_rows
from storymesh.product.sources.parquet import PARQUET
from storymesh.product.sources.source import RowPlaces, SourceFile, SourceOptions
from tests.product.conftest import Desk, good_rows

HEADER = "id,at,code,hours,cost"
LINES = ["d0,2024-03-01T12:00:00Z,W,0,1.50", "d1,2024-03-01 12:00,,2,", 'd2,2024-03-02,"C",4,"2"']
EXPECTED = [("d0", "W", 0, "1.50"), ("d1", None, 2, None), ("d2", "C", 4, "2.00")]


def write(desk: Desk, name: str, content: bytes | str) -> Path:
    path = desk.root / "domains/shipping" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def write_excel(path: Path, lines: list[list[Any]]) -> None:
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for line in lines:
        sheet.append(line)
    book.save(path)


def as_parquet(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(good_rows(3)), path)


CSV: dict[str, tuple[str, bytes]] = {
    "plain": ("x.csv", "\n".join([HEADER, *LINES]).encode()),
    "windows": ("x.csv", "\r\n".join([HEADER, *LINES, ""]).encode()),
    "byte order mark": ("x.csv", b"\xef\xbb\xbf" + "\n".join([HEADER, *LINES]).encode()),
    "semicolons": ("x.csv", "\n".join([HEADER, *LINES]).replace(",", ";").encode()),
    "tabs": ("x.csv", "\n".join([HEADER, *LINES]).replace(",", "\t").encode()),
    "gzip": ("x.csv.gz", gzip.compress("\n".join([HEADER, *LINES]).encode())),
    "more columns, another order, other case": (
        "x.csv",
        "\n".join(
            ["note,COST,hours,code,at,id", *(",".join(["n", *line.split(",")[::-1]]) for line in LINES)]
        ).encode(),
    ),
}


@pytest.mark.parametrize("name", CSV)
def test_a_csv_is_published_with_the_types_of_the_contract(name: str, desk: Desk) -> None:
    file, content = CSV[name]
    write(desk, f"sources/{file}", content)
    done = desk.publish_source(f"sources/{file}")
    assert done.rows_out == 3, done.quarantined
    rows = [(row["id"], row["code"], row["hours"], row["cost"]) for row in desk.published()]
    assert [(a, b, c, None if d is None else str(d)) for a, b, c, d in rows] == EXPECTED


def test_a_csv_may_have_quotes_line_breaks_and_empty_fields(desk: Desk) -> None:
    desk.properties = "      - {name: 'say \"it\"', logicalType: string}\n"
    write(
        desk, "x.csv", f'{HEADER},"say ""it"""\nd0,2024-03-01,W,0,1,"two\nlines, ""quoted"""\nd1,2024-03-01,W,0,1,""\n'
    )
    assert [row['say "it"'] for row in desk.source_rows("x.csv")] == ['two\nlines, "quoted"', None]


def test_a_quote_in_an_unquoted_field_is_an_ordinary_character(desk: Desk) -> None:
    desk.properties = "      - {name: note, logicalType: string}\n"
    notes = ['5" pipe', 'a "b" c', '"""b"" ""c"""', '"x\r\ny"', "é ☃"]
    lines = [f"d{number},2024-03-01,W,0,1,{note}" for number, note in enumerate(notes)]
    write(desk, "x.csv", "\ufeff" + "\r\n".join([f'"id"{HEADER[2:]},note', *lines]))
    assert [row["note"] for row in desk.source_rows("x.csv")] == ['5" pipe', 'a "b" c', '"b" "c"', "x\r\ny", "é ☃"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('a,b\n"x","y"\n', None),
        ('a,b\n"x","y"', None),
        ('"a"\n""\n""""\n"\n"\n', None),
        ('5" pipe,a""\n"",""\n', None),
        ('a\n"x\ny\nz', 2),
        ('a\n"x\n"\n"y', 4),
        ('a\n"x""', 2),
        ('a\n"x" \n', 2),
        ('\ufeff"a\n', 1),
        ('a,b\n"x\n1,"y"\n', 2),
        ('"', 1),
        ('"""', 1),
    ],
)
def test_quotes_are_checked_across_pieces_of_any_size(text: str, line: int | None, end: str, size: int) -> None:
    data = text.replace("\n", end).encode()
    quotes = QuoteChecker(",")

    def check_pieces() -> None:
        for start in range(0, len(data), size):
            quotes.feed(data[start : start + size])
        quotes.finish()

    if line is None:
        check_pieces()
    else:
        with pytest.raises(UnbalancedQuote, match=f"^the quote that opens on line {line} "):
            check_pieces()


def test_publish_raises_the_error_of_the_source_unchanged(desk: Desk) -> None:
    write(desk, "x.csv", HEADER.encode() + b"\n" + GOOD.encode() + b"\nd\xe9,,,,\n")
    with pytest.raises(SourceUnreadable, match=r"^domains/.*: line 3 is not UTF-8 .* \(save the file as UTF-8, .*\)$"):
        desk.publish_source("x.csv")
    write(desk, "x.csv", csv_of(GOOD, 'd1,2024-03-01,"W,0,1', GOOD))
    with pytest.raises(
        SourceUnreadable, match=r"^domains/.*: the quote that opens on line 3 is never closed \(close it"
    ):
        desk.publish_source("x.csv")
    assert desk.published() == []


def test_a_csv_with_only_a_header_is_a_product_without_rows(desk: Desk) -> None:
    write(desk, "x.csv", HEADER + "\n")
    assert desk.source_rows("x.csv") == []
    assert desk.publish([]).rows_out == 0


def test_a_value_may_be_wider_than_a_block(desk: Desk) -> None:
    desk.properties = "      - {name: note, logicalType: string}\n"
    write(desk, "x.csv", f"{HEADER},note\nd0,2024-03-01,W,0,1,{'x' * 3_000_000}\n")
    assert len(desk.source_rows("x.csv")[0]["note"]) == 3_000_000


OTHERS: dict[str, Callable[[Path], None]] = {
    "x.jsonl": lambda path: path.write_text("".join(json.dumps(row) + "\n" for row in good_rows(3))) and None,
    "x.jsonl.gz": lambda path: (
        path.write_bytes(gzip.compress("\n".join(json.dumps(r) for r in good_rows(3)).encode())) and None
    ),
    "x.parquet": as_parquet,
    "x.xlsx": lambda path: write_excel(path, [list(good_rows(1)[0]), *(list(row.values()) for row in good_rows(3))]),
}


@pytest.mark.parametrize("name", OTHERS)
def test_every_file_format_gives_the_same_rows(name: str, desk: Desk) -> None:
    OTHERS[name](write(desk, f"sources [1]/{name}", ""))
    done = desk.publish_source(f"sources [1]/{name}")
    again = desk.publish(good_rows(3))
    assert (done.rows_out, again.unchanged) == (3, True)


def test_json_lines_may_have_nested_values_and_missing_fields(desk: Desk) -> None:
    desk.properties = """\
      - name: legs
        logicalType: array
        items: {logicalType: object, properties: [{name: km, logicalType: integer}]}
"""
    write(
        desk,
        "x.jsonl",
        '{"id": "a", "at": "2024-03-01", "legs": [{"km": 3}], "code": null}\n'
        '{"id": 7, "at": "2024-03-01", "zz": 1, "cost": 1, "hours": 0}\n',
    )
    done = desk.publish_source("x.jsonl")
    assert done.rows_out == 2
    assert [(row["id"], row["legs"]) for row in desk.published()] == [("7", None), ("a", [{"km": 3}])]


def edited_excel(path: Path, lines: list[list[Any]], old: str, new: str, part: str = "sheet1.xml") -> None:
    """Write a workbook of whose XML one part, or every part of which the path ends with `part`, is another."""
    write_excel(path, lines)
    with ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    edited = {name: text.replace(old.encode(), new.encode()) for name, text in parts.items() if name.endswith(part)}
    assert edited != {name: parts[name] for name in edited}
    with ZipFile(path, "w") as archive:
        for name, text in {**parts, **edited}.items():
            archive.writestr(name, text)


MOMENT = pa.timestamp("us")
NANOSECOND = 1_704_067_200_000_000_001


def _with_nanoseconds(kind: pa.DataType) -> pa.DataType:
    """Return a type with nanoseconds in the place of microseconds."""
    if pa.types.is_struct(kind):
        return pa.struct([("at", pa.timestamp("ns"))])
    return pa.map_(pa.string(), pa.timestamp("ns")) if pa.types.is_map(kind) else pa.list_(pa.timestamp("ns"))


EXCEL_ROWS = [list(good_rows(1)[0]), *(list(row.values()) for row in good_rows(3))]


def test_rows_of_a_sheet_that_are_out_of_order_are_not_passed_over(desk: Desk) -> None:
    edited_excel(write(desk, "x.xlsx", ""), EXCEL_ROWS, '<row r="3"', '<row r="2"')
    with pytest.raises(SourceUnreadable, match="row 2 stands twice, or below a later one"):
        desk.source_rows("x.xlsx")


def test_what_a_merged_cell_covers_is_quarantined(desk: Desk) -> None:
    desk.limit = 1
    merged = '</sheetData><mergeCells count="1"><mergeCell ref="C3:C4"/></mergeCells>'
    edited_excel(write(desk, "x.xlsx", ""), EXCEL_ROWS, "</sheetData>", merged)
    done = desk.publish_source("x.xlsx")
    assert done.quarantined == {"type: code": 1}
    assert [row["id"] for row in desk.published()] == ["d0", "d1"]


def test_a_cell_that_is_no_value_is_named_by_its_row(desk: Desk) -> None:
    edited_excel(write(desk, "x.xlsx", ""), EXCEL_ROWS, '<c r="D3" t="n">', '<c r="D3" t="d">')
    with pytest.raises(SourceUnreadable, match="a cell below row 2 cannot be read: ValueError"):
        desk.source_rows("x.xlsx")


NESTED: dict[str, tuple[str, Callable[[Any], Any], pa.DataType]] = {
    "list": ("{logicalType: array, items: {logicalType: timestamp}}", lambda at: [None, at], pa.list_(MOMENT)),
    "object": (
        "{logicalType: object, properties: [{name: at, logicalType: timestamp}]}",
        lambda at: {"at": at},
        pa.struct([("at", MOMENT)]),
    ),
    "map": (
        "{logicalType: array, items: {logicalType: object, properties: [{name: value, logicalType: timestamp}]}}",
        lambda at: [("a", at)],
        pa.map_(pa.string(), MOMENT),
    ),
}


@pytest.mark.parametrize("shape", NESTED)
def test_nanoseconds_of_moments_as_int96_are_not_cut_off_inside_others(shape: str, desk: Desk) -> None:
    kind, nest, arrow = NESTED[shape]
    desk.properties = f"      - {{name: nested, {kind[1:]}\n"
    far = [nest(value) for value in (datetime(9999, 12, 31), datetime(2024, 1, 1, 0, 0, 0, 1))] + [None]
    near = pa.array([nest(value) for value in (NANOSECOND, 1000 * (NANOSECOND // 1000))], _with_nanoseconds(arrow))
    for column, refused in ((pa.array(far, arrow), []), (near, ["d0"])):
        rows = pa.Table.from_pylist(good_rows(len(column))).append_column("nested", column)
        pq.write_table(rows, write(desk, "x.parquet", ""), use_deprecated_int96_timestamps=True)
        done = desk.publish_source("x.parquet")
        assert done.quarantined == ({"type: nested": 1} if refused else {})
        if not refused:
            (last, value) = ("9999-12-31 00:00:00", "2024-01-01 00:00:00.000001")
            shown = [str(row["nested"]) for row in desk.published()]
            assert repr(datetime.fromisoformat(last)) in shown[0] and repr(datetime.fromisoformat(value)) in shown[1]
            assert shown[2] == "None"


GOOD = "d0,2024-03-01,W,0,1"


def csv_of(*lines: str, end: str = "\n") -> bytes:
    return "".join(line + end for line in (HEADER, *lines)).encode()


UNREADABLE: list[tuple[str, str, bytes | None, str]] = [
    ("missing file", "sources/port.csv", None, "there is no such file (did you mean 'ports.csv'?)"),
    ("missing folder", "nowhere/x.csv", None, "there is no such file, nor its folder"),
    ("folder", "sources", None, "this is a folder"),
    ("unknown kind", "sources/x.avro", b"x", "a file '.avro' cannot be read"),
    ("empty csv", "sources/x.csv", b"", "the file is empty"),
    ("missing column", "sources/x.csv", b"id,at,code,hour,cost\n", "there is no column 'hours', which contracts/"),
    ("column twice", "sources/x.csv", b"id,at,code,hours,cost,id\n", "the column 'id' stands twice"),
    ("ragged", "sources/x.csv", f"{HEADER}\na,b\n".encode(), "line 2 has 2 fields, 5 are wanted"),
    ("latin-1", "sources/x.csv", HEADER.encode() + b"\n,,,,\nd\xe9,,,,\n", "line 3 is not UTF-8 (byte 2 is 0xe9)"),
    ("utf-16", "sources/x.csv", f"{HEADER}\n".encode("utf-16"), "line 1 is not UTF-8 (byte 1 is 0xff)"),
    ("quote never closed", "sources/x.csv", csv_of('d0,2024-03-01,W,0,"1', GOOD, GOOD),
     "opens on line 2 is never closed"),
    ("quote closed late", "sources/x.csv", csv_of(GOOD, '"d0,2024-03-01,W,0,1', GOOD.replace("W", '"W"')),
     "opens on line 3 closes on line 4 in front of 'W"),
    ("quote never closed, windows", "sources/x.csv", csv_of(GOOD, 'd0,2024-03-01,"W,0,1', GOOD, end="\r\n"),
     "opens on line 3 is never closed"),
    ("quote never closed, gzip", "sources/x.csv.gz", gzip.compress(csv_of(GOOD, 'd0,2024-03-01,"W,0,1')),
     "opens on line 3 is never closed"),
    ("last quote is doubled", "sources/x.csv", csv_of(GOOD, 'd0,2024-03-01,W,0,"1""'),
     "opens on line 3 is never closed"),
    ("text after a quote", "sources/x.csv", csv_of('"d0" x,2024-03-01,W,0,1'),
     "opens on line 2 closes there in front of"),
    ("quote in the header", "sources/x.csv", HEADER.replace("id", '"id').encode() + b"\n", "there is no column 'id'"),
    ("too few after many", "sources/x.csv", csv_of(*[GOOD] * 70_000, "d1,W"), "line 70002 has 2 fields, 5 are wanted"),
    ("too many", "sources/x.csv", csv_of(GOOD, GOOD + ",1", GOOD), "line 3 has 6 fields, 5 are wanted"),
    ("too many after lines in a value", "sources/x.csv", csv_of('"d\n0",2024-03-01,W,0,1', GOOD + ",1"),
     "line 4 has 6 fields, 5 are wanted"),
    ("too few, after a byte of another encoding", "sources/x.csv", b"z," + csv_of("é," + GOOD, "1,2").decode()
     .encode("latin-1"), "line 3 has 2 fields, 6 are wanted"),
    ("too few, old Mac", "sources/x.csv", csv_of(GOOD, "d1", end="\r"), "line 3 has 1 field, 5 are wanted"),
    ("half characters after a quote", "sources/x.csv", csv_of() + b'"d0"' + 13 * b"\x85", "closes there in front of"),
    ("utf-16 without a mark", "sources/x.csv", f"{HEADER}\n".encode("utf-16-le"), "hold NUL characters, as in UTF-16"),
    ("another case on a line", "sources/x.jsonl", f"{json.dumps(good_rows(1)[0])}\n".encode() * 2 + b'{"ID": "d"}\n',
     "line 3 has a name of the contract in another case"),
    ("half a character", "sources/x.jsonl", b'{"id": "\\ud800"}\n', "line 1 has an escape that is half a character"),
    ("old workbook", "sources/x.xlsx", bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600), "before Excel 2007"),
    ("broken gzip", "sources/x.csv.gz", b"not gzip", "the file is damaged"),
    ("damaged parquet", "sources/x.parquet", b"PAR1 nothing PAR1", "is no Parquet file"),
    ("damaged workbook", "sources/x.xlsx", b"PK", "not an Excel workbook"),
    ("broken json", "sources/x.jsonl", b'{"id": "a"}\n{"id": \n', "line 2 is not JSON: Expecting value (character 8)"),
]  # fmt: skip


def test_a_workbook_of_the_strict_standard_is_told_apart(desk: Desk) -> None:
    transitional, strict = "schemas.openxmlformats.org/officeDocument/2006/", "purl.oclc.org/ooxml/officeDocument/"
    edited_excel(write(desk, "x.xlsx", ""), EXCEL_ROWS, transitional, strict, part="")
    with pytest.raises(SourceUnreadable, match='this is a "Strict Open XML" workbook \\(save it as "Excel Workbook'):
        desk.source_rows("x.xlsx")


def test_a_workbook_of_charts_alone_has_no_rows(desk: Desk) -> None:
    from openpyxl import Workbook
    from openpyxl.chart import BarChart

    workbook = Workbook()
    workbook.create_chartsheet().add_chart(BarChart())
    workbook.remove(workbook.worksheets[0])
    workbook.save(write(desk, "x.xlsx", ""))
    with pytest.raises(SourceUnreadable, match="the workbook has no sheet with cells"):
        desk.source_rows("x.xlsx")


@pytest.mark.parametrize(("source", "content", "words"), [c[1:] for c in UNREADABLE], ids=[c[0] for c in UNREADABLE])
def test_an_unreadable_source_is_reported_with_the_reason(
    source: str, content: bytes | None, words: str, desk: Desk
) -> None:
    write(desk, "sources/ports.csv", HEADER)
    if content is not None:
        write(desk, source, content)
    with pytest.raises(SourceUnreadable) as raised:
        desk.source_rows(source)
    assert words in str(raised.value)
    assert str(raised.value).startswith("domains/shipping/products/delays.odps.yaml:5:")


def test_of_a_large_parquet_file_no_more_is_in_memory_than_some_rows(tmp_path: Path) -> None:
    values = np.random.default_rng(7).bytes(16 * 2**20)
    texts = pa.array([values[start : start + 64].hex() for start in range(0, len(values), 64)])
    path = tmp_path / "large.parquet"
    pq.write_table(pa.table({"text": texts}), path, row_group_size=8_192, use_dictionary=False, compression="none")
    del texts
    source = SourceFile(path, tmp_path, path.name, None, SourceOptions(file=path.name))
    with open_engine() as engine:
        tracemalloc.start()  # what is read of a file is Python's until Arrow has made columns of it
        try:
            for _ in PARQUET.open_rows(source, engine):
                pass
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert 0 < most < path.stat().st_size / 4


def test_a_product_without_a_source_has_the_rows_of_its_dbt_model(desk: Desk, tmp_path: Path) -> None:
    import duckdb

    database = tmp_path / "shipping.duckdb"
    folder = desk.root / "domains/shipping"
    with pytest.raises(SourceUnreadable, match="was never built"):
        desk.source_rows(None, database)
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE TABLE delay AS SELECT 1 AS x")
    with pytest.raises(SourceUnreadable, match="did you mean 'delay'"):
        desk.source_rows(None, database)
    write(desk, "sources/x.csv", "\n".join([HEADER, *LINES]))
    with duckdb.connect(str(database)) as connection:
        connection.execute(f"SET file_search_path = '{folder}'")
        connection.execute("CREATE VIEW delays AS SELECT * FROM read_csv('sources/x.csv', all_varchar = true)")
    done = desk.publish_source(None, database)
    assert done.rows_out == 3


RELATION = {"resource_type": "model", "name": "delays", "schema": "main_marts", "alias": "delays_v2"}
MANIFESTS: dict[str, tuple[dict[str, Any], str]] = {
    "ephemeral": ({"nodes": {"m": {**RELATION, "config": {"materialized": "ephemeral"}}}}, "it is ephemeral"),
    "disabled": ({"nodes": {}, "disabled": {"m": [RELATION]}}, "it is disabled"),
    "unknown": ({"nodes": {"m": {**RELATION, "name": "delay", "config": {}}}}, "did you mean 'delay'"),
    "not built": ({"nodes": {"m": {**RELATION, "alias": "v3", "config": {}}}}, "which dbt did not build"),
}


def read_by_manifest(desk: Desk, database: Path, manifest: dict[str, Any]) -> list[Any]:
    folder = desk.root / "domains/shipping"
    with open_engine() as engine:
        reader = open_product_rows(desk.product(), desk.contract(), folder, database, engine, [], manifest)
        return list(reader.read_all().column("id").to_pylist())


def test_a_dbt_model_is_read_where_the_manifest_says_and_nowhere_else(desk: Desk, tmp_path: Path) -> None:
    import duckdb

    database, row = tmp_path / "shipping.duckdb", "TIMESTAMP '2024-03-01' AS at, 'W' AS code, 2 AS hours, 1.5 AS cost"
    with duckdb.connect(str(database)) as connection:
        connection.execute(f"CREATE TABLE delays AS SELECT 'left behind' AS id, {row}")
        connection.execute("CREATE SCHEMA main_marts")
        connection.execute(f"CREATE TABLE main_marts.delays_v2 AS SELECT 'made now' AS id, {row}")
    assert read_by_manifest(desk, database, {"nodes": {"m": {**RELATION, "config": {}}}}) == ["made now"]
    for manifest, words in MANIFESTS.values():
        with pytest.raises(SourceUnreadable, match=words):
            read_by_manifest(desk, database, manifest)


def test_a_row_of_a_file_that_cannot_be_read_any_more_has_no_place(tmp_path: Path) -> None:
    def record_lines(source: SourceFile) -> Iterator[np.ndarray[Any, Any]]:
        yield np.array([2, 3])
        if source.path.name == "cut.csv":
            raise SourceUnreadable("it ends here")
        yield np.array([5])

    named = [
        SourceFile(tmp_path / name, tmp_path, name, None, SourceOptions(file=name)) for name in ("whole.csv", "cut.csv")
    ]
    places = RowPlaces([(source, record_lines) for source in named], tmp_path)
    files, lines = places.find(np.array([0, 2, 4, 5, 6]))
    assert files.to_pylist() == ["whole.csv", "whole.csv", "cut.csv", None, None]
    assert lines.to_pylist() == [2, 5, 3, None, None]
