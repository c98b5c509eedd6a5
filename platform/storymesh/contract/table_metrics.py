"""The checks that measure a table as a whole: the standard's library metrics, freshness, and SQL rules.

A SQL rule is somebody's text: the engine runs it in a session that sees one table and nothing else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from operator import and_
from typing import Any

from storymesh.contract.checks import Check
from storymesh.contract.conditions import counted
from storymesh.contract.definition import RESTRICTED, Contract, Freshness, restricted_properties
from storymesh.contract.quality_rules import LibraryMetric, SqlRule
from storymesh.contract.types import arrow_schema
from storymesh.engine.engine import Engine, RuleValue
from storymesh.errors import EngineFailed

TIME_LIMIT_S = 60.0


@dataclass(frozen=True)
class Measurement:
    """The result of a check of the table; `problem` says why it could not be measured.

    `restricted`: what was observed may say something of a value that nobody may see.
    """

    passed: bool
    observed: Any
    problem: str = ""
    restricted: bool = False


def measure_check(engine: Engine, check: Check, contract: Contract, files: Sequence[str]) -> Measurement:
    """Measure one table check over the rows of `files`."""
    test = check.test
    assert isinstance(test, LibraryMetric | SqlRule | Freshness)
    restricted = reads_restricted(check, contract)
    try:
        observed = _observe(engine, check, contract, files)
        if isinstance(observed, RuleValue):
            restricted, observed = restricted or observed.reads_hidden, observed.value
    except TimeoutError as error:
        return Measurement(False, None, f"{check.words}: {error}")
    except EngineFailed as error:
        words = str(error.__cause__ or error).splitlines()[0]
        return Measurement(False, None, f"{check.words}: the query did not run: {words}")
    if isinstance(test, Freshness):
        return _compare_age(test, observed, restricted=restricted)
    try:
        return Measurement(test.comparison.holds(observed), observed, "", restricted)
    except TypeError:
        shown = RESTRICTED if restricted else repr(observed)
        return Measurement(False, observed, f"{check.words}: it gave {shown}, which cannot be compared", restricted)


def reads_restricted(check: Check, contract: Contract) -> bool:
    """Return True for a check that names a restricted property."""
    return not restricted_properties(contract).isdisjoint(check.properties)


def _observe(engine: Engine, check: Check, contract: Contract, files: Sequence[str]) -> Any:
    schema = arrow_schema(contract)
    match check.test:
        case SqlRule(text, _):
            query = fill_placeholders(
                engine.quote_name, text, contract, check.properties[0] if check.properties else ""
            )
            hidden = restricted_properties(contract)
            return engine.run_untrusted_query(query, contract.name, files, schema, TIME_LIMIT_S, hidden=hidden)
        case Freshness(property=name):
            return engine.fetch_value(engine.read_parquet(files, schema)[name].max())
        case LibraryMetric() as metric:
            return _observe_metric(engine, metric, check.properties, contract, files)
        case _:
            raise AssertionError(check)


def _observe_metric(
    engine: Engine, metric: LibraryMetric, properties: Sequence[str], contract: Contract, files: Sequence[str]
) -> float:
    """Return how many rows the metric counts, or how many percent of them."""
    table = engine.read_parquet(files, arrow_schema(contract))
    if metric.metric == "rowCount":
        return int(engine.fetch_value(table.count()))
    if metric.metric == "duplicateValues":
        filled = table.filter(reduce(and_, (table[name].notnull() for name in properties))).select(*properties)
        found = int(engine.fetch_value(filled.count())) - int(engine.fetch_value(filled.distinct().count()))
    else:
        found = int(engine.fetch_value(table.count(where=counted(metric, table[properties[0]]))))
    if not metric.percent:
        return found
    rows = int(engine.fetch_value(table.count()))
    return 100.0 * found / rows if rows else 0.0


def fill_placeholders(quote_name: Callable[[str], str], query: str, contract: Contract, property_name: str) -> str:
    """Return the query with the standard's placeholders (`{object}`, `{property}`, also as `${…}`) filled in."""
    table, column = quote_name(contract.name), quote_name(property_name)
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


def _compare_age(test: Freshness, observed: Any, *, restricted: bool) -> Measurement:
    if observed is None:
        return Measurement(False, None, f"there is no {test.property} to be fresh")
    return Measurement(is_fresh(test, observed), _as_moment(observed), "", restricted)


def is_fresh(test: Freshness, newest: Any) -> bool:
    """Return True if a moment or day is not older than a rule wants; one that is not there is."""
    return newest is not None and datetime.now(UTC).replace(tzinfo=None) - _as_moment(newest) <= test.max_age


def _as_moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.combine(value, datetime.min.time())
