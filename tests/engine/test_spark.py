"""Spark means what DuckDB means: each difference of the dialect page, as a vector for both engines."""

import hashlib
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storymesh.engine import decimals, dialect
from storymesh.engine.engine import ClusterFailed, Engine
from storymesh.engine.open import open_engine
from storymesh.engine.spark import engine, session
from storymesh.engine.spark.engine import ROW_GROUP, SparkEngine
from storymesh.engine.spark.session import SparkAddress
from storymesh.errors import EngineFailed, WrongUsage
from tests.support.spark import ConnectServer, speaking_to_servers

MAXIMUM = 2**63 - 1
ROW = pa.struct([("key", pa.string()), ("place", pa.int64())])
VALUES = pa.table({
    "half": [2.5], "small": [-0.004], "exact": [123456.7891234567891], "large": [2.0**62], "nothing": [0.0],
    "no_number": pa.array([float("nan")]), "endless": [float("inf")],
    "cents": pa.array([Decimal("12.34")], pa.decimal128(8, 2)),
    "wide": pa.array([Decimal("12345678901234567890.1234567891")], pa.decimal128(38, 10)),
    "longest": pa.array([Decimal("-9999999999999999999999999999.9999999999")], pa.decimal128(38, 10)),
    "fine": pa.array([Decimal("-9979581695250806.0647")], pa.decimal128(20, 4)),
    "small_part": pa.array([Decimal("0.00000000000000000000000011")], pa.decimal128(30, 27)),
    "tiny": pa.array([Decimal("0.00000012")], pa.decimal128(12, 8)),
    "whole": pa.array([-20], pa.int64()), "most": pa.array([MAXIMUM], pa.int64()),
    "text": ["a'b\\c ${x}\n"], "capitals": ["straße ŉ ﬁ ΐ ǆ"], "letters": ["İΑΣ"],
    "wide_space": ["\u3000 a \x1c"],
    "absent": pa.array([None], pa.string()), "composed": ["cafe\u0301"],
    "moment": pa.array([datetime(999, 12, 31, 9, 5, 7, 45)], pa.timestamp("us")), "day": [date(1, 1, 1)],
    "numbers": pa.array([[3, None, 1, 2]], pa.list_(pa.int64())),
    "many": pa.array([[MAXIMUM, MAXIMUM]], pa.list_(pa.int64())),
    "none": pa.array([[]], pa.list_(pa.string())), "no_list": pa.array([None], pa.list_(pa.string())),
    "words": pa.array([["a", None, "b"]], pa.list_(pa.string())),
    "rows": pa.array([[{"key": None, "place": 1}, {"key": "b", "place": 2}, {"key": "a", "place": 3}]], pa.list_(ROW)),
    "gaps": pa.array([[None, {"key": "a", "place": 1}]], pa.list_(ROW)),
}).append_column("zero", pa.array([0], pa.int64()))  # fmt: skip
VECTORS: dict[str, tuple[Callable[[Any], ir.Value], Any]] = {
    "half to even": (lambda t: dialect.format_thousands(t.half, 0), "2"),
    "no minus zero": (lambda t: dialect.format_thousands(t.small, 2), "0.00"),
    "twelve digits of a double": (lambda t: dialect.format_thousands(t.exact, 12), f"{123456.7891234567891:,.12f}"),
    "digits past 2^53": (lambda t: dialect.format_thousands(t.large, 1), f"{2**62:,}.0"),
    "an integer with commas": (lambda t: dialect.format_thousands(t.most, 0), f"{MAXIMUM:,}"),
    "not printable": (lambda t: dialect.format_thousands(t.endless, 0), dialect.UNPRINTABLE),
    "rounded to even": (lambda t: dialect.round_half_even(t.half, 0), 2.0),
    "a float literal is no decimal": (lambda t: t.nothing + 0.1 + 0.2, 0.1 + 0.2),
    "divided by zero": (lambda t: dialect.float_division(t.whole, t.zero), float("-inf")),
    "a negation is there": (lambda t: (~(t.nothing > 1)).isnull(), False),
    "a negation is not null": (lambda t: (~(t.nothing > 1)).notnull(), True),
    "a negation of null is null": (lambda t: ibis.ifelse((~(t.absent == "a")).isnull(), 1, 2), 1),
    "no number is there": (lambda t: t.no_number.isnull(), False),
    "no number is not finite": (lambda t: dialect.is_exactly_printable(t.no_number), False),
    "a quotient is cut off": (lambda t: dialect.integer_division(t.whole, ibis.literal(7, "int64")), -2),
    "a remainder has the dividend's sign": (lambda t: t.whole % 7, -6),
    "a small decimal as text": (lambda t: t.tiny.cast("string"), "0.00000012"),
    "a long decimal negated": (lambda t: -t.wide, Decimal("-12345678901234567890.1234567891")),
    "the longest decimal negated": (lambda t: -t.longest, Decimal("9999999999999999999999999999.9999999999")),
    "the longest decimal without its sign": (
        lambda t: t.longest.abs(),
        Decimal("9999999999999999999999999999.9999999999"),
    ),
    "a long decimal without its sign, of a row": (
        lambda t: dialect.map_items(ibis.array([t.longest, t.wide]), lambda x: x.abs()),
        [Decimal("9999999999999999999999999999.9999999999"), Decimal("12345678901234567890.1234567891")],
    ),
    "the nearest float of a long decimal": (lambda t: decimals.to_float(t.fine), -9979581695250806.0647),
    "the nearest float of a decimal of many places": (lambda t: decimals.to_float(t.small_part), 1.1e-25),
    "decimals keep their digits": (lambda t: t.wide + t.wide, Decimal("24691357802469135780.2469135782")),
    "a decimal rounded to even": (lambda t: decimals.round_half_even(t.wide, 1), Decimal("12345678901234567890.1")),
    "a decimal cut off": (lambda t: decimals.truncate(-t.wide, 2), Decimal("-12345678901234567890.12")),
    "a wide decimal in text": (lambda t: decimals.format_decimal(t.wide, 3), "12,345,678,901,234,567,890.123"),
    "a short decimal in percent": (lambda t: decimals.format_decimal(t.cents, 1, shift=2), "1,234.0"),
    "a group of a match": (lambda t: t.capitals.re_replace("(tra)", r"<\1$>"), "s<tra$>ße ŉ ﬁ ΐ ǆ"),
    "a sum past 64 bits": (lambda t: dialect.sum_int64(t.many.sums()), None),
    "a sum leaves out nulls": (lambda t: dialect.sum_int64(t.numbers.sums()), 6),
    "one capital for one letter": (lambda t: t.capitals.upper(), "STRAẞE ŉ ﬁ ΐ Ǆ"),
    "one small letter for one": (lambda t: t.letters.lower(), "iασ"),
    "literals as they are": (lambda t: t.text.replace("\\c ${x}\n", "'\\n${y}"), "a'b'\\n${y}"),
    "white space of Unicode": (lambda t: dialect.strip_characters(t.wide_space, "\u3000 \x1c"), "a"),
    "no null is a distinct item": (lambda t: dialect.distinct_items(t.words.concat(t.words)), ["a", "b"]),
    "the only item is null": (lambda t: dialect.distinct_items(ibis.array([t.absent])), []),
    "a null counts as empty": (lambda t: dialect.concat_texts([t.absent, t.letters]), "İΑΣ"),
    "a null of `concat` is null": (lambda t: t.letters.concat(t.absent), None),
    "letters are code points": (lambda t: dialect.characters(t.composed).length(), 5),
    "a part of a text": (lambda t: dialect.substring(t.capitals, 4, 2), "ße"),
    "codes side by side": (lambda t: dialect.format_moment(t.moment, "%B%B %Y%%%-d'"), "DecemberDecember 0999%31'"),
    "microseconds": (lambda t: t.moment.microsecond(), 45),
    "a date as text": (lambda t: t.day.cast("string"), "0001-01-01"),
    "the last item": (lambda t: dialect.item_at(t.numbers, -1), 2),
    "an item that is not there": (lambda t: dialect.item_at(t.numbers, 7), None),
    "an item at a computed place": (lambda t: dialect.item_at(t.numbers, t.whole + 20), 3),
    "the last of no items": (lambda t: dialect.item_at(t.none, -1), None),
    "all but the last": (lambda t: t.words[: t.words.length() - 1], ["a", None]),
    "a list that is not there has no length": (lambda t: t.no_list.length(), None),
    "a null list counts as empty": (lambda t: dialect.concat_lists([t.no_list, t.words]), ["a", None, "b"]),
    "joined without nulls": (lambda t: t.words.join("/"), "a/b"),
    "no texts joined": (lambda t: dialect.concat_items(t.none), ""),
    "nulls come last": (lambda t: t.numbers.sort(), [1, 2, 3, None]),
    "nulls in rows come last": (lambda t: dialect.map_items(t.rows.sort(), lambda row: row["place"]), [3, 2, 1]),
    "a field of a row that is not there": (lambda t: dialect.map_items(t.gaps, lambda row: row["place"]), [None, 1]),
    "divided by what is not there": (lambda t: dialect.float_division(t.whole, t.absent.length()), None),
    "divided by a literal": (lambda t: dialect.float_division(t.whole, ibis.literal(8, "int64")), -2.5),
    "reversed": (lambda t: dialect.reverse_items(t.numbers), [2, 1, None, 3]),
    "an empty range": (lambda t: ibis.range(t.zero, t.whole), []),
    "a range": (lambda t: ibis.range(t.whole, t.whole + 2), [-20, -19]),
    "an empty list has a type": (lambda t: ibis.literal([], type="array<int64>"), []),
    "a choice by hash": (lambda t: dialect.hash_choice(t.letters, 1000), 463),
    "a lambda in a lambda": (
        lambda t: dialect.map_items(
            t.numbers,
            lambda n: dialect.map_indexed(t.words, lambda word, place: word.concat("-", (place + n).cast("string"))),
        ),
        [["a-3", None, "b-5"], [None] * 3, ["a-1", None, "b-3"], ["a-2", None, "b-4"]],
    ),
}  # fmt: skip


def computed(engine: Engine) -> dict[str, Any]:
    table = ibis.memtable(VALUES)
    columns = {f"v{place}": make(table) for place, (make, _) in enumerate(VECTORS.values())}
    (row,) = engine.fetch_rows(table.select(**columns))
    return dict(zip(VECTORS, row.values(), strict=True))


@pytest.fixture(scope="module")
def on_duckdb() -> dict[str, Any]:
    with open_engine() as engine:
        return computed(engine)


@pytest.fixture(scope="module")
def on_spark(spark: Engine) -> dict[str, Any]:
    return computed(spark)


@pytest.mark.parametrize("name", VECTORS)
def test_duckdb_means(name: str, on_duckdb: dict[str, Any]) -> None:
    assert on_duckdb[name] == VECTORS[name][1]


@pytest.mark.parametrize("name", VECTORS)
def test_spark_means(name: str, on_spark: dict[str, Any]) -> None:
    assert on_spark[name] == VECTORS[name][1]


def test_files_are_written_whole_with_the_types_of_the_expression(spark: Engine, tmp_path: Path) -> None:
    source = tmp_path / "a[1]* {b} c"
    source.mkdir()
    numbers = pa.table({"Number": range(100), "number": ["x"] * 100, "at": [datetime(2024, 1, 1)] * 100})
    pq.write_table(numbers, source / ".hidden?.parquet.0123")
    table = spark.read_parquet(source / ".hidden?.parquet.0123")
    path = tmp_path / "out" / "numbers.parquet"
    assert spark.write_parquet_parts([table.filter(table["Number"] % 2 == rest) for rest in (0, 1)], path) == 100
    written = pq.read_table(path)
    assert sorted(written["Number"].to_pylist()) == list(range(100))
    assert written.schema.types == [pa.int64(), pa.string(), pa.timestamp("us")]
    assert [file.name for file in path.parent.iterdir()] == ["numbers.parquet"]


def test_what_is_written_lies_in_row_groups_of_one_task_each(spark: Engine, tmp_path: Path) -> None:
    path, count = tmp_path / "numbers.parquet", ROW_GROUP + 1
    assert spark.write_parquet(ibis.range(count).unnest().name("n").as_table(), path) == count
    assert pq.read_metadata(path).num_row_groups == 2


def test_how_files_are_divided_is_left_to_the_settings_of_the_mesh(
    spark: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(spark, SparkEngine)
    found, name = spark._session, "spark.sql.files.maxPartitionBytes"
    assert found.conf.get(name) == session.DEFAULTS[name]
    found.conf.set(name, "3m")
    session._configure(SparkAddress(settings={name: "3m"}), found)
    assert found.conf.get(name) == "3m"
    monkeypatch.setattr(session, "DEFAULTS", {"spark.driver.memory": "1g", name: session.DEFAULTS[name]})
    session._configure(SparkAddress(), found)  # what no session may change stays as it is
    assert found.conf.get(name) == session.DEFAULTS[name]


def test_a_table_is_computed_once(spark: Engine) -> None:
    drawn = ibis.range(20).unnest().name("n").as_table().mutate(value=ibis.random())
    kept = spark.materialize(drawn)
    assert spark.fetch_table(kept) == spark.fetch_table(kept)
    spark.drop(kept)
    with pytest.raises(EngineFailed, match="Spark failed"):
        spark.fetch_table(kept)


def test_what_a_filter_reads_is_computed_once(spark: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    rows = spark.materialize(ibis.memtable(pa.table({"key": ["a", "b", "c"], "numbers": [[1, 2], [5], [9]]})))
    squares = rows.mutate(total=dialect.map_items(rows.numbers, lambda n: n * n).sums())
    known = dialect.materialization_barrier(squares.mutate(half=squares.total / 2, twice=squares.total * 2))
    chosen = known.filter((known.half + known.twice > 13) & (known.twice - known.half < 100) & (known.key != "b"))
    assert spark.fetch_rows(chosen.select("key")) == []
    assert [row["key"] for row in spark.fetch_rows(known.filter(known.half + known.twice > 63).select("key"))] == ["c"]
    spark._frame(chosen).explain(extended=True)  # type: ignore[attr-defined]
    optimized = capsys.readouterr().out.split("== Optimized Logical Plan ==")[1].split("==")[0]
    assert optimized.count("aggregate(") == 1
    assert optimized.index("aggregate(") < optimized.index("(key#")  # a plain condition moves below it


def test_batches_come_as_large_as_they_are_wanted(spark: Engine) -> None:
    rows = spark.materialize(pa.table({"n": range(10)}))
    batches = list(spark.stream_batches(rows, size=4))
    assert sorted(value for batch in batches for value in batch["n"].to_pylist()) == list(range(10))
    assert max(batch.num_rows for batch in batches) <= 4


def test_a_secret_is_in_no_query_and_no_plan(spark: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    table = ibis.memtable({"name": ["Acme"]})
    hashed = dialect.map_items(
        ibis.array([table.name]), lambda name: dialect.sha256_hex(dialect.secret_text("quiet-key|").concat(name))
    )
    selected = table.select(text=dialect.item_at(hashed, 0))
    (row,) = spark.fetch_rows(selected)
    assert row["text"] == hashlib.sha256(b"quiet-key|Acme").hexdigest()
    spark._frame(selected).explain(extended=True)  # type: ignore[attr-defined]
    plan = capsys.readouterr().out
    assert "Parsed Logical Plan" in plan
    assert "quiet-key" not in plan + spark.compile_sql(selected)


def test_what_fails_leaves_nothing_and_says_why(spark: Engine, tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": [1]}), tmp_path / "n.parquet")
    table = spark.read_parquet(tmp_path / "n.parquet")
    (tmp_path / "n.parquet").write_bytes(b"PAR1 damaged PAR1")
    with pytest.raises(EngineFailed, match=r"Spark failed while it wrote out\.parquet: "):
        spark.write_parquet(table, tmp_path / "out.parquet")
    assert [file.name for file in tmp_path.iterdir()] == ["n.parquet"]


def test_rows_that_this_machine_does_not_see_are_no_rows_that_are_not_there(
    spark: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = ibis.range(8).unnest().name("n").as_table()
    parts = [rows.filter(rows.n == n) for n in range(2)]
    monkeypatch.setattr(engine, "visible_parts", lambda folder: sorted(folder.glob("part-*"))[1:])
    with pytest.raises(ClusterFailed, match=r"of 1 rows that Spark wrote into .*, this machine sees 0 \(.*same path"):
        spark.write_parquet_parts(parts, tmp_path / "out.parquet")
    assert list(tmp_path.iterdir()) == []


def test_what_is_computed_once_outlives_a_worker(server: ConnectServer) -> None:
    with speaking_to_servers(), SparkEngine(server.address) as spark:
        wide = spark._session.sql("SELECT id FROM range(0, 4000, 1, 4)")
        kept = spark.materialize(spark._as_view(wide, ibis.schema({"id": "int64"})))
        os.kill(server.executors()[0], signal.SIGKILL)
        assert spark.fetch_value(kept.count()) == 4_000


def test_a_server_that_does_not_suit_says_why(server: ConnectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with speaking_to_servers():
        with pytest.raises(
            WrongUsage, match=r"does not take spark\.executor\.memory: 1g, which stands in mesh\.yaml: "
        ):
            session.open_session(replace(server.address, settings={"spark.executor.memory": "1g"}))
        monkeypatch.setattr(session, "SETTINGS", {"spark.sql.shuffle.partitions": "many"})
        with pytest.raises(WrongUsage, match=r"a session have spark\.sql\.shuffle\.partitions: many, on which results"):
            session.open_session(server.address)
        monkeypatch.setattr(session, "LEAST_VERSION", 5)
        with pytest.raises(WrongUsage, match=r"is Spark 4\.0\.\d+, not "):
            session.open_session(server.address)


def test_what_has_no_meaning_on_a_cluster_says_so(spark: Engine, tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="the engine 'spark' cannot open a database file"):
        spark.describe_database_lock(tmp_path)
    with pytest.raises(WrongUsage, match="cannot confine a SQL rule"):
        spark.run_untrusted_query("select 1", "t", [], pa.schema([]), 1)
    from storymesh.engine.spark.engine import SparkEngine

    with pytest.raises(WrongUsage, match="confined to the files of a stranger"):
        SparkEngine(SparkAddress(), only=[tmp_path])
