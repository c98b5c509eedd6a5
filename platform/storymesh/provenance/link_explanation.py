"""Why rows belong to one case, and why others nearly do: each link's rule, worked out in words for single rows.

The rule itself is the case's own expression, run on one anchor row; here its result is only put into words.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import partial, reduce
from itertools import product as combinations
from operator import and_, or_
from typing import TYPE_CHECKING, Any

from storymesh.case.definition import Link
from storymesh.case.resolve import Role
from storymesh.dataset.build import Build
from storymesh.dataset.tables import product_rows
from storymesh.engine.engine import Engine

if TYPE_CHECKING:
    import ibis.expr.types as ir

NEAR = 3  # rows that are told of each link although they are not linked, the nearest in time first
MOST = 20  # rows that are told of those that are linked
WAYS = 100  # combinations of rows of other roles that a row may be joined by
HIDDEN = "(restricted)"


@dataclass(frozen=True)
class Member:
    """One row of a role: its key, whether it is linked, why (or why not), and what a question sees of it."""

    key: str
    linked: bool
    why: tuple[str, ...]
    question: str


@dataclass(frozen=True)
class Membership:
    """What one link made of one case; `more` rows are linked beside those that are told."""

    role: str
    product: str
    expect: str
    members: tuple[Member, ...]
    more: int
    nothing: str = ""  # why there is nothing to tell


def members(build: Build, engine: Engine, case_id: str) -> Iterator[Membership]:
    """For each linked role the rows that the case has and the nearest ones that it does not have."""
    from storymesh.case.link import KEY, key_text, link

    cast = build.typed.cast
    tables = product_rows(build, engine, cast.roles)
    anchor, told = cast.anchor, _told(build)
    rows = tables[anchor.name]
    parts = {
        name: key_text([told(role.name, column, tables[name][column]) for column in role.contract.key])
        for name, role in cast.roles.items()
    }
    alone = {**tables, anchor.name: rows.filter(parts[anchor.name] == case_id)}
    columns = {name: _needed(cast.roles.values(), role) for name, role in cast.roles.items()}
    (case,) = engine.fetch_rows(link(cast, alone, columns, {}))
    for role in list(cast.roles.values())[1:]:
        table = tables[role.name].mutate(
            **{KEY: key_text([tables[role.name][column] for column in role.contract.key]), "_shown": parts[role.name]}
        )
        yield _Telling(build, engine, case, role, table).membership()


class _Telling:
    """One role of one case."""

    def __init__(self, build: Build, engine: Engine, case: Mapping[str, Any], role: Role, table: "ir.Table") -> None:
        assert role.link is not None
        self.build, self.engine, self.case, self.role, self.table = build, engine, case, role, table
        self.link: Link = role.link
        self.at: datetime = case["at"]

    def membership(self) -> Membership:
        from storymesh.case.link import KEY

        role = self.role
        linked = _rows(self.case[role.column])
        keys = [row[KEY] for row in linked]
        known = {row[KEY]: row for row in linked}
        found = [self._member(row, known[row[KEY]]) for row in self._fetch(keys[:MOST])]
        near = [self._member(row, None) for row in self._near(keys)]
        nothing = "" if found or near else self._nothing()
        more = len(keys) - len(found)
        return Membership(role.name, role.contract.id, self.link.expect, (*found, *near), more, nothing)

    def _fetch(self, keys: Sequence[str]) -> list[dict[str, Any]]:
        from storymesh.case.link import KEY

        if not keys:
            return []
        rows = self._list(self.table.filter(self.table[KEY].isin(list(keys))))
        return sorted(rows, key=lambda row: keys.index(row[KEY]))

    def _near(self, linked: Sequence[str]) -> list[dict[str, Any]]:
        """Rows with the right key that are not linked: the nearest in time. Without a rule of time there are none."""
        import ibis

        from storymesh.case.link import KEY, moment

        ways = self._ways()
        event = self.role.contract.event_time
        if not self._timed or event is None or ways == []:
            return []
        table = self.table
        if linked:
            table = table.filter(table[KEY].notin(list(linked)))
        if self.role.contract.id == self.build.typed.cast.anchor.contract.id:
            table = table.filter(table[KEY] != self.case[self.build.typed.cast.anchor.column][KEY])
        if ways is not None:
            same = [reduce(and_, [_equal(table[column], value) for column, value in way.items()]) for way in ways]
            table = table.filter(reduce(or_, same))
        far = (moment(table[event]).epoch_seconds() - ibis.literal(self.at).epoch_seconds()).abs()
        return self._list(table.filter(table[event].notnull()).order_by(far, KEY).limit(NEAR))

    def _list(self, table: "ir.Table") -> list[dict[str, Any]]:
        return list(self.engine.fetch_rows(table))

    @property
    def _timed(self) -> bool:
        return bool(self.link.within or self.link.overlaps or self.link.as_of)

    def _ways(self) -> list[dict[str, Any]] | None:
        """The values by which a row may join, one set for each combination of rows; null: the link has no keys."""
        if not self.role.joins:
            return None
        roles = self.build.typed.cast.roles
        others = list(dict.fromkeys(join.other for join in self.role.joins))
        found = []
        for parents in combinations(*(_rows(self.case[roles[other].column]) for other in others)):
            by = dict(zip(others, parents, strict=True))
            way = {join.column: by[join.other][join.other_column] for join in self.role.joins}
            if None not in way.values() and way not in found:
                found.append(way)
            if len(found) == WAYS:
                break
        return found

    def _member(self, row: Mapping[str, Any], linked: Mapping[str, Any] | None) -> Member:
        why = [*self._keys(row), *self._time(row, linked is not None)]
        return Member(row["_shown"], linked is not None, tuple(why) or ("every row",), self._question(linked))

    def _keys(self, row: Mapping[str, Any]) -> Iterator[str]:
        for join in self.role.joins:
            shown = _value(self.role, join.column, row[join.column], self.build)
            yield f"{join.column} = {shown} of {join.other}.{join.other_column}"

    def _time(self, row: Mapping[str, Any], linked: bool) -> Iterator[str]:
        contract, link = self.role.contract, self.link
        event = _moment(row[contract.event_time]) if contract.event_time else None
        if event is None or not self._timed:
            return
        there = f"{contract.event_time} is {apart(event - self.at)}"
        if link.within is not None:
            bounds = f"{length(link.within.after)} to {length(link.within.before)}"
            inside = link.within.after <= event - self.at <= link.within.before
            yield f"{there}, {'within' if inside else 'not within'} {bounds}"
        elif link.as_of is not None:
            if linked:
                yield f"{there}, the latest up to case.at"
            else:
                yield f"{there}" if event > self.at else f"{there}, but a later row comes before case.at"
        elif link.overlaps is not None and contract.end_time is not None:
            end = _moment(row[contract.end_time])
            ends = f"{contract.end_time} is {apart(end - self.at)}" if end else f"{contract.end_time} is open"
            slack = link.overlaps.slack
            inside = event - slack <= self.at and (end is None or self.at <= end + slack)
            more = f" with {length(slack).lstrip('+')} of slack" if slack else ""
            yield f"{there} and {ends}, {'which holds' if inside else 'which does not hold'} case.at{more}"

    def _question(self, linked: Mapping[str, Any] | None) -> str:
        from storymesh.case.link import ASKED, KNOWN, LATER

        if linked is None:
            return ""
        known: datetime | None = linked[KNOWN]
        if known is None:
            return "no question ever knows it"
        if self.role.own_question and not linked[LATER]:
            return "in the question only: by what is known now it is not linked"
        if known > self.at:
            return f"not in the question: known {apart(known - self.at)}"
        if self.role.own_question and not linked[ASKED]:
            return "not in the question: by what was known then it is not linked"
        return "in the question"

    def _nothing(self) -> str:
        ways = self._ways()
        if ways is None:
            return "there is no row"
        if not ways:
            others = " and ".join(dict.fromkeys(join.other for join in self.role.joins))
            return f"there is no value of {others} to look for"
        wanted = [
            " and ".join(f"{column} = {_value(self.role, column, value, self.build)}" for column, value in way.items())
            for way in ways[:NEAR]
        ]
        return f"no row has {' or '.join(wanted)}"


def length(span: timedelta) -> str:
    """A length of a rule: `+30d`, `-12h`."""
    seconds = abs(int(span.total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds % size == 0:
            return f"{'-' if span < timedelta(0) else '+'}{seconds // size}{unit}"
    return f"{int(span.total_seconds()):+d}s"


def apart(span: timedelta) -> str:
    """How far from case.at, in the two largest units: `2 d 3 h before case.at`."""
    if not span:
        return "at case.at"
    rest, parts = abs(span), []
    for unit, size in (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("min", timedelta(minutes=1))):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
    words = " ".join(parts[:2]) or f"{rest.total_seconds():g} s"
    return f"{words} {'before' if span < timedelta(0) else 'after'} case.at"


def _told(build: Build) -> Any:
    """A value as the case prints it: (role, column, value) -> value, replaced where the narrative pseudonymises it."""
    from storymesh.language.compile.expressions import pseudonym

    replace = partial(pseudonym, key=build.pseudonym_key)
    replaced = {(path[0], path[1]) for path in build.typed.pseudonymised}
    return lambda role, column, value: replace(value) if (role, column) in replaced else value


def _needed(roles: Any, role: Role) -> frozenset[str]:
    """What other roles join by."""
    return frozenset(join.other_column for one in roles for join in one.joins if join.other == role.name)


def _rows(value: Any) -> list[dict[str, Any]]:
    return value if isinstance(value, list) else [value] if value else []


def _value(role: Role, column: str, value: Any, build: Build) -> str:
    hidden = role.contract.properties[column].classification == "restricted"
    hidden |= any(path[:2] == (role.name, column) for path in build.typed.pseudonymised)
    return HIDDEN if hidden else "—" if value is None else str(value)


def _moment(value: date | None) -> datetime | None:
    return value if value is None or isinstance(value, datetime) else datetime.combine(value, time())


def _equal(column: "ir.Value", value: Any) -> "ir.BooleanValue":
    from storymesh.case.link import moment

    if isinstance(value, date):
        return moment(column) == _moment(value)
    return column == value
