"""A contract as a list of checks, bound to no engine: what an audit will do, before it does it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from storymesh.contract import conditions
from storymesh.contract.conditions import RowCondition
from storymesh.contract.definition import Contract, Freshness, Property
from storymesh.contract.quality_rules import Expectation, LibraryMetric, Rule, SqlRule
from storymesh.contract.type_options import BOUNDS, FORMAT_LENGTHS, FORMATS, RANGES, parse_moment, parse_time
from storymesh.errors import Severity
from storymesh.language.types import Array, Boolean, Date, Decimal, Float, Integer, Text, Time, Timestamp
from storymesh.location import Location

Kind = Literal["row", "table"]


@dataclass(frozen=True)
class FitsType:
    """A value that can be cast to the contract's type."""


@dataclass(frozen=True)
class NotNull:
    pass


@dataclass(frozen=True)
class UniqueValues:
    """Properties whose values no two rows share; a row with a null among them is not compared."""


@dataclass(frozen=True)
class Matches:
    """A regular expression (of RE2) that is found somewhere in a text, as in JSON Schema, and the text's length."""

    pattern: str
    length: tuple[int, int] | None = None


@dataclass(frozen=True)
class Holds:
    """A condition over one row."""

    condition: RowCondition


Test = FitsType | NotNull | UniqueValues | Matches | Holds | LibraryMetric | SqlRule | Expectation | Freshness


@dataclass(frozen=True)
class Check:
    """One thing that an audit looks at. A row check that fails quarantines rows, a table check holds back the
    snapshot; with severity `warning` either is only reported."""

    name: str
    kind: Kind
    properties: tuple[str, ...]
    test: Test
    severity: Severity
    words: str
    location: Location

    @property
    def reason(self) -> str:
        """Return the reason that a quarantined row carries."""
        return f"{self.name}: {', '.join(self.properties)}" if self.properties else self.name


@dataclass(frozen=True)
class CheckResult:
    """The outcome of a check. `failed_rows` is None where a table check counts no rows."""

    name: str
    properties: tuple[str, ...]
    kind: Kind
    severity: Severity
    passed: bool
    failed_rows: int | None
    observed: Any
    words: str
    location: Location


def checks_of(contract: Contract) -> tuple[Check, ...]:
    """Return every check of the contract, those about rows first."""
    checks = list(_checks_of(contract))
    return tuple(sorted(checks, key=lambda check: check.kind != "row"))


def _checks_of(contract: Contract) -> Iterator[Check]:
    for item in contract.properties.values():
        yield from _property_checks(item, contract)
    if contract.key:
        words = f"no two rows have the same {' and '.join(contract.key)}"
        yield Check("primaryKey", "row", contract.key, UniqueValues(), "error", words, contract.location)
    for rule in (*contract.quality, *(rule for item in contract.properties.values() for rule in item.quality)):
        yield _quality_check(rule, contract)
    for fresh in contract.freshness:
        words = f"the newest {fresh.property} is at most {fresh.longest} old"
        yield Check("freshness", "table", (fresh.property,), fresh, "warning", words, fresh.location)


def _property_checks(item: Property, contract: Contract) -> Iterator[Check]:
    def check(name: str, test: Test, words: str) -> Check:
        return Check(name, "row", (item.name,), test, "error", words, item.location)

    yield check("type", FitsType(), f"{item.name} is {item.type}")
    if item.required or item.key_position is not None:
        yield check("required", NotNull(), f"{item.name} has a value")
    if item.unique and contract.key != (item.name,):
        yield check("unique", UniqueValues(), f"{item.name} is unique")
    if item.enum:
        shown = ", ".join(map(str, item.enum[:5])) + (", …" if len(item.enum) > 5 else "")
        yield check("enum", Holds(_one_of(item)), f"{item.name} is one of {shown}")
    yield from _option_checks(item, check)
    for path, condition in conditions.required_places(item.name, item.type):
        yield check("required", Holds(condition), f"{item.name}{path} has a value")


def _one_of(item: Property) -> RowCondition:
    match item.type:
        case Text() | Integer() | Boolean():
            return conditions.is_one_of(item.name, item.enum)
        case Time():
            return conditions.is_one_of(item.name, tuple(filter(None, map(parse_time, item.enum))))
        case Date() | Timestamp():
            moments = [moment for value in item.enum if (moment := parse_moment(value)) is not None]
            return conditions.is_one_of_moments(item.name, moments)
        case _:
            return conditions.is_one_of_numbers(item.name, item.enum)


def _option_checks(item: Property, check: Callable[[str, Test, str], Check]) -> Iterator[Check]:
    options, name = item.options, item.name
    match item.type:
        case Text():
            if "minLength" in options or "maxLength" in options:
                low, high = options.get("minLength"), options.get("maxLength")
                condition = conditions.has_length(name, low, high)
                yield check("length", Holds(condition), f"{name} has {_span(low, high)} characters")
            if "pattern" in options:
                yield check("pattern", Matches(options["pattern"]), f"{name} matches {options['pattern']}")
            if options.get("format") in FORMATS:
                test = Matches(FORMATS[options["format"]], FORMAT_LENGTHS.get(options["format"]))
                yield check("format", test, f"{name} is {options['format']}")
        case Integer() | Float():
            if between := _between(options):
                yield check("range", Holds(conditions.is_between(name, *between)), f"{name} is {_span_of(between)}")
            if options.get("format") in RANGES and isinstance(item.type, Integer):
                condition = conditions.is_between(name, *RANGES[options["format"]])
                yield check("format", Holds(condition), f"{name} fits {options['format']}")
        case Decimal():
            for option, operator in BOUNDS.items():
                if option in options:
                    condition = conditions.compares_number(name, operator, options[option])
                    yield check("range", Holds(condition), f"{name} {operator} {options[option]}")
        case Date() | Timestamp():
            for option, operator in BOUNDS.items():
                # What is no moment is a warning of `check`.
                if (moment := parse_moment(options.get(option))) is not None:
                    condition = conditions.compares_moment(name, operator, moment)
                    yield check("range", Holds(condition), f"{name} {operator} {options[option]}")
        case Time():
            for option, operator in BOUNDS.items():
                if (time := parse_time(options.get(option))) is not None:
                    condition = conditions.compares_text(name, operator, time)
                    yield check("range", Holds(condition), f"{name} {operator} {time}")
        case Array():
            if (dimensions := options.get("dimensions")) and options.get("elementType") != "binary":
                condition = conditions.has_item_count(name, dimensions, dimensions)
                yield check("dimensions", Holds(condition), f"{name} has {dimensions} elements")
            if "minItems" in options or "maxItems" in options:
                low, high = options.get("minItems"), options.get("maxItems")
                condition = conditions.has_item_count(name, low or 0, high if high is not None else 2**62)
                yield check("items", Holds(condition), f"{name} has {_span(low, high)} items")
            if options.get("uniqueItems"):
                yield check("uniqueItems", Holds(conditions.has_distinct_items(name)), f"{name} has no item twice")
    if "multipleOf" in options:
        step = options["multipleOf"]
        whole = isinstance(item.type, Integer) and isinstance(step, int)
        condition = conditions.is_multiple_of(name, step, whole=whole)
        yield check("multipleOf", Holds(condition), f"{name} is a multiple of {step}")


class _Range(NamedTuple):
    minimum: float | None
    maximum: float | None
    strict_minimum: bool
    strict_maximum: bool


def _between(options: Any) -> _Range | None:
    """Return the narrower of the inclusive and the exclusive bound, at both ends."""
    if not any(name in options for name in BOUNDS):
        return None
    low, strict_low = options.get("minimum"), False
    if (bound := options.get("exclusiveMinimum")) is not None and (low is None or bound >= low):
        low, strict_low = bound, True
    high, strict_high = options.get("maximum"), False
    if (bound := options.get("exclusiveMaximum")) is not None and (high is None or bound <= high):
        high, strict_high = bound, True
    return _Range(low, high, strict_low, strict_high)


def _span(low: int | None, high: int | None) -> str:
    if low is None or not low:
        return f"at most {high}"
    return f"at least {low}" if high is None else f"{low} to {high}"


def _span_of(between: _Range) -> str:
    low = [f"{'above' if between.strict_minimum else 'at least'} {between.minimum}"] * (between.minimum is not None)
    high = [f"{'below' if between.strict_maximum else 'at most'} {between.maximum}"] * (between.maximum is not None)
    return " and ".join([*low, *high])


_ROW_WISE = (
    "expect_column_values_",
    "expect_column_value_lengths_",
    "expect_column_pair_values_",
    "expect_multicolumn_",
    "expect_select_column_values_to_be_unique_within_record",
    "expect_compound_columns_to_be_unique",
)
_NOT_ROW_WISE = ("_of_type", "_in_type_list", "_increasing", "_decreasing", "_outliers")


def _quality_check(rule: Rule, contract: Contract) -> Check:
    properties: tuple[str, ...] = (rule.property,) if rule.property else ()
    words = rule.description or rule.name
    kind: Kind = "table"
    test: Test = rule.test
    match rule.test:
        case LibraryMetric(metric, comparison, percent, properties=named):
            properties = named or properties
            words = rule.description or f"{metric} {comparison}{' percent' if percent else ''}"
            if metric != "rowCount" and comparison.operator == "mustBe" and comparison.value == 0:
                # What must not occur at all is a rule about the row in which it does.
                kind, test = "row", _row_test(rule.test, properties, contract)
        case SqlRule(_, comparison):
            words = rule.description or f"{rule.name} {comparison}"
        case Expectation(name, arguments):
            properties = tuple(columns_of(rule.test)) or properties
            if name.startswith(_ROW_WISE) and not name.endswith(_NOT_ROW_WISE) and arguments.get("mostly", 1) == 1:
                kind = "row"
    return Check(rule.name, kind, properties, test, rule.severity, words, rule.location)


def rule_columns(rule: Rule, contract: Contract) -> tuple[str, ...]:
    """Return the columns by which a row keeps or breaks a quality rule; none for a rule about the whole table."""
    check = _quality_check(rule, contract)
    return check.properties if check.kind == "row" else ()


def _row_test(test: LibraryMetric, properties: tuple[str, ...], contract: Contract) -> Test:
    """Return the test that every row passes when the metric counts none."""
    match test.metric:
        case "nullValues":
            return NotNull()
        case "duplicateValues":
            return UniqueValues()
        case "invalidValues" if test.pattern is not None and not test.valid_values:
            if isinstance(contract.properties[properties[0]].type, Text):
                return Matches(test.pattern)
    return Holds(conditions.is_not_counted(test, properties[0]))


def columns_of(expectation: Expectation) -> list[str]:
    """Return the columns that an expectation names in its arguments."""
    found: list[Any] = []
    for name in ("column", "column_A", "column_B", "column_list", "column_set"):
        value = expectation.arguments.get(name, [])
        found += value if isinstance(value, list) else [value]
    return [name for name in dict.fromkeys(found) if isinstance(name, str)]
