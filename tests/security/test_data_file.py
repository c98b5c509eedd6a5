"""A raw file from a stranger: it is the domain's own, opens to no more than it may, and is refused in words."""

import gzip
import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storymesh.contract.definition import Contract
from storymesh.engine.open import open_engine
from storymesh.errors import DefinitionErrors, SourceUnreadable
from storymesh.orchestration.assets.sources import _matching
from storymesh.product.definition import Product, read_product
from storymesh.product.sources import bounds, parquet, xlsx
from storymesh.product.sources.open import open_product_rows
from storymesh.product.sources.source_paths import source_problem
from tests.security.test_contract import read

HEADER = b"id,driver,hours\n"
ROW = b"1,Ann,2\n"
PRODUCT = "apiVersion: v1.0.0\nkind: DataProduct\nid: shipping.delays\nstatus: active\n"


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that a test reaches in a moment."""
    monkeypatch.setattr(bounds, "FREE_BYTES", 2**20)
    monkeypatch.setattr(bounds, "MAX_LINE", 2**20)
    monkeypatch.setattr(xlsx, "FREE_BYTES", 2**20)


def product(root: Path, source: str) -> Product:
    path = root / "domains/shipping/products/delays.odps.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{PRODUCT}customProperties: [{{property: source, value: {json.dumps(source)}}}]\n")
    return read_product(path, root)


def contract(root: Path) -> Contract:
    return read(root)


def rows(root: Path, name: str, content: bytes | None = None) -> list[dict[str, str]]:
    """Return the rows of the file `name` in the domain's sources."""
    folder = root / "domains/shipping"
    path = folder / "sources" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is not None:
        path.write_bytes(content)
    with open_engine() as engine:
        reader = open_product_rows(product(root, f"sources/{name}"), contract(root), folder, Path("none"), engine)
        return list(reader.read_all().to_pylist())


def refusal(root: Path, name: str, content: bytes | None = None) -> str:
    with pytest.raises(SourceUnreadable) as refused:
        rows(root, name, content)
    assert len(str(refused.value)) < 1_500
    return str(refused.value)


@pytest.mark.parametrize(
    "source",
    [
        "sources/../../other/wages.csv",
        "../other/wages.csv",
        "..",
        "sources/../..",
        "/etc/passwd",
        "~/x.csv",
        "~root/x.csv",
        "file:///etc/passwd",
        "http://127.0.0.1:9/x.csv",
        "s3://bucket/x.csv",
        "C:\\x.csv",
        "sources\\..\\..\\..\\x.csv",
        "sources/x\0.csv",
    ],
)
def test_a_source_that_is_no_file_of_the_domain_is_a_finding(source: str, tmp_path: Path) -> None:
    with pytest.raises(DefinitionErrors, match="5:46: error"):
        product(tmp_path, source)


KINDS: dict[str, Callable[[Path], None]] = {
    "a link out of the domain": lambda path: path.symlink_to("/etc/hostname"),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to nothing": lambda path: path.symlink_to("/nowhere/x.csv"),
    "a named pipe": lambda path: os.mkfifo(path),
    "a folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".jsonl", ".parquet", ".xlsx"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_source_that_is_no_regular_file_is_not_opened(kind: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"domains/shipping/sources/x{suffix}"
    path.parent.mkdir(parents=True)
    KINDS[kind](path)
    assert "source 'sources/x" in refusal(tmp_path, path.name)


def test_a_source_in_a_folder_that_is_a_link_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/x.csv").write_bytes(HEADER + ROW)
    (tmp_path / "domains/shipping").mkdir(parents=True)
    (tmp_path / "domains/shipping/sources").symlink_to(tmp_path / "other")
    assert "leads out" in refusal(tmp_path, "x.csv")


def test_a_link_inside_the_domain_is_followed(tmp_path: Path) -> None:
    rows(tmp_path, "y.csv", HEADER + ROW)
    (tmp_path / "domains/shipping/sources/x.csv").symlink_to("y.csv")
    assert rows(tmp_path, "x.csv") == [{"id": "1", "driver": "Ann", "hours": "2"}]


@pytest.mark.parametrize("name", ["a" * 300 + ".csv", "x" * 5_000 + "/x.csv", "a\nb.csv"])
def test_a_path_that_no_system_has_is_a_problem_in_words(name: str, tmp_path: Path) -> None:
    assert source_problem(product(tmp_path, f"sources/{name}"), tmp_path / "domains/shipping")


@pytest.mark.parametrize("source", ["sources/../../../**/*", "../*", "/etc/*", "sources/*.csv", "sources/**/*.csv"])
def test_the_pattern_of_a_model_finds_files_of_the_domain_alone(source: str, tmp_path: Path) -> None:
    folder = tmp_path / "domains/shipping"
    (folder / "sources").mkdir(parents=True)
    (tmp_path / "secret.csv").write_text("x")
    (folder / "sources/own.csv").write_text("x")
    (folder / "sources/link.csv").symlink_to(tmp_path / "secret.csv")
    os.mkfifo(folder / "sources/pipe.csv")
    assert {path.name for path in _matching(folder, source)} <= {"own.csv"}


def sparse(path: Path, beginning: bytes, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(beginning)
        file.truncate(size)


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.parquet", "x.xlsx"])
def test_a_file_with_holes_is_not_read(name: str, tmp_path: Path) -> None:
    sparse(tmp_path / "domains/shipping/sources" / name, HEADER, 2**40)
    assert "opens to more than" in refusal(tmp_path, name)


def bomb(beginning: bytes, piece: bytes, count: int) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=9) as file:
        file.write(beginning)
        for _ in range(count):
            file.write(piece)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "beginning", "piece", "count"),
    [
        ("x.csv.gz", HEADER, ROW * 1_000, 3_000),
        ("x.csv.gz", HEADER, b"\0" * 2**10, 40 * 2**10),
        ("x.csv.gz", HEADER + b"1,", b"a" * 2**10, 40 * 2**10),
        ("x.jsonl.gz", b"", b'{"id": "1", "driver": "a", "hours": 1}\n' * 500, 2_000),
        ("x.jsonl.gz", b'{"id": "', b"a" * 2**10, 40 * 2**10),
    ],
    ids=["rows", "zeros", "one value", "JSON", "one value of JSON"],
)
def test_a_compressed_file_that_opens_too_far_is_not_read(
    name: str, beginning: bytes, piece: bytes, count: int, tmp_path: Path
) -> None:
    assert "opens to more than" in refusal(tmp_path, name, bomb(beginning, piece, count))


def test_a_compressed_file_of_ordinary_data_is_read(tmp_path: Path) -> None:
    lines = b"".join(b"%d,driver %d,%d\n" % (n, n * 7919 % 10_007, n % 24) for n in range(120_000))
    assert len(rows(tmp_path, "x.csv.gz", gzip.compress(HEADER + lines))) == 120_000


CSVS = {
    "one line without end": HEADER + b"1," + b"a" * 3 * 2**20 + b",2,3\n",
    "one quote without end": HEADER + b'1,"' + b"a\n" * 2**20,
    "zeros": HEADER + b"\0" * 2**20,
    "a header without end": b"a" * 3 * 2**20,
    "a header of a million columns": HEADER.strip() + b",x" * 400_000 + b"\n",
    "a header that is one long field": b'"' + b"a" * 500_000 + b'"\n',
    "bytes": bytes(range(256)) * 100,
    "nothing": b"",
    "half a byte order mark": b"\xef\xbb",
}


@pytest.mark.parametrize("case", CSVS)
def test_a_csv_that_is_none_is_refused_in_words(case: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, "x.csv", CSVS[case])


@pytest.mark.parametrize("content", [b"1,Ann Onymous,2,3\n", b"1,Ann Onymous\n", b"1,Ann Onymous,2\n1,Ann,2,,,\n"])
def test_the_error_of_a_csv_does_not_quote_its_rows(content: bytes, tmp_path: Path) -> None:
    assert "Ann" not in refusal(tmp_path, "x.csv", HEADER + content)


JSONS = {
    "100,000 levels that never close": b'{"id": ' + b'{"a":' * 100_000,
    "one line without end": b'{"id": "' + b"a" * 20 * 2**20,
    "bytes": bytes(range(256)) * 100,
    "half a character": b'{"id": "\xff"}\n',
    "a number": b"1\n",
    "a list": b"[1, 2]\n",
}


@pytest.mark.parametrize("case", JSONS)
def test_json_lines_that_are_none_are_refused_in_words(case: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, "x.jsonl", JSONS[case])


def test_a_value_of_100_000_levels_is_kept_as_the_text_that_it_is(tmp_path: Path) -> None:
    nested = b"[" * 100_000 + b"]" * 100_000
    assert [
        row["id"] for row in rows(tmp_path, "x.jsonl", b'{"driver": null, "hours": 1, "id": ' + nested + b"}\n")
    ] == [nested.decode()]


def parquet_bytes(table: pa.Table, **options: object) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


ALIKE = {"id": "1", "driver": "x", "hours": 1}


def repeated(text: str, count: int) -> pa.Table:
    column = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), count), [text]).cast(pa.string())
    return pa.table({"id": column, "driver": pa.nulls(count, pa.string()), "hours": pa.nulls(count, pa.int64())})


@pytest.mark.parametrize(
    "make",
    [
        lambda: repeated("x" * 100_000, 2_000),
        lambda: repeated("x", 40_000_000),
        lambda: pa.table(
            {name: pa.repeat(value, 10**6) for name, value in (("id", "1"), ("driver", "x"), ("hours", 1))}
        ),
    ],
    ids=["one long text many times", "one letter many times", "rows that are alike"],
)
def test_a_parquet_file_that_opens_too_far_is_not_read(make: Callable[[], pa.Table], tmp_path: Path) -> None:
    content = parquet_bytes(make(), compression="zstd")
    assert len(content) < 2**20
    assert "opens to more than" in refusal(tmp_path, "x.parquet", content)


def test_a_long_text_that_stands_in_many_rows_is_read_a_part_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "FREE_BYTES", 2**30)
    monkeypatch.setattr(parquet, "BATCH_BYTES", 2**20)
    content = parquet_bytes(repeated("x" * 10_000, 1_000))
    read_back = rows(tmp_path, "x.parquet", content)
    assert [len(row["id"]) for row in read_back] == [10_000] * 1_000


def changed(content: bytes, place: int, to: bytes) -> bytes:
    return content[:place] + to + content[place + len(to) :] if place >= 0 else content[:place] + to


GOOD = parquet_bytes(pa.table({"id": ["1"], "driver": ["Ann"], "hours": [2]}))
PARQUETS = {
    "a footer of gigabytes": changed(GOOD, len(GOOD) - 8, b"\xff\xff\xff\x7f"),
    "a footer of nothing": changed(GOOD, len(GOOD) - 8, b"\0\0\0\0"),
    "half": GOOD[: len(GOOD) // 2] + b"PAR1",
    "pages of other bytes": GOOD[:4] + b"\xff" * 40 + GOOD[44:],
    "metadata of other bytes": GOOD[: len(GOOD) - 200] + b"\xff" * 190 + GOOD[-10:],
    "30,000 columns": parquet_bytes(pa.table({f"c{n}": [1] for n in range(21_000)})),
    "another format": b"SQLite format 3\0" * 100,
}


@pytest.mark.parametrize("case", PARQUETS)
def test_a_parquet_file_that_is_none_is_refused_in_words(case: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, "x.parquet", PARQUETS[case])


SHEET = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{}</sheetData></worksheet>'
)
HEAD_ROW = (
    '<row r="1">'
    + "".join(
        f'<c r="{cell}1" t="inlineStr"><is><t>{name}</t></is></c>'
        for cell, name in zip("ABC", ("id", "driver", "hours"), strict=True)
    )
    + "</row>"
)


def workbook(sheet: str, *, more: dict[str, bytes] | None = None, kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a workbook whose first sheet is this XML."""
    import openpyxl

    out, written = io.BytesIO(), io.BytesIO()
    book = openpyxl.Workbook()
    book.active.append(["x"])
    book.save(written)
    with zipfile.ZipFile(written) as old, zipfile.ZipFile(out, "w", kind) as new:
        for part in old.namelist():
            new.writestr(part, sheet if part == "xl/worksheets/sheet1.xml" else old.read(part))
        for part, content in (more or {}).items():
            new.writestr(part, content)
    return out.getvalue()


ENTITIES = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "lol" * 10}">' for n in range(12))
BOOKS = {
    "a sheet that opens too far": lambda: workbook(SHEET.format(HEAD_ROW + " " * 2**22)),
    "a part that opens too far": lambda: workbook(SHEET.format(HEAD_ROW), more={"xl/media/x.bin": b"\0" * 2**22}),
    "many parts": lambda: workbook(SHEET.format(HEAD_ROW), more={f"x/{n}": b"" for n in range(10_001)}),
    "entities that multiply": lambda: workbook(
        f"<!DOCTYPE x [{ENTITIES}]>" + SHEET.format(HEAD_ROW.replace("driver", "&a11;"))
    ),
    "an entity of a file": lambda: workbook(
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>' + SHEET.format(HEAD_ROW.replace("driver", "&a;"))
    ),
    "a row beyond the last": lambda: workbook(
        SHEET.format(HEAD_ROW + '<row r="999999999"><c r="A1"><v>1</v></c></row>')
    ),
    "a column beyond the last": lambda: workbook(
        SHEET.format(HEAD_ROW + '<row r="2"><c r="ZZZZZ2"><v>1</v></c></row>')
    ),
    "a number of 5,000 digits": lambda: workbook(
        SHEET.format(HEAD_ROW + f'<row r="2"><c r="A2"><v>{"9" * 5_000}</v></c></row>')
    ),
    "a text that there is not": lambda: workbook(
        SHEET.format(HEAD_ROW + '<row r="2"><c r="A2" t="s"><v>99</v></c></row>')
    ),
    "no sheet": lambda: workbook("<x"),
    "no workbook": lambda: b"PK\x05\x06" + b"\0" * 18,
}


@pytest.mark.parametrize("case", BOOKS)
def test_a_workbook_that_is_made_to_do_harm_is_refused_in_words(case: str, tmp_path: Path) -> None:
    message = refusal(tmp_path, "x.xlsx", BOOKS[case]())
    assert "root" not in message and Path("/etc/hostname").read_text().strip() not in message


def test_a_workbook_opens_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a workbook was followed"))
    links = {"xl/externalLinks/externalLink1.xml": b"<externalLink/>"}
    content = workbook(SHEET.format(HEAD_ROW + '<row r="2"><c r="A2"><v>7</v></c></row>'), more=links)
    assert rows(tmp_path, "x.xlsx", content) == [{"id": "7", "driver": None, "hours": None}]
