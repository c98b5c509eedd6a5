"""The rules of a contract whose rows stay in place: where each is checked, and which are checked nowhere."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from storymesh.contract.checks import Check, FitsType, checks_of, rule_columns
from storymesh.contract.definition import Contract
from storymesh.contract.egress_rules import AggregationThreshold
from storymesh.federation.gate import admit, write_receipt
from storymesh.federation.request import ExtractRequest
from storymesh.federation.server import servers_of
from storymesh.federation.source_rules import SourceAudit, SourceRules, columns_read, pushdown_fault
from storymesh.mesh.mesh import Mesh
from storymesh.narrative.column_uses import needed_columns
from storymesh.narrative.typed import TypedNarrative
from storymesh.product.extracts import ExtractStore


@dataclass(frozen=True)
class RoleRules:
    """The rules of the contract of a role whose product stays where it is, as a narrative may have them held."""

    mesh: Mesh
    typed: TypedNarrative
    role: str

    @cached_property
    def contract(self) -> Contract:
        return self.mesh.contract(self.typed.narrative.cast[self.role].product)

    @property
    def holds_rules(self) -> str:
        """Where they are held for all rows: `there`, `here`, or `nowhere`."""
        server = servers_of(self.contract).get(self.contract.in_place or "")
        return server.holds_rules if server is not None else "nowhere"

    @cached_property
    def fetched(self) -> frozenset[str]:
        """The properties that are fetched for the role: what its cases read, and what rules about rows do that may come
        as it is; of what is read here, all of that."""
        role = self.typed.cast.roles.get(self.role)
        if role is None:
            return frozenset(self.contract.key or list(self.contract.properties)[:1])
        found = needed_columns(self.typed, role)
        if self.holds_rules == "here":
            return found | {name for name in self.contract.properties if self._may_come(name)}
        rules = (*self.contract.quality, *(one for item in self.contract.properties.values() for one in item.quality))
        read = [columns for rule in rules if (columns := rule_columns(rule, self.contract))]
        return found.union(*(columns for columns in read if all(map(self._may_come, columns))))

    @cached_property
    def source_rules(self) -> SourceRules:
        """What the source is asked for: where leavings are declared, rules about columns of which figures may leave."""
        contract, residence = self.contract, self.contract.residence
        if self._is_elsewhere and residence is not None:  # nobody there is shown what a rule found
            contract = replace(contract, residence=residence.of_narrative(self.typed.narrative.id))
        return SourceRules(contract, self._disclosable[0], self.fetched, self._disclosable[1], self._write_receipts)

    def unheld(self) -> Iterator[tuple[Check, list[str]]]:
        """Yield the checks that nobody holds, with the columns that may not be read for that, and those that no server
        can be asked for, with none. A role that no link reaches has no rows in cases, and none."""
        if self.role not in self.typed.cast.roles:
            return
        for check in checks_of(self.contract):
            read, fetched = (
                columns_read(check, self.contract),
                check.kind == "row" and {*check.properties} <= self.fetched,
            )
            if isinstance(check.test, FitsType) or fetched:
                continue
            known = self._disclosable[0] if self.holds_rules == "there" else self.fetched
            if missing := [name for name in self.contract.properties if name in read - known]:
                yield check, missing
            elif self.holds_rules == "there" and pushdown_fault(check, self.contract) is not None:
                yield check, []

    @property
    def _is_elsewhere(self) -> bool:
        residency = self.mesh.residency
        return (
            residency.is_elsewhere(self.contract.id, self.typed.narrative.id)
            and residency.policy(self.contract).guarded
        )

    def _may_come(self, name: str) -> bool:
        """Return True if a column may come to where cases are made as it is, to be held against a rule."""
        narrative, policy = self.typed.narrative, self.mesh.residency.policy(self.contract)
        home = self.mesh.residency.home_of(narrative.id)
        return not self._is_elsewhere or policy.allows(name, "raw", home, narrative.purpose)

    @cached_property
    def _disclosable(self) -> tuple[frozenset[str], dict[str, AggregationThreshold]]:
        """The columns of which figures may come, and the least groups of those of which nothing else may."""
        if not self._is_elsewhere:
            return frozenset(self.contract.properties), {}
        narrative, policy = self.typed.narrative, self.mesh.residency.policy(self.contract)
        found: set[str] = set()
        least: dict[str, AggregationThreshold] = {}
        for name in self.contract.properties:
            rule = policy.rule_for(name, self.mesh.residency.home_of(narrative.id), narrative.purpose)
            if rule is None or (rule.least is not None and rule.least.grain is not None):
                continue  # figures of whole periods say nothing of the whole table
            found.add(name)
            if rule.least is not None:
                least[name] = rule.least
        return frozenset(found), least

    def _write_receipts(self, statement: str, audit: SourceAudit) -> None:
        """Write what leaves with the figures of an audit, before anybody knows of them."""
        if not self._is_elsewhere:
            return
        columns, least = self._disclosable
        told = audit.model_dump_json()
        by_group: dict[AggregationThreshold | None, list[str]] = {}
        for name in sorted(columns):
            by_group.setdefault(least.get(name), []).append(name)
        for group, names in by_group.items():
            leaving = admit(self._request(group, names), self.mesh.residency.policy(self.contract)).leaving(
                statement=statement,
                extract=hashlib.sha256(told.encode()).hexdigest(),
                rows=1,
                size=len(told),
            )
            write_receipt(ExtractStore(self.mesh.store).receipts(leaving.from_premise), leaving)

    def _request(self, group: AggregationThreshold | None, names: list[str]) -> ExtractRequest:
        narrative, residency = self.typed.narrative, self.mesh.residency
        return ExtractRequest(
            narrative=narrative.id,
            role=self.role,
            product=self.contract.id,
            contract=self.contract.digest,
            from_premise=residency.premise_of(self.contract.id),
            to_premise=residency.home_of(narrative.id),
            purpose=narrative.purpose,
            counted=tuple(names),
            least=group,
        )
