"""The checks of a contract run by Great Expectations over staged Parquet files, batch by batch, columns pruned.

Great Expectations costs seconds to import and sends usage data unless told not to; both are dealt with here, once. It
is driven through its validator rather than a data source: the latter hashes every batch, which costs more than the
expectations themselves.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from storymesh.contract.checks import (
    Between,
    Check,
    CheckResult,
    Holds,
    Length,
    Matches,
    NotNull,
    OneOf,
    Typed,
    Unique,
    checks_of,
    columns_of,
)
from storymesh.contract.definition import Contract
from storymesh.contract.quality_rules import Expectation
from storymesh.contract.table_metrics import measure
from storymesh.contract.types import quoted
from storymesh.engine.duckdb.connection import open_duckdb as connect
from storymesh.engine.duckdb.connection import parquet_scan as scan_of
from storymesh.errors import DefinitionErrors, Finding, suggest_name

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pandas as pd
    import pyarrow as pa

_PROBE = "storymesh:holds:"
_RESULT_FORMAT = {
    "result_format": "COMPLETE",
    "include_unexpected_rows": False,
    "return_unexpected_index_query": False,
    "partial_unexpected_count": 0,
}


@dataclass(frozen=True)
class RowAudit:
    """Which rows break the contract. `failures` has, for each reason, the numbers of the rows that it quarantines
    (counted from 0 over all files, ascending); what only warns is in `results` alone."""

    rows: int
    failures: Mapping[str, "np.ndarray[Any, Any]"]
    results: tuple[CheckResult, ...]


def audit_rows(
    contract: Contract,
    files: Sequence[str],
    counts: Sequence[int],
    uncastable: Mapping[str, "np.ndarray[Any, Any]"],
    progress: Callable[[int], None] | None = None,
) -> RowAudit:
    """Run every row check over the staged `files`, which hold `counts` rows each.

    `uncastable` has for each property the numbers of the rows whose value did not fit its type. `progress` is told how
    many rows are done. Raises DefinitionErrors when an expectation of the contract is not one of Great Expectations.
    """
    import numpy as np

    checks = [check for check in checks_of(contract) if check.kind == "row"]
    failed: dict[int, list[np.ndarray[Any, Any]]] = defaultdict(list)
    nothing = np.empty(0, np.int64)
    for position, check in enumerate(checks):
        if isinstance(check.test, Typed):
            failed[position].append(uncastable.get(check.properties[0], nothing))
    local = [(n, check) for n, check in enumerate(checks) if not isinstance(check.test, Typed) and not _whole(check)]
    starts = [0, *accumulate(counts)]
    connection = connect()
    for start, count, path in zip(starts, counts, files, strict=False):
        if local:
            frame = _frame(connection, [path], [check for _, check in local])
            for (position, _), rows in zip(local, _unexpected(frame, [check for _, check in local]), strict=True):
                failed[position].append(rows + start)
        if progress is not None:
            progress(start + count)
    for position, check in enumerate(checks):
        if _whole(check) and files:
            frame = _frame(connection, files, [check])
            failed[position] += _unexpected(frame, [check])
    results: list[CheckResult] = []
    failures: dict[str, np.ndarray[Any, Any]] = {}
    for position, check in enumerate(checks):
        rows = np.unique(np.concatenate(failed[position])) if failed[position] else nothing
        if isinstance(check.test, NotNull):
            # A value that is missing because it did not fit its type has been told already, with what it was.
            rows = np.setdiff1d(rows, uncastable.get(check.properties[0], nothing), assume_unique=True)
        results.append(_result(check, not len(rows), len(rows), None))
        if len(rows) and check.severity == "error":
            known = failures.get(check.reason, nothing)
            failures[check.reason] = np.union1d(known, rows)
    return RowAudit(sum(counts), failures, tuple(results))


def audit_table(contract: Contract, files: Sequence[str], schema: "pa.Schema") -> tuple[CheckResult, ...]:
    """Run every check about the table as a whole over `files`, the rows that would be published."""
    results = []
    for check in checks_of(contract):
        if check.kind != "table":
            continue
        if isinstance(check.test, Expectation):
            results.append(_aggregate(check, files, schema))
        else:
            passed, observed, words = measure(check.test, check, contract, files, schema)
            results.append(_result(replace(check, words=words or check.words), passed, None, observed))
    return tuple(results)


def _result(check: Check, passed: bool, failed_rows: int | None, observed: Any) -> CheckResult:
    return CheckResult(
        check.name,
        check.properties,
        check.kind,
        check.severity,
        passed,
        failed_rows,
        observed,
        check.words,
        check.location,
    )


def _whole(check: Check) -> bool:
    """Does the check compare rows with each other, so that it needs all of them at once?"""
    match check.test:
        case Unique():
            return True
        case Expectation(name, _):
            return name in ("expect_column_values_to_be_unique", "expect_compound_columns_to_be_unique")
        case _:
            return False


def _frame(connection: "duckdb.DuckDBPyConnection", files: Sequence[str], checks: Iterable[Check]) -> "pd.DataFrame":
    """The columns that the checks look at, and one boolean column for each SQL condition among them."""
    wanted: dict[str, str] = {}
    for check in checks:
        if isinstance(check.test, Holds):
            wanted[_PROBE + check.test.condition] = f"coalesce({check.test.condition}, true)"
        else:
            columns = columns_of(check.test) if isinstance(check.test, Expectation) else check.properties
            wanted |= {name: quoted(name) for name in columns}
    if not wanted:
        wanted = {_PROBE: "true"}
    select = ", ".join(f"{expression} AS {quoted(name)}" for name, expression in wanted.items())
    return _pandas(connection.execute(f"SELECT {select} FROM {scan_of(files)}"))


def _columns_of_check(check: Check) -> Sequence[str]:
    return columns_of(check.test) if isinstance(check.test, Expectation) else check.properties


def _pandas(connection: "duckdb.DuckDBPyConnection") -> "pd.DataFrame":
    """The result as a frame whose whole numbers and booleans stay such beside a null, and whose days are moments."""
    import pandas as pd
    import pyarrow as pa

    table: pa.Table = connection.to_arrow_table()
    for index, column in enumerate(table.schema):
        if pa.types.is_date(column.type):
            table = table.set_column(index, column.name, table.column(index).cast(pa.timestamp("us")))
    nullable: dict[Any, Any] = {pa.bool_(): pd.BooleanDtype()}
    holed = any(pa.types.is_integer(one.type) and table.column(one.name).null_count for one in table.schema)
    if holed:
        nullable[pa.int64()] = pd.Int64Dtype()
    frame: pd.DataFrame = table.to_pandas(types_mapper=nullable.get, date_as_object=False)
    return frame


def _unexpected(frame: "pd.DataFrame", checks: Sequence[Check]) -> list["np.ndarray[Any, Any]"]:
    """For each check the numbers of the frame's rows that break it."""
    import numpy as np

    outcomes = _validate(frame, checks)
    return [np.asarray(outcome.get("unexpected_index_list") or [], np.int64) for _, outcome in outcomes]


def _aggregate(check: Check, files: Sequence[str], schema: "pa.Schema") -> CheckResult:
    columns = [quoted(name) for name in _columns_of_check(check) if name in schema.names]
    select = ", ".join(columns) or quoted(schema.names[0])
    if files:
        frame = _pandas(connect().execute(f"SELECT {select} FROM {scan_of(files)}"))
    else:
        frame = schema.empty_table().to_pandas()
    ((passed, outcome),) = _validate(frame, [check])
    observed = outcome.get("observed_value", outcome.get("unexpected_count"))
    return _result(check, passed, None, observed)


def _validate(frame: "pd.DataFrame", checks: Sequence[Check]) -> list[tuple[bool, dict[str, Any]]]:
    validator_type, engine_type, session = _great_expectations()
    validator = validator_type(engine_type(batch_data_dict={"staged": frame}), data_context=session)
    configurations = [_expectation(check).configuration for check in checks]
    found = validator.graph_validate(configurations, {"result_format": _RESULT_FORMAT, "catch_exceptions": True})
    outcomes: list[tuple[bool, dict[str, Any]]] = []
    for check, outcome in zip(checks, _in_order(found, configurations), strict=True):
        problem = _exception(outcome.exception_info)
        if problem:
            words = f"Great Expectations cannot run '{check.name}': {problem}"
            raise DefinitionErrors([Finding(check.location, "quality-rule", words, "check its arguments")])
        outcomes.append((bool(outcome.success), outcome.result))
    return outcomes


def _in_order(found: Iterable[Any], configurations: Sequence[Any]) -> list[Any]:
    """Results in the order of the expectations: Great Expectations puts those that raised first."""
    left = list(found)
    ordered = []
    for configuration in configurations:
        match = next(
            one for one in left if one.expectation_config is configuration or one.expectation_config == configuration
        )
        left.remove(match)
        ordered.append(match)
    return ordered


def _exception(details: Mapping[str, Any] | None) -> str:
    if not details:
        return ""
    nested = details if "raised_exception" in details else next(iter(details.values()))
    return str(nested["exception_message"]) if nested.get("raised_exception") else ""


def _expectation(check: Check) -> Any:
    import great_expectations.expectations as gxe

    column = check.properties[0] if check.properties else ""
    match check.test:
        case NotNull():
            return gxe.ExpectColumnValuesToNotBeNull(column=column)
        case Unique() if len(check.properties) == 1:
            return gxe.ExpectColumnValuesToBeUnique(column=column)
        case Unique():
            names = list(check.properties)
            return gxe.ExpectCompoundColumnsToBeUnique(column_list=names, ignore_row_if="any_value_is_missing")
        case OneOf(values):
            return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=list(values))
        case Between(low, high, strict_low, strict_high):
            return gxe.ExpectColumnValuesToBeBetween(
                column=column, min_value=low, max_value=high, strict_min=strict_low, strict_max=strict_high
            )
        case Matches(pattern):
            return gxe.ExpectColumnValuesToMatchRegex(column=column, regex=pattern)
        case Length(low, high):
            return gxe.ExpectColumnValueLengthsToBeBetween(column=column, min_value=low, max_value=high)
        case Holds(condition):
            return gxe.ExpectColumnValuesToBeInSet(column=_PROBE + condition, value_set=[True])
        case Expectation(name, arguments):
            return _own_expectation(check, name, arguments)
        case _:
            raise AssertionError(check)


def _own_expectation(check: Check, name: str, arguments: Mapping[str, Any]) -> Any:
    """An expectation that the contract names itself. The standard's examples write its arguments in camel case."""
    from great_expectations.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.registry import (
        get_expectation_impl,
        list_registered_expectation_implementations,
    )
    from pydantic.v1 import ValidationError

    try:
        implementation = get_expectation_impl(name)
    except ExpectationNotFoundError:
        hint = suggest_name(name, list_registered_expectation_implementations())
        words = f"Great Expectations has no expectation '{name}'"
        raise DefinitionErrors([Finding(check.location, "quality-rule", words, hint)]) from None
    known = implementation.__fields__
    try:
        return implementation(**{key if key in known else _snake(key): value for key, value in arguments.items()})
    except ValidationError as error:
        problem = error.errors()[0]
        words = f"{name}: '{'.'.join(map(str, problem['loc']))}': {problem['msg']}"
        hint = suggest_name(str(problem["loc"][0]), known) if "extra" in problem["type"] else ""
        raise DefinitionErrors([Finding(check.location, "quality-rule", words, hint)]) from None


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


@cache
def _great_expectations() -> tuple[Any, Any, Any]:
    """The validator, the pandas engine, and an ephemeral session that neither phones home nor draws progress bars."""
    import os

    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.execution_engine import PandasExecutionEngine
    from great_expectations.validator.validator import Validator

    session = gx.get_context(mode="ephemeral")
    session.enable_analytics(False)
    session.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    return Validator, PandasExecutionEngine, session
