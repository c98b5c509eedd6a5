"""A rule of quality in SQL from a stranger: it reads its own table, is bounded in all it takes, and shows no restricted
value anywhere."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storymesh.contract.audit import audit_table
from storymesh.contract.checks import CheckResult
from storymesh.contract.definition import RESTRICTED
from storymesh.engine.duckdb import isolated_worker
from storymesh.engine.engine import Engine, RuleValue
from storymesh.engine.open import open_engine
from storymesh.errors import DefinitionErrors, EngineFailed
from tests.security.test_contract import expectation, read

SCHEMA = pa.schema([("id", pa.string()), ("driver", pa.string()), ("hours", pa.int64())])
SECRET = "Ann Onymous"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    pq.write_table(pa.table([["1", "2"], [SECRET, "Bob"], [1, 2]], schema=SCHEMA), path)
    return str(path)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with open_engine() as opened:
        yield opened


@pytest.fixture
def answered_here(monkeypatch: pytest.MonkeyPatch, file: str) -> Callable[[str], RuleValue]:
    """A rule that is answered as its own process does, in this one: starting one takes longer than the attack."""
    monkeypatch.setattr(isolated_worker, "_limit_resources", lambda *_, **__: None)

    def answer(query: str) -> RuleValue:
        request = {"name": "delays", "scan": f"read_parquet('{file}')", "files": [file], "hidden": ["driver"]}
        answer = isolated_worker.answer_rule({**request, "query": query, "time_limit_s": 10.0})
        if "error" in answer:
            raise EngineFailed(answer["error"])
        return RuleValue(isolated_worker.value_of(answer["value"]), answer["reads_hidden"])

    return answer


def run(engine: Engine, query: str, file: str, limit: float = 20.0) -> RuleValue:
    return engine.run_untrusted_query(query, "delays", [file], SCHEMA, limit, hidden=["driver"])


def test_a_rule_gives_its_value(engine: Engine, file: str) -> None:
    assert run(engine, "with x as (select hours from delays) select sum(hours) from x -- end", file) == RuleValue(
        3, False
    )


WAYS_OUT = {
    "a file": "select content from read_text('/etc/hostname')",
    "a file by its name": "select count(*) from '/etc/hostname'",
    "a file of bytes": "select content from read_blob('/proc/self/environ')",
    "a folder": "select count(*) from glob('/*')",
    "a Parquet file": "select count(*) from read_parquet('/work/*/*.parquet')",
    "the file of the table itself": "select count(*) from parquet_metadata('rows.parquet')",
    "a file in a subquery": "select (select content from read_text('/etc/hostname')) from delays limit 1",
    "a file in a common table": "with x as (from read_text('/etc/hostname')) select content from x",
    "a file in a lateral join": "select max(c.content) from delays, lateral (from read_text('/etc/hostname')) c",
    "the network": "select count(*) from read_csv('http://127.0.0.1:9/x.csv')",
    "a query in a text": "select count(*) from query('from read_text(''/etc/hostname'')')",
    "a table by its text": "select count(*) from query_table(['delays'])",
    "a copy": "copy delays to '/tmp/stolen.csv'",
    "a copy behind a semicolon": "select 1; copy delays to '/tmp/stolen.csv'",
    "an attached database": "attach '/tmp/other.duckdb' as other",
    "an extension": "install httpfs",
    "a setting": "set memory_limit = '100GB'",
    "a pragma": "pragma database_list",
    "a call": "call enable_logging(storage = 'file', storage_path = '/tmp/stolen')",
    "a log": "select count(*) from enable_logging(storage = 'file', storage_path = '/tmp/stolen')",
    "a message to a log": "select write_log('x')",
    "a variable of the environment": "select getenv('HOME')",
    "a setting that is read": "select current_setting('temp_directory')",
    "all settings": "select string_agg(name, ',') from duckdb_settings()",
    "the secrets": "select count(*) from duckdb_secrets()",
    "the catalogue": "select count(*) from pg_catalog.pg_class",
    "the catalogue without its schema": "select count(*) from pg_class",
    "the schema of information": "select count(*) from information_schema.tables",
    "the tables": "select count(*) from sqlite_master",
    "the columns": "select count(*) from pragma_table_info('delays')",
    "a summary": "summarize delays",
    "a description in a subquery": "select count(*) from (describe delays)",
    "an explanation": "explain analyze select 1",
    "a macro": "create macro f() as 1",
    "a frame of Python": "select count(*) from request",
    "a prepared statement": "prepare x as select 1",
    "a function by its schema": "select main.getenv('HOME')",
    "a setting in other letters": "select CURRENT_SETTING('threads')",
    "a plan": "select count(*) from json_execute_serialized_sql('{}')",
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_a_rule_has_no_way_out(way: str, answered_here: Callable[[str], RuleValue]) -> None:
    with pytest.raises(EngineFailed) as refused:
        answered_here(WAYS_OUT[way])
    assert (
        "root" not in str(refused.value) and not Path("/tmp/stolen.csv").exists() and not Path("/tmp/stolen").exists()
    )


@pytest.mark.parametrize(
    "query",
    [
        "select repeat(repeat('a', 1000), 2000000)",
        "select count(*) from range(1000000000000)",
        "with recursive t as (select 1 a union all select a + 1 from t) select max(a) from t",
        "select len(range(2000000000))",
        "select string_agg(repeat(a.range::varchar, 1000), '') from range(100000) a, range(1000) b",
        "select count(*) from delays a, range(10000000) b, range(10000000) c where a.hours * b.range < c.range",
        "select 1" + "+1" * 50_000,
        "select count(distinct a.range || repeat('x', 100)) from range(100000000) a",
    ],
    ids=["a text", "rows", "recursion", "a list", "an aggregate", "a join", "depth", "a hash table"],
)
def test_a_rule_is_bounded_in_memory_and_time(query: str, engine: Engine, file: str) -> None:
    before = _largest_child()
    with pytest.raises((EngineFailed, TimeoutError)) as ended:
        run(engine, query, file, 1.0)
    assert len(str(ended.value)) < 500
    assert _largest_child() - before < 4.5 * 2**20, "KiB, of the process that ran it"


def _largest_child() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


@pytest.mark.parametrize("value", ["repeat('a', 20000)", "[1]", "{'a': 1}", "interval 1 day", "'x'::blob"])
def test_a_rule_gives_one_short_plain_value(value: str, answered_here: Callable[[str], RuleValue]) -> None:
    with pytest.raises(EngineFailed, match="one short value"):
        answered_here(f"select {value}")


def test_the_process_of_a_rule_has_no_keys(engine: Engine, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from storymesh.process_environment import scrubbed_environment

    for name in ("STORYMESH_PSEUDONYM_KEY", "AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY", "GITHUB_TOKEN", "PGPASSWORD"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("PYTHONSTARTUP", "/tmp/x.py")
    kept = scrubbed_environment("/nowhere")
    assert "secret" not in kept.values() and "PYTHONSTARTUP" not in kept
    assert kept["HOME"] == "/nowhere" and kept["PATH"] == os.environ["PATH"]


LEAKS = {
    "all values": "select string_agg(driver, '; ') from delays",
    "the least": "select min(driver) from delays",
    "one of a row": "select driver from delays limit 1",
    "one in capitals": "select max(upper(DRIVER)) from delays",
    "one in hexadecimal": "select hex(max(driver)) from delays",
    "one as letters": "select ascii(max(driver)) from delays",
    "one by a quoted name": 'select max("driver") from delays',
    "one by an alias": "select max(d.driver) from delays as d",
    "one by another name": "with x(a) as (select driver from delays) select max(a) from x",
    "one by a star": "select max(a) from (select * from delays) as x(z, a, h)",
    "one by its position": "select max(#2) from delays",
    "one by all columns": "select max(columns('d.*')) from delays",
    "one of a renamed star": "select max(y) from (select * rename (driver as y) from delays)",
    "a row as a value": "select max(delays)::varchar from delays",
    "a row by an alias": "select max(x)::varchar from delays x",
    "a row as JSON": "select to_json(x)::varchar from delays x limit 1",
    "the table alone": "select max(col1) from (from delays) t(col0, col1, col2)",
    "a union": "select max(a) from (select 'x' a, 'y' b, 1 c union all from delays) t(c, a, b)",
    "a pivot": "select max(name) from (unpivot (select * from delays) on driver into name name value v)",
    "a natural join": "select count(*) from delays natural join delays b",
    "columns that are joined": "select count(*) from delays join delays b using (driver)",
    "a comparison": "select count(*) from delays where driver < 'B'",
    "a group": "select count(*) from (select 1 from delays group by driver)",
    "distinct rows": "select count(*) from (select distinct * from delays)",
    "an order": "select hours from delays order by driver limit 1",
    "a window": "select max(r) from (select row_number() over (order by driver) r from delays)",
    "a lambda": "select list_max(list_transform(list(driver), lambda x: x)) from delays",
    "a subquery": "select (select max(driver) from delays)",
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_rule_that_reads_a_restricted_property_is_known_to(
    leak: str, answered_here: Callable[[str], RuleValue]
) -> None:
    message = ""
    try:
        assert answered_here(LEAKS[leak]).reads_hidden
    except EngineFailed as refused:
        message = str(refused)
    assert not any(name in message for name in ("Ann", "Onym", "Bob"))


@pytest.mark.parametrize(
    "query",
    [
        "select count(*) from delays",
        "select avg(hours) from delays where id <> '9'",
        "select count(distinct d.hours) from delays d join delays e on d.id = e.id",
        "select max(case when hours > 1 then hours::double else 0 end) from delays",
        "with x as (select hours from delays) select sum(hours) from x",
    ],
)
def test_a_rule_that_reads_no_restricted_property_shows_what_it_measured(
    query: str, answered_here: Callable[[str], RuleValue]
) -> None:
    assert not answered_here(query).reads_hidden


@pytest.mark.parametrize(
    "query",
    [
        "select max(cast(driver as integer)) from delays",
        "select max(strptime(driver, '%Y')) from delays",
        "select error(max(driver)) from delays",
        "select max(driver::json) from delays",
        "select max(cast(driver as enum ('a'))) from delays",
        "select max((driver || '1')::decimal(5, 2)) from delays",
        "select max(x::integer) from (select * from delays) t(y, x, z)",
        "select max(make_date(length(driver)::bigint * 100000000000, 1, 1)) from delays",
    ],
)
def test_the_error_of_a_rule_quotes_no_restricted_value(query: str, answered_here: Callable[[str], RuleValue]) -> None:
    with pytest.raises(EngineFailed) as refused:
        answered_here(query)
    assert not any(name in str(refused.value) for name in ("Ann", "Onym", "Bob"))


def results(tmp_path: Path, engine: Engine, file: str, quality: str) -> tuple[CheckResult, ...]:
    return audit_table(engine, read(tmp_path, quality=quality), [file])


SQL = '[{{type: sql, query: "{0}", {1}}}]'


@pytest.mark.parametrize(
    "quality",
    [
        SQL.format("select string_agg(driver, '; ') from {table}", "mustBe: x"),
        SQL.format("select max(driver) from delays", "mustBeGreaterThan: 5"),
        SQL.format("select count(*) from delays where driver > 'A'", "mustBe: 0"),
        SQL.format("select max(driver)::integer from delays", "mustBe: 0"),
        "[{metric: duplicateValues, arguments: {properties: [driver]}, mustBeLessThan: 0}]",
        expectation("expect_column_distinct_values_to_be_in_set", {"column": "driver", "value_set": ["x"]}),
        expectation("expect_column_most_common_value_to_be_in_set", {"column": "driver", "value_set": ["x"]}),
        expectation("expect_column_values_to_be_in_set", {"column": "driver", "value_set": ["x"], "mostly": 0.9}),
        expectation("expect_column_values_to_match_regex", {"column": "driver", "regex": "^x", "mostly": 0.9}),
    ],
)
def test_what_a_rule_observes_of_a_restricted_property_is_masked(
    quality: str, tmp_path: Path, engine: Engine, file: str
) -> None:
    (result,) = results(tmp_path, engine, file, quality)
    assert not result.passed
    assert result.observed in (None, RESTRICTED)
    assert not any(name in repr(result) for name in ("Ann", "Onym", "Bob"))


def test_what_a_rule_observes_of_other_properties_is_shown(tmp_path: Path, engine: Engine, file: str) -> None:
    (result,) = results(tmp_path, engine, file, SQL.format("select sum(hours) from delays", "mustBe: 4"))
    assert (result.passed, result.observed) == (False, 3)


def test_an_expectation_that_cannot_run_quotes_no_restricted_value(
    tmp_path: Path, engine: Engine, file: str, capfd: pytest.CaptureFixture[str]
) -> None:
    rule = expectation("expect_column_mean_to_be_between", {"column": "driver", "min_value": 1})
    with pytest.raises(DefinitionErrors) as raised:
        results(tmp_path, engine, file, rule)
    shown: Any = (str(raised.value), *capfd.readouterr())
    assert not any(name in text for text in shown for name in ("Ann", "Onym", "Bob"))
    assert "could quote a restricted value" in shown[0]
