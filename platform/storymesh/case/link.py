"""The join of a case: from one relation for each role to one row for each anchor row, as one ibis expression.

Every linked row bears two columns of its own beside its properties: `_known`, the moment from which a question may see
the row (its eventTime, and the moments from which the rows and values that led to it were known), and `_key`, its key
as text. Lists are ordered by eventTime, then key, because both stand first in the row.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import ibis
import ibis.expr.types as ir

from storymesh.case.role import Cast, Join, Role
from storymesh.engine import dialect

KNOWN, KEY = "_known", "_key"
Replace = Callable[[ir.Value], ir.Value]


def link(
    cast: Cast,
    tables: Mapping[str, ir.Table],
    columns: Mapping[str, Iterable[str]],
    pseudonyms: Mapping[tuple[str, str], Replace],
) -> ir.Table:
    """One row for each anchor row: case_id, at, closes, dropped, question_dropped, and a column for each role.

    `tables` are the products' rows by role; `columns` what of each role is carried beyond its key and times; a property
    in `pseudonyms` is replaced on its way into the row, after it has joined. A role that the contract makes unique is a
    row (or null), every other one a list of rows.
    """
    linking = _Linking(cast, tables, columns, pseudonyms)
    linked = linking.spine()
    for role in list(cast.roles.values())[1:]:
        linked = linking.join(linked, role)
    return linking.with_drops(linked)


def key_text(parts: Sequence[ir.Value]) -> ir.StringValue:
    """A key as text, its parts joined with `/`."""
    text = parts[0].cast("string")
    for part in parts[1:]:
        text = text.concat("/", part.cast("string"))
    return text


def moment(value: ir.Value) -> ir.TimestampValue:
    """A date as its midnight; a timestamp as it is."""
    return value.cast("timestamp(6)")


def latest(moments: Sequence[ir.Value]) -> ir.TimestampValue:
    """The latest of some moments; null as soon as one of them is null, for then it is not known at all."""
    if len(moments) == 1:
        return moments[0]
    missing = moments[0].isnull()
    for other in moments[1:]:
        missing = missing | other.isnull()
    return ibis.ifelse(missing, ibis.null("timestamp(6)"), ibis.greatest(*moments))


class _Linking:
    def __init__(
        self,
        cast: Cast,
        tables: Mapping[str, ir.Table],
        columns: Mapping[str, Iterable[str]],
        pseudonyms: Mapping[tuple[str, str], Replace],
    ) -> None:
        self.cast = cast
        self.tables = tables
        self.columns = columns
        self.pseudonyms = pseudonyms
        # What later links read of each role: a narrow relation of its own, so that joins carry no wide rows.
        self.read_by_joins: dict[str, set[str]] = {}
        for role in cast.roles.values():
            for join in role.joins:
                self.read_by_joins.setdefault(join.other, set()).add(join.other_column)
        self.narrow: dict[str, ir.Table] = {}

    def row(self, role: Role, table: ir.Table, known: ir.Value) -> ir.StructValue:
        contract = role.contract
        first = [contract.event_time] if contract.event_time else []
        order = dict.fromkeys([*first, *contract.key, *sorted(self.columns.get(role.name, ()))])
        extra = [contract.end_time, *(role.known_at_of(column) for column in order)]
        order |= dict.fromkeys(column for column in extra if column)
        fields = {column: self._told(role, column, table[column]) for column in order}
        return ibis.struct({**fields, KNOWN: known, KEY: self._key(role, table)})

    def _key(self, role: Role, table: ir.Table, prefix: str = "") -> ir.StringValue:
        return key_text([self._told(role, column, table[prefix + column]) for column in role.contract.key])

    def _told(self, role: Role, column: str, value: ir.Value) -> ir.Value:
        replace = self.pseudonyms.get((role.name, column))
        return replace(value) if replace else value

    def spine(self) -> ir.Table:
        anchor = self.cast.anchor
        table = self.tables[anchor.name]
        at = moment(table[self.cast.at])
        closes = moment(table[self.cast.closes]) if self.cast.closes else ibis.null("timestamp(6)")
        case_id = self._key(anchor, table)
        self.narrow[anchor.name] = table.select(case_id=case_id, at=at, **self._for_joins(anchor, table, at))
        return table.select(case_id=case_id, at=at, closes=closes, **{anchor.name: self.row(anchor, table, at)})

    def _for_joins(self, role: Role, table: ir.Table, known: ir.Value) -> dict[str, ir.Value]:
        """What later joins read of this role: the value as `v_`, and the moment from which it was known as `k_`."""
        found: dict[str, ir.Value] = {}
        for column in sorted(self.read_by_joins.get(role.name, ())):
            found[f"v_{column}"] = table[column]
            own = role.known_at_of(column)
            anchored = role.link is None and (own is None or own == self.cast.at)
            found[f"k_{column}"] = known if own is None or anchored else latest([known, moment(table[own])])
        return found

    def join(self, linked: ir.Table, role: Role) -> ir.Table:
        rows = self._rows(role)
        if role.listed:
            gathered = rows.group_by("case_id").agg(**{role.name: rows["row"].collect().sort()})
            gathered = gathered.rename(linked_id="case_id")
            joined = linked.left_join(gathered, linked["case_id"] == gathered["linked_id"]).drop("linked_id")
            empty = ibis.literal([], type=gathered[role.name].type())
            return joined.mutate(**{role.name: joined[role.name].coalesce(empty)})
        narrow = rows.select("case_id", "row").rename(linked_id="case_id", **{role.name: "row"})
        return linked.left_join(narrow, linked["case_id"] == narrow["linked_id"]).drop("linked_id")

    def _rows(self, role: Role) -> ir.Table:
        """case_id, row and what later joins read, for each pair of a case and a linked row."""
        assert role.link is not None
        table = self.tables[role.name]
        prefixed = table.rename({f"r_{column}": column for column in table.columns})
        contract = role.contract
        anchor = self.narrow[self.cast.anchor.name]
        left = anchor
        through_list = False
        others = list(dict.fromkeys(join.other for join in role.joins))
        for other in others:
            if other == self.cast.anchor.name:
                continue
            read = [join.other_column for join in role.joins if join.other == other]
            theirs = self.narrow[other].select(
                other_id="case_id",
                **{f"{other}_v_{column}": f"v_{column}" for column in read},
                **{f"{other}_k_{column}": f"k_{column}" for column in read},
            )
            left = left.inner_join(theirs, left["case_id"] == theirs["other_id"]).drop("other_id")
            through_list = through_list or self.cast.roles[other].listed
        predicates = [self._equal(role, join, left, prefixed) for join in role.joins]
        predicates += self._timed(role, left, prefixed)
        if contract.id == self.cast.anchor.contract.id:
            predicates.append(left["case_id"] != self._key(self.cast.anchor, prefixed, "r_"))
        pairs = left.inner_join(prefixed, predicates) if predicates else left.cross_join(prefixed)
        known = self._known(role, pairs)
        own = pairs.select(
            "case_id", "at", known=known, **{column: pairs[f"r_{column}"] for column in table.columns}
        )
        if role.link.as_of is not None:
            own = self._latest(role, own)
        if through_list:
            # Several parents may lead to one row: it is known as soon as the first of them is.
            by = ["case_id", "at", *table.columns]
            own = own.group_by(by).agg(known=own["known"].min())
        rows = own.select("case_id", row=self.row(role, own, own["known"]), **self._for_joins(role, own, own["known"]))
        if role.name in self.read_by_joins:
            self.narrow[role.name] = rows.drop("row")
        return rows

    def _equal(self, role: Role, join: Join, left: ir.Table, right: ir.Table) -> ir.BooleanValue:
        anchored = join.other == self.cast.anchor.name
        mine = right[f"r_{join.column}"]
        theirs = left[f"v_{join.other_column}" if anchored else f"{join.other}_v_{join.other_column}"]
        if mine.type().is_date() != theirs.type().is_date():
            return moment(mine) == moment(theirs)
        return mine == theirs

    def _timed(self, role: Role, left: ir.Table, right: ir.Table) -> list[ir.BooleanValue]:
        link = role.link
        assert link is not None
        if not (link.within or link.overlaps or link.as_of):
            return []
        event = moment(right[f"r_{role.contract.event_time}"])
        at = left["at"]
        if link.as_of is not None:
            return [event <= at]
        if link.within is not None:
            return [
                event >= at + ibis.interval(seconds=int(link.within.after.total_seconds())),
                event <= at + ibis.interval(seconds=int(link.within.before.total_seconds())),
            ]
        assert link.overlaps is not None
        slack = ibis.interval(seconds=int(link.overlaps.slack.total_seconds()))
        end = moment(right[f"r_{role.contract.end_time}"])
        return [event <= at + slack, end.isnull() | (end >= at - slack)]

    def _known(self, role: Role, pairs: ir.Table) -> ir.TimestampValue:
        contract = role.contract
        parts: list[ir.Value] = []
        if contract.event_time is not None:
            parts.append(moment(pairs[f"r_{contract.event_time}"]))
        elif contract.hindsight:
            return ibis.null("timestamp(6)")
        for join in role.joins:
            anchored = join.other == self.cast.anchor.name
            parts.append(pairs[f"k_{join.other_column}" if anchored else f"{join.other}_k_{join.other_column}"])
        return latest(parts) if parts else pairs["at"]

    def _latest(self, role: Role, rows: ir.Table) -> ir.Table:
        contract = role.contract
        order = [rows[contract.event_time].desc(), *(rows[column].desc() for column in contract.key)]
        place = ibis.row_number().over(ibis.window(group_by=rows["case_id"], order_by=order))
        ranked = rows.mutate(place=place)
        return ranked.filter(ranked["place"] == 0).drop("place")

    def with_drops(self, linked: ir.Table) -> ir.Table:
        dropped = [self._dropped(linked, role, question=False) for role in self.cast.roles.values() if role.link]
        asked = [self._dropped(linked, role, question=True) for role in self.cast.roles.values() if role.link]
        return linked.mutate(
            dropped=ibis.coalesce(ibis.null("string"), *[reason for reason in dropped if reason is not None]),
            question_dropped=ibis.coalesce(ibis.null("string"), *[reason for reason in asked if reason is not None]),
        )

    def _dropped(self, linked: ir.Table, role: Role, *, question: bool) -> ir.StringValue | None:
        assert role.link is not None
        expect, value = role.link.expect, linked[role.name]
        unsure = question and (role.may_be_future or role.contract.hindsight)
        none, several = ibis.literal(f"{role.name}: none"), ibis.literal(f"{role.name}: several")
        nothing = ibis.null("string")
        if not role.listed:
            return ibis.ifelse(value.isnull(), none, nothing) if expect == "one" and not unsure else None
        seen = dialect.those(value, lambda row: row[KNOWN] <= linked["at"]) if unsure else value
        count = seen.length().coalesce(0)
        too_few = (count == 0) if expect in ("one", "some") and not unsure else ibis.literal(False)
        too_many = (count > 1) if expect in ("one", "optional") else ibis.literal(False)
        if expect == "any" or (expect == "some" and unsure):
            return None
        return ibis.ifelse(too_few, none, ibis.ifelse(too_many, several, nothing))
