"""The quality rules that a contract writes down, bound to no engine: what is measured, and what it must be.

Reading them here means that a rule which nobody could run is a finding in its file, not a surprise in an audit.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from storymesh.contract.allowed_expectations import argument_name, faults_of
from storymesh.document import Document, Step
from storymesh.engine.patterns import HINT, pattern_fault
from storymesh.errors import DefinitionErrors, Finding, Severity, suggest_name
from storymesh.location import Location

Metric = Literal["nullValues", "missingValues", "invalidValues", "duplicateValues", "rowCount"]
Operator = Literal[
    "mustBe",
    "mustNotBe",
    "mustBeGreaterThan",
    "mustBeGreaterOrEqualTo",
    "mustBeLessThan",
    "mustBeLessOrEqualTo",
    "mustBeBetween",
    "mustNotBeBetween",
]
OPERATORS: tuple[Operator, ...] = get_args(Operator)
GREAT_EXPECTATIONS = "greatExpectations"
_MILD = frozenset({"info", "warning", "warn", "low", "minor"})
_ARGUMENTS: Mapping[Metric, frozenset[str]] = {
    "nullValues": frozenset(),
    "missingValues": frozenset({"missingValues"}),
    "invalidValues": frozenset({"validValues", "pattern"}),
    "duplicateValues": frozenset({"properties"}),
    "rowCount": frozenset(),
}
_WORDS: Mapping[Operator, str] = {
    "mustBe": "must be",
    "mustNotBe": "must not be",
    "mustBeGreaterThan": "must be greater than",
    "mustBeGreaterOrEqualTo": "must be at least",
    "mustBeLessThan": "must be less than",
    "mustBeLessOrEqualTo": "must be at most",
    "mustBeBetween": "must be between",
    "mustNotBeBetween": "must not be between",
}


@dataclass(frozen=True)
class Comparison:
    """A condition on a measured value. A missing measurement (null) meets none but `mustBe: null`."""

    operator: Operator
    value: Any

    def holds(self, observed: Any) -> bool:
        match self.operator:
            case "mustBe":
                return bool(observed == self.value)
            case "mustNotBe":
                return bool(observed != self.value)
        if observed is None:
            return False
        match self.operator:
            case "mustBeGreaterThan":
                return bool(observed > self.value)
            case "mustBeGreaterOrEqualTo":
                return bool(observed >= self.value)
            case "mustBeLessThan":
                return bool(observed < self.value)
            case "mustBeLessOrEqualTo":
                return bool(observed <= self.value)
            case "mustBeBetween":
                return bool(self.value[0] <= observed <= self.value[1])
            case "mustNotBeBetween":
                return not self.value[0] <= observed <= self.value[1]

    def __str__(self) -> str:
        value = " and ".join(map(str, self.value)) if isinstance(self.value, tuple) else self.value
        return f"{_WORDS[self.operator]} {value}"


@dataclass(frozen=True)
class LibraryMetric:
    """A metric of the standard's library over a property, several properties or the whole table."""

    metric: Metric
    comparison: Comparison
    percent: bool = False
    missing_values: tuple[Any, ...] = ()
    valid_values: tuple[Any, ...] = ()
    pattern: str | None = None
    properties: tuple[str, ...] = ()


@dataclass(frozen=True)
class SqlRule:
    """A SQL query over the staged rows that gives one value."""

    query: str
    comparison: Comparison


@dataclass(frozen=True)
class Expectation:
    """An expectation of Great Expectations by its own name, with its own arguments."""

    expectation_type: str
    arguments: Mapping[str, Any]


RuleTest = LibraryMetric | SqlRule | Expectation


@dataclass(frozen=True)
class Rule:
    """One quality rule of a contract. `property` is None for a rule about the whole table."""

    name: str
    test: RuleTest
    severity: Severity
    property: str | None
    description: str
    location: Location


def read_rules(
    document: Document, steps: tuple[Step, ...], rules: list[dict[str, Any]], property_name: str | None, names: set[str]
) -> tuple[tuple[Rule, ...], list[Finding]]:
    """Return the rules of one `quality` list at `steps`, and findings about those that cannot be read."""
    understood: list[Rule] = []
    findings: list[Finding] = []
    for index, fields in enumerate(rules):
        at = (*steps, index)
        kind = fields.get("type", "library")
        if kind == "text":
            continue  # prose for people; the standard gives it no meaning that could be run
        try:
            test = _read_test(document, at, fields, kind, property_name, names)
        except DefinitionErrors as refused:
            findings += refused.findings
            continue
        name = fields.get("name") or fields.get("id") or fields.get("metric") or f"quality {index + 1}"
        severity: Severity = "warning" if str(fields.get("severity", "")).lower() in _MILD else "error"
        understood.append(Rule(name, test, severity, property_name, fields.get("description", ""), document.at(*at)))
    return tuple(understood), findings


def _read_test(
    document: Document,
    at: tuple[Step, ...],
    fields: dict[str, Any],
    kind: str,
    property_name: str | None,
    names: set[str],
) -> RuleTest:
    match kind:
        case "sql":
            query = fields["query"]
            if not query.strip():
                raise _rule_error(document, (*at, "query"), "the query is empty")
            return SqlRule(query, _comparison(document, at, fields))
        case "custom":
            return _read_expectation(document, at, fields, property_name, names)
        case _:
            return _read_library(document, at, fields, property_name, names)


def _read_library(
    document: Document, at: tuple[Step, ...], fields: dict[str, Any], property_name: str | None, names: set[str]
) -> LibraryMetric:
    if "metric" not in fields:
        raise _rule_error(
            document, at, "a rule needs a metric, or a type other than library", "for instance metric: nullValues"
        )
    metric: Metric = fields["metric"]
    if metric in ("nullValues", "missingValues", "invalidValues") and property_name is None:
        raise _rule_error(
            document, (*at, "metric"), f"{metric} is about a property", "write it under a property's quality"
        )
    unit = fields.get("unit", "rows")
    if unit not in ("rows", "percent"):
        raise _rule_error(
            document, (*at, "unit"), f"the unit '{unit}' is not known", suggest_name(unit, ["rows", "percent"])
        )
    if metric == "rowCount" and unit == "percent":
        raise _rule_error(document, (*at, "unit"), "rowCount has no percent")
    comparison = _comparison(document, at, fields)
    if isinstance(comparison.value, str | bool) or comparison.value is None:
        raise _rule_error(
            document,
            (*at, comparison.operator),
            f"{metric} is a number, it cannot be compared with {comparison.value!r}",
        )
    arguments: dict[str, Any] = fields.get("arguments") or {}
    _check_arguments(document, at, metric, arguments, property_name, names)
    return LibraryMetric(
        metric,
        comparison,
        unit == "percent",
        tuple(_list(document, at, arguments, "missingValues")),
        tuple(_list(document, at, arguments, "validValues")),
        arguments.get("pattern"),
        tuple(_list(document, at, arguments, "properties")),
    )


def _check_arguments(
    document: Document,
    at: tuple[Step, ...],
    metric: Metric,
    arguments: dict[str, Any],
    property_name: str | None,
    names: set[str],
) -> None:
    """Raise DefinitionErrors for arguments that the metric does not have, or that it lacks."""
    for name in arguments:
        if name not in _ARGUMENTS[metric]:
            hint = suggest_name(name, _ARGUMENTS[metric])
            raise DefinitionErrors(
                [
                    Finding(
                        document.key_at(*at, "arguments", name),
                        "quality-rule",
                        f"{metric} has no argument '{name}'",
                        hint,
                    )
                ]
            )
    properties: list[str] = _list(document, at, arguments, "properties")
    for index, name in enumerate(properties):
        if name not in names:
            place = (*at, "arguments", "properties", index)
            raise _rule_error(document, place, f"there is no property '{name}'", suggest_name(str(name), names))
    pattern = arguments.get("pattern")
    if pattern is not None and (fault := pattern_fault(pattern)):
        words = f"the pattern cannot be run: {fault}"
        raise _rule_error(document, (*at, "arguments", "pattern"), words, HINT)
    if metric == "invalidValues" and pattern is None and "validValues" not in arguments:
        raise _not_run_warning(document, at, "nobody says what is valid", "arguments: validValues or pattern")
    if metric == "missingValues" and "missingValues" not in arguments:
        raise _not_run_warning(document, at, "nobody says what counts as missing", "arguments: missingValues")
    if metric == "duplicateValues" and property_name is None and not properties:
        raise _not_run_warning(document, at, "nobody says of which properties", "arguments: properties")


def _list(document: Document, at: tuple[Step, ...], arguments: dict[str, Any], name: str) -> list[Any]:
    value = arguments.get(name, [])
    if not isinstance(value, list) or any(isinstance(item, dict | list) for item in value):
        raise _rule_error(document, (*at, "arguments", name), f"'{name}' has to be a list of plain values")
    return value


def _read_expectation(
    document: Document, at: tuple[Step, ...], fields: dict[str, Any], property_name: str | None, names: set[str]
) -> Expectation:
    engine = fields["engine"]
    if engine.replace("-", "").replace("_", "").lower() != GREAT_EXPECTATIONS.lower():
        words = f"the rule is not run: it is for '{engine}', storymesh runs custom rules of {GREAT_EXPECTATIONS}"
        raise DefinitionErrors([Finding(document.at(*at, "engine"), "not-run", words, severity="warning")])
    value = fields["implementation"]
    if isinstance(value, str):
        value = _parse(document, at, value)
    name = value.get("type", value.get("expectation_type")) if isinstance(value, dict) else None
    if not isinstance(name, str):
        words = "an implementation for Great Expectations has a type and kwargs"
        raise _rule_error(document, (*at, "implementation"), words, "type: expect_column_values_to_not_be_null")
    unknown = sorted(set(value) - {"type", "expectation_type", "kwargs", "meta", "id", "severity", "notes"})
    if unknown:
        raise _rule_error(
            document,
            (*at, "implementation"),
            f"unknown field '{unknown[0]}'",
            suggest_name(unknown[0], ["type", "kwargs"]),
        )
    if not name.islower() or not name.startswith("expect_"):
        # Great Expectations has a class and a snake_case name for the same thing; suites are written with the latter.
        name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
    arguments = value.get("kwargs")
    arguments = {} if arguments is None else arguments
    if not isinstance(arguments, dict):
        raise _rule_error(document, (*at, "implementation", "kwargs"), "kwargs has to hold fields")
    if (
        property_name is not None
        and name.startswith("expect_column_")
        and not {"column", "column_A", "column_list"} & set(arguments)
    ):
        arguments = {"column": property_name, **arguments}
    place = (*at, "implementation", "kwargs")
    if faults := [
        document.finding((*place, *steps), "quality-rule", *said) for steps, *said in faults_of(name, arguments, names)
    ]:
        raise DefinitionErrors(faults)
    return Expectation(name, {argument_name(name, written): given for written, given in arguments.items()})


def _parse(document: Document, at: tuple[Step, ...], text: str) -> Any:
    """Return an implementation that is written as a text inside the file: JSON, or else YAML."""
    from storymesh.document import parse_document

    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return parse_document(text, document.path).value
    except DefinitionErrors as refused:
        words = refused.findings[0].message
        raise _rule_error(
            document, (*at, "implementation"), f"the implementation is neither JSON nor YAML: {words}"
        ) from None


def _comparison(document: Document, at: tuple[Step, ...], fields: dict[str, Any]) -> Comparison:
    for operator in OPERATORS:
        if operator in fields:
            value = fields[operator]
            if isinstance(value, list | dict) and operator in ("mustBe", "mustNotBe"):
                raise _rule_error(document, (*at, operator), f"{operator} takes one value")
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, float) and not math.isfinite(one):
                    raise _rule_error(document, (*at, operator), f"{operator} is {one}, a number is wanted")
            return Comparison(operator, tuple(value) if isinstance(value, list) else value)
    raise _rule_error(
        document, at, "the rule measures but does not say what the value must be", "for instance mustBe: 0"
    )


def _not_run_warning(document: Document, steps: tuple[Step, ...], words: str, hint: str) -> DefinitionErrors:
    """Return the warning of a rule that the standard allows and that measures nothing."""
    return DefinitionErrors([Finding(document.at(*steps), "not-run", f"the rule is not run: {words}", hint, "warning")])


def _rule_error(document: Document, steps: tuple[Step, ...], words: str, hint: str = "") -> DefinitionErrors:
    return DefinitionErrors([document.finding(steps, "quality-rule", words, hint)])
