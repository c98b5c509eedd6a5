"""The definition that a release was told by, kept inside it, so that it can be traced and told again for ever: also
when the mesh has moved on.

It is a small mesh root of its own (`narratives/` and `contracts/`), read by what reads a mesh's. Of a contract it keeps
what the types of the cast come from; who to ask, where servers are, examples and rules stay in the mesh.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.contract.definition import Contract
from storymesh.contract.read import read_contract
from storymesh.errors import DefinitionErrors, StorymeshError
from storymesh.narrative.definition import Narrative, read_narrative
from storymesh.narrative.typed import TypedNarrative, type_narrative
from storymesh.product.warehouse import Warehouse
from storymesh.release.curation.decontaminate import RUNS

if TYPE_CHECKING:
    from storymesh.dataset.build import Build
    from storymesh.engine.engine import OpenEngine

DEFINITION = "definition"  # a folder of the release, where no config's data files reach

_CONTRACT = ("apiVersion", "kind", "id", "name", "version", "status", "domain", "description", "schema")
_NOT_OF_OBJECT = frozenset({"quality", "authoritativeDefinitions"})
_NOT_OF_PROPERTY = frozenset({"quality", "authoritativeDefinitions", "examples", "encryptedName"})


def keep(narrative: Narrative, contracts: Mapping[str, Contract], release: Path) -> None:
    """Write the definition into the folder of a release that is being cut."""
    root = release / DEFINITION
    folder = root / narrative.folder
    folder.mkdir(parents=True)
    (folder / "narrative.yaml").write_text(narrative.document.text, encoding="utf-8")
    for name, text in narrative.templates.items():
        (folder / name).write_text(text, encoding="utf-8")
    for contract in contracts.values():
        path = root / "contracts" / f"{contract.id.replace('.', '/')}.odcs.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_as_yaml(_types_of(contract.document.value)), encoding="utf-8")


def _types_of(contract: Mapping[str, Any]) -> dict[str, Any]:
    """What of a contract says how its rows are typed, keyed, classified and timed."""
    kept = {name: contract[name] for name in _CONTRACT if name in contract}
    kept["schema"] = [_without(part, _NOT_OF_OBJECT) for part in kept["schema"]]
    return kept


def _without(part: Any, names: frozenset[str]) -> Any:
    """A schema object or property without what `names` say; its properties without what is not kept of a property."""
    if not isinstance(part, dict):
        return part
    kept = {name: value for name, value in part.items() if name not in names}
    if "properties" in kept:
        kept["properties"] = [_without(inner, _NOT_OF_PROPERTY) for inner in kept["properties"]]
    if "items" in kept:
        kept["items"] = _without(kept["items"], _NOT_OF_PROPERTY)
    return kept


def _as_yaml(value: Any) -> str:
    import yaml

    dumped: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)
    return dumped


def read_kept(release: Path, lock: Mapping[str, Any]) -> TypedNarrative:
    """The narrative of the release in the folder `release`, typed against the contracts of its cast. Its places are
    relative to the release's `definition/`.

    Raises StorymeshError when the release keeps none, another than its lock says, or one that cannot be read.
    """
    root = release / DEFINITION
    path = root / "narratives" / str(lock["narrative"]).replace("-", "_") / "narrative.yaml"
    if not path.is_file():
        words = f"the release {lock['version']} does not keep the definition that it was told by: {path} is missing"
        raise StorymeshError(words, "cut the release again: storymesh run")
    try:
        narrative = read_narrative(path, root)
        contracts: dict[str, Contract] = {}
        for role, member in narrative.cast.items():
            contract = read_contract(root / "contracts" / f"{member.product.replace('.', '/')}.odcs.yaml", root)
            contracts[role] = replace(contract, digest=lock["cast"][role]["contract_digest"])
        typed = type_narrative(narrative, contracts)
    except DefinitionErrors as refused:
        words = f"the definition that the release {lock['version']} keeps cannot be read: {refused.findings[0]}"
        raise StorymeshError(words, "read it with the storymesh that cut it, or cut the release again") from None
    if typed.fingerprint != lock["fingerprint"]:
        words = f"{root} is not the definition that the release {lock['version']} was told by"
        raise StorymeshError(words, "somebody changed it after the release was cut: take it from a copy of the release")
    return typed


def build_of(release: Path, lock: Mapping[str, Any], warehouse: Warehouse, open_engine: "OpenEngine") -> "Build":
    """The build that the release in the folder `release` was cut from: the definition that it keeps, on the snapshots
    of its lock. Its files may have to be written again. Raises NotPublished for a snapshot that is not there."""
    from storymesh.dataset.build import Build
    from storymesh.product.store import ProductStore

    typed = read_kept(release, lock)
    snapshots = {}
    for role, member in lock["cast"].items():
        domain = str(member["product"]).partition(".")[0]
        snapshots[role] = ProductStore(warehouse, domain).find_snapshot(member["product"], member["product_version"])
    forgotten = {product: tuple(keys) for product, keys in lock.get("forgotten", {}).items()}
    kept = release / DEFINITION / RUNS
    evaluation = kept if kept.is_file() else {}
    return Build(typed, snapshots, warehouse.folder, release.parent.parent, open_engine, forgotten, evaluation)
