"""Every value that a record prints, led back: to product, version, key and property, or to the query that counts it.

A record is told once more, by the interpreter that follows values (`language.follow`). What printed a stretch of its
text comes back as *places* in the names of the language (`("disruption", 0, "title")`); here each place is led to a row
of a product: through facts and the outcome to what their expressions read, through quoted precedents to the rows of
their cases. What is counted is led to SQL over the cases. Nothing is taken on trust: the words are compared with the
record, the values with the product, and the queries are run.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from storymesh.case.link import KEY, key_text
from storymesh.case.resolve import Role
from storymesh.case.scopes import Formula
from storymesh.case.visibility import names_in
from storymesh.dataset.build import Build
from storymesh.dataset.pseudonym_key import VARIABLE
from storymesh.dataset.render import record_inputs
from storymesh.dataset.stages import write_cases_and_precedents
from storymesh.dataset.tables import cases_with_precedents, product_rows
from storymesh.engine.engine import Engine
from storymesh.errors import DefinitionErrors, NotInLanguage, StorymeshError, TooLarge
from storymesh.language.interpret import as_value
from storymesh.language.parse import parse_expression
from storymesh.language.provenance import COUNTED, HIDDEN, OriginPath, TextSpan, TracedValue, TracingInterpreter
from storymesh.language.typecheck.templates import check_expression
from storymesh.language.types import Array, Struct, Type
from storymesh.location import Location
from storymesh.narrative.formats.format import TextColumn
from storymesh.narrative.typed_record import TypedRecord
from storymesh.provenance.verification_sql import Rank, VerificationQueries, VerificationQuery

if TYPE_CHECKING:
    import ibis.expr.types as ir

View = Literal["hindsight", "question"]


@dataclass(frozen=True)
class Cell:
    """One value of one row of a product; without a property, the row. What may not be shown is `masked`."""

    path: str
    product: str
    version: str
    key: str
    property: str | None
    value: Any = None
    masked: bool = False
    kind: Literal["row"] = "row"


@dataclass(frozen=True)
class Computed:
    """What an expression of `narrative.yaml` gives for one case, and what it read."""

    path: str
    case: str
    expression: str
    at: Location
    value: Any
    masked: bool
    origins: tuple["Origin", ...]
    kind: Literal["expression"] = "expression"


@dataclass(frozen=True)
class Counted:
    """What a query gives again; `origins` are the rows that it counts, where they are rows of the case."""

    path: str
    query: VerificationQuery
    value: Any
    origins: tuple["Origin", ...] = ()
    kind: Literal["query"] = "query"


Origin = Cell | Computed | Counted


@dataclass(frozen=True)
class Span:
    """Characters `begin` to `end` of a column's text. `expression` printed them, as it is written at `at`; None: words
    of the template. `origins` is where the value comes from, `because` what decided that it is this one."""

    begin: int
    end: int
    text: str
    at: Location
    expression: str | None = None
    origins: tuple[Origin, ...] = ()
    because: tuple[Origin, ...] = ()


@dataclass(frozen=True)
class Column:
    """One text of a record, as the record has it. The spans cover it where it is what its templates give. `retold` is
    what a language model made of it, where the record has that instead."""

    name: str
    text: str
    spans: tuple[Span, ...]
    retold: str | None = None


@dataclass(frozen=True)
class Trace:
    """One record with all its columns led back. `mistakes`: what does not lead back, in words; empty where all does."""

    record: str
    case_id: str
    columns: tuple[Column, ...]
    mistakes: tuple[str, ...] = ()


class Told(NamedTuple):
    """One column of one case, told again: its text and its parts."""

    name: str
    text: str
    parts: tuple[TextSpan, ...]


class ToldCase(NamedTuple):
    """One case told again; `names` are what its templates saw."""

    case_id: str
    names: Mapping[str, Any]
    columns: tuple[Told, ...]


class Tracer:
    """Traces records of one build. Use it as a context manager; `confirm` when the records are traced."""

    def __init__(self, build: Build) -> None:
        self._build = build
        self._engine = build.open_engine()
        self._cases = _Cases(build, self._engine)

    def __enter__(self) -> "Tracer":
        write_cases_and_precedents(self._build)
        return self

    def __exit__(self, *exception: Any) -> None:
        self._engine.__exit__(*exception)

    def told(self, config: str, case_ids: Sequence[str] | None) -> Iterator[ToldCase]:
        """The cases of these ids that the config tells, told again; None: all of them."""
        record = self._build.typed.records[config]
        interpreters = _interpreters(self._build, record)
        for row in self._asked(record, case_ids):
            case_id = row["case_id"]
            names = as_value({name.removeprefix("n_"): value for name, value in row.items() if name.startswith("n_")})
            columns = []
            for column in record.texts:
                seen = {**names, "option": names[f"option_{column.option}"]} if column.option else names
                slot = record.slots[column.slot.name]
                text, parts = interpreters[slot.name].follow(slot.template, case_id, seen)
                columns.append(Told(column.path, text, parts))
            yield ToldCase(case_id, names, tuple(columns))

    def traces(self, config: str, records: Iterable[Mapping[str, Any]]) -> Iterator[Trace]:
        """The traces of some records of one config, in the order of the cases. `records` have case_id and the columns
        of their format. What differs from the records stands in `mistakes`."""
        record = self._build.typed.records[config]
        wanted = {one["case_id"]: one for one in records}
        many = len(wanted) > 500
        told: Iterable[ToldCase] = self.told(config, None if many else list(wanted))
        if many:
            self._cases.load(None)
        else:
            told = list(told)
            # With the cases that they quote, in one reading: one reading each costs more than all the rest.
            self._cases.load(list(dict.fromkeys([*wanted, *(one for case in told for one in _quoted_in(case.names))])))
        for case_id, names, columns in told:
            if case_id not in wanted:
                continue
            released = wanted.pop(case_id)
            yield self._trace(record, released, names, columns)
        for case_id in wanted:
            words = f"the case {case_id} is not told by '{config}' any more"
            yield Trace(f"{config}/{case_id}", case_id, (), (words,))

    def _trace(
        self, record: TypedRecord, released: Mapping[str, Any], names: Mapping[str, Any], told: Sequence[Told]
    ) -> Trace:
        case_id = released["case_id"]
        view: View = "hindsight" if record.hindsight else "question"
        columns, mistakes = [], []
        for column, (name, text, parts) in zip(record.texts, told, strict=True):
            seen = {**names, "option": names[f"option_{column.option}"]} if column.option else names
            leads = _Leads(self._cases, case_id, view, seen, f"{record.config}/{case_id}")
            met = template_text(column, released)
            if met != text:
                mistakes.append(_difference(name, met, text))
            spans = tuple(_led(part, met, leads) for part in parts)
            spoken = column.text_in(released) or ""
            columns.append(Column(name, met, spans, spoken if spoken != met else None))
        if (label := record.format.label) is not None:
            leads = _Leads(self._cases, case_id, view, names, f"{record.config}/{case_id}")
            text, narrative = str(released[label]), self._build.narrative
            at = narrative.at("case", "outcome", "worked")
            origins = leads.lead([("outcome", "worked")])
            columns.append(Column(label, text, (Span(0, len(text), text, at, "outcome.worked", origins),)))
            if str(getattr(origins[0], "value", None)) != text:
                mistakes.append(f"{label}: the record says {text}, its outcome says otherwise")
        return Trace(f"{record.config}/{case_id}", case_id, tuple(columns), tuple(mistakes))

    def confirm(self, most: int | None = None) -> dict[str, list[str]]:
        """Record -> what does not hold of what it was led to: rows that are not in the product or say otherwise,
        expressions and queries that give another value. Of the queries at most `most` are run, evenly taken."""
        found: dict[str, list[str]] = {}
        for record, words in (*self._cases.mistakes, *self._unlike_products(), *self._unlike_queries(most)):
            found.setdefault(record, []).append(words)
        return found

    def _asked(self, record: TypedRecord, case_ids: Sequence[str] | None) -> Iterator[dict[str, Any]]:
        build = self._build
        cases = cases_with_precedents(build, self._engine)
        rows = record_inputs(cases, build.typed, record, build.product_versions, build.pseudonym_key).drop(
            "facts", "sources"
        )
        rows = rows.filter(rows["undone"].isnull())
        if case_ids is not None:
            rows = rows.filter(rows["case_id"].isin(list(case_ids)))
        for batch in self._engine.stream_batches(rows):
            yield from batch.to_pylist()

    def _unlike_products(self) -> Iterator[tuple[str, str]]:
        """Values that a record was led to and that the product does not have, read from the product's own files."""
        by_role: dict[str, dict[str, list[tuple[OriginPath, Any, str]]]] = {}
        for (role, key, steps), (value, record) in self._cases.readings.items():
            by_role.setdefault(role, {}).setdefault(key, []).append((steps, value, record))
        for role, keys in by_role.items():
            product, version = self._build.versions[role]
            columns = {str(steps[0]) for read in keys.values() for steps, _, _ in read if steps}
            rows = self._rows(role, keys, columns)
            for key, read in keys.items():
                for steps, value, record in read:
                    place = f"{product} {key}, version {version[:12]}"
                    if key not in rows:
                        yield record, f"{place} is not there"
                    elif steps and _inside(rows[key], steps) != value:
                        yield record, f"{place}: {'.'.join(map(str, steps))} is not what the record was told from"

    def _rows(self, role: str, keys: Iterable[str], columns: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Key -> row of a product at its version, with pseudonyms where the narrative has them."""
        import ibis

        from storymesh.language.compile.expressions import pseudonym

        build = self._build
        contract = build.contracts[role]
        table = product_rows(build, self._engine, [role])[role]

        def told(column: str) -> "ir.Value":
            replaced = (role, column) in build.typed.pseudonymised
            return pseudonym(table[column], build.pseudonym_key) if replaced else table[column]

        known = table.select(
            **{KEY: key_text([told(column) for column in contract.key])},
            **{f"c_{column}": told(column) for column in sorted(columns)},
        )
        wanted = ibis.memtable({KEY: list(keys)}, schema={KEY: "string"})
        found = self._engine.fetch_rows(known.semi_join(wanted, KEY))
        return {row[KEY]: as_value({name[2:]: row[name] for name in row if name != KEY}) for row in found}

    def _unlike_queries(self, most: int | None) -> Iterator[tuple[str, str]]:
        queries = self._cases.queries
        step = 1 if most is None else -(-len(queries) // most)
        for query, (value, record) in islice(queries.items(), None, None, step or 1):
            rows = self._engine.fetch_rows(query.expression)
            counted = rows[0]["value"] if rows else None
            if counted != value:
                yield record, f"a query gives {counted}, the record was told {value}:\n{query.sql}"


def trace(build: Build, record: Mapping[str, Any]) -> Trace:
    """One record led back and confirmed. `record` and `build` are those of a release, as `read_record` and `build_of`
    give them."""
    config = str(record["id"]).partition("/")[0]
    with Tracer(build) as tracer:
        (found,) = tracer.traces(config, [record])
        mistakes = tracer.confirm().get(found.record, [])
    return replace(found, mistakes=(*found.mistakes, *mistakes))


def _led(part: TextSpan, text: str, leads: "_Leads") -> Span:
    words = text[part.begin : part.end]
    if part.expression is None:
        return Span(part.begin, part.end, words, part.at)
    because = leads.lead(part.decided - part.places) if part.decided else ()
    return Span(part.begin, part.end, words, part.at, part.expression, leads.lead(part.places), because)


def _quoted_in(names: Any) -> Iterator[str]:
    """The ids of the cases that the values of some names quote."""
    if isinstance(names, Mapping):
        for name, value in names.items():
            if name == "quoted" and isinstance(value, list):
                yield from (one["id"] for one in value)
            elif name in ("precedents", "best", "worst", "options") or name.startswith("option_"):
                yield from _quoted_in(value)
    elif isinstance(names, list):
        for value in names:
            yield from _quoted_in(value)


def template_text(column: TextColumn, released: Mapping[str, Any]) -> str:
    """Return a text of a record as its template rendered it; where a model rewrote it, the record keeps both."""
    for note in released.get("retellings") or ():
        if note["column"] == column.name:
            return str(note["story"])
    return column.text_in(released) or ""


def _interpreters(build: Build, record: TypedRecord) -> dict[str, TracingInterpreter]:
    templates, folder, key = build.narrative.templates, build.narrative.folder, build.pseudonym_key
    return {
        name: TracingInterpreter(templates, folder, slot.checked.labels, slot.checked.replaced, key, slot.checked.casts)
        for name, slot in record.slots.items()
    }


def _difference(name: str, met: str, told: str) -> str:
    if _PSEUDONYM.sub("", met) == _PSEUDONYM.sub("", told):
        return f"{name}: its pseudonyms were made with another key than the one at hand, see {VARIABLE}"
    first = next(
        (n for n, (one, two) in enumerate(zip(met, told, strict=False)) if one != two), min(len(met), len(told))
    )
    met, told = met[first : first + 40], told[first : first + 40]
    return f"{name}, character {first}: the record says {met!r}, its templates and products say {told!r}"


_PSEUDONYM = re.compile(r"p-[0-9a-f]{12}")
_VALUE = "value"
_SET = f"{{% set {_VALUE} = "


class _Cases:
    """The cases of a build with every name that an expression of the narrative may use, in both views of time; and what
    was read of them, to be confirmed."""

    def __init__(self, build: Build, engine: Engine) -> None:
        self.build = build
        self.readings: dict[tuple[str, str, OriginPath], tuple[Any, str]] = {}
        self.queries: dict[VerificationQuery, tuple[Any, str]] = {}
        self.mistakes: list[tuple[str, str]] = []
        self._engine = engine
        self._names: dict[str, dict[View, Mapping[str, Any]]] = {}
        self._interpreters: dict[tuple[View, str], TracingInterpreter] = {}
        self.computed: dict[tuple[str, View, str], tuple[Any, tuple[Any, ...]]] = {}

    @cached_property
    def verification(self) -> VerificationQueries:
        return VerificationQueries(self.build, self._engine)

    def load(self, case_ids: Sequence[str] | None) -> None:
        """Read these cases at once, or all."""
        typed = self.build.typed
        cases = cases_with_precedents(self.build, self._engine)
        if case_ids is not None:
            cases = cases.filter(cases["case_id"].isin(list(case_ids)))
        views: tuple[View, ...] = ("hindsight", "question")
        columns = {
            f"{view[0]}_{name}": value
            for view in views
            for name, value in names_in(cases, typed.cast, typed.views, view).items()
        }
        for batch in self._engine.stream_batches(cases.select("case_id", **columns)):
            for row in batch.to_pylist():
                self._names[row["case_id"]] = {
                    view: as_value({name[2:]: row[name] for name in row if name.startswith(f"{view[0]}_")})
                    for view in views
                }

    def names(self, case_id: str, view: View) -> Mapping[str, Any]:
        if case_id not in self._names:
            self.load([case_id])
        return self._names[case_id][view]

    def followed(self, text: str, case_id: str, view: View) -> TracedValue | None:
        """An expression's value for one case, with the places that it read; None where the interpreter has none."""
        try:
            if (view, text) not in self._interpreters:
                at = Location(f"./{_VALUE}", 1, len(_SET) + 1)
                checked = check_expression(parse_expression(text, at), self.build.typed.views.scopes[view])
                given = ({_VALUE: f"{_SET}{text} %}}"}, ".", checked.labels, checked.replaced, b"", checked.casts)
                self._interpreters[view, text] = TracingInterpreter(*given, propagating=True)
            return self._interpreters[view, text].followed(_VALUE, _VALUE, self.names(case_id, view))
        except (NotInLanguage, TooLarge, DefinitionErrors):
            return None


@dataclass
class _Leads:
    """Leads the places of one view of one case back. `names` are the values that the places are steps in."""

    cases: _Cases
    case_id: str
    view: View
    names: Mapping[str, Any]
    record: str
    _found: dict[OriginPath, tuple[Origin, ...]] = field(default_factory=dict)

    def lead(self, places: Iterable[OriginPath]) -> tuple[Origin, ...]:
        """Where each of some places comes from; what is counted, a list at a time."""
        if not places:
            return ()
        found: list[Origin] = []
        counted: dict[OriginPath, list[OriginPath]] = {}
        for place in sorted(places, key=lambda place: tuple(map(str, place))):
            if place[-1] == COUNTED:
                steps = place[:-1]
                counted.setdefault(steps[:-1] if isinstance(steps[-1], int) else steps, []).append(steps)
                continue
            if place not in self._found:
                self._found[place] = self._led(place)
            found += self._found[place]
        found += [
            self._counted(listed, [steps for steps in items if steps != listed]) for listed, items in counted.items()
        ]
        return tuple(dict.fromkeys(found)) if _hashable(found) else tuple(found)

    def _led(self, place: OriginPath) -> tuple[Origin, ...]:
        if place[-1] == HIDDEN:
            return tuple(_hidden(origin) for origin in self._led(place[:-1]))
        name, rest, path = str(place[0]), place[1:], spelled(place)
        typed = self.cases.build.typed
        match name:
            case "case":
                return self.of_case(str(rest[0]) if rest else "id", path)
            case "outcome":
                return tuple(self.outcome(str(part), path) for part in (rest or ("action",)))
            case "precedents":
                return self._precedents(rest, path)
            case "option":
                return self._option(self.names["option"], None, rest, path)
            case _ if name in typed.views.facts:
                return (self.fact(name, rest, path),)
            case _ if name in typed.cast.roles:
                return self._rows(typed.cast.roles[name], self.names[name], rest, path)
            case _:
                raise StorymeshError(
                    f"nobody knows where '{path}' of {self.record} comes from", "a defect of storymesh"
                )

    # --- rows ---

    def _rows(self, role: Role, value: Any, steps: OriginPath, path: str) -> tuple[Cell, ...]:
        row, rest = _walked(value, steps)
        if isinstance(row, list):
            return tuple(self._cell(role, one, rest, f"{path}[{n}]") for n, one in enumerate(row))
        return (self._cell(role, row, rest, path),) if row is not None else ()

    def _cell(self, role: Role, row: Mapping[str, Any], steps: OriginPath, path: str) -> Cell:
        build = self.cases.build
        product, version = build.product_versions[role.name]
        value = _inside(row, steps)
        self.cases.readings.setdefault((role.name, row[KEY], steps), (value, self.record))
        column = str(steps[0]) if steps else None
        masked = column is not None and (
            role.contract.properties[column].classification == "restricted"
            and (role.name, column) not in build.typed.pseudonymised
        )
        name = ".".join(map(str, steps)) or None
        return Cell(path, product, version, row[KEY], name, None if masked or not steps else value, masked)

    def of_case(self, name: str, path: str) -> tuple[Cell, ...]:
        """id, at or closes of the case: properties of its anchor."""
        cast = self.cases.build.typed.cast
        row = self.cases.names(self.case_id, "hindsight")[cast.anchor.name]
        columns = {"id": cast.anchor.contract.key, "at": (cast.at,), "closes": (cast.closes or "",)}[name]
        return tuple(self._cell(cast.anchor, row, (column,), path) for column in columns)

    # --- expressions ---

    def outcome(self, name: str, path: str) -> Computed:
        build = self.cases.build
        outcome = self.cases.names(self.case_id, "hindsight")["outcome"]
        text = getattr(build.narrative.case.outcome, name)
        at = build.narrative.at("case", "outcome", name)
        value = outcome[name] if outcome is not None else None
        return self._computed(path, build.typed.views.outcome[name], text, at, value, (), "hindsight")

    def fact(self, name: str, steps: OriginPath, path: str) -> Origin:
        build = self.cases.build
        formula = build.typed.views.facts[name]
        role = _role_of(formula.checked.value.type)
        value, rest = _walked(self.names[name], steps)
        if role is not None and isinstance(value, dict):
            return self._cell(build.typed.cast.roles[role], value, rest, path)
        at = build.narrative.at("case", "facts", name)
        text = build.narrative.case.facts[name]
        return self._computed(path, formula, text, at, _inside(value, rest), steps, self.view)

    def _computed(
        self,
        path: str,
        formula: Formula,
        text: str,
        at: Location,
        value: Any,
        steps: OriginPath,
        view: View,
    ) -> Computed:
        cached = (self.case_id, view, f"{at}:{steps}")
        if cached not in self.cases.computed:
            inner = _Leads(self.cases, self.case_id, view, self.cases.names(self.case_id, view), self.record)
            self.cases.computed[cached] = self._read(formula, text, value, steps, inner)
        masked = formula.checked.value.classification == "restricted"
        _, origins = self.cases.computed[cached]
        return Computed(path, self.case_id, text, at, None if masked else value, masked, origins)

    def _read(
        self, formula: Formula, text: str, value: Any, steps: OriginPath, inner: "_Leads"
    ) -> tuple[Any, tuple[Origin, ...]]:
        followed = self.cases.followed(text, self.case_id, inner.view)
        for step in steps:
            if followed is not None and isinstance(followed.value, list) and isinstance(step, int):
                followed = followed.value[step]
            elif followed is not None:
                followed = None
        if followed is None:  # the engine has a value where the interpreter has none: all that may flow into it
            return value, inner.lead(inner.expanded(formula))
        if not _same(followed.value, value):
            words = f"`{text}` of case {self.case_id} gives another value than the case has"
            self.cases.mistakes.append((self.record, words))
        return value, inner.lead(followed.places)

    def expanded(self, formula: Formula) -> Iterator[OriginPath]:
        """The places that an expression may read: of a list, those of each row."""
        for read in formula.checked.reads:
            value = self.names.get(read[0])
            if isinstance(value, list):
                rows: Iterator[OriginPath] = ((read[0], number, *read[1:]) for number in range(len(value)))
                yield from rows
            elif value is not None:
                yield read

    # --- precedents ---

    def _precedents(self, steps: OriginPath, path: str) -> tuple[Origin, ...]:
        found = self.names["precedents"]
        match steps:
            case ("enough",):
                return (self._query(path, "enough", (), found["enough"]),)
            case ("level",):
                return (self._query(path, "level", (), found["level"]),)
            case ("best" | "worst" as rank, *rest):
                return self._option(found[rank], rank, tuple(rest), path)
            case ("options", int() as place, *rest):
                return self._option(found["options"][place], place, tuple(rest), path)
            case ("options",):
                return (self._query(path, "options", (), len(found["options"])),)
            case _:
                return (self._query(path, "tried", (), found["tried"]),)

    def _option(self, option: Any, rank: Rank | None, steps: OriginPath, path: str) -> tuple[Origin, ...]:
        action = option["action"] if option is not None else ""
        match steps:
            case ("tried" | "worked" | "rate" | "mean_score" as name,):
                return (self._query(path, "of_option", (action, name), option[name]),)
            case ("quoted",):
                return (self._query(path, "quotes", (action,), len(option["quoted"])),)
            case ("quoted", int() as place, *rest):
                return self._quoted(option["quoted"][place], tuple(rest), path)
        if rank is not None:
            return (self._query(path, "action", (rank,), action or None),)
        # The option of a preference: the case's own action, or the best or worst of the others.
        own = self.cases.names(self.case_id, "hindsight")["outcome"]
        if own["action"] == action:
            return (self.outcome("action", path),)
        other: Rank = "worst" if own["worked"] else "best"
        return (self._query(path, "action", (other, own["action"]), action),)

    def _quoted(self, quoted: Mapping[str, Any], steps: OriginPath, path: str) -> tuple[Origin, ...]:
        case_id = quoted["id"]
        names = self.cases.names(case_id, "hindsight")
        other = _Leads(self.cases, case_id, "hindsight", names, self.record)
        match steps:
            case ("id" | "at" | "closes" as name,):
                return other.of_case(name, path)
            case ("score" | "worked" as name,):
                return (other.outcome(name, path),)
            case (str() as name, *rest):
                return (other.fact(name, tuple(rest), path),)
            case _:
                return other.of_case("id", path)

    # --- what is counted ---

    def _counted(self, listed: OriginPath, items: Sequence[OriginPath]) -> Origin:
        build = self.cases.build
        name, path = str(listed[0]), f"{spelled(listed)} | length"
        if name in ("precedents", "option"):
            return replace(self._led(listed)[0], path=path)
        role, fact = build.typed.cast.roles.get(name), build.typed.views.facts.get(name)
        if len(listed) > 1:  # a list that is a property of a row
            return replace(self._led(listed)[0], path=path)
        rows = tuple(origin for item in items for origin in self._led(item))
        keyed = role is not None or (fact is not None and _role_of(fact.checked.value.type) is not None)
        column = (role.column,) if role is not None else (self.view, name)
        keys = tuple(origin.key for origin in rows if isinstance(origin, Cell)) if keyed else None
        found = self._query(path, "rows", (column, keys), len(items))
        return replace(found, origins=rows)

    def _query(self, path: str, name: str, given: tuple[Any, ...], value: Any) -> Counted:
        query = VerificationQuery(self.cases.verification, name, (self.case_id, *given))
        self.cases.queries.setdefault(query, (value, self.record))
        return Counted(path, query, value)


def spelled(place: OriginPath) -> str:
    """A place as an expression would write it, with the number of a list's item: `disruption[0].title`."""
    text = ""
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _walked(value: Any, steps: OriginPath) -> tuple[Any, OriginPath]:
    """The row that some steps lead through, with the steps that are left from it; without one, what they lead to."""
    for number, step in enumerate(steps):
        if isinstance(value, dict) and KEY in value:
            return value, steps[number:]
        value = _inside(value, (step,))
    return value, ()


def _inside(value: Any, steps: OriginPath) -> Any:
    for step in steps:
        if value is None:
            return None
        value = value[step]
    return value


def _role_of(kind: Type) -> str | None:
    inner = kind.item.type if isinstance(kind, Array) else kind
    return inner.origin if isinstance(inner, Struct) else None


def _same(computed: Any, stored: Any) -> bool:
    """A score of floats is kept to nine digits; all else is what it is."""
    if isinstance(computed, float) and isinstance(stored, Decimal):
        return abs(Decimal(computed) - stored) <= Decimal("1e-9")
    if isinstance(computed, list) and isinstance(stored, list):
        return len(computed) == len(stored)
    return bool(computed == stored)


def _hidden(origin: Origin) -> Origin:
    """What is printed as its pseudonym only is not shown, nor what it was computed from."""
    match origin:
        case Cell():
            return replace(origin, value=None, masked=True)
        case Computed():
            return replace(origin, value=None, masked=True, origins=tuple(map(_hidden, origin.origins)))
        case Counted():
            return origin


def _hashable(origins: Sequence[Origin]) -> bool:
    try:
        hash(tuple(origins))
    except TypeError:
        return False
    return True
