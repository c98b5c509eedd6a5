"""The definition that a release was made from, kept inside the release so that it can always be traced and rebuilt.

It is a small mesh root of its own (`narratives/` and `contracts/`) that the mesh's own readers read. A contract keeps
what the types of the cast come from; contact data, servers, examples and quality rules stay in the mesh.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from storymesh.contract.definition import Contract
from storymesh.contract.read import read_contract
from storymesh.contract.stricter import stricter_contract
from storymesh.errors import DefinitionErrors, StorymeshError
from storymesh.narrative.definition import Narrative, read_narrative
from storymesh.narrative.typed import TypedNarrative, type_narrative
from storymesh.product.warehouse import Warehouse
from storymesh.release.folder import files_of, require_sound_files
from storymesh.release.layout import DEFINITION_FOLDER, EVALUATION_HASHES
from storymesh.yaml_syntax import dump_yaml

if TYPE_CHECKING:
    from storymesh.dataset.build import Build
    from storymesh.engine.engine import OpenEngine
    from storymesh.release.catalog import Release

NO_CONTRACTS: Mapping[str, Contract] = MappingProxyType({})
_CONTRACT_KEYS = ("apiVersion", "kind", "id", "name", "version", "status", "domain", "description", "schema")
_OF_SOURCES = frozenset({"inPlace", "changedAt"})  # custom properties that say where the rows come from
_OMITTED_OF_OBJECT = frozenset({"quality", "authoritativeDefinitions"})
_OMITTED_OF_PROPERTY = frozenset({"quality", "authoritativeDefinitions", "examples", "encryptedName"})


def write_definition_snapshot(narrative: Narrative, contracts: Mapping[str, Contract], release: Path) -> None:
    """Write the definition into the folder of a release that is being written."""
    root = release / DEFINITION_FOLDER
    folder = root / narrative.folder
    folder.mkdir(parents=True)
    (folder / "narrative.yaml").write_text(narrative.document.text, encoding="utf-8")
    for name, text in narrative.templates.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for contract in contracts.values():
        path = root / "contracts" / f"{contract.id.replace('.', '/')}.odcs.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dump_yaml(_reduce_contract(contract)), encoding="utf-8")


def _reduce_contract(contract: Contract) -> dict[str, Any]:
    """Return what a contract says about the types, keys, classification and times of its rows, as a file of its own:
    also of one that has the schema objects of several products."""
    written = contract.document.value
    reduced = {name: written[name] for name in _CONTRACT_KEYS if name in written} | {"id": contract.id}
    own = [part for part in reduced["schema"] if len(reduced["schema"]) == 1 or part["name"] == contract.name]
    reduced["schema"] = [_omit_keys(part, _OMITTED_OF_OBJECT) for part in own]
    return reduced


def _omit_keys(part: Any, names: frozenset[str]) -> Any:
    """Return a schema object or property without these keys, and its inner properties without theirs."""
    if not isinstance(part, dict):
        return part
    reduced = {name: value for name, value in part.items() if name not in names}
    if "properties" in reduced:
        reduced["properties"] = [_omit_keys(inner, _OMITTED_OF_PROPERTY) for inner in reduced["properties"]]
    if "customProperties" in reduced:
        kept = [item for item in reduced["customProperties"] if item["property"] not in _OF_SOURCES]
        reduced["customProperties"] = kept
    if "items" in reduced:
        reduced["items"] = _omit_keys(reduced["items"], _OMITTED_OF_PROPERTY)
    return reduced


def read_definition_snapshot(release: "Release", current: Mapping[str, Contract] = NO_CONTRACTS) -> TypedNarrative:
    """Return the release's narrative, typed against the contracts of its cast; locations are relative to `definition/`.

    `current` are the mesh's contracts by product: of what they and the kept ones say of who may see a value, the
    stricter counts. Raises StorymeshError when the release has no definition, when it is not the one of the manifest's
    fingerprint, when it cannot be read, or when it prints what only `current` restricts.
    """
    manifest = release.manifest
    root = release.path / DEFINITION_FOLDER
    path = root / "narratives" / manifest.narrative.replace("-", "_") / "narrative.yaml"
    if not path.is_file():
        words = f"the release {release.version} does not keep the definition that it was told by: {path} is missing"
        raise StorymeshError(words, "cut the release again: storymesh run")
    try:
        narrative = read_narrative(path, root)
        if narrative.cast.keys() != manifest.cast.keys():
            raise _not_its_definition(root, release)
        contracts: dict[str, Contract] = {}
        for role, member in narrative.cast.items():
            if manifest.cast[role].product not in (member.product, member.kept_as):
                raise _not_its_definition(root, release)
        narrative = narrative.with_products({role: member.product for role, member in manifest.cast.items()})
        for role, member in narrative.cast.items():
            kept = root / "contracts" / f"{member.product.replace('.', '/')}.odcs.yaml"
            # Releases of older versions have codes such as `008` without quotes.
            whole = read_contract(kept, root, dumped=True)
            left = manifest.egress.get(role)
            contracts[role] = whole if left is None else whole.as_left(left.leaving.columns)
        typed = type_narrative(narrative, contracts)
    except DefinitionErrors as refused:
        words = f"the definition that the release {release.version} keeps cannot be read: {refused.findings[0]}"
        raise StorymeshError(words, "read it with the storymesh that cut it, or cut the release again") from None
    # Releases once kept the templates that nothing uses, too.
    if manifest.fingerprint not in (typed.fingerprint, narrative.fingerprint):
        raise _not_its_definition(root, release)
    return _restrict(release, typed, current)


def _restrict(release: "Release", typed: TypedNarrative, current: Mapping[str, Contract]) -> TypedNarrative:
    """Return the narrative typed with the stricter of each kept contract and the mesh's own."""
    contracts: dict[str, Contract] = {}
    for role, kept in typed.contracts.items():
        own = current.get(kept.id)
        digest = release.manifest.cast[role].contract_digest
        # Cases in the store are named by the contracts that shaped them: what the lock says of a contract counts only
        # where the mesh has just that contract.
        same = own is not None and own.digest == digest and _reduce_contract(own) == kept.document.value
        named = digest if same else hashlib.sha256(f"kept|{digest}|{kept.digest}".encode()).hexdigest()
        contracts[role] = replace(stricter_contract(kept, own) if own is not None else kept, digest=named)
    try:
        return type_narrative(typed.narrative, contracts)
    except DefinitionErrors as refused:
        words = f"{release.name} is not what the mesh's contracts allow: {refused.findings[0]}"
        raise StorymeshError(
            words, "cut the release again: what they restrict is printed as a pseudonym only"
        ) from None


def contract_changes(release: "Release", current: Mapping[str, Contract]) -> list[str]:
    """Return a sentence for each contract that is not the one by which the release was made, as its lock says."""
    members = {member.product: member for member in release.manifest.cast.values()}
    return [
        f"the contract of {product} is not the one that {release.name} was made by: {member.contract_digest[:12]}"
        f" then, {current[product].digest[:12]} now; of what they say of a value, the stricter counts"
        for product, member in members.items()
        if product in current and current[product].digest != member.contract_digest
    ]


def _not_its_definition(root: Path, release: "Release") -> StorymeshError:
    words = f"{root} is not the definition that the release {release.version} was told by"
    return StorymeshError(words, "somebody changed it after the release was cut: take it from a copy of the release")


def open_released_build(
    release: "Release",
    warehouse: Warehouse,
    open_engine: "OpenEngine",
    current: Mapping[str, Contract] = NO_CONTRACTS,
) -> "Build":
    """Return the build that a release was made from: the definition that it keeps, on the snapshots of its manifest.

    Products come from `warehouse` alone, and the build's engine opens nothing but that store and the release. The
    build's files may have to be written again. Raises NotPublished when the warehouse lacks one of the snapshots, and
    StorymeshError as `read_definition_snapshot` does.
    """
    from storymesh.dataset.build import Build
    from storymesh.product.extracts import contracts_as_left
    from storymesh.product.store import ProductStore
    from storymesh.release.egress import take_again

    require_sound_files(release)
    typed = read_definition_snapshot(release, current)
    snapshots = {
        role: ProductStore(warehouse, member.product.partition(".")[0]).find_snapshot(
            member.product, member.product_version
        )
        for role, member in release.manifest.cast.items()
    }
    for role, receipts in release.manifest.keys_sent.items():
        snapshots[role] = replace(snapshots[role], keys_sent=receipts)
    snapshots |= take_again(release, typed, snapshots, warehouse, open_engine, current)
    if left := contracts_as_left(typed.contracts, snapshots):
        typed = type_narrative(typed.narrative, {**typed.contracts, **left})
    hashes = release.path / DEFINITION_FOLDER / EVALUATION_HASHES
    return Build(
        typed,
        snapshots,
        warehouse.folder,
        releases=release.path.parent.parent,
        open_engine=partial(open_engine, only=(warehouse.folder, warehouse.folder.resolve(), *files_of(release))),
        erased=release.manifest.forgotten,
        evaluation=hashes if hashes.is_file() else {},
        guarded=release.manifest.guarded,
    )
