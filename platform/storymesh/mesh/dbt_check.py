"""The findings about the dbt projects of a mesh: what their files show, and what dbt itself has said of them."""

from pathlib import Path

from storymesh.errors import DefinitionErrors, Finding, TransformFailed
from storymesh.location import Location
from storymesh.mesh.dbt_manifest import dbt_manifest, recorded_refusal
from storymesh.mesh.mesh import Mesh
from storymesh.product.dbt_files import has_dbt_project, read_dbt_project, require_dbt_files
from storymesh.product.dbt_model_server import ModelServer
from storymesh.product.dbt_profile import models_place
from storymesh.product.dbt_syntax import syntax_findings


def dbt_domains(mesh: Mesh) -> list[str]:
    """Return the domains with a product whose rows are a dbt model, and with a project that could have it."""
    domains = {product.domain for product in mesh.products.values() if product.is_model}
    return sorted(domain for domain in domains if has_dbt_project(mesh.domain_folder(domain)))


def dbt_findings(mesh: Mesh) -> list[Finding]:
    """Return what is wrong with the files of the dbt projects, as far as can be said without dbt."""
    return [finding for domain in dbt_domains(mesh) for finding in _project_findings(mesh, domain)]


def dbt_verdicts(mesh: Mesh, *, ask: bool) -> list[Finding]:
    """Return what dbt refuses of the projects: what it said before of the same files or, to `ask`, what it says."""
    found = []
    for domain in dbt_domains(mesh):
        try:
            if ask:
                dbt_manifest(mesh, domain)
            else:
                found += recorded_refusal(mesh, domain)
        except DefinitionErrors as errors:
            found += errors.findings
        except TransformFailed as error:
            location = Location(f"domains/{domain}/domain.yaml")
            found.append(Finding(location, "dbt", error.message, error.hint))
    return found


def _project_findings(mesh: Mesh, domain: str) -> list[Finding]:
    folder: Path = mesh.domain_folder(domain)
    try:
        access = mesh.dbt_access(domain)
        project = read_dbt_project(folder, mesh.root)
        require_dbt_files(project, folder, mesh.root, unconfined=access.unconfined)
        place = models_place(domain, folder, mesh.store, unconfined=access.unconfined)
        if isinstance(place, ModelServer):
            place.require(access.env)
    except DefinitionErrors as errors:
        return list(errors.findings)
    if isinstance(place, ModelServer) and (found := _unreachable_inputs(mesh, domain)):
        return found
    ports = [port for product in mesh.products_of(domain) for port in (*product.inputs, *product.outside)]
    # A product whose own files have faults is nobody's source yet, and its domain's fault alone is to be told.
    domains = mesh.root / "domains"
    sources = {port.contract_id for port in ports if (domains / port.contract_id.partition(".")[0]).is_dir()}
    unread = len(list((folder / "products").glob("*.odps.yaml"))) > len(mesh.products_of(domain))
    on_duckdb = not isinstance(place, ModelServer)
    return syntax_findings(project, folder, mesh.root, None if unread else sources, on_duckdb=on_duckdb)


def _unreachable_inputs(mesh: Mesh, domain: str) -> list[Finding]:
    """Return a finding for each product that models on a server would read: it is in the store, where they are not."""
    words = "the models of '{}' are on a server, which does not have the product '{}'"
    hint = "read it in the narrative, or let a domain whose models are on DuckDB join the two"
    return [
        Finding(port.location, "not-on-server", words.format(domain, port.contract_id), hint)
        for product in mesh.products_of(domain)
        if product.is_model
        for port in product.inputs
    ]
