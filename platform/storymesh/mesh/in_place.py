"""The rows that a narrative needs from products in place, fetched by role: those that its cases can link."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from uuid import uuid4

from pydantic import TypeAdapter, ValidationError

from storymesh.atomic_write import write_atomically
from storymesh.errors import NotPublished
from storymesh.federation.gate import admit, write_receipt
from storymesh.federation.plan import TransferPlan
from storymesh.federation.receipts import EgressRecord, Receipt
from storymesh.mesh.extract_requests import extract_requests
from storymesh.mesh.in_place_rules import RoleRules
from storymesh.mesh.mesh import Mesh
from storymesh.mesh.reachable_rows import ReachableRowFinder, ReachableRows
from storymesh.narrative.typed import TypedNarrative
from storymesh.product.extracts import ExtractStore
from storymesh.product.in_place import Fetching, contract_of_columns, fetch_extract
from storymesh.product.store import ProductStore, Snapshot

_PLANS = TypeAdapter(dict[str, TransferPlan])


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

        Raises EgressRefused before anything is read that may not leave, SourceUnreadable, ResourceUnavailable, and
        AuditRefused where too many of the rows break their contract, or a rule about all of them fails.
        """
        self._require_admitted()
        snapshots, plans = dict(pinned), dict[str, TransferPlan]()
        for role, product_id in self.roles.items():
            product, contract = self.mesh.product(product_id), self.mesh.contract(product_id)
            columns = self._columns(role)
            wanted = self.wanted_rows(role, snapshots)
            prices = self.mesh.residency.link_prices(product_id, self.typed.narrative.id)
            rules, write = self._rules(role).source_rules, partial(self._write_receipts, wanted.leaving)
            extract = fetch_extract(
                product,
                contract,
                Fetching(role, columns, wanted.selection, rules, write, prices),
                self.mesh.server_access(product.domain),
                ProductStore(self.mesh.warehouse, product.domain),
                self.mesh.open_engine,
                uuid4().hex,
            )
            snapshots[role] = extract.snapshot
            plans[role] = extract.plan.ended(notes=(*wanted.notes, *extract.plan.notes))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({role: plan.model_dump() for role, plan in plans.items()}, indent=2)
        write_atomically(self._path, text + "\n")
        return {role: snapshots[role] for role in plans}

    def wanted_rows(self, role: str, snapshots: Mapping[str, Snapshot]) -> ReachableRows:
        """Return which rows of a role the cases can link that the snapshots of the roles before it have."""
        contract = self.mesh.contract(self.typed.narrative.cast[role].product)
        columns = list(contract_of_columns(contract, self._columns(role)).properties)
        with self.mesh.open_engine() as engine:
            return ReachableRowFinder(self.mesh, self.typed, snapshots, engine).wanted(role, columns)

    def _require_admitted(self) -> None:
        residency = self.mesh.residency
        for role, request in extract_requests(residency, self.typed).items():
            if role in self.roles:
                admit(request, residency.policy(self.mesh.contract(request.product)))

    def _rules(self, role: str) -> RoleRules:
        return RoleRules(self.mesh, self.typed, role)

    def _columns(self, role: str) -> frozenset[str]:
        return self._rules(role).fetched

    def _write_receipts(self, leaving: Iterable[EgressRecord]) -> tuple[Receipt, ...]:
        extracts = ExtractStore(self.mesh.store)
        return tuple(write_receipt(extracts.receipts(left.from_premise), left) for left in leaving)
