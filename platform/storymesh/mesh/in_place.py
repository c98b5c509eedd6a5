"""What a narrative needs of products that stay where they are: fetched by role, each by what its cases can link."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pydantic import TypeAdapter, ValidationError

from storymesh.atomic_write import write_atomically
from storymesh.case.resolve import JoinCondition, Role
from storymesh.contract.types import arrow_schema
from storymesh.engine.engine import Engine
from storymesh.errors import NotPublished
from storymesh.federation.gate import admit
from storymesh.federation.plan import TransferPlan
from storymesh.federation.selection import KeySet, RowSelection, TimeBounds
from storymesh.mesh.mesh import Mesh
from storymesh.narrative.column_uses import needed_columns
from storymesh.narrative.typed import TypedNarrative
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
                found[role] = ProductStore(self.mesh.warehouse, domain).find_snapshot(name, plan.version)
            except NotPublished:
                return None
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
            extract = fetch_extract(
                product,
                contract,
                columns,
                self._wanted(role, list(contract_of_columns(contract, columns).properties), snapshots),
                role,
                self.mesh.server_access(product.domain),
                ProductStore(self.mesh.warehouse, product.domain),
                self.mesh.open_engine,
                uuid4().hex,
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
        role, contract = self.typed.cast.roles.get(name), self.typed.contracts[name]
        if role is not None:
            return needed_columns(self.typed, role)
        return frozenset(contract.key or list(contract.properties)[:1])

    def _wanted(self, name: str, columns: list[str], snapshots: Mapping[str, Snapshot]) -> RowSelection:
        """Return which rows the cases can link. `columns` are those of the extract, in order."""
        role = self.typed.cast.roles.get(name)
        if role is None or role.link is None:
            return RowSelection()
        with self.mesh.open_engine() as engine:
            keys = tuple(self._keys(role, columns, snapshots, engine))
            return RowSelection(tuple(self._bounds(role, columns, snapshots, engine)), keys)

    def _keys(
        self, role: Role, columns: list[str], snapshots: Mapping[str, Snapshot], engine: Engine
    ) -> Iterator[KeySet]:
        """Yield the keys that the roles linked before have, for each of these roles."""
        by_parent: dict[str, list[JoinCondition]] = {}
        for join in role.joins:
            if self._may_send(role, join):
                by_parent.setdefault(join.other, []).append(join)
        for other, joins in by_parent.items():
            table = self._read(engine, other, snapshots)
            values = table.select(**{f"k{n}": table[join.other_column] for n, join in enumerate(joins)})
            found: pa.Table = engine.fetch_table(values.drop_null().distinct())
            yield KeySet(tuple(columns.index(join.column) for join in joins), found)

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


def _moved(moment: datetime, by: timedelta) -> datetime | None:
    """Return a moment moved; None where it would be out of all time."""
    try:
        return moment + by
    except OverflowError:
        return None
