"""What left other premises for a release, and what of it may go on: to the Hub, where `push` takes it."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from storymesh.contract.definition import Contract
from storymesh.contract.egress_rules import HUB, Form
from storymesh.dataset.pseudonym_key import pseudonym_key
from storymesh.federation.policy import EgressPolicy, refusal
from storymesh.federation.request import ExtractRequest, RequestedColumn
from storymesh.narrative.column_uses import column_uses, needed_columns
from storymesh.narrative.typed import TypedNarrative
from storymesh.product.extracts import ExtractStore, take_extract
from storymesh.release.layout import MANIFEST
from storymesh.release.manifest import ReleaseManifest

if TYPE_CHECKING:
    from storymesh.engine.engine import OpenEngine
    from storymesh.product.store import Snapshot
    from storymesh.product.warehouse import Warehouse
    from storymesh.release.catalog import Release


def take_again(
    release: "Release",
    typed: TypedNarrative,
    snapshots: "Mapping[str, Snapshot]",
    warehouse: "Warehouse",
    open_engine: "OpenEngine",
    current: Mapping[str, Contract],
) -> "dict[str, Snapshot]":
    """Return the extracts of those roles of a release whose products are at another premise: those that it was made
    from, or where they are gone new ones. What a release says does not count, if the mesh of `current` says otherwise.

    Raises EgressRefused for what may not leave, or no longer may.
    """
    taken: dict[str, Snapshot] = {}
    for role, member in release.manifest.cast.items():
        contract, receipt = current.get(member.product, typed.contracts[role]), release.manifest.egress.get(role)
        residence = contract.residence and contract.residence.of_narrative(release.narrative)
        if receipt is None and (residence is None or not residence.is_elsewhere):
            continue
        if receipt is not None:
            columns = dict(receipt.leaving.columns)
        else:
            columns = dict.fromkeys(needed_columns(typed, typed.cast.roles[role]), "raw")
        left = receipt.leaving if receipt is not None else None
        premise = residence.premise if residence is not None else left.from_premise if left is not None else ""
        home = residence.home if residence is not None else left.to_premise if left is not None else ""
        guarded = residence.guarded if residence is not None else role in release.manifest.guarded
        asked = [{"name": name, "form": form} for name, form in sorted(columns.items())]
        request = ExtractRequest(
            narrative=typed.narrative.id,
            role=role,
            product=member.product,
            contract=contract.digest,
            from_premise=premise,
            to_premise=home,
            purpose=typed.narrative.purpose,
            columns=tuple(RequestedColumn.model_validate(item) for item in asked),
        )
        policy = EgressPolicy.of(contract, premise, guarded=guarded)
        extracts, key = ExtractStore(warehouse.folder), pseudonym_key(warehouse.folder)
        taken[role] = take_extract(snapshots[role], request, policy, extracts, open_engine, key)
    return taken


def guarded_roles(release: "Release", current: Mapping[str, Contract]) -> dict[str, str]:
    """Return role -> premise, of those of which nothing leaves but by a rule: as the release says, or the mesh."""
    found = dict(release.manifest.guarded)
    for role, member in release.manifest.cast.items():
        residence = current[member.product].residence if member.product in current else None
        if residence is not None and residence.guarded:
            found[role] = residence.premise
    return found


def unpushable(typed: TypedNarrative, guarded: Mapping[str, str], current: Mapping[str, Contract]) -> list[str]:
    """Return, in words, what the records of a release print that may not go to the Hub.

    `guarded` are the roles of whose premise nothing leaves but by a rule (role -> premise); the rules of `current`, by
    product, have to allow it too.
    """
    found: dict[str, None] = {}
    for use in column_uses(typed):
        if not use.printed or use.role not in guarded:
            continue
        kept = typed.contracts[use.role]
        wanted: Form = "hashed" if kept.properties[use.column].hashed is not None else "raw"
        for contract in (current.get(kept.id, kept), kept):
            policy = EgressPolicy.of(contract, guarded[use.role], guarded=True)
            known = use.column in contract.properties
            if known and not policy.allows(use.column, wanted, HUB, typed.narrative.purpose):
                words, _ = refusal(policy, use.column, HUB, typed.narrative.purpose)
                found[f"'{use.role}.{use.column}' {use.words}, and {words}"] = None
                break
    return list(found)


def egress_differences(manifest: ReleaseManifest, contracts: Mapping[str, Contract] | None) -> Iterator[str]:
    """Yield, in words, where a receipt of a release is not what it was, or of something else than its manifest says.
    `contracts` are those that the release keeps, by role."""
    for role, receipt in manifest.egress.items():
        left, member = receipt.leaving, manifest.cast.get(role)
        if fault := receipt.fault:
            yield f"{MANIFEST}: egress of {role}: {fault}"
        if member is None or (left.role, left.product, left.version) != (role, member.product, member.product_version):
            yield f"{MANIFEST}: egress of {role}: the receipt is of {left.product} {left.version[:12]}"
        if contracts is None or role not in contracts:
            continue
        policies = [EgressPolicy.of(contracts[role], left.from_premise, guarded=guarded) for guarded in (True, False)]
        if left.policy not in {policy.digest for policy in policies}:
            yield f"{MANIFEST}: egress of {role}: the rules that it left by are not those of the contract kept here"
    for role, receipts in manifest.keys_sent.items():
        for receipt in receipts:
            left = receipt.leaving
            member = manifest.cast.get(left.role)
            if fault := receipt.fault:
                yield f"{MANIFEST}: keys sent for {role}: {fault}"
            if role not in manifest.cast or member is None or left.product != member.product:
                yield f"{MANIFEST}: keys sent for {role}: the receipt is of {left.product} {left.version[:12]}"
