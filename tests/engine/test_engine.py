"""What every engine promises: whole files, rows in the order of their source, bounded queries, memory as a setting."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import ibis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storymesh.engine.duckdb.engine import DuckDBEngine
from storymesh.engine.duckdb.machine import MAX_MEMORY, default_memory, session_memory
from storymesh.engine.engine import TableNotFound
from storymesh.engine.enum_text import enum_text
from storymesh.engine.open import open_engine, prestarted_workers
from storymesh.errors import EngineFailed, OutOfMemory, SourceUnreadable, WrongUsage


def test_parts_become_one_file(tmp_path: Path) -> None:
    parts = [ibis.memtable({"number": [number, number + 1]}) for number in (0, 2, 4)]
    with open_engine() as engine:
        assert engine.write_parquet_parts(parts, tmp_path / "numbers.parquet") == 6
    assert sorted(pq.read_table(tmp_path / "numbers.parquet")["number"].to_pylist()) == [0, 1, 2, 3, 4, 5]
    assert [file.name for file in tmp_path.iterdir()] == ["numbers.parquet"]


def test_what_does_not_fit_into_memory_says_what_to_do(tmp_path: Path) -> None:
    rows = ibis.range(3_000_000).unnest().name("number").as_table()
    listed = rows.group_by(half=rows["number"] % 2).agg(all=rows["number"].cast("string").collect())
    with (
        open_engine(memory="20MB") as engine,
        pytest.raises(OutOfMemory, match=r"may use 20 MB \(give STORYMESH_MEMORY more"),
    ):
        engine.write_parquet(listed, tmp_path / "lists.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        *(("MEMORY", size, "say how much, such as 4GB or 512MiB") for size in ("lots", "-1", "4,5GB", "80%", "1e9")),
        *(("MEMORY", size, "which is too little to read a table") for size in ("0", "0.5", "64", "10 MB")),
        *(("THREADS", count, "say how many, from 1 to 4096") for count in ("0", "-1", "two", "1.5", "9" * 30, "²")),
    ],
)
def test_a_setting_of_the_machine_that_is_none_is_told(
    variable: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"STORYMESH_{variable}", value)
    with pytest.raises(WrongUsage, match=re.escape(f"STORYMESH_{variable} is '{value}'")) as raised:
        open_engine()
    assert words in str(raised.value)


def test_settings_of_the_machine_may_have_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORYMESH_MEMORY", " 2 gb ")
    monkeypatch.setenv("STORYMESH_THREADS", "2 ")
    with open_engine() as engine:
        assert engine.memory == 2 * 10**9


@pytest.mark.parametrize("folder", ["missing", "file", "link"])
def test_a_folder_to_spill_to_that_is_none_is_told(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    monkeypatch.setenv("TMPDIR", str(tmp_path / folder))
    with pytest.raises(WrongUsage, match=rf"TMPDIR is '.*{folder}', which is no folder that can be written"):
        open_engine()


def test_a_session_takes_half_of_a_small_machine_and_no_more_of_a_large_one() -> None:
    assert session_memory("1.5 GiB") == pytest.approx(0.9375 * 2**30, rel=0.001)  # 80 % of a machine of 1.9 GiB
    assert session_memory("18.7 GiB") == MAX_MEMORY
    assert 0 < default_memory() <= MAX_MEMORY


@pytest.mark.parametrize("text", ["a\0b", "\0", "\0\0", "'\0"])
def test_a_text_with_a_nul_is_a_literal(text: str) -> None:
    with open_engine() as engine:
        rows = ibis.memtable({"text": ["a\0b", "\0", "\0\0", "'\0", "a", ""]})
        found = rows.filter(rows["text"] == text, rows["text"].isin([text, "a"])).mutate(listed=ibis.array([text]))
        assert list(engine.fetch_rows(found)) == [{"text": text, "listed": [text]}]


def test_rows_come_in_the_order_of_their_file(tmp_path: Path) -> None:
    numbers = pa.table({"number": range(400_000)})
    pq.write_table(numbers, tmp_path / "numbers.parquet", row_group_size=5_000)
    with open_engine(threads=4) as engine:
        table = engine.read_parquet(tmp_path / "numbers.parquet")
        even = table.filter(table["number"] % 2 == 0)
        assert engine.fetch_table(even)["number"].to_pylist() == list(range(0, 400_000, 2))
        streamed = [row for batch in engine.stream_batches(table) for row in batch.column(0).to_pylist()]
        assert streamed == list(range(400_000))


@pytest.mark.parametrize("order", [(), ("number",)])
def test_few_texts_are_written_and_read_as_the_texts_they_are(order: tuple[str, ...], tmp_path: Path) -> None:
    texts = ["it's one", "another"]
    with open_engine() as engine:
        numbers = ibis.range(3).unnest().name("number").as_table()
        number, alone = numbers["number"], enum_text(texts[0], texts)
        several = ibis.array([ibis.struct({"text": enum_text(text, texts), "number": number}) for text in texts])
        none = ibis.literal([], type=several.type())
        table = numbers.select("number", alone=alone, rows=ibis.ifelse(number == 1, none, several))
        engine.write_parquet(table, tmp_path / "texts.parquet", order=order)
        fetched = engine.fetch_table(table)
    written = pq.read_table(tmp_path / "texts.parquet").sort_by("number")
    assert written.schema.field("alone").type == pa.string()
    assert written.to_pylist() == fetched.sort_by("number").to_pylist()
    assert written["rows"].to_pylist()[2] == [{"text": text, "number": 2} for text in texts]


def test_a_stream_is_computed_in_its_order_and_fails_as_its_producer_does(tmp_path: Path) -> None:
    schema = pa.schema([("number", pa.int64())])

    def batches(count: int, error: Exception | None = None) -> Iterator[pa.RecordBatch]:
        for index in range(count):
            yield pa.record_batch([pa.array(range(index * 1_000, (index + 1) * 1_000))], schema=schema)
        if error is not None:
            raise error

    with open_engine(threads=4) as engine:
        doubled = engine.map_batches(batches(300), schema, lambda table: table.select(twice=table["number"] * 2))
        assert [row for batch in doubled for row in batch["twice"].to_pylist()] == list(range(0, 600_000, 2))
        with pytest.raises(SourceUnreadable, match="line 7") as raised:
            list(engine.map_batches(batches(3, SourceUnreadable("line 7")), schema, lambda table: table))
        assert raised.value.__cause__ is None


def test_a_stream_is_not_read_far_ahead_of_who_takes_its_rows() -> None:
    batch, read = pa.record_batch({"number": pa.array(range(20_000))}), count()

    def batches() -> Iterator[pa.RecordBatch]:
        for _ in range(500):
            next(read)
            yield batch

    with open_engine(threads=2) as engine:
        rows = engine.map_batches(batches(), batch.schema, lambda table: table, 20_000)
        next(rows)
        time.sleep(0.5)  # in which a reader that does not wait has got far
        assert next(read) < 60
        assert sum(map(len, rows)) == 499 * 20_000


def test_few_large_rows_are_in_memory_at_once() -> None:
    small = pa.record_batch({"text": pa.array(["x"] * 20_000)})
    large = pa.record_batch({"text": pa.array([str(number) * 2**20 for number in range(10)] * 10)})

    def batches() -> Iterator[pa.RecordBatch]:
        yield from [small, small, large, small]

    with open_engine(threads=2) as engine:
        rows = list(engine.map_batches(batches(), small.schema, lambda table: table, 30_000))
        texts = [text for batch in rows for text in batch["text"].to_pylist()]
        assert texts == ["x"] * 40_000 + large["text"].to_pylist() + ["x"] * 20_000
        assert max(batch.nbytes for batch in rows) < 64 * 2**20
        assert max(map(len, rows)) > 10_000, "small rows come in large batches all the same"
        nothing = engine.map_batches(batches(), small.schema, lambda table: table.filter(ibis.literal(False)))
        assert not list(nothing)


def test_a_table_of_a_database_file_is_read_by_its_name(tmp_path: Path) -> None:
    database = tmp_path / "build.duckdb"
    (tmp_path / "numbers.csv").write_text("number,note\n1,a\n2,b\n")
    with duckdb.connect(str(database)) as connection:
        connection.execute(f"SET file_search_path = '{tmp_path}'")
        connection.execute("CREATE VIEW numbers AS SELECT * FROM read_csv('numbers.csv')")
    with open_engine() as engine:
        reader = engine.stream_database_table(database, "numbers", tmp_path, lambda names: names[:1], only=[tmp_path])
        assert reader.read_all().to_pydict() == {"number": [1, 2]}
        with pytest.raises(TableNotFound) as missing:
            engine.stream_database_table(database, "number", tmp_path, lambda names: names, only=[tmp_path])
        assert missing.value.tables == ["numbers"]
        (tmp_path / "numbers.csv").unlink()
        with pytest.raises(EngineFailed, match="IO Error: No files found"):
            engine.stream_database_table(database, "numbers", tmp_path, lambda names: names, only=[tmp_path])


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("select 1; select 2", "a rule is one SELECT"),
        ("create table other as select 1", "a rule is one SELECT"),
        ("select n from numbers", "one row with one value"),
        ("select 1, 2", "one row with one value"),
        ("select count(*) from read_csv('/etc/passwd')", "its own table alone"),
        ("select count(*) from other", "its own table alone"),
    ],
)
def test_an_untrusted_query_sees_one_table_and_gives_one_value(query: str, words: str) -> None:
    schema = pa.schema([("n", pa.int64())])
    with open_engine() as engine, pytest.raises(EngineFailed, match=words):
        engine.run_untrusted_query(query.replace("n from", "unnest([1, 2]) from"), "numbers", [], schema, 60)


def test_an_untrusted_query_is_bounded_in_time() -> None:
    query = "select count(*) from range(1000000) a, range(1000000) b where a.range + b.range = 3"
    with open_engine() as engine, pytest.raises(TimeoutError, match=r"longer than 0\.2 s"):
        engine.run_untrusted_query(query, "numbers", [], pa.schema([("n", pa.int64())]), 0.2)


def test_what_is_small_is_read_by_one_thread_and_what_is_large_by_all(tmp_path: Path) -> None:
    small, large, long = (tmp_path / f"{name}.parquet" for name in ("small", "large", "long"))
    pq.write_table(pa.table({"number": [1, 2]}), small)
    pq.write_table(pa.table({"number": np.zeros(300_000, np.int64)}), long)
    pq.write_table(pa.table({"number": np.frombuffer(os.urandom(8 * 700_000), np.int64)}), large)

    def used(engine: DuckDBEngine) -> int:
        ((count,),) = engine.connection.con.execute("SELECT current_setting('threads')").fetchall()
        return int(count)

    with DuckDBEngine(threads=3) as engine:
        assert engine.fetch_rows(engine.read_parquet([small, small])) == [{"number": 1}, {"number": 2}] * 2
        assert used(engine) == 1
        assert engine.fetch_value(engine.read_parquet([small, large]).count()) == 700_002
        assert used(engine) == 3
    with DuckDBEngine(threads=3) as engine:
        assert engine.fetch_value(engine.read_parquet(long).count()) == 300_000
        assert used(engine) == 3, "few bytes of many rows"
    with DuckDBEngine(threads=3) as engine:
        engine.materialize(pa.table({"bytes": [os.urandom(5 * 2**20)]}))
        assert used(engine) == 3
    with open_engine(threads=3, only=[tmp_path]) as engine:  # where no setting can be changed any more
        assert engine.fetch_value(engine.read_parquet(small).count()) == 2
        assert engine.fetch_value(engine.read_parquet(large).count()) == 700_000


def test_processes_that_are_started_ahead_do_the_same_and_leave_none_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "build.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE TABLE homes AS SELECT 1 AS number")
    numbers = tmp_path / "numbers.parquet"
    pq.write_table(pa.table({"number": [1, 2]}), numbers)
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: Any, **options: Any) -> "subprocess.Popen[bytes]":
        started.append(begin(*arguments, **options))
        return started[-1]

    begin = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", start)
    with open_engine() as engine, prestarted_workers():
        for _ in range(2):
            reader = engine.stream_database_table(database, "homes", tmp_path, lambda names: names, only=[tmp_path])
            assert len(reader.read_all()) == 1
        started[-1].kill()  # as the system does when memory is short
        started[-1].wait()
        schema = pq.read_schema(numbers)
        rule = engine.run_untrusted_query("SELECT count(*) FROM numbers", "numbers", [str(numbers)], schema, 60)
        assert rule.value == 2
        with pytest.raises(TimeoutError):
            engine.run_untrusted_query(
                "SELECT count(*) FROM range(1000000) a, range(1000000) b, numbers",
                "numbers",
                [str(numbers)],
                schema,
                0.5,
            )
    assert len(started) == 6  # one for each piece of work, for that of the killed one too, and one in vain
    assert all(process.poll() is not None for process in started)
