"""The digest against the words that define it, written down a second time as slow plain Python."""

import hashlib
import os
import struct
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storymesh.engine.duckdb.digest import relation_digest

EPOCH = datetime(1970, 1, 1)
DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"


def token(text: str) -> str:
    return f"{len(text.encode())}:{text}"


def kind(type_: pa.DataType) -> str:
    if pa.types.is_struct(type_):
        fields = sorted(type_, key=lambda field: field.name.encode())
        return "struct<" + ",".join(token(field.name) + kind(field.type) for field in fields) + ">"
    if pa.types.is_map(type_):
        return f"map<{kind(type_.key_type)},{kind(type_.item_type)}>"
    if pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_):
        return f"list<{kind(type_.value_type)}>"
    for test, name in (
        (pa.types.is_boolean, "boolean"),
        (pa.types.is_integer, "integer"),
        (pa.types.is_decimal, "decimal"),
        (pa.types.is_floating, "double"),
        (pa.types.is_binary, "binary"),
        (pa.types.is_date, "date"),
        (pa.types.is_time, "time"),
        (pa.types.is_timestamp, "timestamp"),
    ):
        if test(type_):
            return name
    return "text"


def canonical(value: Any, type_: pa.DataType) -> str:
    if value is None:
        return "n"
    match kind(type_).split("<")[0]:
        case "boolean":
            return "t" if value else "f"
        case "integer":
            return "i" + token(str(value))
        case "decimal":
            text = format(value, "f")
            return "e" + token(text.rstrip("0").rstrip(".") if "." in text else text)
        case "double":
            return "d" + token("nan" if value != value else repr(value + 0.0))
        case "text":
            return "s" + token(value)
        case "binary":
            return "b" + token(value.hex())
        case "date":
            return "D" + token(str((value - EPOCH.date()).days))
        case "time":
            moment = timedelta(
                hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond
            )
            return "H" + token(str(moment // timedelta(microseconds=1)))
        case "timestamp":
            naive = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
            return "T" + token(str((naive - EPOCH) // timedelta(microseconds=1)))
        case "list":
            return f"l{len(value)}:" + "".join(canonical(item, type_.value_type) for item in value)
        case "map":
            entries = [canonical(key, type_.key_type) + canonical(item, type_.item_type) for key, item in value]
            return f"m{len(value)}:" + "".join(sorted(entries, key=str.encode))
        case "struct":
            fields = sorted(type_, key=lambda field: field.name.encode())
            return "r" + "".join(canonical(value[field.name], field.type) for field in fields)
    raise AssertionError(type_)


def oracle(table: pa.Table) -> str:
    whole = pa.struct(list(table.schema))
    leaves = sorted(hashlib.sha256(canonical(row, whole).encode()).digest() for row in table.to_pylist())
    fields = sorted(table.schema, key=lambda field: field.name.encode())
    shape = "".join(token(field.name) + kind(field.type) for field in fields)
    tree = hashlib.sha256(b"".join(leaves)).hexdigest()
    root = token("storymesh-relation-1") + token(shape) + token(str(len(leaves))) + token(tree)
    return hashlib.sha256(root.encode()).hexdigest()


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
moments = st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1))
TYPES: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.bool_(), st.booleans()),
    (pa.int8(), st.integers(-128, 127)),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.decimal128(38, 9), st.decimals(-(10**28), 10**28, places=9)),
    (pa.decimal128(12, 0), st.integers(-(10**11), 10**11).map(Decimal)),
    (pa.float64(), st.floats()),
    (pa.float32(), st.floats(width=32)),
    (pa.string(), texts),
    (pa.large_string(), texts),
    (pa.binary(), st.binary(max_size=5)),
    (pa.date32(), st.dates(date(1, 1, 1), date(9999, 12, 31))),
    (pa.time64("us"), st.times()),
    (pa.timestamp("us"), moments),
    (pa.timestamp("us", "UTC"), moments.map(lambda moment: moment.replace(tzinfo=UTC))),
]


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), values)


def nested(drawn: tuple[pa.DataType, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    type_, values = drawn
    name = st.sampled_from(["a", "B", "ä b", 'q"q', "it's", "z"])
    return st.one_of(
        st.just((pa.list_(type_), st.lists(maybe(values), max_size=3))),
        st.lists(name, min_size=1, max_size=3, unique_by=str.lower).map(
            lambda names: (
                pa.struct([(field, type_) for field in names]),
                st.fixed_dictionaries({field: maybe(values) for field in names}),
            )
        ),
        st.just(
            (
                pa.map_(pa.string(), type_),
                st.dictionaries(texts, maybe(values), max_size=3).map(lambda d: list(d.items())),
            )
        ),
    )


columns = st.recursive(st.sampled_from(TYPES), lambda inner: inner.flatmap(nested), max_leaves=3)


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    chosen = draw(st.lists(columns, min_size=1, max_size=3))
    count = draw(st.integers(0, 4))
    arrays = [
        pa.array(draw(st.lists(maybe(values), min_size=count, max_size=count)), type_) for type_, values in chosen
    ]
    return pa.table(arrays, [f"c{position}" for position in range(len(arrays))])


@settings(max_examples=2_000 if DEEP else 50, deadline=None)
@given(tables(), st.randoms(use_true_random=False))
def test_the_digest_is_what_its_definition_says_in_any_order_of_rows(table: pa.Table, random: Any) -> None:
    order = list(range(len(table)))
    random.shuffle(order)
    assert relation_digest(table.take(pa.array(order, pa.int64()))) == oracle(table)


def test_values_that_repeat_are_digested_like_any_others() -> None:
    moment = datetime(1969, 12, 31, 23, 59, 59)
    values = [
        {"t": text, "n": number, "d": Decimal(number).scaleb(-2), "f": float(number), "at": moment, "on": None}
        for text, number in (("", 0), ("é", -7), ("12:", 12), ("n", 900))
    ]
    kind = pa.struct([
        ("t", pa.string()), ("n", pa.int64()), ("d", pa.decimal128(10, 2)), ("f", pa.float64()),
        ("at", pa.timestamp("us")), ("on", pa.date32()),
    ])  # fmt: skip
    lists = [
        [None if (row + place) % 5 == 4 else values[(row * place) % 4] for place in range(40)] for row in range(30)
    ]
    table = pa.table({"rows": pa.array([*lists, None, []], pa.list_(kind)), "n": pa.array([1, 2] * 16, pa.int32())})
    assert relation_digest(table) == oracle(table)


def test_the_way_a_relation_is_stored_does_not_matter(tmp_path: Path) -> None:
    table = pa.table({"n": [1, 2, 2], "t": ["é", None, "e\u0301"], "l": [[1.5], [], None]})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=1)
    by_reader = relation_digest(table.to_reader(max_chunksize=1))
    with duckdb.connect() as connection:
        rows = connection.read_parquet(str(tmp_path / "rows.parquet"))
        by_file = relation_digest(rows)
        by_query = relation_digest(rows.project("l, t, n::TINYINT AS n").order("n DESC"))
    assert by_reader == by_file == by_query == oracle(table)


def column(values: list[Any], type_: pa.DataType | None = None, name: str = "c") -> pa.Table:
    return pa.table({name: pa.array(values, type_)})


def of(values: list[Any], type_: pa.DataType | None = None) -> str:
    return relation_digest(column(values, type_))


def test_equal_values_written_differently_are_the_same_content() -> None:
    assert of([Decimal("1.50")], pa.decimal128(9, 2)) == of([Decimal("1.5")], pa.decimal128(38, 9))
    assert of([-0.0]) == of([0.0])
    quiet, negative = (struct.unpack("<d", bits)[0] for bits in (b"\0\0\0\0\0\0\xf8\x7f", b"\1\0\0\0\0\0\xf8\xff"))
    assert of([quiet]) == of([negative])
    assert of([0.5], pa.float32()) == of([0.5], pa.float64())
    assert of([datetime(2024, 1, 1)], pa.timestamp("s")) == of(
        [datetime(2024, 1, 1, tzinfo=UTC)], pa.timestamp("ns", "UTC")
    )
    assert of(["x"], pa.dictionary(pa.int8(), pa.string())) == of(["x"])
    assert of([[1, 2]], pa.list_(pa.int64(), 2)) == of([[1, 2]], pa.list_(pa.int64()))
    assert of([[("a", 1), ("b", 2)]], pa.map_(pa.string(), pa.int8())) == of(
        [[("b", 2), ("a", 1)]], pa.map_(pa.string(), pa.int8())
    )


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (column([]), column([None], pa.null())),
        (column(["a"]), column(["a", "a"])),
        (column([""]), column([None], pa.string())),
        (column([[]], pa.list_(pa.string())), column([None], pa.list_(pa.string()))),
        (column([[]], pa.list_(pa.string())), column([[None]], pa.list_(pa.string()))),
        (column([["a", "b"]]), column([["ab"]])),
        (column([["a"], ["b"]]), column([["a", "b"]])),
        (column([{"a": None}], pa.struct([("a", pa.string())])), column([None], pa.struct([("a", pa.string())]))),
        (column([1]), column(["1"])),
        (column([1]), column([1.0])),
        (column(["é"]), column(["e\u0301"])),
        (column(["a"]), column(["a"], name="d")),
        (column([None], pa.string()), column([None], pa.int64())),
        (column([1], pa.timestamp("ns")), column([0], pa.timestamp("ns"))),
        (column([time(0, 0, 1)]), column([time(0, 0, 2)])),
    ],
)
def test_different_content_has_different_digests(left: pa.Table, right: pa.Table) -> None:
    assert relation_digest(left) != relation_digest(right)


def test_nanoseconds_before_1970_round_down() -> None:
    assert of([-1], pa.timestamp("ns")) != of([-1], pa.timestamp("us"))
    assert of([-1000], pa.timestamp("ns")) == of([-1], pa.timestamp("us"))


def test_a_type_without_a_canonical_form_is_refused_by_name() -> None:
    with duckdb.connect() as connection, pytest.raises(TypeError, match="'wait' is a INTERVAL"):
        relation_digest(connection.sql("SELECT INTERVAL 1 DAY AS wait"))


def test_the_digest_of_a_known_relation_never_changes() -> None:
    rows = [{"id": "a", "at": datetime(2024, 1, 1), "score": Decimal("1.50")}, {"id": None, "at": None, "score": None}]
    schema = pa.schema([("id", pa.string()), ("at", pa.timestamp("us")), ("score", pa.decimal128(9, 2))])
    assert relation_digest(pa.Table.from_pylist(rows, schema)) == (
        "be22bf7e3c7973ea48a5a381389a4c508bd159f7d7703a72bf9fcc3fa1cd95d3"
    )
