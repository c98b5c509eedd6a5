"""A confined session of the engine opens what it was given and nothing else, whatever it is asked to run."""

import os
from collections.abc import Iterator
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storymesh.engine.duckdb.engine import DuckDBEngine
from storymesh.engine.open import open_engine
from storymesh.errors import EngineFailed


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """A Parquet file in a folder of odd characters, beside others that are not given."""
    folder = tmp_path / "a*[b]'s ü"
    folder.mkdir()
    for path in (folder / "given.parquet", folder / "other.parquet", tmp_path / "secret.parquet"):
        pq.write_table(pa.table({"a": [1, 2]}), path)
    (tmp_path / "secret.csv").write_text("a\n1\n", encoding="utf-8")
    return folder / "given.parquet"


@pytest.fixture
def confined(given: Path) -> Iterator[DuckDBEngine]:
    with DuckDBEngine(threads=1, only=[given]) as engine:
        yield engine


def test_the_files_that_are_given_are_read(confined: DuckDBEngine, given: Path) -> None:
    table = confined.read_parquet(given)
    assert confined.fetch_rows(table.filter(table["a"] == 2)) == [{"a": 2}]
    assert confined.content_digest(table) == confined.content_digest(confined.materialize(pa.table({"a": [2, 1]})))


def test_rows_still_come_in_the_order_of_their_file(confined: DuckDBEngine, given: Path) -> None:
    assert [batch.num_rows for batch in confined.stream_batches(confined.read_parquet(given))] == [2]


def test_a_relative_path_is_read_where_it_is_given(given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(given.parent)
    with open_engine(only=[Path(given.name)]) as engine:
        assert engine.fetch_value(engine.read_parquet(given.name).count()) == 2


@pytest.mark.parametrize("name", ["other.parquet", "../secret.parquet", "../*/given.parquet/../other.parquet", "nil"])
def test_no_other_file_is_read(confined: DuckDBEngine, given: Path, name: str) -> None:
    with pytest.raises(EngineFailed):
        confined.fetch_rows(confined.read_parquet(given.parent / name))


def test_a_folder_that_is_given_is_read_and_written_and_nothing_above_it(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with DuckDBEngine(threads=1, only=[tmp_path / "in"]) as engine:
        rows = ibis.memtable({"a": [1]})
        assert engine.write_parquet(rows, tmp_path / "in" / "a.parquet") == 1
        assert engine.fetch_value(engine.read_parquet(tmp_path / "in" / "a.parquet").count()) == 1
        for name in ("out.parquet", "in/../out.parquet", "inner.parquet"):
            with pytest.raises(EngineFailed):
                engine.write_parquet(rows, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    "attack",
    [
        "SELECT * FROM read_text('{top}/secret.csv')",
        "SELECT * FROM read_blob('/etc/passwd')",
        "SELECT * FROM read_csv('{top}/secret.csv')",
        "SELECT * FROM '{top}/secret.csv'",
        "SELECT * FROM glob('{top}/*')",
        "SELECT * FROM read_parquet('https://127.0.0.1:1/x.parquet')",
        "COPY (SELECT 1) TO '{top}/made.csv'",
        "COPY (SELECT 1) TO '{file}'",
        "COPY (SELECT 1) TO '{folder}/made.parquet'",
        "EXPORT DATABASE '{top}/made'",
        "ATTACH '{top}/made.db'",
        "ATTACH '/etc/passwd' (TYPE sqlite)",
        "INSTALL httpfs",
        "LOAD httpfs",
        "LOAD '{top}/made.duckdb_extension'",
        "CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
        "CREATE TABLE t AS SELECT * FROM attack",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "SET allowed_directories = ['/']",
        "SET allowed_configs = ['memory_limit']",
        "SET memory_limit = '100GB'",
        "SET preserve_insertion_order = false",
        "SET temp_directory = '{top}'",
        "SET home_directory = '{top}'",
        "RESET memory_limit",
        "PRAGMA database_list; COPY (SELECT 1) TO '{top}/made.csv'",
        "PRAGMA enable_profiling = 'json'; PRAGMA profiling_output = '{top}/made.json'",
    ],
)
def test_no_statement_leads_out_of_a_confined_session(confined: DuckDBEngine, given: Path, attack: str) -> None:
    attack_table = pa.table({"a": [1]})  # a session that replaces names would find it as a variable
    before = sorted(os.walk(given.parent.parent)), given.read_bytes()
    text = attack.format(top=given.parent.parent, file=str(given).replace("'", "''"), folder=given.parent.parent)
    with pytest.raises(Exception, match=r"(?i)error|disabled|locked|not exist|can ?not"):
        confined.connection.con.execute(text.replace("FROM attack", "FROM attack_table")).fetchall()
    assert (sorted(os.walk(given.parent.parent)), given.read_bytes()) == before
    assert attack_table.num_rows == 1
