"""The causes of differences between two releases: changed definitions, products and rules."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from storymesh.errors import StorymeshError
from storymesh.release.catalog import Release
from storymesh.release.definition_snapshot import read_definition_snapshot
from storymesh.release.manifest import ReleasedProduct, ReleaseManifest


@dataclass(frozen=True)
class DiffCause:
    """One input that is not the same for both releases.

    `what` is narrative, template, contract, product, evaluation set, forgotten, drops or platform; `old` and `new` say
    what it was and is, None where it was not, or is not.
    """

    what: str
    name: str
    old: str | None
    new: str | None


def find_causes(old: Release, new: Release) -> tuple[list[DiffCause], list[str]]:
    """Return the causes of differences, and notes on what could not be compared."""
    was, now = old.manifest, new.manifest
    causes, notes = [], []
    for what, name, before, after in (
        ("narrative", "narrative", was.narrative, now.narrative),
        ("narrative", "version", was.narrative_version, now.narrative_version),
        ("platform", "storymesh", was.storymesh, now.storymesh),
        ("platform", "rules", was.rules, now.rules),
    ):
        if before != after:
            causes.append(DiffCause(what, name, before, after))
    try:
        causes += _definition_causes(old, new)
    except StorymeshError as error:
        notes.append(f"the definitions are not compared: {error.message}")
    causes += _product_causes(was, now)
    causes += _erasure_causes(was, now)
    causes += _evaluation_causes(was, now)
    causes += _drop_causes(was, now)
    return causes, notes


def _product_causes(was: ReleaseManifest, now: ReleaseManifest) -> Iterator[DiffCause]:
    """Yield causes by product, since several roles may have the same one."""
    before, after = ({member.product: member for member in manifest.cast.values()} for manifest in (was, now))
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        if (old.product_version if old else None) != (new.product_version if new else None):
            yield DiffCause("product", name, _describe_snapshot(old), _describe_snapshot(new))
        if old and new and old.contract_digest != new.contract_digest:
            contracts = [f"{member.contract_version} ({member.contract_digest[:12]})" for member in (old, new)]
            yield DiffCause("contract", name, *contracts)


def _describe_snapshot(member: ReleasedProduct | None) -> str | None:
    return f"{member.product_version[:12]}, {member.rows:,} rows" if member else None


def _erasure_causes(was: ReleaseManifest, now: ReleaseManifest) -> Iterator[DiffCause]:
    for name in sorted(was.forgotten.keys() | now.forgotten.keys()):
        counts = [len(manifest.forgotten.get(name, ())) for manifest in (was, now)]
        if counts[0] != counts[1]:
            yield DiffCause("forgotten", name, *(f"{count} key{'s' * (count != 1)}" for count in counts))


def _evaluation_causes(was: ReleaseManifest, now: ReleaseManifest) -> Iterator[DiffCause]:
    before, after = (manifest.evaluation.files if manifest.evaluation else {} for manifest in (was, now))
    for name in sorted(before.keys() | after.keys()):
        digests = [files[name][:12] if name in files else None for files in (before, after)]
        if digests[0] != digests[1]:
            yield DiffCause("evaluation set", name, *digests)


def _drop_causes(was: ReleaseManifest, now: ReleaseManifest) -> Iterator[DiffCause]:
    for what in dict.fromkeys((*was.drops, *now.drops)):
        before, after = was.drops.get(what, {}), now.drops.get(what, {})
        for reason in dict.fromkeys((*before, *after)):
            if before.get(reason, 0) != after.get(reason, 0):
                counts = str(before.get(reason, 0)), str(after.get(reason, 0))
                yield DiffCause("drops", f"{what}, {reason}", *counts)


def _definition_causes(old: Release, new: Release) -> Iterator[DiffCause]:
    """Yield what differs in the narratives, their templates and the kept parts of their contracts."""
    before, after = read_definition_snapshot(old), read_definition_snapshot(new)
    for path, was, now in _different_leaves(before.narrative.document.value, after.narrative.document.value):
        if path != "version":
            yield DiffCause("narrative", path, was, now)
    for name in sorted(before.narrative.templates.keys() | after.narrative.templates.keys()):
        old_text, new_text = (typed.narrative.templates.get(name) for typed in (before, after))
        if old_text != new_text:
            yield DiffCause("template", name, *_different_lines(old_text, new_text))
    old_contracts, new_contracts = (
        {contract.id: contract.document.value for contract in typed.contracts.values()} for typed in (before, after)
    )
    for name in sorted(old_contracts.keys() & new_contracts.keys()):
        for path, was, now in _different_leaves(old_contracts[name], new_contracts[name]):
            yield DiffCause("contract", f"{name}: {path}", was, now)


def _different_lines(old: str | None, new: str | None) -> tuple[str | None, str | None]:
    """Return the lines of each text that the other lacks; None for a text that does not exist."""
    if old is None or new is None:
        return (f"{len(old.splitlines())} lines" if old else None, f"{len(new.splitlines())} lines" if new else None)
    marked = list(difflib.ndiff(old.splitlines(), new.splitlines()))
    return (
        "\n".join(line[2:] for line in marked if line.startswith("- ")),
        "\n".join(line[2:] for line in marked if line.startswith("+ ")),
    )


def _different_leaves(old: Any, new: Any) -> Iterator[tuple[str, str | None, str | None]]:
    before, after = flatten(old), flatten(new)
    for path in dict.fromkeys((*before, *after)):
        if before.get(path) != after.get(path):
            yield path, before.get(path), after.get(path)


def flatten(value: Any, path: str = "") -> dict[str, str]:
    """Return path -> text of every leaf; items of a list go by their names, where they have unique ones."""
    if isinstance(value, dict) and value:
        parts = [(str(name), inner) for name, inner in value.items()]
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        names = [str(item.get("name") or item.get("property") or index) for index, item in enumerate(value)]
        unique = len(set(names)) == len(names)
        parts = list(zip(names if unique else map(str, range(len(value))), value, strict=True))
    else:
        return {path: str(value)}
    leaves: dict[str, str] = {}
    for name, inner in parts:
        leaves |= flatten(inner, f"{path}.{name}" if path else name)
    return leaves
