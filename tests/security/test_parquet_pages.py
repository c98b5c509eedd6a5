"""A Parquet file is asked what its pages open to before anything opens one: its footer may tell of other pages."""

import io
import itertools
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storymesh.engine.open import open_engine
from storymesh.errors import StorymeshError
from storymesh.product.sources import bounds, parquet_pages
from storymesh.product.sources.parquet_pages import PagesRefused, require_bounded_pages, require_footer
from storymesh.release.curation.decontaminate import read_evaluation_set
from storymesh.release.parquet_file import parquet_faults
from tests.security.test_data_file import refusal

LIMIT = 2**26
ZSTD = pa.Codec("zstd")
DATA_PAGE, DICTIONARY_PAGE, DATA_PAGE_V2 = 0, 2, 3


class Long(int):
    """An integer that Parquet's footer keeps as one of 64 bits."""


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def thrift(value: Any) -> tuple[int, bytes]:
    """Return the kind and the bytes of a value in Thrift's compact protocol; a struct is a dict of field ids."""
    if isinstance(value, int):
        return 6 if isinstance(value, Long) else 5, varint(value << 1 if value >= 0 else (-value << 1) - 1)
    if isinstance(value, bytes):
        return 8, varint(len(value)) + value
    if isinstance(value, list):
        items = [thrift(item) for item in value]
        return 9, bytes([len(items) << 4 | items[0][0]]) + b"".join(item for _, item in items)
    out, last = b"", 0
    for field, inner in sorted(value.items()):
        kind, content = thrift(inner)
        out += bytes([(field - last) << 4 | kind]) + content
        last = field
    return 12, out + b"\0"


def page(
    body: bytes, *, opened: int, values: int = 1, kind: int = DATA_PAGE, stored: int | None = None, encoding: int = 0
) -> bytes:
    data = {1: values, 2: encoding, 3: 3, 4: 3}
    of_kind = {
        DATA_PAGE: {5: data},
        DICTIONARY_PAGE: {7: {1: 1, 2: 0}},
        DATA_PAGE_V2: {8: {1: values, 2: 0, 3: 1, 4: 0}},
    }
    return thrift({1: kind, 2: opened, 3: len(body) if stored is None else stored, **of_kind[kind]})[1] + body


def parquet_file(pages: bytes, rows: int = 1, chunk: Mapping[int, Any] | None = None) -> bytes:
    """Return a file with one column of texts, compressed by zstd, whose footer claims hundred bytes."""
    length = Long(len(pages))
    about = {1: 6, 2: [0], 3: [b"t"], 4: 6, 5: Long(rows), 6: Long(100), 7: length, 9: Long(4), **(chunk or {})}
    group = {1: [{2: Long(4), 3: about}], 2: Long(100), 3: Long(rows)}
    footer = thrift({1: 1, 2: [{4: b"s", 5: 1}, {1: 6, 3: 0, 4: b"t", 6: 0}], 3: Long(rows), 4: [group]})[1]
    return b"PAR1" + pages + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def packed(count: int) -> bytes:
    """Return a compressed text of so many letters, as a page holds it."""
    return bytes(ZSTD.compress(count.to_bytes(4, "little") + b"a" * count, asbytes=True))


SMALL = packed(3)
ATTACKS: dict[str, bytes] = {
    "a page that claims two gigabytes": parquet_file(page(SMALL, opened=2**31 - 1)),
    "a page that opens to hundred megabytes": parquet_file(page(packed(10**8), opened=10**8 + 4)),
    "a page of version 2 that claims them": parquet_file(page(SMALL, opened=2**31 - 1, kind=DATA_PAGE_V2)),
    "a dictionary that claims them": parquet_file(
        page(SMALL, opened=2**31 - 1, kind=DICTIONARY_PAGE) + page(b"", opened=0), chunk={11: Long(4)}
    ),
    "many pages that claim a little each": parquet_file(page(SMALL, opened=2**20) * 100),
    "a page of less than nothing": parquet_file(page(SMALL, opened=-1)),
    "a page that takes less than nothing": parquet_file(page(SMALL, opened=7, stored=-20)),
    "a page that reaches beyond its column": parquet_file(page(SMALL, opened=7, stored=10_000)),
    "a page of billions of values": parquet_file(page(SMALL, opened=7, values=2**31 - 1)),
    "a page of less than no values": parquet_file(page(SMALL, opened=7, values=-1)),
    "a size that stands twice, in two widths": parquet_file(
        b"\x15\0\x15"
        + varint(2**32 - 2)
        + b"\x06\x04\x0e\x15"
        + varint(2 * len(SMALL))
        + b"\x2c"
        + thrift({1: 1, 2: 0, 3: 3, 4: 3})[1]
        + b"\0"
        + SMALL
    ),
    "a column without a place": parquet_file(page(SMALL, opened=7), chunk={9: 4}),
    "no header": parquet_file(b"\xff" * 200),
    "a header without sizes": parquet_file(b"\x15\0\0" * 20),
    "a header that does not end": parquet_file(b"\x15\x80" + b"\x80" * 200),
    "a header of structs in structs": parquet_file(b"\x1c" * 2_000),
    "a header with a list": parquet_file(b"\x19\xf5\xff\xff\xff\xff\x0f" + b"\0" * 100),
    "a header with a text of gigabytes": parquet_file(b"\x18\xff\xff\xff\xff\x0f" + b"\0" * 100),
    "values before the file": parquet_file(page(SMALL, opened=7), chunk={9: Long(-4)}),
    "values in the magic": parquet_file(page(SMALL, opened=7), chunk={9: Long(0)}),
    "values behind the file": parquet_file(page(SMALL, opened=7), chunk={9: Long(10**9)}),
    "values longer than the file": parquet_file(page(SMALL, opened=7), chunk={7: Long(10**12)}),
    "values of less than nothing": parquet_file(page(SMALL, opened=7), chunk={7: Long(-100)}),
}


def require_bounded(content: bytes, limit: int = LIMIT) -> None:
    file = io.BytesIO(content)
    require_footer(file)
    require_bounded_pages(file, pq.read_metadata(file), limit)


@pytest.mark.parametrize("attack", ATTACKS)
def test_pages_that_no_reader_should_open_are_refused(attack: str) -> None:
    with pytest.raises((PagesRefused, pa.ArrowException, OSError)):
        require_bounded(ATTACKS[attack])
    assert any("cannot be read" in fault for fault in parquet_faults(io.BytesIO(ATTACKS[attack])))


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_source_with_such_pages_is_refused_in_words(
    attack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "FREE_BYTES", 2**20)
    assert "the Parquet file" in refusal(tmp_path, "x.parquet", ATTACKS[attack])


def test_values_that_stand_in_another_file_are_refused() -> None:
    content = parquet_file(page(SMALL, opened=7)).replace(b"\x26\x08\x1c", b"\x18\x0b/etc/passwd\x16\x08\x1c")
    footer = content.rindex(b"PAR1") - 4
    length = int.from_bytes(content[footer : footer + 4], "little") + 13
    with pytest.raises((PagesRefused, pa.ArrowException), match="another file"):
        require_bounded(content[:footer] + length.to_bytes(4, "little") + b"PAR1")


def test_a_footer_that_contradicts_itself_does_not_end_the_process(tmp_path: Path) -> None:
    # Arrow ends the process when it is asked for a column whose histogram has too many levels.
    content = parquet_file(page(SMALL, opened=7), chunk={16: {3: [Long(1), Long(0)]}})
    require_bounded(content)
    assert "there is no column 'id'" in refusal(tmp_path, "x.parquet", content)


def test_pages_without_end_are_not_counted_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_pages, "MAX_PAGES", 100)
    with pytest.raises(PagesRefused, match="more than 100 pages"):
        require_bounded(parquet_file(page(b"", opened=0, values=0) * 101))


@pytest.mark.parametrize("size", [100, 2**24])
def test_a_footer_is_bounded_before_it_is_read(size: int) -> None:
    content = b"PAR1" + bytes(size) + size.to_bytes(4, "little") + b"PAR1"
    with pytest.raises(PagesRefused, match=r"a footer of [\d,]+ bytes"):
        require_footer(io.BytesIO(content), most=99)


NESTED = {
    "texts": lambda text, count: [text] * count,
    "in a struct": lambda text, count: [{"a": text}] * count,
    "in a list": lambda text, count: [[text, text]] * count,
    "deeper": lambda text, count: [{"a": [{"b": text}]}] * count,
}


@pytest.mark.parametrize("shape", NESTED)
def test_one_text_in_many_rows_is_counted_before_it_is_written_out(shape: str) -> None:
    file = io.BytesIO()
    pq.write_table(pa.table({"x": NESTED[shape]("y" * 20_000, 5_000)}), file, compression="zstd")
    assert len(file.getvalue()) < 5_000
    with pytest.raises(PagesRefused, match="its own copy of its texts"):
        require_bounded(file.getvalue())
    require_bounded(file.getvalue(), 10**9)


def test_texts_that_are_short_by_their_dictionary_are_not_read_to_be_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"text {n}" for n in range(9_999)]
    columns = {"x": texts, "y": [[{"z": text}] for text in texts], "n": list(range(9_999))}
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, row_group_size=6_000)
    monkeypatch.setattr(parquet_pages, "written_out_bytes", lambda column: pytest.fail("a column was read"))
    longest = require_bounded_pages(file, pq.read_metadata(file), 2**20)
    assert longest == {"x": len("text 9998"), "y.list.element.z": len("text 9998"), "n": 8 * 6_000}


def test_one_long_text_among_many_short_ones_is_no_reason_to_refuse() -> None:
    file = io.BytesIO()
    pq.write_table(pa.table({"x": ["y" * 20_000] + ["s"] * 10_000}), file)
    assert require_bounded_pages(file, pq.read_metadata(file), LIMIT) == {"x": 20_000}


def test_a_dictionary_that_is_not_used_in_the_first_row_is_known_too() -> None:
    places = bytes([1, *varint(5_000 << 1), 0])  # one bit for each place, and a run of the first one
    pages = (
        page(packed(20_000), opened=20_004, kind=DICTIONARY_PAGE)
        + page(SMALL, opened=7)
        + page(ZSTD.compress(places, asbytes=True), opened=len(places), values=5_000, encoding=8)
    )
    begin = 4 + len(page(packed(20_000), opened=20_004, kind=DICTIONARY_PAGE))
    chunk = {2: [0, 8], 5: Long(5_001), 9: Long(begin), 11: Long(4)}
    content = parquet_file(pages, rows=5_001, chunk=chunk)
    assert len(set(pq.read_table(io.BytesIO(content)).column(0).to_pylist())) == 2
    with pytest.raises(PagesRefused, match="its own copy of its texts"):
        require_bounded(content)


def test_a_list_of_endless_nulls_is_not_opened() -> None:
    file = io.BytesIO()
    lists = pa.ListArray.from_arrays(pa.array([0, 4 * 10**6], pa.int32()), pa.nulls(4 * 10**6, pa.bool_()))
    pq.write_table(pa.table({"x": lists}), file, compression="zstd")
    assert len(file.getvalue()) < 20_000
    with pytest.raises(PagesRefused, match="has 4,000,000 values, more than it can"):
        require_bounded(file.getvalue())


ROWS = 400
ORDINARY = pa.table(
    {
        "number": list(range(ROWS)),
        "text": [f"text {n}" for n in range(ROWS)],
        "code": [("a", "b", None)[n % 3] for n in range(ROWS)],
        "nothing": pa.nulls(ROWS, pa.string()),
        "list": [[1, 2, None]] * ROWS,
        "struct": [{"a": "x", "b": [{"c": "y"}]}] * ROWS,
        "float": [n / 7 for n in range(ROWS)],
        "flag": [True, None] * (ROWS // 2),
        "long": ["q" * 3_000] * ROWS,
    }
)
WRITERS = {
    "data_page_version": ("1.0", "2.0"),
    "compression": ("snappy", "zstd", "none"),
    "use_dictionary": (True, False),
    "data_page_size": (None, 1_000),
}


def test_what_arrow_writes_in_all_its_ways_is_read() -> None:
    for options in itertools.product(*WRITERS.values()):
        for table in (ORDINARY, ORDINARY.slice(0, 0)):
            file = io.BytesIO()
            pq.write_table(table, file, row_group_size=150, **dict(zip(WRITERS, options, strict=True)))
            require_bounded(file.getvalue())


def test_what_the_engine_writes_is_read(tmp_path: Path) -> None:
    with open_engine() as engine:
        rows = engine.materialize(ORDINARY)
        for name, written in {"all": rows, "none": rows.filter(rows["number"] < 0)}.items():
            engine.write_parquet(written, tmp_path / f"{name}.parquet")
            require_bounded((tmp_path / f"{name}.parquet").read_bytes())


def test_a_page_of_much_takes_no_memory() -> None:
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(PagesRefused):
        require_bounded(ATTACKS["a page that opens to hundred megabytes"])
    unit = 1 if sys.platform == "darwin" else 1024
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit < 50 * 2**20


@pytest.mark.parametrize("name", ["", "a'b", "a\x1b[31m", "a;b", "x" * 300])
def test_a_part_of_a_column_has_a_plain_name(name: str) -> None:
    file = io.BytesIO()
    pq.write_table(pa.table({"facts": pa.nulls(2, pa.struct([(name, pa.string())]))}), file)
    (fault,) = parquet_faults(file)
    assert "which no property is called" in fault


@pytest.mark.parametrize("attack", list(ATTACKS)[:4])
def test_an_evaluation_set_is_asked_too(attack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "FREE_BYTES", LIMIT)
    path = tmp_path / "eval.parquet"
    path.write_bytes(ATTACKS[attack])
    with open_engine() as engine, pytest.raises(StorymeshError, match="of the evaluation set opens to"):
        read_evaluation_set(engine, {"eval.parquet": path}, 8)
