"""The join of cases: one ibis expression from a table for each role to one row for each anchor row.

Every linked row bears two columns of its own beside its properties: `_known`, the moment from which a question may see
the row (its eventTime, and the moments from which the rows and values that led to it were known), and `_key`, its key
as text. Lists are ordered by eventTime, then key, because both stand first in the row. Where what was known links other
rows than what is known now (`Role.own_question`), `_later` and `_asked` say which view a row belongs to.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import reduce
from operator import and_, or_

import ibis
import ibis.expr.types as ir

from storymesh.case.as_of_join import can_join, join_latest
from storymesh.case.resolve import Cast, JoinCondition, Role
from storymesh.engine import dialect

KNOWN, KEY, IN_HINDSIGHT, AT_QUESTION = "_known", "_key", "_later", "_asked"
Replace = Callable[[ir.Value], ir.Value]
_OPEN_END = ibis.literal(datetime.max, type="timestamp(6)")


def link_cases(
    cast: Cast,
    tables: Mapping[str, ir.Table],
    columns: Mapping[str, Iterable[str]],
    pseudonyms: Mapping[tuple[str, str], Replace],
    hashed: Replace | None = None,
) -> ir.Table:
    """Return one row for each anchor row: case_id, at, closes, dropped, question_dropped, and a column for each role.

    `tables` are the products' rows by role; `columns` what of each role is carried beyond its key and times; a property
    in `pseudonyms` is replaced on its way into the row, after it has joined. A role that the contract makes unique is a
    row (or null), every other one a list of rows. `hashed` makes of a value its hash, for joins with what is hashed.
    """
    linker = _Linker(cast, tables, columns, pseudonyms, hashed)
    linked = linker.anchor_rows()
    for role in list(cast.roles.values())[1:]:
        linked = linker.join(linked, role)
    return linker.with_drops(linked)


def key_text(parts: Sequence[ir.Value]) -> ir.StringValue:
    """Return a key as text, different for different keys: the parts of a compound key are joined by `/` and escaped as
    in a JSON Pointer (RFC 6901), `~` as `~0` and `/` as `~1`. A key of one part stays as it is."""
    text, *others = [part.cast("string") if len(parts) == 1 else _escape_part(part) for part in parts]
    for other in others:
        text = text.concat("/", other)
    return text


def _escape_part(part: ir.Value) -> ir.StringValue:
    return part.replace("~", "~0").replace("/", "~1") if part.type().is_string() else part.cast("string")


def to_timestamp(value: ir.Value) -> ir.TimestampValue:
    """Return a timestamp as it is, a date as its midnight."""
    return value.cast("timestamp(6)")


def latest_or_null(moments: Sequence[ir.Value]) -> ir.TimestampValue:
    """Return the latest of some moments; null if one of them is null, since then it was never known."""
    if len(moments) == 1:
        return moments[0]
    missing = moments[0].isnull()
    for other in moments[1:]:
        missing = missing | other.isnull()
    return ibis.ifelse(missing, ibis.null("timestamp(6)"), ibis.greatest(*moments))


class _Linker:
    def __init__(
        self,
        cast: Cast,
        tables: Mapping[str, ir.Table],
        columns: Mapping[str, Iterable[str]],
        pseudonyms: Mapping[tuple[str, str], Replace],
        hashed: Replace | None,
    ) -> None:
        self.cast = cast
        self.hashed = hashed
        self.tables = tables
        self.columns = columns
        self.pseudonyms = pseudonyms
        # What later links read of each role: a narrow relation of its own, so that joins carry no wide rows.
        self.read_by_joins: dict[str, set[str]] = {}
        for role in cast.roles.values():
            for join in role.joins:
                self.read_by_joins.setdefault(join.other, set()).add(join.other_column)
        self.narrow: dict[str, ir.Table] = {}

    def row(self, role: Role, table: ir.Table, known: ir.Value, prefix: str = "") -> ir.StructValue:
        fields = {
            column: self._pseudonymised(role, column, table[prefix + column]) for column in self._row_columns(role)
        }
        fields |= {KNOWN: known, KEY: self._key(role, table, prefix)}
        if role.own_question:
            fields |= {IN_HINDSIGHT: table["later"], AT_QUESTION: table["asked"]}
        return ibis.struct(fields)

    def _row_columns(self, role: Role) -> list[str]:
        """Return the columns of a row: its order first, then what is read, then what says when that was known."""
        contract = role.contract
        first = [contract.event_time] if contract.event_time else []
        order = dict.fromkeys([*first, *contract.key, *sorted(self.columns.get(role.name, ()))])
        extra = [contract.end_time, *(role.known_at_of(column) for column in order)]
        return list(order | dict.fromkeys(column for column in extra if column))

    def _key(self, role: Role, table: ir.Table, prefix: str = "") -> ir.StringValue:
        return key_text([self._pseudonymised(role, column, table[prefix + column]) for column in role.contract.key])

    def _pseudonymised(self, role: Role, column: str, value: ir.Value) -> ir.Value:
        replace = self.pseudonyms.get((role.name, column))
        return replace(value) if replace else value

    def anchor_rows(self) -> ir.Table:
        anchor = self.cast.anchor
        table = self.tables[anchor.name]
        at = to_timestamp(table[self.cast.at])
        closes = to_timestamp(table[self.cast.closes]) if self.cast.closes else ibis.null("timestamp(6)")
        case_id = self._key(anchor, table)
        self.narrow[anchor.name] = table.select(case_id=case_id, at=at, **self._for_joins(anchor, table, at))
        return table.select(case_id=case_id, at=at, closes=closes, **{anchor.column: self.row(anchor, table, at)})

    def _for_joins(self, role: Role, table: ir.Table, known: ir.Value, prefix: str = "") -> dict[str, ir.Value]:
        """Return what later joins read of this role: the value as `v_`, the moment from which it was known as `k_`."""
        found: dict[str, ir.Value] = {}
        for column in sorted(self.read_by_joins.get(role.name, ())):
            found[f"v_{column}"] = table[prefix + column]
            found[f"k_{column}"] = self._value_known(role, column, table, known, prefix)
            if self.hashed is not None and (role.name, column) in self.cast.joined_by_hashes:
                found[f"h_{column}"] = self.hashed(table[prefix + column])
        if role.own_question:
            found |= {"later": table["later"], "asked": table["asked"]}
        return found

    def _value_known(self, role: Role, column: str, table: ir.Table, known: ir.Value, prefix: str) -> ir.Value:
        if self.cast.never_known(role, column):
            return ibis.null("timestamp(6)")
        # The anchor's row is there at case.at whatever its own eventTime says, which may be another moment.
        own = role.contract.known_at_of(column) if role.link is None else role.known_at_of(column)
        if own is None or (role.link is None and own == self.cast.at):
            return known
        return latest_or_null([known, to_timestamp(table[prefix + own])])

    def join(self, linked: ir.Table, role: Role) -> ir.Table:
        rows = self._rows(role)
        if role.listed:
            gathered = rows.group_by("case_id").agg(**{role.column: rows["row"].collect().sort()})
            gathered = gathered.rename(linked_id="case_id")
            joined = linked.left_join(gathered, linked["case_id"] == gathered["linked_id"]).drop("linked_id")
            empty = ibis.literal([], type=gathered[role.column].type())
            return joined.mutate(**{role.column: joined[role.column].coalesce(empty)})
        narrow = rows.select("case_id", "row").rename(linked_id="case_id", **{role.column: "row"})
        return linked.left_join(narrow, linked["case_id"] == narrow["linked_id"]).drop("linked_id")

    def _rows(self, role: Role) -> ir.Table:
        """Return case_id, row and what later joins read for each pair of a case and a linked row."""
        assert role.link is not None
        right = self._right(role)
        left = self.narrow[self.cast.anchor.name]
        # Where the columns of each role stand that the joins read: the anchor's as they are, a parent's by its place.
        prefixes = {self.cast.anchor.name: ""}
        parents = [name for name in dict.fromkeys(join.other for join in role.joins) if name not in prefixes]
        for place, name in enumerate(parents):
            prefixes[name] = f"p{place}_"
            theirs = self.narrow[name].rename(f"p{place}_{{name}}")
            left = left.inner_join(theirs, left["case_id"] == theirs[f"p{place}_case_id"])
        latest = self._join_latest(role, left, right, prefixes)
        pairs = self._join_all(role, left, right, prefixes) if latest is None else latest
        own = {"known": self._known_moment(role, pairs, prefixes)}
        if role.own_question:
            inherited = [prefixes[name] for name in parents if self.cast.roles[name].own_question]
            ended = self._not_ended(role, pairs, pairs)
            own["later"] = _all_of(
                [*([] if ended is None else [ended]), *(pairs[f"{place}later"] for place in inherited)]
            )
            known = (own["known"] <= pairs["at"]).fill_null(False)
            own["asked"] = _all_of([known, *(pairs[f"{place}asked"] for place in inherited)])
        rows = pairs.select("case_id", "at", **own, **{column: pairs[column] for column in right.columns})
        if any(self.cast.roles[name].listed for name in parents):
            # Several parents may lead to one row: it is known as soon as the first of them is.
            merged = {"known": rows["known"].min()}
            merged |= {name: rows[name].any() for name in ("later", "asked") if role.own_question}
            rows = rows.group_by(["case_id", "at", *right.columns]).agg(**merged)
        if role.link.as_of is not None and latest is None:
            rows = self._latest(role, rows)
        elif role.own_question:
            rows = rows.filter(rows["later"] | rows["asked"])
        read = self._for_joins(role, rows, rows["known"], "r_")
        rows = rows.select("case_id", row=self.row(role, rows, rows["known"], "r_"), **read)
        if role.name in self.read_by_joins:
            self.narrow[role.name] = rows.drop("row")
        return rows

    def _join_all(self, role: Role, left: ir.Table, right: ir.Table, prefixes: Mapping[str, str]) -> ir.Table:
        """Return each pair of a case and a row of which the link's conditions hold; of `as_of`, not only the latest."""
        equal = [self._sides(role, join, left, right, prefixes) for join in role.joins]
        predicates = [theirs == mine for mine, theirs in equal]
        predicates += self._begun(role, left, right)
        ended = self._not_ended(role, left, right)
        if ended is not None:
            known_end = right[f"r_{role.contract.known_at_of(role.contract.end_time or '')}"] if role.late_end else None
            unknown_end = [] if known_end is None else [known_end.isnull(), to_timestamp(known_end) > left["at"]]
            predicates.append(_any_of([ended, *unknown_end]))
        if role.contract.id == self.cast.anchor.contract.id:
            predicates.append(left["case_id"] != self._key(self.cast.anchor, right, "r_"))
        return left.inner_join(right, predicates) if predicates else left.cross_join(right)

    def _join_latest(self, role: Role, left: ir.Table, right: ir.Table, prefixes: Mapping[str, str]) -> ir.Table | None:
        """Return each case with its latest row by `as_of`; None where the link asks for more than that."""
        assert role.link is not None
        contract = role.contract
        of_lists = any(self.cast.roles[name].listed for name in prefixes if name != self.cast.anchor.name)
        if role.link.as_of is None or role.own_question or of_lists or contract.id == self.cast.anchor.contract.id:
            return None
        equal = [self._sides(role, join, left, right, prefixes) for join in role.joins]
        if not can_join(equal):
            return None
        order = [f"r_{column}" for column in (contract.event_time, *contract.key)]
        return join_latest(left, right, equal, to_timestamp(right[order[0]]), order)

    def _right(self, role: Role) -> ir.Table:
        """Return the role's rows with the columns that are carried, joined by or read later, each as `r_`."""
        contract, table = role.contract, self.tables[role.name]
        needed = dict.fromkeys(self._row_columns(role))
        needed |= dict.fromkeys(join.column for join in role.joins)
        needed |= dict.fromkeys(sorted(self.read_by_joins.get(role.name, ())))
        needed |= dict.fromkeys(known for column in list(needed) if (known := contract.known_at_of(column)))
        if contract.id == self.cast.anchor.contract.id:
            needed |= dict.fromkeys(contract.key)
        hashed = {join.column for join in role.joins if self.cast.is_joined_as_hash(role, join)}
        return table.select(
            **{f"r_{column}": table[column] for column in needed},
            **{f"h_{column}": self.hashed(table[column]) for column in sorted(hashed) if self.hashed is not None},
        )

    def _sides(
        self, role: Role, join: JoinCondition, left: ir.Table, right: ir.Table, prefixes: Mapping[str, str]
    ) -> tuple[ir.Value, ir.Value]:
        """Return the two values that a link equates: that of another role, and that of the row."""
        mine, theirs = left[f"{prefixes[join.other]}v_{join.other_column}"], right[f"r_{join.column}"]
        if self.cast.joins_hash(role, join):
            mine = left[f"{prefixes[join.other]}h_{join.other_column}"]
        elif self.cast.is_joined_as_hash(role, join):
            theirs = right[f"h_{join.column}"]
        if mine.type().is_date() != theirs.type().is_date():
            return to_timestamp(mine), to_timestamp(theirs)
        return mine, theirs

    def _begun(self, role: Role, left: ir.Table, right: ir.Table) -> list[ir.BooleanValue]:
        """Return the link's bounds of the row's eventTime."""
        link = role.link
        assert link is not None
        if not (link.within or link.overlaps or link.as_of):
            return []
        event, at = to_timestamp(right[f"r_{role.contract.event_time}"]), left["at"]
        if link.within is not None:
            return [event >= at + _seconds(link.within.after), event <= at + _seconds(link.within.before)]
        return [event <= at + _seconds(link.overlaps.slack)] if link.overlaps is not None else [event <= at]

    def _not_ended(self, role: Role, left: ir.Table, right: ir.Table) -> ir.BooleanValue | None:
        """Return the condition that `overlaps` puts on the row's endTime."""
        assert role.link is not None
        if role.link.overlaps is None:
            return None
        end = to_timestamp(right[f"r_{role.contract.end_time}"])
        # One comparison is a condition of the join; two of them would be looked at for each pair after it.
        return end.coalesce(_OPEN_END) >= left["at"] - _seconds(role.link.overlaps.slack)

    def _known_moment(self, role: Role, pairs: ir.Table, prefixes: Mapping[str, str]) -> ir.TimestampValue:
        """Return when a question first sees the row: by its eventTime and by all that its link reads of any role."""
        contract, link = role.contract, role.link
        assert link is not None
        if contract.hindsight:
            return ibis.null("timestamp(6)")
        parts: dict[str, ir.Value] = {}
        if contract.event_time is not None:
            parts[f"r_{contract.event_time}"] = to_timestamp(pairs[f"r_{contract.event_time}"])
        timed = [contract.event_time] if contract.event_time and (link.within or link.overlaps or link.as_of) else []
        for column in [*timed, *(join.column for join in role.joins)]:
            if known := role.known_at_of(column):
                parts[f"r_{known}"] = to_timestamp(pairs[f"r_{known}"])
        for join in role.joins:
            place = f"{prefixes[join.other]}k_{join.other_column}"
            parts[place] = pairs[place]
        return latest_or_null(list(parts.values())) if parts else pairs["at"]

    def _latest(self, role: Role, rows: ir.Table) -> ir.Table:
        contract = role.contract
        order = [rows[f"r_{column}"].desc() for column in (contract.event_time, *contract.key)]

        def first(*group: str) -> ir.BooleanValue:
            window = ibis.window(group_by=["case_id", *group], order_by=order)
            return ibis.row_number().over(window) == 0

        if not role.own_question:
            ranked = rows.mutate(newest=first())
            return ranked.filter(ranked["newest"]).drop("newest")
        ranked = rows.mutate(newest_later=first("later"), newest_asked=first("asked"))
        ranked = ranked.mutate(
            later=ranked["later"] & ranked["newest_later"], asked=ranked["asked"] & ranked["newest_asked"]
        )
        return ranked.filter(ranked["later"] | ranked["asked"]).drop("newest_later", "newest_asked")

    def with_drops(self, linked: ir.Table) -> ir.Table:
        roles = [role for role in self.cast.roles.values() if role.link]
        dropped = [self._drop_reason(linked, role, question=False) for role in roles]
        asked = [self._drop_reason(linked, role, question=True) for role in roles]
        return linked.mutate(
            dropped=ibis.coalesce(ibis.null("string"), *[reason for reason in dropped if reason is not None]),
            question_dropped=ibis.coalesce(ibis.null("string"), *[reason for reason in asked if reason is not None]),
        )

    def _drop_reason(self, linked: ir.Table, role: Role, *, question: bool) -> ir.StringValue | None:
        assert role.link is not None
        expect, value, at = role.link.expect, linked[role.column], linked["at"]
        required = expect in ("one", "some") and not (question and role.may_be_future)
        none, several = ibis.literal(f"{role.name}: none"), ibis.literal(f"{role.name}: several")
        nothing = ibis.null("string")
        if not role.listed:
            present = value.notnull()
            if question and role.may_be_unknown:
                present = present & (value[KNOWN] <= at).fill_null(False)
            return ibis.ifelse(present, nothing, none) if required else None
        count = (rows_at_question(role, value, at) if question else rows_in_hindsight(role, value)).length().coalesce(0)
        reasons = [(count == 0, none)] if required else []
        reasons += [(count > 1, several)] if expect in ("one", "optional") else []
        return ibis.cases(*reasons, else_=nothing) if reasons else None


def rows_in_hindsight(role: Role, rows: ir.ArrayValue) -> ir.ArrayValue:
    """Return those rows of a listed role that are linked by all that is known now."""
    return dialect.filter_items(rows, lambda row: row[IN_HINDSIGHT]) if role.own_question else rows


def rows_at_question(role: Role, rows: ir.ArrayValue, at: ir.TimestampValue) -> ir.ArrayValue:
    """Return those rows of a listed role that are linked by what was known at `at`."""
    if role.own_question:
        return dialect.filter_items(rows, lambda row: row[AT_QUESTION])
    return dialect.filter_items(rows, lambda row: row[KNOWN] <= at) if role.may_be_unknown else rows


def _seconds(length: timedelta) -> ir.IntervalScalar:
    return ibis.interval(seconds=int(length.total_seconds()))


def _all_of(conditions: Sequence[ir.BooleanValue]) -> ir.BooleanValue:
    return reduce(and_, conditions) if conditions else ibis.literal(True)


def _any_of(conditions: Sequence[ir.BooleanValue]) -> ir.BooleanValue:
    return reduce(or_, conditions)
