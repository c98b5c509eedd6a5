"""The checks that measure a table as a whole: the standard's library metrics, SQL rules and freshness, in DuckDB.

A SQL rule is somebody's text. It runs in a connection of its own that sees one relation and nothing else: no files, no
network, no extensions, no settings, bounded in memory and time.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from storymesh.contract.checks import Check, Test, counted
from storymesh.contract.definition import Contract, Freshness
from storymesh.contract.quality_rules import Library, Query
from storymesh.contract.types import quoted
from storymesh.engine.duckdb.connection import open_duckdb as connect

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

TIME_LIMIT_S = 60.0
MEMORY_LIMIT = "2GB"
_SANDBOX = {
    "enable_external_access": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "memory_limit": MEMORY_LIMIT,
}
Measurement = tuple[bool, Any, str]
"""Whether the check passed, what was observed, and the words when it could not be measured."""


def measure(test: Test, check: Check, contract: Contract, files: Sequence[str], schema: "pa.Schema") -> Measurement:
    """Measure one table check over the rows of `files`, which have `schema`."""
    import duckdb

    match test:
        case Library():
            query = _library_query(test, check, contract)
        case Query(text, _):
            query = _substituted(text, contract, check.properties[0] if check.properties else "")
        case Freshness():
            query = f"SELECT max({quoted(test.property)}) FROM {quoted(contract.name)}"
        case _:
            raise AssertionError(test)
    try:
        with _sandbox(contract.name, files, schema) as connection:
            observed = _one_value(connection, query)
    except duckdb.InterruptException:
        return False, None, f"{check.words}: it took longer than {TIME_LIMIT_S:g} s"
    except (duckdb.Error, _NotOneValue) as error:
        return False, None, f"{check.words}: the query did not run: {str(error).splitlines()[0]}"
    if isinstance(test, Freshness):
        return _fresh(test, observed)
    if isinstance(test, Library | Query):
        try:
            return test.comparison.holds(observed), observed, ""
        except TypeError:
            return False, observed, f"{check.words}: it gave {observed!r}, which cannot be compared"
    raise AssertionError(test)


class _NotOneValue(Exception):
    """A SQL rule that is not one question with one answer."""


@contextmanager
def _sandbox(name: str, files: Sequence[str], schema: "pa.Schema") -> Iterator["duckdb.DuckDBPyConnection"]:
    import pyarrow.dataset as ds

    connection = connect(**_SANDBOX)
    timer = threading.Timer(TIME_LIMIT_S, connection.interrupt)
    try:
        rows = ds.dataset(list(files), schema=schema, format="parquet") if files else schema.empty_table()
        connection.register(name, rows)
        connection.execute("SET python_enable_replacements = false")
        connection.execute("SET lock_configuration = true")
        timer.daemon = True
        timer.start()
        yield connection
    finally:
        timer.cancel()
        connection.close()


def _one_value(connection: "duckdb.DuckDBPyConnection", query: str) -> Any:
    import duckdb

    statements = connection.extract_statements(query)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise _NotOneValue("a rule is one SELECT")
    rows = connection.execute(query).fetchmany(2)
    if len(rows) != 1 or len(rows[0]) != 1:
        raise _NotOneValue("a rule gives one row with one value")
    return rows[0][0]


def _substituted(query: str, contract: Contract, property_name: str) -> str:
    """The query with the standard's placeholders (`{object}`, `{property}`, also as `${…}`) filled in."""
    table, column = quoted(contract.name), quoted(property_name)
    for name, value in (
        ("object", table),
        ("table", table),
        ("schema", table),
        ("property", column),
        ("column", column),
    ):
        for written in (f"${{{name}}}", f"{{{name}}}"):
            query = query.replace(f'"{written}"', value).replace(written, value)
    return query


def _library_query(test: Library, check: Check, contract: Contract) -> str:
    match test.metric:
        case "rowCount":
            count = "count(*)"
        case "duplicateValues":
            names = ", ".join(quoted(name) for name in check.properties)
            filled = " AND ".join(f"{quoted(name)} IS NOT NULL" for name in check.properties)
            count = f"count(*) FILTER ({filled}) - count(DISTINCT ({names})) FILTER ({filled})"
        case _:
            count = f"count(*) FILTER ({counted(test, quoted(check.properties[0]))})"
    if test.percent:
        count = f"coalesce(100.0 * ({count}) / nullif(count(*), 0), 0)"
    return f"SELECT {count} FROM {quoted(contract.name)}"


def _fresh(test: Freshness, observed: Any) -> Measurement:
    if observed is None:
        return False, None, f"there is no {test.property} to be fresh"
    newest = observed if isinstance(observed, datetime) else datetime.combine(observed, datetime.min.time())
    age = datetime.now(UTC).replace(tzinfo=None) - newest
    return age <= test.max_age, newest, ""
