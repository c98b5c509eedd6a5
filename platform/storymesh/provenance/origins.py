"""The origins of printed values: a row of a product, an expression and its inputs, or a query that counts.

The interpreter says what printed a stretch of text as paths from the names of the language (`("disruption", 0,
"title")`). Here each path is resolved to a row of a product: through facts and the outcome to what their expressions
read, through quoted precedents to the rows of their cases. What is counted is resolved to a verification query.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Literal

from storymesh.case.link import KEY
from storymesh.case.resolve import Role
from storymesh.case.scopes import Formula
from storymesh.errors import StorymeshError
from storymesh.language.traced_values import COUNTED, HIDDEN, OriginPath
from storymesh.language.types import Array, Struct, Type
from storymesh.location import Location
from storymesh.provenance.case_values import CaseValues, View
from storymesh.provenance.file_evidence import FileEvidence
from storymesh.provenance.verification_sql import Rank, VerificationQuery


@dataclass(frozen=True)
class RowOrigin:
    """One value of one row of a product; without a property, the row. A `masked` value may not be shown. `left` says
    how it left another premise, and by which receipt; None: it was at home. `evidence` says where in a file it stands;
    None: it is of no file, or nothing says where."""

    path: str
    product: str
    version: str
    key: str
    property: str | None
    value: Any = None
    masked: bool = False
    left: str | None = None
    evidence: FileEvidence | None = None
    kind: Literal["row"] = "row"


@dataclass(frozen=True)
class ExpressionOrigin:
    """The value of an expression of `narrative.yaml` for one case, with the origins of what it read."""

    path: str
    case: str
    expression: str
    at: Location
    value: Any
    masked: bool
    origins: tuple["Origin", ...]
    kind: Literal["expression"] = "expression"


@dataclass(frozen=True)
class QueryOrigin:
    """A count, with the query that returns it; `origins` are the rows that it counts, if they are rows of the case."""

    path: str
    query: VerificationQuery
    value: Any
    origins: tuple["Origin", ...] = ()
    kind: Literal["query"] = "query"


Origin = RowOrigin | ExpressionOrigin | QueryOrigin


@dataclass(frozen=True)
class TracedSpan:
    """Characters `begin` to `end` of a column's text. `expression`, written at `at`, printed them; it is None for words
    of the template. `origins` say where the value comes from, `because` what decided that it is this one."""

    begin: int
    end: int
    text: str
    at: Location
    expression: str | None = None
    origins: tuple[Origin, ...] = ()
    because: tuple[Origin, ...] = ()


@dataclass
class TraceLog:
    """The claims that traces have made so far and that are still to be confirmed, each with the first record that makes
    it."""

    readings: dict[tuple[str, str, OriginPath], tuple[Any, str]] = field(default_factory=dict)
    """(role, key of the row, steps into it) -> (value, record)."""
    queries: dict[VerificationQuery, tuple[Any, str]] = field(default_factory=dict)
    """Query -> (value, record)."""
    mistakes: list[tuple[str, str]] = field(default_factory=list)
    """(record, message) of claims that were found to be wrong on the way."""
    expressions: dict[tuple[str, View, str], tuple[Origin, ...]] = field(default_factory=dict)
    """(case id, view, place of the expression and steps into its value) -> the origins of what it read."""


@dataclass
class OriginResolver:
    """Resolves the paths of one view of one case. `names` are the values that the paths lead into."""

    cases: CaseValues
    log: TraceLog
    case_id: str
    view: View
    names: Mapping[str, Any]
    record: str
    _resolved: dict[OriginPath, tuple[Origin, ...]] = field(default_factory=dict)

    def resolve(self, paths: Iterable[OriginPath]) -> tuple[Origin, ...]:
        """Return the origins of some paths; counts are resolved once per list."""
        origins: list[Origin] = []
        counted: dict[OriginPath, list[OriginPath]] = {}
        for path in sorted(paths, key=lambda path: tuple(map(str, path))):
            if path[-1] == COUNTED:
                item = path[:-1]
                counted.setdefault(item[:-1] if isinstance(item[-1], int) else item, []).append(item)
                continue
            if path not in self._resolved:
                self._resolved[path] = self._resolve_path(path)
            origins += self._resolved[path]
        for listed, items in counted.items():
            origins.append(self._count_origin(listed, [item for item in items if item != listed]))
        return tuple(dict.fromkeys(origins)) if _hashable(origins) else tuple(origins)

    def _resolve_path(self, path: OriginPath) -> tuple[Origin, ...]:
        if path[-1] == HIDDEN:
            return tuple(_mask(origin) for origin in self._resolve_path(path[:-1]))
        name, rest, text = str(path[0]), path[1:], path_text(path)
        typed = self.cases.build.typed
        match name:
            case "case":
                return self._case_origins(str(rest[0]) if rest else "id", text)
            case "outcome":
                return tuple(self._outcome_origin(str(part), text) for part in (rest or ("action",)))
            case "precedents":
                return self._precedents_origins(rest, text)
            case "option":
                return self._option_origins(self.names["option"], None, rest, text)
            case _ if name in typed.case.facts:
                return (self._fact_origin(name, rest, text),)
            case _ if name in typed.cast.roles:
                return self._role_origins(typed.cast.roles[name], self.names[name], rest, text)
            case _:
                raise StorymeshError(
                    f"nobody knows where '{text}' of {self.record} comes from", "a defect of storymesh"
                )

    # --- rows ---

    def _role_origins(self, role: Role, value: Any, steps: OriginPath, text: str) -> tuple[RowOrigin, ...]:
        row, rest = _enclosing_row(value, steps)
        if isinstance(row, list):
            return tuple(self._row_origin(role, item, rest, f"{text}[{index}]") for index, item in enumerate(row))
        return (self._row_origin(role, row, rest, text),) if row is not None else ()

    def _row_origin(self, role: Role, row: Mapping[str, Any], steps: OriginPath, text: str) -> RowOrigin:
        build = self.cases.build
        product, version = build.product_versions[role.name]
        value = value_at(row, steps)
        self.log.readings.setdefault((role.name, row[KEY], steps), (value, self.record))
        column = str(steps[0]) if steps else None
        masked = column is not None and (
            role.contract.properties[column].classification == "restricted"
            and (role.name, column) not in build.typed.pseudonymised
        )
        name = ".".join(map(str, steps)) or None
        receipt = build.snapshots[role.name].receipt
        told = [receipt.describe(column)] if receipt is not None else []
        for linked, receipts in build.keys_sent.items():
            told += [
                f"{item.describe(column)}, to find {linked} at {item.leaving.to_premise}"
                for item in receipts
                if item.leaving.role == role.name and column in item.leaving.columns
            ]
        left = "; ".join(told) or None
        evidence = self.cases.evidence(role.name, row[KEY], column) if column is not None else None
        shown = None if masked or not steps else value
        return RowOrigin(text, product, version, row[KEY], name, shown, masked, left, evidence)

    def _case_origins(self, name: str, text: str) -> tuple[RowOrigin, ...]:
        """Return the origins of the case's id, at or closes: properties of its anchor."""
        cast = self.cases.build.typed.cast
        row = self.cases.names(self.case_id, "hindsight")[cast.anchor.name]
        columns = {"id": cast.anchor.contract.key, "at": (cast.at,), "closes": (cast.closes or "",)}[name]
        return tuple(self._row_origin(cast.anchor, row, (column,), text) for column in columns)

    # --- expressions ---

    def _outcome_origin(self, name: str, text: str) -> ExpressionOrigin:
        build = self.cases.build
        outcome = self.cases.names(self.case_id, "hindsight")["outcome"]
        expression = getattr(build.narrative.case.outcome, name)
        at = build.narrative.at("case", "outcome", name)
        value = outcome[name] if outcome is not None else None
        formula = build.typed.case.outcome[name]
        return self._expression_origin(text, formula, expression, at, value, (), "hindsight")

    def _fact_origin(self, name: str, steps: OriginPath, text: str) -> Origin:
        build = self.cases.build
        formula = build.typed.case.facts[name]
        role = _role_of(formula.checked.value.type)
        value, rest = _enclosing_row(self.names[name], steps)
        if role is not None and isinstance(value, dict):
            return self._row_origin(build.typed.cast.roles[role], value, rest, text)
        at = build.narrative.at("case", "facts", name)
        expression = build.narrative.case.facts[name]
        return self._expression_origin(text, formula, expression, at, value_at(value, rest), steps, self.view)

    def _expression_origin(
        self,
        text: str,
        formula: Formula,
        expression: str,
        at: Location,
        value: Any,
        steps: OriginPath,
        view: View,
    ) -> ExpressionOrigin:
        cached = (self.case_id, view, f"{at}:{steps}")
        if cached not in self.log.expressions:
            names = self.cases.names(self.case_id, view)
            inner = replace(self, view=view, names=names, _resolved={})
            self.log.expressions[cached] = inner._read_origins(formula, expression, value, steps)
        masked = formula.checked.value.classification == "restricted"
        origins = self.log.expressions[cached]
        return ExpressionOrigin(text, self.case_id, expression, at, None if masked else value, masked, origins)

    def _read_origins(self, formula: Formula, expression: str, value: Any, steps: OriginPath) -> tuple[Origin, ...]:
        """Return the origins of what an expression read; claims a mistake if it has another value than the case."""
        traced = self.cases.trace_expression(formula.expression, self.case_id, self.view)
        for step in steps:
            if traced is not None and isinstance(traced.value, list) and isinstance(step, int):
                traced = traced.value[step]
            elif traced is not None:
                traced = None
        if traced is None:  # the engine has a value where the interpreter has none: everything that may flow into it
            return self.resolve(self._possible_reads(formula))
        if not _same_value(traced.value, value):
            message = f"`{expression}` of case {self.case_id} gives another value than the case has"
            self.log.mistakes.append((self.record, message))
        return self.resolve(traced.origins)

    def _possible_reads(self, formula: Formula) -> Iterator[OriginPath]:
        """Yield the paths that an expression may read; of a list, those of each row."""
        for read in formula.checked.reads:
            value = self.names.get(read[0])
            if isinstance(value, list):
                rows: Iterator[OriginPath] = ((read[0], index, *read[1:]) for index in range(len(value)))
                yield from rows
            elif value is not None:
                yield read

    # --- precedents ---

    def _precedents_origins(self, steps: OriginPath, text: str) -> tuple[Origin, ...]:
        precedents = self.names["precedents"]
        match steps:
            case ("enough",):
                return (self._query_origin(text, "enough", (), precedents["enough"]),)
            case ("level",):
                return (self._query_origin(text, "level", (), precedents["level"]),)
            case ("best" | "worst" as rank, *rest):
                return self._option_origins(precedents[rank], rank, tuple(rest), text)
            case ("options", int() as index, *rest):
                return self._option_origins(precedents["options"][index], index, tuple(rest), text)
            case ("options",):
                return (self._query_origin(text, "options", (), len(precedents["options"])),)
            case _:
                return (self._query_origin(text, "tried", (), precedents["tried"]),)

    def _option_origins(self, option: Any, rank: Rank | None, steps: OriginPath, text: str) -> tuple[Origin, ...]:
        action = option["action"] if option is not None else ""
        match steps:
            case ("tried" | "worked" | "rate" | "mean_score" as name,):
                return (self._query_origin(text, "of_option", (action, name), option[name]),)
            case ("quoted",):
                return (self._query_origin(text, "quotes", (action,), len(option["quoted"])),)
            case ("quoted", int() as index, *rest):
                return self._quoted_origins(option["quoted"][index], tuple(rest), text)
        if rank is not None:
            return (self._query_origin(text, "action", (rank,), action or None),)
        # The option of a preference: the case's own action, or the best or worst of the others.
        own = self.cases.names(self.case_id, "hindsight")["outcome"]
        if own["action"] == action:
            return (self._outcome_origin("action", text),)
        other: Rank = "worst" if own["worked"] else "best"
        return (self._query_origin(text, "action", (other, own["action"]), action),)

    def _quoted_origins(self, quoted: Mapping[str, Any], steps: OriginPath, text: str) -> tuple[Origin, ...]:
        case_id = quoted["id"]
        names = self.cases.names(case_id, "hindsight")
        other = replace(self, case_id=case_id, view="hindsight", names=names, _resolved={})
        match steps:
            case ("cited_as",):
                return other._case_origins("id", text)
            case ("id" | "at" | "closes" as name,):
                return other._case_origins(name, text)
            case ("score" | "worked" as name,):
                return (other._outcome_origin(name, text),)
            case (str() as name, *rest):
                return (other._fact_origin(name, tuple(rest), text),)
            case _:
                return other._case_origins("id", text)

    # --- counts ---

    def _count_origin(self, listed: OriginPath, items: Sequence[OriginPath]) -> Origin:
        build = self.cases.build
        name, text = str(listed[0]), f"{path_text(listed)} | length"
        if name in ("precedents", "option") or len(listed) > 1:  # or a list that is a property of a row
            return replace(self._resolve_path(listed)[0], path=text)
        role, fact = build.typed.cast.roles.get(name), build.typed.case.facts.get(name)
        rows = tuple(origin for item in items for origin in self._resolve_path(item))
        keyed = role is not None or (fact is not None and _role_of(fact.checked.value.type) is not None)
        column = (role.column,) if role is not None else (self.view, name)
        keys = tuple(origin.key for origin in rows if isinstance(origin, RowOrigin)) if keyed else None
        origin = self._query_origin(text, "rows", (column, keys), len(items))
        return replace(origin, origins=rows)

    def _query_origin(self, text: str, name: str, arguments: tuple[Any, ...], value: Any) -> QueryOrigin:
        query = VerificationQuery(self.cases.queries, name, (self.case_id, *arguments))
        self.log.queries.setdefault(query, (value, self.record))
        return QueryOrigin(text, query, value)


def path_text(path: OriginPath) -> str:
    """Return a path as an expression would write it, with the indexes of items: `disruption[0].title`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def value_at(value: Any, steps: OriginPath) -> Any:
    """Return the value at the end of some steps, or None if one of them starts from None."""
    for step in steps:
        if value is None:
            return None
        value = value[step]
    return value


def _enclosing_row(value: Any, steps: OriginPath) -> tuple[Any, OriginPath]:
    """Return the row on the way along some steps and the remaining steps; without a row, the value at their end."""
    for index, step in enumerate(steps):
        if isinstance(value, dict) and KEY in value:
            return value, steps[index:]
        value = value_at(value, (step,))
    return value, ()


def _role_of(kind: Type) -> str | None:
    inner = kind.item.type if isinstance(kind, Array) else kind
    return inner.origin if isinstance(inner, Struct) else None


def _same_value(computed: Any, stored: Any) -> bool:
    """Return whether two values agree: a score of floats is stored with nine digits, everything else as it is."""
    if isinstance(computed, float) and isinstance(stored, Decimal):
        return abs(Decimal(computed) - stored) <= Decimal("1e-9")
    if isinstance(computed, list) and isinstance(stored, list):
        return len(computed) == len(stored)
    return bool(computed == stored)


def _mask(origin: Origin) -> Origin:
    """Hide the value of an origin and of what it was computed from: only its pseudonym is printed."""
    match origin:
        case RowOrigin(evidence=evidence):
            bare = replace(evidence, quote=None, uri=None, hidden=True) if evidence is not None else None
            return replace(origin, value=None, masked=True, evidence=bare)
        case ExpressionOrigin():
            return replace(origin, value=None, masked=True, origins=tuple(map(_mask, origin.origins)))
        case QueryOrigin():
            return origin


def _hashable(origins: Sequence[Origin]) -> bool:
    try:
        hash(tuple(origins))
    except TypeError:
        return False
    return True
