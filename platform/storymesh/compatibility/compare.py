"""A mesh compared with a baseline: what changed of each contract, whom it breaks, and which version it asks for."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from storymesh.compatibility.baseline import Baseline, read_baseline, readers_of
from storymesh.compatibility.stories import ConfigEffect, RefusedRows, refused_rows, released_effects
from storymesh.contract.change import ContractChange, Step, largest_step
from storymesh.contract.compare import compare_contracts
from storymesh.contract.definition import Contract
from storymesh.errors import Finding, StorymeshError
from storymesh.location import Location
from storymesh.mesh.mesh import Mesh, read_mesh
from storymesh.narrative.typed import TypedNarrative
from storymesh.product.store import ProductStore
from storymesh.release.catalog import list_releases


@dataclass(frozen=True)
class AffectedReader:
    """Something that reads a product which has changed: a narrative with the configs that change, or a product whose
    input ports name it. `release` is the narrative's last one."""

    kind: str
    name: str
    release: str | None
    configs: tuple[ConfigEffect, ...]


@dataclass(frozen=True)
class ContractComparison:
    """The changes of one contract; `new_version` is None where it is gone. `wanted` is the version that the changes ask
    for at least, and `kept_as` the product that keeps the old major version beside the new one."""

    product: str
    old_version: str
    new_version: str | None
    step: Step | None
    wanted: str
    kept_as: str | None
    changes: tuple[ContractChange, ...]
    readers: tuple[AffectedReader, ...]
    refused: RefusedRows | None


@dataclass(frozen=True)
class Compatibility:
    """The contracts that have changed since a baseline, and what is wrong with that; `added` are new contracts."""

    against: str
    compared: int
    contracts: tuple[ContractComparison, ...]
    added: tuple[str, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


def compare_mesh(root: Path, against: str) -> Compatibility:
    """Compare the contracts of the mesh at `root` with those of `against` (see `read_baseline`).

    Raises WrongUsage when there is no mesh, or nothing of the name `against`.
    """
    mesh, problems = read_mesh(root)
    baseline = read_baseline(mesh, against)
    unread = [finding for finding in problems if finding.severity == "error" and _hides_contracts(finding)]
    hidden = {finding.location.path for finding in unread}
    findings, notes, compared = [*unread], [*baseline.notes], []
    contracts = {id_: one for id_, one in baseline.contracts.items() if one.location.path not in hidden}
    for _, old in sorted(contracts.items()):
        for pair in _contract_pairs(mesh, baseline, old, notes):
            found = pair.compare()
            if found is not None:
                compared.append(found)
                findings += pair.findings(found)
    added = tuple(sorted(mesh.contracts.keys() - baseline.contracts.keys())) if not baseline.kept_only else ()
    return Compatibility(
        baseline.name, len(contracts), tuple(compared), added, tuple(sorted(set(findings))), tuple(dict.fromkeys(notes))
    )


def _hides_contracts(finding: Finding) -> bool:
    """Return True for an error that keeps contracts from being read, not for one of what links them."""
    in_contract = finding.location.path.startswith("contracts/")
    return finding.location.path == "mesh.yaml" or (in_contract and finding.rule not in _OF_LINKS)


_OF_LINKS = ("missing-product", "unknown-name")


def _contract_pairs(mesh: Mesh, baseline: Baseline, old: Contract, notes: list[str]) -> "Iterator[_Pair]":
    """Yield an old contract with the one of its id, and with the one that keeps its major version beside that."""
    new, kept = mesh.contracts.get(old.id), mesh.contracts.get(kept_version(old))
    beside = kept is not None and kept.major == old.major and (new is None or new.major != old.major)
    yield _Pair(mesh, baseline, old, new, kept.id if kept is not None and beside else None, notes)
    if kept is not None and beside and kept.id not in baseline.contracts:
        yield _Pair(mesh, baseline, old, kept, None, notes)


@dataclass(frozen=True)
class _Pair:
    """An old contract and what became of it in the mesh; `kept_as` keeps its major version beside that."""

    mesh: Mesh
    baseline: Baseline
    old: Contract
    new: Contract | None
    kept_as: str | None
    notes: list[str]

    def compare(self) -> ContractComparison | None:
        """Return what changed; None where nothing did."""
        old, new = self.old, self.new
        if new is None:
            readers = self._readers(()) if self.kept_as is None else ()
            return ContractComparison(old.id, old.version, None, "major", "", self.kept_as, (), readers, None)
        changes = compare_contracts(old, new, kept_only=self.baseline.kept_only)
        if not changes and old.version == new.version:
            return None
        step = largest_step(changes)
        wanted = next_version(old.version, step) if step is not None else old.version
        if self.kept_as is not None:  # who reads the old version goes on to do so
            return ContractComparison(new.id, old.version, new.version, step, wanted, self.kept_as, changes, (), None)
        refused = self._refused_rows(new, changes)
        readers = self._readers(changes, refused)
        return ContractComparison(new.id, old.version, new.version, step, wanted, None, changes, readers, refused)

    def _refused_rows(self, new: Contract, changes: tuple[ContractChange, ...]) -> RefusedRows | None:
        try:
            snapshot = ProductStore(self.mesh.warehouse, self.old.domain).latest_snapshot(self.old.name)
            if snapshot is None or snapshot.extract_of:
                return None
            with self.mesh.open_engine() as engine:
                return refused_rows(engine, new, self.old, snapshot, changes)
        except StorymeshError as error:
            self.notes.append(f"the published rows of {self.old.id} are not looked at: {error.message}")
            return None

    def _readers(
        self, changes: tuple[ContractChange, ...], refused: RefusedRows | None = None
    ) -> tuple[AffectedReader, ...]:
        readers: list[AffectedReader] = []
        for name, reader in readers_of(self.baseline, self.old.id):
            if not isinstance(reader, TypedNarrative):
                if name in self.mesh.products:
                    readers.append(AffectedReader("product", name, None, ()))
                continue
            releases = list_releases(self.mesh.releases, name)
            release = releases[-1] if releases else None
            keys = refused.keys if refused is not None else ()
            try:
                effects = released_effects(reader, self.old.id, changes, release, keys, self.mesh.open_engine)
            except StorymeshError as error:
                self.notes.append(f"the stories of {name} are not looked at: {error.message}")
                effects = released_effects(reader, self.old.id, changes, None, keys, self.mesh.open_engine)
            if effects or not changes:
                readers.append(AffectedReader("narrative", name, release.version if release else None, effects))
        return tuple(readers)

    def findings(self, found: ContractComparison) -> Iterator[Finding]:
        """Yield what is wrong with the change: promises broken within a major version, a version that does not say what
        changed, readers left behind."""
        old, new = self.old, self.new
        waiting = self._waiting_readers()
        keep = f"keep version {old.major} beside it as '{kept_version(old)}' until they have moved"
        if new is None:
            if found.kept_as is None and (waiting or not old.deprecated):
                words = f"the contract of '{old.id}' {old.version} is gone{_read_by(waiting)}"
                yield Finding(Location(old.location.path), "contract-gone", words, f"deprecate it first; {keep}")
            return
        at = new.document.at("version")
        if version_parts(new.version) < version_parts(old.version):
            words = f"the version of '{new.id}' is {new.version}, before it was {old.version}"
            yield Finding(at, "version-step", words, f"the next is {found.wanted}")
        elif new.major > old.major:
            if found.kept_as is None and waiting:
                words = f"'{new.id}' is at version {new.version}, and version {old.major} is gone{_read_by(waiting)}"
                yield Finding(at, "old-version-gone", words, keep)
        elif found.step == "major":
            readers = {change.property: _affected_readers(found, change) for change in found.changes}
            for change in found.changes:
                if change.step == "major":
                    words = f"{change.words}: it breaks who relies on '{old.id}' {old.version}"
                    hint = f"undo it, or make the version {found.wanted} and {keep}"
                    yield Finding(change.location, "breaking-change", words + _read_by(readers[change.property]), hint)
        elif found.step is not None and not is_step(old.version, new.version, found.step):
            kinds = ", ".join(dict.fromkeys(change.rule for change in found.changes if change.step == found.step))
            words = f"the version of '{new.id}' is {new.version}: what changed ({kinds}) asks for {found.wanted}"
            yield Finding(at, "version-step", words, f"write version: {found.wanted}", "warning")

    def _waiting_readers(self) -> list[str]:
        """Return who of the mesh as it is now still reads the old major version."""
        narratives = [
            narrative.id
            for narrative in self.mesh.narratives.values()
            for member in narrative.cast.values()
            if (member.product, member.major) == (self.old.id, self.old.major)
        ]
        products = [
            product.id
            for product in self.mesh.products.values()
            for port in (*product.inputs, *product.outside)
            if port.contract_id == self.old.id and version_parts(port.version)[0] == self.old.major
        ]
        return list(dict.fromkeys((*narratives, *products)))


def _affected_readers(found: ContractComparison, change: ContractChange) -> list[str]:
    """Return who reads what a change is about: narratives with their configs, and products."""
    names: list[str] = []
    for reader in found.readers:
        configs = [effect.config for effect in reader.configs if (change.property or "*") in effect.properties]
        if configs:
            names.append(f"{reader.name} ({', '.join(configs)})")
        elif reader.kind == "product":
            names.append(reader.name)
    return names


def _read_by(names: list[str]) -> str:
    return f"; read by {', '.join(names)}" if names else ""


def version_parts(version: str) -> tuple[int, int, int]:
    """Return major, minor and patch of a version; what is not written is 0."""
    numbers = [int(part) for part in re.findall(r"\d+", re.split(r"[-+]", version)[0])][:3]
    major, minor, patch = [*numbers, 0, 0, 0][:3]
    return major, minor, patch


def next_version(version: str, step: Step) -> str:
    """Return the version that follows by this step, written as the old one is."""
    major, minor, patch = version_parts(version)
    following = {"major": (major + 1, 0, 0), "minor": (major, minor + 1, 0), "patch": (major, minor, patch + 1)}[step]
    return ("v" if version.startswith("v") else "") + ".".join(map(str, following))


def is_step(old: str, new: str, step: Step) -> bool:
    """Return True if a version follows another by this step at least."""
    before, after = version_parts(old), version_parts(new)
    length = {"major": 1, "minor": 2, "patch": 3}[step]
    return after[:length] > before[:length]


def kept_version(contract: Contract) -> str:
    """Return the id under which the major version of a contract is kept beside the next one."""
    return f"{contract.id}_v{contract.major}"
