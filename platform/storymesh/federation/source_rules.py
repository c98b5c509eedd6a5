"""The rules of a contract held where its rows stay: how many rows break each, and what those of the table measure.

What a server would judge otherwise than an audit here is not asked of it: `pushdown_fault` says why, before anything is
connected to.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal as Exact
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from storymesh.contract.audit import row_condition
from storymesh.contract.checks import (
    Check,
    FitsType,
    Matches,
    UniqueValues,
)
from storymesh.contract.conditions import RowCondition, counted
from storymesh.contract.definition import Contract, Freshness
from storymesh.contract.egress_rules import AggregationThreshold
from storymesh.contract.quality_rules import Expectation, LibraryMetric, SqlRule
from storymesh.contract.types import arrow_type
from storymesh.federation.source_sql_rules import read_sql_rule
from storymesh.language.types import Boolean, Date, Decimal, Float, Integer, Text, Timestamp, Type

if TYPE_CHECKING:
    import ibis.expr.types as ir

_SCALARS = (Text, Integer, Decimal, Float, Boolean, Date, Timestamp)
_TOKEN = re.compile(
    r"""(?P<escape>\\[dDsSwW]) | (?P<literal>\\[^A-Za-z0-9]) | (?P<any>\.)
      | (?P<set>\[\^?(?:[^\\\[\]]|\\[dsw]|\\[^A-Za-z0-9])+\])
      | (?P<repeat>\{(?P<least>[0-9]{1,3})(?:,(?P<most>[0-9]{0,3}))?\}\??)
      | (?P<group>\((?:\?:|(?!\?))|\)) | (?P<other>[\^$|*+?]|[^\\()\[\]{}*+?|^$.])""",
    re.VERBOSE | re.DOTALL,
)
_INSIDE = {"d": "0-9", "s": " \\t\\n\\f\\r", "w": "A-Za-z0-9_"}  # of RE2, which knows no other digits and letters
_MAX_REPEATS = 255


class SourceAudit(BaseModel):
    """The audit of a whole table at its source: `broken` counts the rows that break each rule, by reason (None: fewer
    than may be disclosed), `failed` describes the table rules that do not hold, and `unheld` the rules that the server
    could not evaluate, with the reason."""

    model_config = ConfigDict(frozen=True)

    rows: int
    broken: Mapping[str, int | None] = {}
    failed: tuple[str, ...] = ()
    unheld: Mapping[str, str] = {}
    left_out: bool = False

    def lines(self) -> Iterator[str]:
        """Yield what it says, for people."""
        for reason, count in self.broken.items():
            shown = "fewer rows than may be told" if count is None else f"{count:,}"
            yield f"of all {self.rows:,} rows there: {reason} ({shown})"
        yield from (f"of all {self.rows:,} rows there: {words}" for words in self.failed)
        yield from (f"not held there: {reason}, since {why}" for reason, why in self.unheld.items())


@dataclass(frozen=True)
class SourceRules:
    """The rules of a contract that are held at its server. `columns` are those that may be read for that; of rules that
    read one of `least`, the rows are told where at least so many break it, and none is left out for it. Rows that break
    a rule about the columns `fetched` come: they are quarantined here.

    `before_telling` is called with the statement that ran and with what it found, before anybody knows of it.
    """

    contract: Contract
    columns: frozenset[str]
    fetched: frozenset[str]
    least: Mapping[str, AggregationThreshold] = field(default_factory=dict)
    before_telling: Callable[[str, SourceAudit], None] = lambda statement, audit: None


def columns_read(check: Check, contract: Contract) -> frozenset[str]:
    """Return the properties that a check reads."""
    if isinstance(check.test, SqlRule):
        rule = read_sql_rule(check, contract)
        return frozenset(contract.properties) if isinstance(rule, str) else rule.columns
    return frozenset(check.properties)


def pushdown_fault(check: Check, contract: Contract) -> str | None:
    """Return why a check cannot be evaluated by a server; None: it gives the same result there as here."""
    match check.test:
        case Expectation():
            return "Great Expectations looks at rows that are here"
        case SqlRule():
            rule = read_sql_rule(check, contract)
            return rule if isinstance(rule, str) else None
    for name in check.properties:
        if not isinstance(contract.properties[name].type, _SCALARS):
            return f"'{name}' is {contract.properties[name].type}"
    if isinstance(check.test, LibraryMetric) and check.test.metric in ("missingValues", "invalidValues"):
        kind = contract.properties[check.properties[0]].type
        if not isinstance(kind, Text | Integer | Boolean):
            return f"values of {kind} are written otherwise there"
    match check.test:
        case FitsType() | UniqueValues() | Freshness():
            return None
        case Matches(pattern):
            return None if pattern_for_server(pattern) is not None else "its pattern means something else there"
        case LibraryMetric(metric) if metric in ("rowCount", "duplicateValues"):
            return None
    return None if _is_plain(check, contract) else "a database has no such function"


def _is_plain(check: Check, contract: Contract) -> bool:
    """Return True for a condition without functions of an engine's own."""
    import ibis.expr.operations as ops

    found = violation_condition(check, _typed(contract))
    return not found.op().find((ops.ScalarUDF,))


def _typed(contract: Contract) -> "ir.Table":
    import ibis

    kinds = {
        name: ibis.dtype(arrow_type(item.type))
        for name, item in contract.properties.items()
        if isinstance(item.type, _SCALARS)
    }
    return ibis.table(ibis.schema(kinds), name="rows")


def violation_condition(check: Check, values: Any) -> "ir.BooleanValue":
    """Return the condition under which a row breaks a check of rows, or is counted by a metric; never null. `values`
    has the value of each property."""
    match check.test:
        case LibraryMetric():
            return counted(check.test, values[check.properties[0]]).fill_null(False)
        case Matches(pattern, length):
            value = values[check.properties[0]]
            found = value.re_search(pattern_for_server(pattern) or "")
            return ~(found & value.length().between(*length) if length else found).fill_null(True)
        case _:
            condition: RowCondition | None = row_condition(check)
            assert condition is not None, "what has none is not pushed"
            return ~condition(values).fill_null(True)


def type_mismatch(raw: "ir.Value", kind: Type) -> "ir.BooleanValue | None":
    """Return the condition under which a server's value is not of the contract's type; None: it always is."""
    import ibis

    given = raw.type()
    match kind:
        case Decimal(precision, scale) if given.is_decimal():
            return (raw != raw.round(scale)) | (raw.abs() >= _power_of_ten(precision - scale))
        case Decimal(precision, scale) if given.is_integer() and precision - scale < 19:
            return raw.abs() >= _power_of_ten(precision - scale)
        case Integer() if given.is_decimal():
            return (raw != raw.round(0)) | ~raw.between(ibis.literal(-(2**63)), ibis.literal(2**63 - 1))
        case Float() if given.is_floating():
            return raw.isnan() | raw.isinf()
        case Float() if given.is_decimal():
            return raw.abs() >= _power_of_ten(37)  # of a server's numbers it is above all that is none
        case Date() | Timestamp():
            bounds = ("0001-01-01", "9999-12-31" if given.is_date() else "9999-12-31 23:59:59.999999")
            first, last = (ibis.literal(bound).cast(given) for bound in bounds)
            return ~raw.between(first, last)
        case _:
            return None


def _power_of_ten(digits: int) -> "ir.Scalar":
    import ibis
    import ibis.expr.datatypes as dt

    return ibis.literal(Exact(10) ** min(digits, 37), type=dt.Decimal(38, 0))


def fits_family(given: str, kind: Type) -> bool:
    """Return True if all that a column of a type of ibis can have, but for misfits, is a value of the contract's."""
    families: Mapping[type, tuple[str, ...]] = {
        Text: ("string",),
        Integer: ("int64", "decimal"),
        Decimal: ("int64", "decimal"),
        Float: ("int64", "decimal", "float64"),
        Boolean: ("boolean",),
        Date: ("date",),
        Timestamp: ("timestamp", "date"),
    }
    return given in families.get(type(kind), ())


@lru_cache(maxsize=1_000)
def pattern_for_server(pattern: str) -> str | None:
    """Translate a pattern to PostgreSQL's syntax; None where it might match something else there."""
    found, position = [], 0
    while position < len(pattern):
        match = _TOKEN.match(pattern, position)
        if match is None:
            return None
        text = match.group()
        if match["escape"]:
            inside = _INSIDE[text[1].lower()]
            text = f"[^{inside}]" if text[1].isupper() else f"[{inside}]"
        elif match["any"]:
            text = "[^\\n]"
        elif match["set"]:
            text = re.sub(r"\\[dsw]", _expand_escape, text)
        elif match["repeat"] and max(int(match["least"]), int(match["most"] or 0)) > _MAX_REPEATS:
            return None
        found.append(text)
        position = match.end()
    return "".join(found)


def _expand_escape(escape: re.Match[str]) -> str:
    """Return what stands for an escape inside of a set."""
    return _INSIDE[escape.group()[1]]
