"""The snapshots that a narrative is built from: the latest of each role, or those of a build that was pinned before."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

from pydantic import TypeAdapter

from storymesh.atomic_write import write_atomically
from storymesh.dataset.build import Build
from storymesh.dataset.pseudonym_key import pseudonym_key
from storymesh.errors import DefinitionErrors, NotPublished
from storymesh.federation.receipts import Receipt
from storymesh.mesh.extract_requests import extract_requests
from storymesh.mesh.in_place import RolesInPlace
from storymesh.mesh.mesh import Mesh
from storymesh.mesh.model_hosts import model_findings
from storymesh.mesh.residency_findings import residency_findings
from storymesh.narrative.definition import Narrative
from storymesh.narrative.evaluation import evaluation_files
from storymesh.narrative.typed import TypedNarrative, type_narrative
from storymesh.product.extracts import ExtractStore, contracts_as_left, take_extract
from storymesh.product.store import ProductStore, Snapshot

_SENT = TypeAdapter(dict[str, tuple[Receipt, ...]])
_KEYS_SENT = "keys_sent.json"


def pin_build(mesh: Mesh, narrative: Narrative, *, fetch: bool = False) -> Build:
    """Pin a build to the latest snapshot of each role, and return it. Raises as `latest_build` does."""
    build = latest_build(mesh, narrative, fetch=fetch)
    _write_pin(build)
    return build


def latest_build(mesh: Mesh, narrative: Narrative, *, fetch: bool = False) -> Build:
    """Return the build on the latest snapshot of each role. Of products that stay where they are, it is on what was
    fetched last; with `fetch`, or where nothing was, it is fetched.

    Raises DefinitionErrors, NotPublished for a product without a snapshot, and what `RolesInPlace.fetch` does.
    """
    _require_allowed(mesh, mesh.typed(narrative))  # before data is asked for: what is wrong in a file is said first
    snapshots: dict[str, Snapshot] = {}
    missing: list[str] = []
    store_of = _stores(mesh)
    for role, member in narrative.cast.items():
        if mesh.product(member.product).in_place:
            continue
        latest = store_of(mesh.product(member.product).domain).latest_snapshot(mesh.product(member.product).name)
        if latest is None:
            missing.append(member.product)
        else:
            snapshots[role] = latest
    if missing:
        message = f"'{narrative.id}' needs {', '.join(dict.fromkeys(missing))}, which nobody has published yet"
        raise NotPublished(message, "run the domain first: storymesh run")
    if len(snapshots) < len(narrative.cast):
        roles = RolesInPlace(mesh, mesh.typed(narrative))
        found = None if fetch else roles.last_extracts()
        snapshots |= roles.fetch(snapshots) if found is None else found
    return _build(mesh, narrative, snapshots)


def open_pinned_build(mesh: Mesh, narrative: Narrative, key: str) -> Build:
    """Return the build that was pinned as `key`. Raises NotPublished when there is none, or the narrative changed."""
    path = mesh.store / "narratives" / narrative.name / key / "pin.json"
    if not path.is_file():
        raise NotPublished(f"'{narrative.id}' has no build {key}", "make its cases first")
    versions: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    snapshots, store_of = {}, _stores(mesh)
    sent_path = path.with_name(_KEYS_SENT)
    sent = _SENT.validate_json(sent_path.read_bytes()) if sent_path.is_file() else {}
    for role, member in narrative.cast.items():
        if role not in versions:
            raise NotPublished(f"'{narrative.id}' has a new role '{role}' since build {key}", "make its cases again")
        product = mesh.product(member.product)
        snapshot = store_of(product.domain).find_snapshot(product.name, versions[role])
        snapshots[role] = replace(snapshot, keys_sent=sent.get(role, ()))
    build = _build(mesh, narrative, snapshots)
    if build.key != key:
        message = f"the files of '{narrative.id}' have changed since build {key}"
        raise NotPublished(message, "make its cases again")
    return build


def _stores(mesh: Mesh) -> Callable[[str], ProductStore]:
    """Return what gives the store of a domain, each opened once."""
    return cache(lambda domain: ProductStore(mesh.warehouse, domain))


def _build(mesh: Mesh, narrative: Narrative, snapshots: Mapping[str, Snapshot]) -> Build:
    typed, residency = mesh.typed(narrative), mesh.residency
    _require_allowed(mesh, typed)
    if requests := extract_requests(residency, typed):
        extracts, key = ExtractStore(mesh.store), pseudonym_key(mesh.prepare_store())
        policies = {role: residency.policy(mesh.contract(request.product)) for role, request in requests.items()}
        taken = {
            role: take_extract(snapshots[role], request, policies[role], extracts, mesh.open_engine, key)
            for role, request in requests.items()
        }
        snapshots = {**snapshots, **taken}
    if left := contracts_as_left(typed.contracts, snapshots):
        typed = type_narrative(narrative, {**typed.contracts, **left})
    files = evaluation_files(narrative, mesh.root)
    return Build(
        typed,
        snapshots,
        mesh.store,
        mesh.releases,
        mesh.open_engine,
        evaluation=files,
        guarded=residency.guarded_roles(typed),
        open_cluster=mesh.open_cluster,
    )


def _require_allowed(mesh: Mesh, typed: TypedNarrative) -> None:
    if refused := [*model_findings(typed.narrative, mesh.settings), *residency_findings(mesh.residency, typed)]:
        raise DefinitionErrors(refused)


def _write_pin(build: Build) -> None:
    build.files.folder.mkdir(parents=True, exist_ok=True)
    if build.keys_sent:
        write_atomically(build.files.folder / _KEYS_SENT, _SENT.dump_json(build.keys_sent, indent=2).decode() + "\n")
    path = build.files.folder / "pin.json"
    if not path.exists():
        pinned = {role: snapshot.version for role, snapshot in build.snapshots.items()}
        write_atomically(path, json.dumps(pinned, indent=2) + "\n")
