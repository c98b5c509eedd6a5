"""The rows of a product in place that the cases of a narrative can reach, by keys, time and the anchor's condition.

It is taken from the rows of the roles that are linked before, of which only those count that cases reach themselves.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from storymesh.case.resolve import JoinCondition, Role
from storymesh.case.selection import select_anchor_rows
from storymesh.case.source_condition import SourceCondition, source_condition
from storymesh.contract.types import arrow_schema
from storymesh.dataset.pseudonym_key import pseudonym_key
from storymesh.engine.engine import Engine
from storymesh.federation.gate import admit
from storymesh.federation.keyed_hash import egress_key, hash_in_engine
from storymesh.federation.receipts import EgressRecord
from storymesh.federation.request import ExtractRequest, RequestedColumn
from storymesh.federation.selection import KeyForm, KeySet, KeyTimes, RowCondition, RowSelection, TimeBounds
from storymesh.language.types import Integer, Text, Type
from storymesh.mesh.mesh import Mesh
from storymesh.narrative.typed import TypedNarrative
from storymesh.product.store import Snapshot

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

_MICROSECOND = timedelta(microseconds=1)
_FIRST, _LAST = ((moment - datetime(1970, 1, 1)) // _MICROSECOND for moment in (datetime.min, datetime.max))
_ZONES = timedelta(days=1)
"""By how much time is widened: a contract may read a moment in another zone than its server, or the day of it."""


@dataclass(frozen=True)
class ReachableRows:
    """The rows of a role that cases can link, and the egress of keys that are sent to its server for that."""

    selection: RowSelection
    leaving: tuple[EgressRecord, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReachableRowFinder:
    """Finds the rows that cases can reach, from the `snapshots` (role -> snapshot) of the roles linked before."""

    mesh: Mesh
    typed: TypedNarrative
    snapshots: Mapping[str, Snapshot]
    engine: Engine

    def wanted(self, name: str, columns: list[str]) -> ReachableRows:
        """Return which rows of a role the cases can link. `columns` are those of its extract, in order."""
        role = self.typed.cast.roles.get(name)
        if role is None:
            return ReachableRows(RowSelection())
        if role.link is None:
            return self._anchors(columns)
        found = list(self._keys(role, columns))
        leaving = tuple(left for _, _, left in found if left is not None)
        bounds, keys = tuple(self._bounds(role, columns)), tuple(keys for keys, _, _ in found)
        times = next((times for _, times, _ in found if times is not None), None)
        return ReachableRows(RowSelection(bounds, keys, times), leaving)

    def _anchors(self, columns: list[str]) -> ReachableRows:
        """Return the rows of the anchor that are cases, as far as its source can decide."""
        found = self._condition
        if found is None:
            notes = () if self.typed.selection is None else ("`where` is held where cases are made",)
            return ReachableRows(RowSelection(), notes=notes)
        notes = () if found.whole else ("a part of `where` is held where cases are made",)
        places = {column: columns.index(column) for column in found.columns}
        return ReachableRows(RowSelection(where=RowCondition(found.condition, places)), notes=notes)

    @property
    def _condition(self) -> SourceCondition | None:
        selection = self.typed.selection
        return source_condition(selection.tree, self.typed.cast.anchor) if selection is not None else None

    def _keys(self, role: Role, columns: list[str]) -> Iterator[tuple[KeySet, KeyTimes | None, EgressRecord | None]]:
        """Yield the keys that the roles linked before have, for each of these roles; of the anchor's, the times of
        their cases, where these may go with them; and what leaves for that."""
        by_parent: dict[str, dict[JoinCondition, KeyForm]] = {}
        for join in role.joins:
            if (form := self._sent_form(role, join)) is not None:
                by_parent.setdefault(join.other, {})[join] = form
        for other, joins in by_parent.items():
            table, secret = self._reachable_rows(other), b""
            values = {f"k{n}": table[join.other_column] for n, join in enumerate(joins)}
            if any(form != "raw" for form in joins.values()):
                secret = egress_key(pseudonym_key(self.mesh.prepare_store()))
                hashed = hash_in_engine(secret)
                forms = zip(values.items(), joins.values(), strict=True)
                values = {name: value if form == "raw" else hashed(value) for (name, value), form in forms}
            timed = self._sends_times(role, other)
            at = {"at": table[self.typed.cast.at].cast("timestamp(6)")} if timed else {}
            sent = table.select(**values, **at).drop_null().distinct()
            found: pa.Table = self.engine.fetch_table(sent)
            names = {join.other_column: form for join, form in joins.items()}
            names |= {self.typed.cast.at: names.get(self.typed.cast.at, "raw")} if timed else {}
            left = self._keys_leaving(role, other, names, self.engine.compile_sql(sent), found)
            different = found.select(list(values)).group_by(list(values)).aggregate([]) if timed else found
            places = tuple(columns.index(join.column) for join in joins)
            keys = KeySet(places, different, tuple(joins.values()), secret)
            yield keys, self._times(role, keys, columns, found) if timed else None, left

    def _sends_times(self, role: Role, other: str) -> bool:
        """Return True if each key of a parent has a time of its own that may go with it to where the product is."""
        cast, residency = self.typed.cast, self.mesh.residency
        if role.link is None or role.link.within is None or other != cast.anchor.name:
            return False
        there = residency.premise_of(self.typed.narrative.cast[role.name].product)
        contract = self.mesh.contract(self.typed.narrative.cast[other].product)
        allowed = residency.policy(contract).form_of(cast.at, there, self.typed.narrative.purpose)
        return not residency.concerns or allowed == "raw"

    def _times(self, role: Role, keys: KeySet, columns: list[str], found: "pa.Table") -> KeyTimes:
        """Return the times between which the link of each key of `found` lies, a day wider."""
        import pyarrow as pa
        import pyarrow.compute as pc

        assert role.link is not None and role.link.within is not None and role.contract.event_time is not None
        within, moments = role.link.within, found["at"].cast(pa.int64())
        reached = {"start": within.after - _ZONES, "end": within.before + _ZONES}
        for name, length in reached.items():
            ends = pc.add(moments, length // _MICROSECOND)
            ends = pc.min_element_wise(pc.max_element_wise(ends, _FIRST), _LAST)
            found = found.append_column(name, ends.cast(pa.timestamp("us")))
        return KeyTimes(keys, columns.index(role.contract.event_time), found.drop_columns(["at"]))

    def _sent_form(self, role: Role, join: JoinCondition) -> KeyForm | None:
        """Return how the values of the other side may go to where the product is: as they are, or as the hash that the
        server can make of its own; None where they stay."""
        residency, cast, purpose = self.mesh.residency, self.typed.narrative.cast, self.typed.narrative.purpose
        if not residency.concerns:
            return "raw"
        there = residency.premise_of(cast[role.name].product)
        own, other = self.mesh.contract(cast[role.name].product), self.mesh.contract(cast[join.other].product)
        best = residency.policy(other).form_of(join.other_column, there, purpose)
        if best != "hashed":
            return "raw" if best == "raw" else None
        kinds = own.properties[join.column].type, other.properties[join.other_column].type
        return next((form for kind, form in _HASHED.items() if all(isinstance(one, kind) for one in kinds)), None)

    def _keys_leaving(
        self, role: Role, other: str, columns: Mapping[str, KeyForm], statement: str, keys: "pa.Table"
    ) -> EgressRecord | None:
        """Return what leaves its premise when these columns are sent to where the product of a role is, admitted by the
        gate; None where they stay on one premise."""
        residency, narrative = self.mesh.residency, self.typed.narrative
        snapshot = self.snapshots[other]
        contract = self.mesh.contract(snapshot.product)
        policy, there = residency.policy(contract), residency.premise_of(narrative.cast[role.name].product)
        if not residency.concerns or policy.premise == there:
            return None
        asked = sorted(columns.items())
        sent = [RequestedColumn(name=name, form="raw" if form == "raw" else "hashed") for name, form in asked]
        request = ExtractRequest(
            narrative=narrative.id,
            role=other,
            product=contract.id,
            contract=contract.digest,
            from_premise=policy.premise,
            to_premise=there,
            purpose=narrative.purpose,
            columns=tuple(sent),
        )
        return admit(request, policy).leaving(
            statement=statement,
            extract=_digest(keys),
            rows=keys.num_rows,
            size=keys.nbytes,
            version=snapshot.version,
        )

    def _bounds(self, role: Role, columns: list[str]) -> Iterator[TimeBounds]:
        """Yield the time that the cases' own moments and the link reach."""
        link, contract = role.link, role.contract
        assert link is not None
        if not (link.within or link.overlaps or link.as_of) or contract.event_time is None:
            return
        first, last = self._moments
        if first is None or last is None:
            return
        place = columns.index(contract.event_time)
        if link.within is not None:
            yield TimeBounds(
                place,
                _shift(first, link.within.after - _ZONES),
                _shift(last, link.within.before + _ZONES),
            )
        elif link.overlaps is not None:
            yield TimeBounds(place, None, _shift(last, link.overlaps.slack + _ZONES))
            if contract.end_time is not None and not role.late_end:
                ended = columns.index(contract.end_time)
                yield TimeBounds(ended, _shift(first, -link.overlaps.slack - _ZONES), None, or_null=True)
        else:
            yield TimeBounds(place, None, _shift(last, _ZONES))

    @cached_property
    def _moments(self) -> tuple[datetime | None, datetime | None]:
        """The first and the last moment of a case."""
        cast = self.typed.cast
        at = self._reachable_rows(cast.anchor.name)[cast.at].cast("timestamp(6)")
        (moments,) = self.engine.fetch_rows(at.as_table().aggregate(first=at.min(), last=at.max()))
        return moments["first"], moments["last"]

    def _reachable_rows(self, name: str) -> "ir.Table":
        """Return the rows of a role that cases reach by their keys, as far as its premise may know these: of the anchor
        those that are cases."""
        role = self.typed.cast.roles[name]
        contract = self.mesh.contract(self.typed.narrative.cast[name].product)
        snapshot = self.snapshots[name]
        table = self.engine.read_parquet(snapshot.files, arrow_schema(snapshot.contract_held(contract)))
        if role.link is None:
            chosen = self.typed.selection
            return table if chosen is None else select_anchor_rows(table, chosen, name)
        for other in dict.fromkeys(join.other for join in role.joins):
            if not self._may_narrow(other, name):
                continue
            parents = self._reachable_rows(other)
            pairs = [(table[j.column], parents[j.other_column]) for j in role.joins if j.other == other]
            table = table.semi_join(parents, [mine == theirs for mine, theirs in map(_comparable, pairs)])
        return table

    def _may_narrow(self, parent: str, name: str) -> bool:
        """Return True if the keys of a role may be known where another one is, without a receipt."""
        residency, cast = self.mesh.residency, self.typed.narrative.cast
        own, there = residency.premise_of(cast[parent].product), residency.premise_of(cast[name].product)
        guarded = residency.policy(self.mesh.contract(cast[parent].product)).guarded
        return not residency.concerns or own == there or not guarded


_HASHED: Mapping[type[Type], KeyForm] = {Text: "hashed text", Integer: "hashed number"}
"""Values that are written alike wherever they are, so that their hashes are equal where they are."""


def _comparable(pair: "tuple[ir.Value, ir.Value]") -> "tuple[ir.Value, ir.Value]":
    """Return the two sides of a link as they are compared: a date as its midnight beside a timestamp."""
    mine, theirs = pair
    if mine.type().is_date() != theirs.type().is_date():
        return mine.cast("timestamp(6)"), theirs.cast("timestamp(6)")
    return mine, theirs


def _digest(keys: "pa.Table") -> str:
    """Return the SHA-256 of keys, whatever order they come in."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, keys.schema) as writer:
        ordered = keys.sort_by([(name, "ascending") for name in keys.column_names])
        writer.write_table(ordered.combine_chunks())
    return hashlib.sha256(sink.getvalue()).hexdigest()


def _shift(moment: datetime, by: timedelta) -> datetime | None:
    """Return a shifted moment; None if it is out of range."""
    try:
        return moment + by
    except OverflowError:
        return None
