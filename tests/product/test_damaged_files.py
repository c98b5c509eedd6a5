"""Whatever stands in a file, its rows are read or an error says in words why not: no file brings another error about.

Files of every kind are damaged in seeded ways. STORYMESH_DAMAGED is how many there are of each kind (default: 25).
"""

import gzip
import io
import json
import os
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storymesh.contract.cast import plan_cast
from storymesh.engine.open import open_engine
from storymesh.errors import SourceUnreadable
from storymesh.product.sources.open import open_product_rows
from tests.product.conftest import Desk, good_rows
from tests.product.test_read_sources import write, write_excel

COUNT = int(os.environ.get("STORYMESH_DAMAGED", "25"))
PIECES = [
    *(
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\xfe\xff",
        b"\xed\xa0\x80",
        b"\xf0\x9f",
        b"\x85",
        b"\x0b",
        b"\x01",
        b"\\u0001",
    ),
    *(b'"', b",", b";", b"\n", b"\r", b"\r\n", b"{", b"}", b"[", b"\\", b"\\ud800", b"<", b"&#0;", b"_xD800_"),
    *(b"1e999", b"9" * 40, b"NaN", b"2024-13-45", b"24:00:00", b"x" * 70_000, b"[" * 3_000, b'"id":1,'),
]
PROPERTIES = """\
      - {name: moments, logicalType: array, items: {logicalType: timestamp}}
      - name: thing
        logicalType: object
        properties: [{name: price, logicalType: number, physicalType: "decimal(9,2)"}]
"""


def nested_rows() -> list[dict[str, Any]]:
    nested = {"moments": [datetime(2024, 1, 1), None], "thing": {"price": Decimal("1.50")}}
    return [row | {"note": 'a "quoted", é\nline'} | nested for row in good_rows(9)]


def json_rows() -> list[dict[str, Any]]:
    return [row | {"moments": ["2024-01-01"], "thing": {"price": 1.5}} for row in nested_rows()]


def csv_bytes(random: Random) -> bytes:
    import csv

    rows = [
        [json.dumps(value) if isinstance(value, list | dict) else value for value in r.values()] for r in json_rows()
    ]
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=random.choice(",;\t|"), lineterminator=random.choice(["\n", "\r\n", "\r"]))
    writer.writerows([list(json_rows()[0]), *rows])
    return file.getvalue().encode()


def json_bytes(random: Random) -> bytes:
    end = random.choice(["\n", "\r\n", "\n\n"])
    return "".join(json.dumps(row, ensure_ascii=False) + end for row in json_rows()).encode()


def parquet_bytes(random: Random) -> bytes:
    file = io.BytesIO()
    pq.write_table(
        pa.Table.from_pylist(nested_rows()),
        file,
        compression=random.choice(["none", "snappy", "zstd"]),
        use_deprecated_int96_timestamps=random.random() < 0.5,
        use_dictionary=random.random() < 0.5,
        data_page_version=random.choice(["1.0", "2.0"]),
    )
    return file.getvalue()


def excel_bytes(_: Random) -> bytes:
    file = io.BytesIO()
    rows = [
        [json.dumps(value) if isinstance(value, list | dict) else value for value in r.values()] for r in json_rows()
    ]
    write_excel(file, [list(json_rows()[0]), *rows])
    return file.getvalue()


def damaged(random: Random, content: bytes) -> bytes:
    """Return bytes with one to three changes: a bit, a piece put in, taken out or doubled, an end, another encoding."""
    data = bytearray(content)
    for _ in range(random.choice([1, 1, 2, 3])):
        place = random.randrange(len(data) + 1)
        end = place + random.choice([1, 4, 60, 500])
        match random.randrange(7):
            case 0:
                data[place:end] = b""
            case 1:
                data[place:place] = random.choice(PIECES)
            case 2:
                data[place:place] = data[place:end]
            case 3:
                data[place : place + 1] = bytes([random.randrange(256)])
            case 4:
                data[place:place] = data[: data.find(b"\n") + 1]
            case 5 if random.random() < 0.3:
                del data[place:]
            case 6 if random.random() < 0.3:
                encoding = random.choice(["utf-16", "utf-16-le", "utf-32", "cp1252"])
                data = bytearray(data.decode("latin-1").encode(encoding, "replace"))
            case _:
                data[place : place + 1] = bytes([255])
    return bytes(data)


def compressed_when_damaged(random: Random, content: bytes) -> bytes:
    return gzip.compress(damaged(random, content))


def damaged_when_compressed(random: Random, content: bytes) -> bytes:
    return damaged(random, gzip.compress(content, mtime=0))


def damaged_footer(random: Random, content: bytes) -> bytes:
    """Return a Parquet file of which bytes of the footer are others."""
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    data = bytearray(content)
    for _ in range(random.choice([1, 2, 4])):
        data[random.randrange(footer, len(data) - 8)] = random.choice([0, 1, 127, 255, random.randrange(256)])
    return bytes(data)


def damaged_part(random: Random, content: bytes) -> bytes:
    """Return a workbook of which one part is damaged."""
    with ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = random.choice([*parts, *["xl/worksheets/sheet1.xml"] * len(parts)])
    file = io.BytesIO()
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        for each, part in parts.items():
            archive.writestr(each, damaged(random, part) if each == name else part)
    return file.getvalue()


KINDS: dict[str, tuple[Callable[[Random], bytes], tuple[Callable[[Random, bytes], bytes], ...]]] = {
    "x.csv": (csv_bytes, (damaged,)),
    "x.csv.gz": (csv_bytes, (compressed_when_damaged, damaged_when_compressed)),
    "x.jsonl": (json_bytes, (damaged,)),
    "x.parquet": (parquet_bytes, (damaged, damaged_footer)),
    "x.xlsx": (excel_bytes, (damaged, damaged_part)),
}


def csv_rows(content: bytes) -> set[int]:
    """Return how many rows a CSV has by Python's reader, for each delimiter that it may have."""
    import csv

    text = content.decode("utf-8-sig", "replace")
    usual = csv.field_size_limit(2**30)
    try:
        return {sum(map(bool, csv.reader(io.StringIO(text, newline=""), delimiter=sign))) - 1 for sign in ",;\t|"}
    finally:
        csv.field_size_limit(usual)


def json_rows_of(content: bytes) -> set[int]:
    return {sum(map(bool, map(str.strip, re.split("\r\n|\r|\n", content.decode("utf-8-sig")))))}


ROWS: dict[str, Callable[[bytes], set[int]]] = {
    "x.csv": csv_rows,
    "x.csv.gz": lambda content: csv_rows(gzip.decompress(content)),
    "x.jsonl": json_rows_of,
}


@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_file_is_read_or_refused_in_words(name: str, desk: Desk) -> None:
    make, changes = KINDS[name]
    desk.properties = PROPERTIES
    product, contract, folder = desk.product(name), desk.contract(), desk.root / "domains/shipping"
    messages = []
    with open_engine() as engine:
        for seed in range(COUNT):
            random = Random(seed)
            write(desk, name, random.choice(changes)(random, make(random)))
            try:
                rows = open_product_rows(product, contract, folder, Path("none"), engine)
                table = pa.Table.from_batches(rows, rows.schema)
            except SourceUnreadable as error:
                messages.append(str(error))
                continue
            # Every row that stands in the file has come: none is lost without a word.
            if name in ROWS:
                assert table.num_rows in ROWS[name]((folder / name).read_bytes()), (seed, (folder / name).read_bytes())
            plan = plan_cast(contract, table.schema, dict(zip(contract.properties, table.column_names, strict=True)))
            if seed % 10 == 0:  # the selection takes longer to write down than the rows to read
                list(engine.map_batches(table.to_batches(), table.schema, plan.select))
    assert messages
    assert all(20 < len(message) < 1_500 for message in messages)
