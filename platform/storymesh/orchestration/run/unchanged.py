"""Detects that a run would change nothing, without importing Dagster, which takes longer than the detection.

The states are asked that the steps of a run ask. What they do not tell is for the run to find out: then there is no
answer here, and it begins.
"""

import ast
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from storymesh.dataset.stages import find_written_cases
from storymesh.document import path_in_mesh
from storymesh.mesh.code_location_findings import DEFINITIONS_FILE
from storymesh.mesh.dbt_manifest import find_dbt_manifest, has_dbt_project
from storymesh.mesh.mesh import Mesh
from storymesh.mesh.snapshot_pinning import latest_build
from storymesh.narrative.definition import Narrative
from storymesh.orchestration.assets.states import input_snapshots, publication_state
from storymesh.orchestration.instance import dagster_home
from storymesh.orchestration.lineage_settings import is_lineage_enabled
from storymesh.orchestration.run.last_run import find_last_run
from storymesh.orchestration.run.outcome import NarrativeOutcome, ProductOutcome, RunOutcome
from storymesh.orchestration.run.selection import FindManifest, RunTerm, resolve_terms
from storymesh.product.dbt_project import plan_dbt
from storymesh.product.dbt_state import DbtBuildState
from storymesh.product.definition import Product
from storymesh.product.sources.server_relation import server_relation
from storymesh.release.release_state import ReleaseState
from storymesh.release.release_warnings import release_warnings
from storymesh.release.signature import signing_key


def find_unchanged_run(mesh: Mesh, terms: Sequence[RunTerm]) -> RunOutcome | None:
    """Return the outcome of a run that would change nothing; None if only a run can tell.

    The arguments are those of `execute_run`. The id is that of the last run: Dagster hears nothing of this.
    """
    began = time.monotonic()
    with suppress(Exception):  # the run meets it too, and explains it
        find_manifest = cache(lambda domain: _find_manifest(mesh, domain))
        parts = resolve_terms(mesh, terms, find_manifest)
        run_id = find_last_run(mesh, parts.products, parts.narratives)
        if run_id is None or is_lineage_enabled() or not _has_only_own_assets(mesh):
            return None
        signing_key()
        mesh.prepare_store()
        if not all(_is_built(mesh, domain, find_manifest) for domain in parts.domains):
            return None
        products = [_find_product(mesh, mesh.product(product), find_manifest) for product in parts.products]
        releases = [_find_release(mesh, mesh.narrative(narrative)) for narrative in parts.narratives]
        if None in products or None in releases:
            return None
        seconds = time.monotonic() - began
        known_products = tuple(product for product in products if product is not None)
        known_releases = tuple(release for release in releases if release is not None)
        return RunOutcome(run_id, True, known_products, known_releases, seconds, {})
    return None


def _find_manifest(mesh: Mesh, domain: str) -> Mapping[str, Any] | None:
    return find_dbt_manifest(mesh, domain) if has_dbt_project(mesh, domain) else None


def _has_only_own_assets(mesh: Mesh) -> bool:
    """Return True if every code location is what storymesh makes of the files. Of what somebody has added there, only
    Dagster knows whether it is to be made again."""
    expected = _statements(DEFINITIONS_FILE.replace(" / ", "\n"))
    folders = [*map(mesh.domain_folder, mesh.domains), *([mesh.root / "narratives"] if mesh.narratives else [])]
    return all(_statements((folder / "definitions.py").read_text(encoding="utf-8")) == expected for folder in folders)


def _statements(code: str) -> list[str]:
    """Return the statements of a module but for its docstring."""
    module = ast.parse(code)
    return [ast.dump(node) for node in (module.body[1:] if ast.get_docstring(module) is not None else module.body)]


def _is_built(mesh: Mesh, domain: str, find_manifest: FindManifest) -> bool:
    """Return True if the domain has no dbt project, or a build of it would make what is there."""
    if not has_dbt_project(mesh, domain):
        return True
    manifest, access = find_manifest(domain), mesh.dbt_access(domain)
    if manifest is None:
        return False
    with mesh.open_engine() as engine:
        folder = mesh.domain_folder(domain)
        project = plan_dbt(domain, folder, mesh.store, input_snapshots(mesh, domain), engine, access)
    return DbtBuildState(project, access, manifest).is_current()


def _find_product(mesh: Mesh, product: Product, find_manifest: FindManifest) -> ProductOutcome | None:
    if product.in_place:
        server = server_relation(product, mesh.contract(product.id)).server
        return ProductOutcome(product.id, "in place", None, None, None, f"{server.name} at {server.place}")
    manifest = find_manifest(product.domain) if product.is_model else None
    state = publication_state(mesh, product, manifest)
    publication = state.find_unchanged(mesh.open_engine)
    if publication is None or publication.snapshot is None or not state.is_noted(publication):
        return None
    return ProductOutcome(
        product.id,
        "unchanged",
        publication.rows_out,
        publication.rows_in - publication.rows_out,
        publication.snapshot.version,
        "",
        publication.reasons(),
        publication.warnings(),
    )


def _find_release(mesh: Mesh, narrative: Narrative) -> NarrativeOutcome | None:
    if any(mesh.product(member.product).in_place for member in narrative.cast.values()):
        return None  # only its server knows what has changed
    build = latest_build(mesh, narrative)
    if any(record.rewritten for record in build.typed.records.values()):
        return None  # a model may answer now that did not
    handed_over = dagster_home(mesh) / "storage" / narrative.name
    keys = [_read_key(path) for path in handed_over.rglob("*.key")]
    has_precedents = narrative.case.precedents is not None
    if keys != [build.key] * (1 + has_precedents + len(build.configs)):
        return None
    cases, release = find_written_cases(build), ReleaseState(build).find_unchanged()
    if cases is None or release is None:
        return None
    return NarrativeOutcome(
        narrative.id,
        "unchanged",
        cases.rows,
        release.version,
        path_in_mesh(release.path, mesh.root),
        release.configs,
        release.drops,
        "",
        release_warnings(release.manifest),
    )


def _read_key(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()
