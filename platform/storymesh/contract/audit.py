"""The checks of a contract run over staged Parquet files, with no more rows at once than memory holds, and no more
columns than they look at."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from storymesh.contract import conditions
from storymesh.contract.audited_files import AuditedFile, group_files
from storymesh.contract.checks import (
    Check,
    CheckResult,
    FitsType,
    Holds,
    Matches,
    NotNull,
    UniqueValues,
    checks_of,
)
from storymesh.contract.conditions import RowCondition
from storymesh.contract.definition import RESTRICTED, Contract, Freshness, restricted_properties
from storymesh.contract.expectations import condition_column, load_great_expectations, run_expectations
from storymesh.contract.frames import pandas_frame
from storymesh.contract.quality_rules import Expectation, SqlRule
from storymesh.contract.repeated_rows import find_repeated_rows
from storymesh.contract.table_metrics import measure_check, reads_restricted
from storymesh.contract.types import arrow_schema
from storymesh.engine.engine import Engine
from storymesh.engine.sql_text import varies

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import numpy as np
    import pandas as pd

_OF_TABLE = ("expect_table_", "expect_column_to_exist")  # what these look at is which columns there are


@dataclass(frozen=True)
class RowAudit:
    """Which rows break the contract. `failures` has, for each reason, the numbers of the rows that it quarantines
    (counted from 0 over the audited files, ascending); what only warns is in `results`. `rows` counts those beside the
    audited files too. `unsound` are the rows that fail any check. `reaches_beside`: one of them repeats a row beside
    the audited files."""

    rows: int
    failures: Mapping[str, "np.ndarray[Any, Any]"]
    results: tuple[CheckResult, ...]
    unsound: "np.ndarray[Any, Any]"
    reaches_beside: bool = False


def audit_rows(
    engine: Engine,
    contract: Contract,
    files: Sequence[AuditedFile],
    uncastable: Mapping[str, "np.ndarray[Any, Any]"],
    progress: Callable[[int], None] | None = None,
    beside: Mapping[str, int] = MappingProxyType({}),
) -> RowAudit:
    """Run every row check over the staged `files`.

    `uncastable` has for each property the numbers of the rows whose value did not fit its type. `progress` gets the
    number of rows that are done. `beside` (path -> number of rows) are files of rows that passed every check before:
    they are only compared with those of `files`.
    Raises DefinitionErrors for an expectation that Great Expectations does not have.
    """
    import numpy as np

    checks = [check for check in checks_of(contract) if check.kind == "row"]
    failed: dict[int, list[np.ndarray[Any, Any]]] = defaultdict(list)
    nothing = np.empty(0, np.int64)
    for position, check in enumerate(checks):
        if isinstance(check.test, FitsType):
            failed[position].append(uncastable.get(check.properties[0], nothing))
    local = {n: one for n, one in enumerate(checks) if not isinstance(one.test, FitsType) and not _compares_rows(one)}
    for group in group_files(files):
        if local:
            found = _failed_rows(engine, contract, group.paths, list(local.values()))
            for position, rows in zip(local, found, strict=True):
                failed[position].append(rows + group.start)
        if progress is not None:
            progress(group.start + group.rows)
    audited, reaches_beside = sum(file.rows for file in files), False
    for position, check in enumerate(checks):
        if isinstance(check.test, UniqueValues):
            rows, reaches = find_repeated_rows(engine, contract, check.properties, files, list(beside))
            failed[position].append(rows)
            reaches_beside |= reaches
        elif _compares_rows(check) and files:
            (rows,) = _failed_rows(engine, contract, [*(file.path for file in files), *beside], [check])
            failed[position].append(rows[rows < audited])
            reaches_beside |= bool(len(rows) and rows[-1] >= audited)
    results: list[CheckResult] = []
    unsound = nothing
    failures: dict[str, np.ndarray[Any, Any]] = {}
    for position, check in enumerate(checks):
        rows = np.unique(np.concatenate(failed[position])) if failed[position] else nothing
        if isinstance(check.test, NotNull):
            # A value that is missing because it did not fit its type is already reported, with what it was.
            rows = np.setdiff1d(rows, uncastable.get(check.properties[0], nothing), assume_unique=True)
        results.append(_result(check, not len(rows), len(rows), None))
        unsound = np.union1d(unsound, rows)
        if len(rows) and check.severity == "error":
            known = failures.get(check.reason, nothing)
            failures[check.reason] = np.union1d(known, rows)
    return RowAudit(audited + sum(beside.values()), failures, tuple(results), unsound, reaches_beside)


def prepare_audit(contracts: Iterable[Contract]) -> None:
    """Load what audits of these contracts will need, which takes seconds, while something else is waited for anyway."""
    if any(isinstance(check.test, Expectation) and not _is_own(check) for one in contracts for check in checks_of(one)):
        load_great_expectations()


def audit_table(engine: Engine, contract: Contract, files: Sequence[str]) -> tuple[CheckResult, ...]:
    """Run every check about the table as a whole over `files`, the rows that would be published."""
    return tuple(
        _audit_table_check(engine, contract, files, check) for check in checks_of(contract) if check.kind == "table"
    )


def audit_again(
    engine: Engine, contract: Contract, files: Sequence[str], results: Sequence[CheckResult]
) -> tuple[CheckResult, ...]:
    """Return the `results` of all checks as they are now, over the same rows in the published `files`.

    Those that depend on the moment are run again.
    """
    return tuple(
        _audit_table_check(engine, contract, files, check) if depends_on_moment(check, passed=result.passed) else result
        for check, result in zip(checks_of(contract), results, strict=True)
    )


def depends_on_moment(check: Check, *, passed: bool) -> bool:
    """Return True for a check of the same rows that may come out otherwise than it did: an age, or SQL that asks the
    time or that did not pass, maybe for want of it.

    Of SQL with quoted names or comments nobody says that it does not ask.
    """
    if isinstance(check.test, SqlRule):
        query = check.test.query
        return not passed or varies(query) or any(mark in query for mark in ('"', "/*", "--"))
    return isinstance(check.test, Freshness)


def _audit_table_check(engine: Engine, contract: Contract, files: Sequence[str], check: Check) -> CheckResult:
    if isinstance(check.test, Expectation):
        restricted = restricted_properties(contract)
        (outcome,) = run_expectations(_fetch_frame(engine, contract, files, [check]), [check], restricted)
        observed = RESTRICTED if reads_restricted(check, contract) else outcome.observed
        return _result(check, outcome.passed, None, observed)
    measured = measure_check(engine, check, contract, files)
    check = replace(check, words=measured.problem or check.words)
    hidden = measured.restricted and measured.observed is not None
    return _result(check, measured.passed, None, RESTRICTED if hidden else measured.observed)


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


def _compares_rows(check: Check) -> bool:
    """Return True for a check that compares rows with each other, so that it needs all of them at once."""
    match check.test:
        case UniqueValues():
            return True
        case Expectation(name, _):
            return name in ("expect_column_values_to_be_unique", "expect_compound_columns_to_be_unique")
        case _:
            return False


def _failed_rows(
    engine: Engine, contract: Contract, files: Sequence[str], checks: Sequence[Check]
) -> list["np.ndarray[Any, Any]"]:
    """Return for each row check the numbers of the rows that break it.

    Great Expectations runs what a contract names as an expectation and the engine cannot; it takes seconds to import.
    """
    import numpy as np

    rows: dict[int, np.ndarray[Any, Any]] = {}
    own = {position: check for position, check in enumerate(checks) if _is_own(check)}
    if own:
        frame = _fetch_frame(engine, contract, files, list(own.values()))
        for index, position in enumerate(own):
            rows[position] = np.flatnonzero(~frame[condition_column(index)].to_numpy(bool))
    others = {position: check for position, check in enumerate(checks) if position not in own}
    if others:
        named = list(others.values())
        frame = _fetch_frame(engine, contract, files, named)
        outcomes = run_expectations(frame, named, restricted_properties(contract))
        rows |= {position: outcome.failed_rows for position, outcome in zip(others, outcomes, strict=True)}
    return [rows[position] for position in range(len(checks))]


def _is_own(check: Check) -> bool:
    """Return True for a check of rows that needs no Great Expectations."""
    return row_condition(check) is not None and not _is_share(check)


def _fetch_frame(engine: Engine, contract: Contract, files: Sequence[str], checks: Sequence[Check]) -> "pd.DataFrame":
    """Return a boolean column for each check that is a condition, and the columns that the others look at."""
    table = engine.read_parquet(files, arrow_schema(contract))
    names: dict[str, None] = {}
    computed: dict[str, ir.Value] = {}
    for position, check in enumerate(checks):
        condition = row_condition(check)
        if condition is not None:
            # What an expectation says about most rows, it says about most of those with a value.
            holds = condition(table)
            computed[condition_column(position)] = holds if _is_share(check) else holds.fill_null(True)
        else:
            names |= dict.fromkeys(_columns_read(check, contract))
    columns = [name for name in contract.properties if name in names]
    return pandas_frame(engine.fetch_table(table.select(*columns, **computed)))


def _is_share(check: Check) -> bool:
    return isinstance(check.test, Expectation) and "mostly" in check.test.arguments


def _columns_read(check: Check, contract: Contract) -> Iterable[str]:
    """Return the columns that a check looks at; those of an expectation about the table's columns are all."""
    if isinstance(check.test, Expectation) and check.test.expectation_type.startswith(_OF_TABLE):
        return contract.properties
    return check.properties


def row_condition(check: Check) -> RowCondition | None:
    """Return the condition that a check puts on each row for itself; None where Great Expectations reads the values."""
    name = check.properties[0] if check.properties else ""
    match check.test:
        case Holds(condition):
            return condition
        case NotNull():
            return conditions.has_value(name)
        case Matches(pattern, length):
            return conditions.matches(name, pattern, length)
        case Expectation(name, arguments) if "_match_regex" in name:
            return _pattern_condition(name, arguments)
        case _:
            return None


def _pattern_condition(name: str, arguments: Mapping[str, Any]) -> RowCondition:
    """Return the condition of an expectation about patterns: Great Expectations has Python's `re` look for them."""
    wanted = not name.startswith("expect_column_values_to_not_")
    patterns = arguments.get("regex_list") or [arguments.get("regex", "")]
    every = arguments.get("match_on", "any") == "all"
    return conditions.matches_patterns(arguments["column"], patterns, every=every, wanted=wanted)
