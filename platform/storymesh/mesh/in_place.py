"""What a narrative needs of products that stay where they are: fetched by role, each by what its cases can link."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pydantic import TypeAdapter, ValidationError

from storymesh.atomic_write import write_atomically
from storymesh.case.resolve import JoinCondition, Role
from storymesh.contract.checks import rule_columns
from storymesh.contract.definition import Contract
from storymesh.contract.quality_rules import Rule
from storymesh.contract.types import arrow_schema
from storymesh.engine.engine import Engine
from storymesh.errors import NotPublished
from storymesh.federation.gate import admit, write_receipt
from storymesh.federation.plan import TransferPlan
from storymesh.federation.receipts import Leaving, Receipt
from storymesh.federation.request import ExtractRequest, RequestedColumn
from storymesh.federation.selection import KeySet, RowSelection, TimeBounds
from storymesh.mesh.mesh import Mesh
from storymesh.narrative.column_uses import needed_columns
from storymesh.narrative.typed import TypedNarrative
from storymesh.product.extracts import ExtractStore
from storymesh.product.in_place import contract_of_columns, fetch_extract
from storymesh.product.store import ProductStore, Snapshot

if TYPE_CHECKING:
    import pyarrow as pa

_PLANS = TypeAdapter(dict[str, TransferPlan])
_ZONES = timedelta(days=1)
"""By how much time is widened: a contract may read a moment in another zone than its server, or the day of it."""


@dataclass(frozen=True)
class RolesInPlace:
    """The roles of a narrative whose products stay where they are, and the extracts that were fetched for them last."""

    mesh: Mesh
    typed: TypedNarrative

    @property
    def roles(self) -> dict[str, str]:
        """Role -> product, in the order of the links; those that no link reaches last."""
        cast = self.typed.narrative.cast
        names = [*self.typed.cast.roles, *(name for name in cast if name not in self.typed.cast.roles)]
        return {name: cast[name].product for name in names if self.mesh.product(cast[name].product).in_place}

    @property
    def _path(self) -> Path:
        return self.mesh.store / "narratives" / self.typed.narrative.name / "in_place.json"

    def read_plans(self) -> dict[str, TransferPlan]:
        """Return how the roles were fetched last; nothing where they were not."""
        try:
            return _PLANS.validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return {}

    def last_extracts(self) -> dict[str, Snapshot] | None:
        """Return the extracts that were fetched last; None where one is not there, or has not what is needed now."""
        plans, found = self.read_plans(), dict[str, Snapshot]()
        for role, product in self.roles.items():
            plan = plans.get(role)
            if plan is None or plan.product != product or {*plan.columns} != {*self._columns(role)}:
                return None
            domain, _, name = product.partition(".")
            try:
                snapshot = ProductStore(self.mesh.warehouse, domain).find_snapshot(name, plan.version)
            except NotPublished:
                return None
            found[role] = replace(snapshot, keys_sent=plan.sent)
        return found

    def fetch(self, pinned: Mapping[str, Snapshot]) -> dict[str, Snapshot]:
        """Fetch what each role needs beside the snapshots that are `pinned`, and return the extracts.

        Raises LeavingRefused before anything is read that may not leave, SourceUnreadable, ResourceUnavailable, and
        PublicationRefused where too many of the rows break their contract.
        """
        self._require_admitted()
        snapshots, plans = dict(pinned), dict[str, TransferPlan]()
        for role, product_id in self.roles.items():
            product, contract = self.mesh.product(product_id), self.mesh.contract(product_id)
            columns = self._columns(role)
            wanted, leaving = self._wanted(role, list(contract_of_columns(contract, columns).properties), snapshots)
            extract = fetch_extract(
                product,
                contract,
                columns,
                wanted,
                role,
                self.mesh.server_access(product.domain),
                ProductStore(self.mesh.warehouse, product.domain),
                self.mesh.open_engine,
                uuid4().hex,
                partial(self._write_receipts, leaving),
            )
            snapshots[role], plans[role] = extract.snapshot, extract.plan
        self._path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({role: plan.model_dump() for role, plan in plans.items()}, indent=2)
        write_atomically(self._path, text + "\n")
        return {role: snapshots[role] for role in plans}

    def _require_admitted(self) -> None:
        residency = self.mesh.residency
        for role, request in residency.requests(self.typed).items():
            if role in self.roles:
                admit(request, residency.policy(self.mesh.contract(request.product)))

    def _columns(self, name: str) -> frozenset[str]:
        role, contract = self.typed.cast.roles.get(name), self.mesh.contract(self.typed.narrative.cast[name].product)
        if role is None:
            return frozenset(contract.key or list(contract.properties)[:1])
        needed = needed_columns(self.typed, role)
        return needed.union(*(columns for _, columns in self._rules(contract) if self._may_come(contract, columns)))

    def unheld_rules(self, name: str) -> list[tuple[Rule, list[str]]]:
        """Return the rules about rows of a role's contract that its extract is not held to, each with the columns that
        may not leave for that. A role that no link reaches has no rows in cases, and none."""
        if name not in self.typed.cast.roles:
            return []
        contract, fetched = self.mesh.contract(self.typed.narrative.cast[name].product), self._columns(name)
        rules = self._rules(contract)
        found = [(rule, [column for column in columns if column not in fetched]) for rule, columns in rules]
        return [(rule, missing) for rule, missing in found if missing]

    def _rules(self, contract: Contract) -> Iterator[tuple[Rule, tuple[str, ...]]]:
        """Yield the quality rules of a contract that single rows keep or break, with the columns that each reads."""
        for rule in (*contract.quality, *(rule for item in contract.properties.values() for rule in item.quality)):
            if columns := rule_columns(rule, contract):
                yield rule, columns

    def _may_come(self, contract: Contract, columns: Iterable[str]) -> bool:
        """Return True if these columns may come to where cases are made as they are, to be held against a rule."""
        residency, narrative = self.mesh.residency, self.typed.narrative
        if not residency.concerns:
            return True
        policy, home = residency.policy(contract), residency.home_of(narrative.id)
        return all(policy.allows(column, "raw", home, narrative.purpose) for column in columns)

    def _write_receipts(self, leaving: Iterable[Leaving]) -> tuple[Receipt, ...]:
        extracts = ExtractStore(self.mesh.store)
        return tuple(write_receipt(extracts.receipts(left.from_premise), left) for left in leaving)

    def _wanted(
        self, name: str, columns: list[str], snapshots: Mapping[str, Snapshot]
    ) -> tuple[RowSelection, list[Leaving]]:
        """Return which rows the cases can link, and which keys leave their premise where a server is sent them.
        `columns` are those of the extract, in order."""
        role = self.typed.cast.roles.get(name)
        if role is None or role.link is None:
            return RowSelection(), []
        with self.mesh.open_engine() as engine:
            found = list(self._keys(role, columns, snapshots, engine))
            bounds = tuple(self._bounds(role, columns, snapshots, engine))
        leaving = [left for _, left in found if left is not None]
        return RowSelection(bounds, tuple(keys for keys, _ in found)), leaving

    def _keys(
        self, role: Role, columns: list[str], snapshots: Mapping[str, Snapshot], engine: Engine
    ) -> Iterator[tuple[KeySet, Leaving | None]]:
        """Yield the keys that the roles linked before have, for each of these roles, and what leaves with them."""
        by_parent: dict[str, list[JoinCondition]] = {}
        for join in role.joins:
            if self._may_send(role, join):
                by_parent.setdefault(join.other, []).append(join)
        for other, joins in by_parent.items():
            table = self._read(engine, other, snapshots)
            values = table.select(**{f"k{n}": table[join.other_column] for n, join in enumerate(joins)})
            values = values.drop_null().distinct()
            found: pa.Table = engine.fetch_table(values)
            left = self._keys_leaving(role, joins, snapshots[other], engine.compile_sql(values), found)
            yield KeySet(tuple(columns.index(join.column) for join in joins), found), left

    def _keys_leaving(
        self, role: Role, joins: list[JoinCondition], snapshot: Snapshot, statement: str, keys: "pa.Table"
    ) -> Leaving | None:
        """Return what leaves its premise when keys are sent to where the product of a role is, admitted by the gate;
        None where they stay on one premise."""
        residency, narrative = self.mesh.residency, self.typed.narrative
        other, contract = joins[0].other, self.mesh.contract(snapshot.product)
        policy, there = residency.policy(contract), residency.premise_of(narrative.cast[role.name].product)
        if not residency.concerns or policy.premise == there:
            return None
        request = ExtractRequest(
            narrative=narrative.id,
            role=other,
            product=contract.id,
            contract=contract.digest,
            from_premise=policy.premise,
            to_premise=there,
            purpose=narrative.purpose,
            columns=tuple(RequestedColumn(name=name) for name in sorted({join.other_column for join in joins})),
        )
        return admit(request, policy).leaving(
            statement=statement,
            extract=_digest(keys),
            rows=keys.num_rows,
            size=keys.nbytes,
            version=snapshot.version,
        )

    def _may_send(self, role: Role, join: JoinCondition) -> bool:
        """Return True if the values of the other side may go to where the product is, and as they are."""
        residency, cast = self.mesh.residency, self.typed.narrative.cast
        if not residency.concerns:
            return True
        there, other = residency.premise_of(cast[role.name].product), self.mesh.contract(cast[join.other].product)
        return residency.policy(other).allows(join.other_column, "raw", there, self.typed.narrative.purpose)

    def _bounds(
        self, role: Role, columns: list[str], snapshots: Mapping[str, Snapshot], engine: Engine
    ) -> Iterator[TimeBounds]:
        """Yield the time that the cases' own moments and the link reach."""
        link, contract, cast = role.link, role.contract, self.typed.cast
        assert link is not None
        if not (link.within or link.overlaps or link.as_of) or contract.event_time is None:
            return
        at = self._read(engine, cast.anchor.name, snapshots)[cast.at].cast("timestamp(6)")
        (moments,) = engine.fetch_rows(at.as_table().aggregate(first=at.min(), last=at.max()))
        first, last = moments["first"], moments["last"]
        if first is None:
            return
        place = columns.index(contract.event_time)
        if link.within is not None:
            yield TimeBounds(
                place, _moved(first, link.within.after - _ZONES), _moved(last, link.within.before + _ZONES)
            )
        elif link.overlaps is not None:
            yield TimeBounds(place, None, _moved(last, link.overlaps.slack + _ZONES))
            if contract.end_time is not None and not role.late_end:
                ended = columns.index(contract.end_time)
                yield TimeBounds(ended, _moved(first, -link.overlaps.slack - _ZONES), None, or_null=True)
        else:
            yield TimeBounds(place, None, _moved(last, _ZONES))

    def _read(self, engine: Engine, role: str, snapshots: Mapping[str, Snapshot]) -> Any:
        contract = self.mesh.contract(self.typed.narrative.cast[role].product)
        return engine.read_parquet(snapshots[role].files, arrow_schema(snapshots[role].contract_held(contract)))


def _digest(keys: "pa.Table") -> str:
    """Return the SHA-256 of keys, whatever order they come in."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, keys.schema) as writer:
        ordered = keys.sort_by([(name, "ascending") for name in keys.column_names])
        writer.write_table(ordered.combine_chunks())
    return hashlib.sha256(sink.getvalue()).hexdigest()


def _moved(moment: datetime, by: timedelta) -> datetime | None:
    """Return a moment moved; None where it would be out of all time."""
    try:
        return moment + by
    except OverflowError:
        return None
