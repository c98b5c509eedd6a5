"""Explanations of links: why rows belong to one case and why others nearly do.

The case's own expression decides, run on one anchor row; here its result is only put into words.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import reduce
from itertools import product as combinations
from operator import and_, or_
from typing import TYPE_CHECKING, Any

from storymesh.case.definition import Link
from storymesh.case.resolve import JoinCondition, Role
from storymesh.dataset.build import Build
from storymesh.dataset.tables import product_rows
from storymesh.engine.engine import Engine

if TYPE_CHECKING:
    import ibis.expr.types as ir

MAX_NEAR_ROWS = 3  # unlinked rows to explain for each link, the nearest in time first
MAX_LINKED_ROWS = 20
MAX_JOIN_VALUES = 100  # combinations of rows of other roles that a row may be joined by
HIDDEN = "(restricted)"
SHOWN_KEY = "_shown"  # the column with a row's key as the case shows it


@dataclass(frozen=True)
class RowExplanation:
    """One row of a role: its key, whether it is linked, the reasons for that, and what a question sees of it."""

    key: str
    linked: bool
    why: tuple[str, ...]
    question: str


@dataclass(frozen=True)
class LinkExplanation:
    """The rows that one link gave to one case, and some that it did not; `more` linked rows are not explained."""

    role: str
    product: str
    expect: str
    rows: tuple[RowExplanation, ...]
    more: int
    nothing: str = ""  # why there are no rows


def explain_links(build: Build, engine: Engine, case_id: str) -> Iterator[LinkExplanation]:
    """Yield, for each linked role, the rows that the case has and the nearest ones that it does not have."""
    from storymesh.case.link import KEY, key_text, link_cases
    from storymesh.federation.keyed_hash import egress_key, hash_in_engine

    cast = build.typed.cast
    tables = product_rows(build, engine, cast.roles)
    anchor, rows = cast.anchor, tables[cast.anchor.name]
    shown_keys = {
        name: key_text([_case_value(build, name, column, tables[name][column]) for column in role.contract.key])
        for name, role in cast.roles.items()
    }
    alone = {**tables, anchor.name: rows.filter(shown_keys[anchor.name] == case_id)}
    columns = {name: _joined_columns(cast.roles.values(), role) for name, role in cast.roles.items()}
    hashed = hash_in_engine(egress_key(build.pseudonym_key))
    (case,) = engine.fetch_rows(link_cases(cast, alone, columns, {}, hashed))
    for role in list(cast.roles.values())[1:]:
        key = key_text([tables[role.name][column] for column in role.contract.key])
        table = tables[role.name].mutate(**{KEY: key, SHOWN_KEY: shown_keys[role.name]})
        yield _LinkOfCase(build, engine, case, role, table).explain()


class _LinkOfCase:
    """One linked role of one case."""

    def __init__(self, build: Build, engine: Engine, case: Mapping[str, Any], role: Role, table: "ir.Table") -> None:
        assert role.link is not None
        self.build, self.engine, self.case, self.role, self.table = build, engine, case, role, table
        self.link: Link = role.link
        self.at: datetime = case["at"]

    def explain(self) -> LinkExplanation:
        from storymesh.case.link import KEY

        role = self.role
        linked_rows = {row[KEY]: row for row in _as_rows(self.case[role.column])}
        keys = list(linked_rows)
        linked = [self._explain_row(row, linked_rows[row[KEY]]) for row in self._fetch(keys[:MAX_LINKED_ROWS])]
        near = [self._explain_row(row, None) for row in self._near_rows(keys)]
        nothing = "" if linked or near else self._why_nothing()
        more = len(keys) - len(linked)
        return LinkExplanation(role.name, role.contract.id, self.link.expect, (*linked, *near), more, nothing)

    def _fetch(self, keys: Sequence[str]) -> list[dict[str, Any]]:
        from storymesh.case.link import KEY

        if not keys:
            return []
        rows = self.engine.fetch_rows(self.table.filter(self.table[KEY].isin(list(keys))))
        return sorted(rows, key=lambda row: keys.index(row[KEY]))

    def _near_rows(self, linked: Sequence[str]) -> list[dict[str, Any]]:
        """Return rows with the right key that are not linked, the nearest in time. Without a rule of time, none."""
        import ibis

        from storymesh.case.link import KEY, to_timestamp

        choices = self._join_values()
        event = self.role.contract.event_time
        if not self._has_time_rule or event is None or choices == []:
            return []
        table, anchor = self.table, self.build.typed.cast.anchor
        if linked:
            table = table.filter(table[KEY].notin(list(linked)))
        if self.role.contract.id == anchor.contract.id:
            table = table.filter(table[KEY] != self.case[anchor.column][KEY])
        if choices is not None:
            joined = [
                reduce(and_, [_equals(self._join_column(table, name), value) for name, value in choice.items()])
                for choice in choices
            ]
            table = table.filter(reduce(or_, joined))
        distance = (to_timestamp(table[event]).epoch_seconds() - ibis.literal(self.at).epoch_seconds()).abs()
        return self.engine.fetch_rows(table.filter(table[event].notnull()).order_by(distance, KEY).limit(MAX_NEAR_ROWS))

    @property
    def _has_time_rule(self) -> bool:
        return bool(self.link.within or self.link.overlaps or self.link.as_of)

    def _join_column(self, table: "ir.Table", column: str) -> "ir.Value":
        """Return a column as it joins: its hash, where the other side is one."""
        from storymesh.federation.keyed_hash import egress_key, hash_in_engine

        cast = self.build.typed.cast
        if any(join.column == column and cast.is_joined_as_hash(self.role, join) for join in self.role.joins):
            return hash_in_engine(egress_key(self.build.pseudonym_key))(table[column])
        return table[column]

    def _join_value(self, join: JoinCondition, value: Any) -> Any:
        """Return a value of another role as it joins: its hash, where this role has that."""
        from storymesh.federation.keyed_hash import egress_key, hashed_value

        if value is None or not self.build.typed.cast.joins_hash(self.role, join):
            return value
        return hashed_value(value, egress_key(self.build.pseudonym_key))

    def _join_values(self) -> list[dict[str, Any]] | None:
        """Return the values by which a row may join (column -> value), one set per combination of rows of the other
        roles; None if the link has no keys."""
        if not self.role.joins:
            return None
        roles = self.build.typed.cast.roles
        others = list(dict.fromkeys(join.other for join in self.role.joins))
        choices: list[dict[str, Any]] = []
        for parents in combinations(*(_as_rows(self.case[roles[other].column]) for other in others)):
            by_role = dict(zip(others, parents, strict=True))
            choice = {
                join.column: self._join_value(join, by_role[join.other][join.other_column]) for join in self.role.joins
            }
            if None not in choice.values() and choice not in choices:
                choices.append(choice)
            if len(choices) == MAX_JOIN_VALUES:
                break
        return choices

    def _explain_row(self, row: Mapping[str, Any], linked: Mapping[str, Any] | None) -> RowExplanation:
        why = [*self._join_reasons(row), *self._time_reasons(row, linked is not None)]
        return RowExplanation(
            row[SHOWN_KEY], linked is not None, tuple(why) or ("every row",), self._in_question(linked)
        )

    def _join_reasons(self, row: Mapping[str, Any]) -> Iterator[str]:
        for join in self.role.joins:
            value = _shown_value(self.role, join.column, row[join.column], self.build)
            yield f"{join.column} = {value} of {join.other}.{join.other_column}"

    def _time_reasons(self, row: Mapping[str, Any], linked: bool) -> Iterator[str]:
        contract, link = self.role.contract, self.link
        event = as_moment(row[contract.event_time]) if contract.event_time else None
        if event is None or not self._has_time_rule:
            return
        reason = f"{contract.event_time} is {distance_text(event - self.at)}"
        if link.within is not None:
            bounds = f"{span_text(link.within.after)} to {span_text(link.within.before)}"
            inside = link.within.after <= event - self.at <= link.within.before
            yield f"{reason}, {'within' if inside else 'not within'} {bounds}"
        elif link.as_of is not None:
            if linked:
                yield f"{reason}, the latest up to case.at"
            else:
                yield reason if event > self.at else f"{reason}, but a later row comes before case.at"
        elif link.overlaps is not None and contract.end_time is not None:
            end = as_moment(row[contract.end_time])
            ends = f"{contract.end_time} is {distance_text(end - self.at)}" if end else f"{contract.end_time} is open"
            slack = link.overlaps.slack
            inside = event - slack <= self.at and (end is None or self.at <= end + slack)
            more = f" with {span_text(slack).lstrip('+')} of slack" if slack else ""
            yield f"{reason} and {ends}, {'which holds' if inside else 'which does not hold'} case.at{more}"

    def _in_question(self, linked: Mapping[str, Any] | None) -> str:
        from storymesh.case.link import AT_QUESTION, IN_HINDSIGHT, KNOWN

        if linked is None:
            return ""
        known: datetime | None = linked[KNOWN]
        if known is None:
            return "no question ever knows it"
        if self.role.own_question and not linked[IN_HINDSIGHT]:
            return "in the question only: by what is known now it is not linked"
        if known > self.at:
            return f"not in the question: known {distance_text(known - self.at)}"
        if self.role.own_question and not linked[AT_QUESTION]:
            return "not in the question: by what was known then it is not linked"
        return "in the question"

    def _why_nothing(self) -> str:
        choices = self._join_values()
        if choices is None:
            return "there is no row"
        if not choices:
            others = " and ".join(dict.fromkeys(join.other for join in self.role.joins))
            return f"there is no value of {others} to look for"
        conditions = [
            " and ".join(
                f"{name} = {_shown_value(self.role, name, value, self.build)}" for name, value in choice.items()
            )
            for choice in choices[:MAX_NEAR_ROWS]
        ]
        return f"no row has {' or '.join(conditions)}"


def span_text(span: timedelta) -> str:
    """Return the length of a rule: `+30d`, `-12h`."""
    seconds = abs(int(span.total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds % size == 0:
            return f"{'-' if span < timedelta(0) else '+'}{seconds // size}{unit}"
    return f"{int(span.total_seconds()):+d}s"


def distance_text(span: timedelta) -> str:
    """Return the distance from case.at in its two largest units: `2 d 3 h before case.at`."""
    if not span:
        return "at case.at"
    rest, parts = abs(span), []
    for unit, size in (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("min", timedelta(minutes=1))):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
    words = " ".join(parts[:2]) or f"{rest.total_seconds():g} s"
    return f"{words} {'before' if span < timedelta(0) else 'after'} case.at"


def _case_value(build: Build, role: str, column: str, value: "ir.Value") -> "ir.Value":
    """Return a value as the case has it: replaced by its pseudonym if the narrative says so."""
    from storymesh.language.compile.values import pseudonym

    replaced = (role, column) in build.typed.pseudonymised
    return pseudonym(value, build.pseudonym_key) if replaced else value


def _joined_columns(roles: Any, role: Role) -> frozenset[str]:
    """Return the columns of a role that other roles join by."""
    return frozenset(join.other_column for other in roles for join in other.joins if join.other == role.name)


def _as_rows(value: Any) -> list[dict[str, Any]]:
    return value if isinstance(value, list) else [value] if value else []


def _shown_value(role: Role, column: str, value: Any, build: Build) -> str:
    hidden = role.contract.properties[column].classification == "restricted"
    hidden |= any(path[:2] == (role.name, column) for path in build.typed.pseudonymised)
    return HIDDEN if hidden else "—" if value is None else str(value)


def as_moment(value: date | None) -> datetime | None:
    """Return a date as its midnight in UTC, a moment as it is."""
    return value if value is None or isinstance(value, datetime) else datetime.combine(value, time())


def _equals(column: "ir.Value", value: Any) -> "ir.BooleanValue":
    from storymesh.case.link import to_timestamp

    if isinstance(value, date):
        return to_timestamp(column) == as_moment(value)
    return column == value
