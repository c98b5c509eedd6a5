"""What a case is by DESIGN's words, in plain Python over plain rows: nested loops and nothing of the library.

Each view of time has a case of its own. The question's is linked over what was known at `case.at`: rows whose eventTime
had come, and in them the values whose knownAt had; everything else is null there before anything is joined.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal, localcontext
from itertools import product as combinations
from typing import Any

from tests.support.small_mesh import Product, Row, SmallMesh

LENGTHS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


@dataclass(frozen=True)
class Formula:
    """An expression's text, what it means, and the places it reads: (role, property), or (role, None) for the rows."""

    text: str
    means: Callable[[Mapping[str, Any]], Any]
    reads: tuple[tuple[str, str | None], ...]
    row_of: str | None = None  # the role of which it gives the last row


@dataclass(frozen=True)
class Meaning:
    """Formulas for the facts (a fact sees those before it), the outcome and each level of `match`."""

    facts: Mapping[str, Formula] = field(default_factory=dict)
    outcome: Mapping[str, Formula] = field(default_factory=dict)
    match: Sequence[Sequence[Formula]] = ()
    asked_facts: frozenset[str] = frozenset()  # the facts that a question may name


@dataclass
class Linked:
    """A row of a role in one view: the values that the view has, and the moment from which the row was known."""

    row: Row
    values: Row
    known: datetime | None


@dataclass
class Expected:
    id: str
    at: datetime
    closes: datetime | None
    hindsight: dict[str, Any]
    question: dict[str, Any]
    dropped: str | None
    question_dropped: str | None
    status: str
    facts: dict[str, Any]
    question_facts: dict[str, Any]
    outcome: dict[str, Any] | None
    known: datetime | None
    fact_known: dict[str, datetime | None]
    row_known: dict[str, dict[str, datetime | None]]
    match: list[list[Any]]


def moment(value: Any) -> datetime | None:
    """A date is its midnight."""
    if isinstance(value, datetime) or value is None:
        return value
    assert isinstance(value, date)
    return datetime.combine(value, time())


def length(text: str) -> timedelta:
    sign = -1 if text.startswith("-") else 1
    return sign * timedelta(seconds=int(text.strip("-")[:-1]) * LENGTHS[text[-1]])


def latest(moments: Sequence[datetime | None]) -> datetime | None:
    """Null when one of them never was."""
    return (
        None if any(moment is None for moment in moments) else max(moment for moment in moments if moment is not None)
    )


def knowledge(product: Product, column: str) -> str | None:
    """The property that says when the value became known; null: with no row ever, or always (timeless)."""
    if column in product.known_of:
        return product.known_of[column]
    if column == product.end or (column != product.event and column in product.known_of.values()):
        return column  # the end of an interval, and a moment of knowing, are known when they come
    return product.known or product.event


class _Case:
    """One anchor row in one view. `now` is null in hindsight."""

    def __init__(self, mesh: SmallMesh, anchor: Row, *, question: bool) -> None:
        self.mesh = mesh
        self.definition = mesh.case
        self.anchor = anchor
        self.question = question
        self.at_column = self.definition["at"].split(".")[1]
        at = moment(anchor[self.at_column])
        assert at is not None
        self.at = at
        name = self.definition["anchor"]
        self.roles: dict[str, list[Linked]] = {name: [Linked(anchor, self.seen(name, anchor), at)]}
        for role in self.definition.get("links", {}):
            self.roles[role] = self._linked(role)

    def product(self, role: str) -> Product:
        return self.mesh.cast[role]

    def known(self, role: str, row: Row, column: str) -> datetime | None:
        """When the value became known; datetime.min for what was always known."""
        product = self.product(role)
        if product.event is None and not product.timeless:
            return None
        by = knowledge(product, column)
        if role == self.definition["anchor"]:
            closes = self.definition.get("closes", ".").split(".")[1]
            ends = product.end if product.event == self.at_column else None
            if column == closes or (by is not None and by in (closes, ends)):
                return None  # by its contract it is known only when the case closes
        return datetime.min if by is None else moment(row[by])

    def seen(self, role: str, row: Row) -> Row:
        """The row's values in this view."""
        if not self.question:
            return row
        seen = {}
        for column, value in row.items():
            known = self.known(role, row, column)
            seen[column] = value if known is not None and known <= self.at else None
        return seen

    def _linked(self, role: str) -> list[Linked]:
        link, product = self.definition["links"][role], self.product(role)
        joins = list((link.get("on") or self._related(role)).items())
        others = list(dict.fromkeys(path.split(".")[0] for _, path in joins))
        found: list[Linked] = []
        for row in self.mesh.rows[product.name]:
            if product.name == self.product(self.definition["anchor"]).name and row is self.anchor:
                continue
            event = moment(row[product.event]) if product.event else None
            if self.question:
                hindsight = product.event is None and not product.timeless
                if hindsight or (product.event and (event is None or event > self.at)):
                    continue
            values = self.seen(role, row)
            if not self._in_time(link, product, values):
                continue
            ways = []
            for parents in combinations(*(self.roles[other] for other in others)):
                by_role = dict(zip(others, parents, strict=True))
                if all(self._equal(values[column], path, by_role) for column, path in joins):
                    ways.append(self._known_by(role, row, link, joins, by_role))
            if ways:
                there = [way for way in ways if way is not None]
                found.append(Linked(row, values, min(there) if there else None))
        found.sort(key=lambda linked: self._place(product, linked.row))
        return found[-1:] if "as_of" in link else found

    def _related(self, role: str) -> dict[str, str]:
        mine, links = self.product(role), self.definition["links"]
        for other in [self.definition["anchor"], *links]:
            if other == role:
                break
            theirs = self.product(other)
            for columns, to, others in mine.refers:
                if to == theirs.name:
                    return {a: f"{other}.{b}" for a, b in zip(columns, others, strict=True)}
            for columns, to, others in theirs.refers:
                if to == mine.name and theirs.name != mine.name:
                    return {b: f"{other}.{a}" for a, b in zip(columns, others, strict=True)}
            if other == self.definition["anchor"] and any(
                rule in links[role] for rule in ("within", "overlaps", "as_of")
            ):
                break
        return {}

    def _equal(self, mine: Any, path: str, parents: Mapping[str, Linked]) -> bool:
        role, column = path.split(".")
        theirs = parents[role].values[column]
        if mine is None or theirs is None:
            return False
        if isinstance(mine, date):
            return moment(mine) == moment(theirs)
        return bool(mine == theirs)

    def _in_time(self, link: Mapping[str, Any], product: Product, values: Row) -> bool:
        if not {"within", "overlaps", "as_of"} & set(link):
            return True
        assert product.event is not None
        event = moment(values[product.event])
        if event is None:
            return False
        if "within" in link:
            return length(link["within"]["after"]) <= event - self.at <= length(link["within"]["before"])
        if "overlaps" in link:
            assert product.end is not None
            slack = length(link["overlaps"].get("slack", "0d"))
            end = moment(values[product.end])
            return event - slack <= self.at and (end is None or self.at <= end + slack)
        return event <= self.at

    def _known_by(
        self, role: str, row: Row, link: Mapping[str, Any], joins: Sequence[tuple[str, str]], by: Mapping[str, Linked]
    ) -> datetime | None:
        product = self.product(role)
        read = [column for column, _ in joins]
        if product.event and {"within", "overlaps", "as_of"} & set(link):
            read.append(product.event)
        moments = [self.known(role, row, column) for column in read]
        if product.event:
            moments.append(moment(row[product.event]))
        elif not product.timeless:
            return None
        for _, path in joins:
            other, column = path.split(".")
            moments += [by[other].known, self.known(other, by[other].row, column)]
        return latest([self.at if moment == datetime.min else moment for moment in moments])

    def _place(self, product: Product, row: Row) -> tuple[Any, ...]:
        event = moment(row[product.event]) if product.event else None
        return (event is None, event or datetime.min, *(row[column] for column in product.key))

    def role(self, name: str) -> Any:
        """What a template sees: a row or null, or a list of rows."""
        rows = [linked.values for linked in self.roles[name]]
        link = self.definition.get("links", {}).get(name)
        if link is not None and link["expect"] in ("some", "any"):
            return rows
        return rows[0] if len(rows) == 1 else None

    def drop(self, uncertain: frozenset[str]) -> str | None:
        for name, link in self.definition.get("links", {}).items():
            count = len(self.roles[name])
            wanted = not (self.question and name in uncertain)
            if count == 0 and link["expect"] in ("one", "some") and wanted:
                return f"{name}: none"
            if count > 1 and link["expect"] in ("one", "optional"):
                return f"{name}: several"
        return None


def may_lie_ahead(mesh: SmallMesh) -> frozenset[str]:
    """The roles whose rows may be missing from a question by what comes after `case.at`."""
    found: set[str] = set()
    anchor = mesh.case["anchor"]
    at = mesh.case["at"].split(".")[1]
    for role, link in mesh.case.get("links", {}).items():
        product = mesh.cast[role]
        on = link.get("on") or _any_case(mesh)._related(role)
        through = False
        for path in on.values():
            other, column = path.split(".")
            theirs = mesh.cast[other]
            by = knowledge(theirs, column)
            if theirs.event is None and not theirs.timeless:
                through = True
            elif other == anchor:
                closes = mesh.case.get("closes", ".").split(".")[1]
                through = through or column == closes or (by is not None and by != at)
            else:
                through = through or other in found or (by is not None and by != theirs.event)
        if product.event is None:
            own = not product.timeless or any(knowledge(product, column) for column in on)
        elif "as_of" in link:
            own = False
        elif "overlaps" in link:
            own = length(link["overlaps"].get("slack", "0d")) > timedelta(0)
        elif "within" in link:
            own = length(link["within"]["before"]) > timedelta(0)
        else:
            own = True
        if own or through:
            found.add(role)
    return frozenset(found)


def _any_case(mesh: SmallMesh) -> _Case:
    case = _Case.__new__(_Case)
    case.mesh, case.definition = mesh, mesh.case
    return case


def tell(mesh: SmallMesh, meaning: Meaning) -> dict[str, Expected]:
    return {item.id: item for item in _told(mesh, meaning)}


def _told(mesh: SmallMesh, meaning: Meaning) -> Iterator[Expected]:
    product = mesh.cast[mesh.case["anchor"]]
    uncertain = may_lie_ahead(mesh)
    for anchor in mesh.rows[product.name]:
        after, asked = _Case(mesh, anchor, question=False), _Case(mesh, anchor, question=True)
        hindsight = {role: after.role(role) for role in after.roles}
        question = {role: asked.role(role) for role in asked.roles}
        names, ask_names = dict(hindsight), dict(question)
        facts, ask_facts = {}, {}
        for name, formula in meaning.facts.items():
            facts[name] = names[name] = formula.means(names)
            if name in meaning.asked_facts:
                ask_facts[name] = ask_names[name] = formula.means(ask_names)
        closes = moment(anchor[mesh.case["closes"].split(".")[1]]) if "closes" in mesh.case else None
        outcome: dict[str, Any] | None = {name: item.means(names) for name, item in meaning.outcome.items()}
        known = None
        read = {place for item in meaning.outcome.values() for place in item.reads}
        if closes is None and "closes" in mesh.case:
            status = "open"
        elif not meaning.outcome:
            status = "closed"
        else:
            assert outcome is not None
            status = "judged" if all(value is not None for value in outcome.values()) else "unjudged"
        if status == "judged":
            known = latest([after.at, closes, *_when(after, read)])
        else:
            outcome = None
        fact_known = {
            name: latest([after.at, *_when(after, set(fact.reads))])
            for name, fact in meaning.facts.items()
            if not set(fact.reads) <= read
        }
        row_known = {}
        for name, fact in meaning.facts.items():
            if fact.row_of and after.roles[fact.row_of]:
                row = after.roles[fact.row_of][-1].row
                row_known[name] = {column: after.known(fact.row_of, row, column) for column in row}
        yield Expected(
            product.text_of(anchor),
            after.at,
            closes,
            hindsight,
            question,
            after.drop(uncertain),
            asked.drop(uncertain),
            status,
            facts,
            ask_facts,
            outcome or None,
            known,
            fact_known,
            row_known,
            [[item.means(ask_names) for item in level] for level in meaning.match],
        )


def _when(case: _Case, read: set[tuple[str, str | None]]) -> list[datetime | None]:
    """When each value that is read became known, of every row of its role."""
    found: list[datetime | None] = []
    for role, column in read:
        for linked in case.roles[role]:
            found.append(linked.known)
            if column is not None:
                product = case.product(role)
                by = knowledge(product, column)
                if column != case.definition.get("closes", ".").split(".")[1] or role != case.definition["anchor"]:
                    found.append(case.at if by is None else moment(linked.row[by]))
    return found


# --- precedents ---


def wilson_lower(worked: int, tried: int) -> Decimal:
    """The lower end of the 95 % Wilson interval, to 50 digits; 0 exactly where none worked."""
    if worked == 0:
        return Decimal(0)
    with localcontext() as exact:
        exact.prec = 50
        z = Decimal("1.959963984540054")
        n, p = Decimal(tried), Decimal(worked) / Decimal(tried)
        half = z * ((p * (1 - p) + z * z / (4 * n)) / n).sqrt()
        return (p + z * z / (2 * n) - half) / (1 + z * z / n)


def precedents(
    cases: Mapping[str, Expected],
    definition: Mapping[str, Any],
    ranks: Mapping[str, int | None],
    periods: Mapping[str, int],
) -> dict[str, dict[str, Any]]:
    """case id -> `precedents` for each case that the dataset keeps. A case counts by the period that it lies in, also
    where the dataset does not keep it, unless the question's view takes it for no case."""
    happened = [case for case in cases.values() if case.question_dropped is None]
    return {
        case.id: _answer(case, rank, happened, definition, periods)
        for case in cases.values()
        if (rank := ranks.get(case.id)) is not None
    }


def _answer(
    asking: Expected, rank: int, happened: Sequence[Expected], definition: Mapping[str, Any], periods: Mapping[str, int]
) -> dict[str, Any]:
    least, quote = definition.get("min", 5), definition.get("quote", 3)
    start = datetime.combine(asking.at.date(), time())
    begins = start - length(definition["since"]) if "since" in definition else datetime.min
    able = [
        other
        for other in happened
        if periods[other.id] <= rank and other.known is not None and begins <= other.known < start
    ]
    for level, wanted in enumerate(asking.match):
        if any(value is None for value in wanted):
            continue
        found = [other for other in able if other.match[level] == wanted]
        if len(found) >= least:
            options = [_option(action, found, quote, start) for action in {_of(item)["action"] for item in found}]
            options.sort(
                key=lambda item: (-wilson_lower(item["worked"], item["tried"]), -item["tried"], item["action"])
            )
            quotes = [
                quoted for option in sorted(options, key=lambda item: item["action"]) for quoted in option["quoted"]
            ]
            for number, quoted in enumerate(quotes, 1):
                quoted["cited_as"] = f"[{number}]"
            judged = [option for option in options if option["tried"] >= least]
            good = [item for item in judged if item["worked"] > 0]
            return {
                "enough": True,
                "withheld": False,
                "unseen": False,
                "level": level + 1,
                "tried": len(found),
                "best": good[0] if good else None,
                "worst": judged[-1] if judged else None,
                "options": options,
            }
    nothing = {"enough": False, "withheld": False, "unseen": False, "level": None, "tried": 0}
    return {**nothing, "best": None, "worst": None, "options": []}


def _of(case: Expected) -> dict[str, Any]:
    assert case.outcome is not None
    return case.outcome


def _option(action: str, found: Sequence[Expected], quote: int, start: datetime) -> dict[str, Any]:
    theirs = [item for item in found if _of(item)["action"] == action]
    worked = sum(1 for their in theirs if _of(their)["worked"])
    total = sum((exact(_of(their)["score"]) for their in theirs), Decimal(0))
    theirs.sort(key=lambda item: item.id)
    theirs.sort(key=lambda item: item.known or datetime.min, reverse=True)
    return {
        "action": action,
        "tried": len(theirs),
        "worked": worked,
        "rate": worked / len(theirs),
        "mean_score": float(total) / len(theirs),
        "quoted": [_quoted(their, start) for their in theirs[:quote]],
    }


def exact(score: Any) -> Decimal:
    return Decimal(repr(score)) if isinstance(score, float) else Decimal(score)


def _quoted(case: Expected, start: datetime) -> dict[str, Any]:
    facts = {}
    for name, value in case.facts.items():
        known = case.fact_known.get(name, datetime.min)
        facts[name] = value if known is not None and known < start else None
        if facts[name] is not None and name in case.row_known:
            moments = case.row_known[name]
            facts[name] = {
                column: inner if (when := moments[column]) is not None and when < start else None
                for column, inner in facts[name].items()
            }
    outcome = _of(case)
    fixed = {
        "id": case.id,
        "cited_as": "",  # until all of them stand in a row
        "at": case.at,
        "closes": case.closes,
        "score": outcome["score"],
        "worked": outcome["worked"],
    }
    return fixed | facts
