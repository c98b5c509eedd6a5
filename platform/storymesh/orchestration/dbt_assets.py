"""A domain's dbt models as assets: raw files to the tables that its products are read from, run by dbt itself.

What the models are and how they hang together comes from dbt's manifest. Making it takes dbt some seconds, so it is
kept beside the store and made again only when a file that dbt reads has changed.
"""

import hashlib
import importlib.metadata
import json
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from storymesh.contract.types import arrow_schema
from storymesh.errors import NotPublished, StorymeshError, TransformFailed
from storymesh.file_lock import hold_lock
from storymesh.mesh.mesh import Mesh
from storymesh.orchestration.asset_keys import model_key, product_key, source_key
from storymesh.orchestration.asset_metadata import owners_of
from storymesh.orchestration.automation import follows
from storymesh.orchestration.column_lineage import with_lineage
from storymesh.orchestration.failures import explained, failure
from storymesh.orchestration.product_assets import made_of
from storymesh.orchestration.source_assets import Files, raw_files, read_in
from storymesh.product.dbt_project import failed_nodes, prepare_dbt, run_dbt
from storymesh.product.store import ProductStore, Snapshot

if TYPE_CHECKING:
    from dagster_dbt import DbtCliResource, DbtProject

PARSE_TIMEOUT_S = 300
PARSED_AT_ONCE = 2
BUSY_WAIT_S = 120.0
_READ_BY_DBT = frozenset({".sql", ".yml", ".yaml", ".md", ".py"})
_UNREAD = frozenset({"sources", "products", "target", "logs", "dbt_packages", "__pycache__"})


class Models(dg.Config):
    """How a domain's dbt models are built."""

    full_refresh: bool = Field(
        default=False, description="Build incremental models from nothing, as after a change of what they compute."
    )


def model_assets(mesh: Mesh, domain: str) -> tuple[list[dg.AssetsDefinition], Files]:
    """The assets [domain, "models", <model>], all made by one `dbt build`, and the raw files of the domain; no models
    where it has no dbt project.

    A project that dbt cannot parse gives assets that fail with dbt's words, so that the rest of the location loads.
    """
    if not has_models(mesh, domain):
        return [], raw_files(mesh, domain, None)
    try:
        manifest = manifest_of(mesh, domain)
    except StorymeshError as error:
        return [_broken(mesh, domain, error)], raw_files(mesh, domain, None)
    return [_dbt_assets(mesh, domain, manifest)], raw_files(mesh, domain, manifest)


def parse_all(mesh: Mesh) -> None:
    """Make the manifests of all domains, two at a time. What dbt cannot read is told when its models are built."""

    def parse(domain: str) -> None:
        with suppress(StorymeshError):
            manifest_of(mesh, domain)

    with ThreadPoolExecutor(PARSED_AT_ONCE) as pool:
        list(pool.map(parse, [domain for domain in mesh.domains if has_models(mesh, domain)]))


def has_models(mesh: Mesh, domain: str) -> bool:
    return (mesh.domain_folder(domain) / "dbt_project.yml").is_file()


def wait_until_free(database: Path, wait_s: float = BUSY_WAIT_S) -> None:
    """Wait until no other process holds the DuckDB file: a killed run may leave a dbt behind that is still writing.

    Raises TransformFailed when it stays held.
    """
    import duckdb

    ends = time.monotonic() + wait_s
    while database.exists():
        try:
            duckdb.connect(str(database)).close()
            return
        except duckdb.IOException as error:
            if "lock" not in str(error).lower():
                return  # damaged or not ours: dbt says so in its own words
            if time.monotonic() > ends:
                words = f"another process holds {database}: {str(error).splitlines()[0]}"
                raise TransformFailed(words, "end it, or wait for it, and run again") from None
        time.sleep(0.5)


def manifest_of(mesh: Mesh, domain: str) -> Mapping[str, Any]:
    """dbt's manifest of the domain, parsed again only when what dbt reads has changed. Raises TransformFailed."""
    home = mesh.store / "dagster" / "parse"
    kept = home / domain / f"manifest-{_fingerprint(mesh, domain)}.json"
    with hold_lock(home / f"{domain}.lock"):
        if not kept.is_file():
            inputs = {product: _unpublished(mesh, product) for product in _inputs(mesh, domain)}
            project = prepare_dbt(domain, mesh.domain_folder(domain), home, inputs)
            run_dbt(project, "parse", PARSE_TIMEOUT_S)
            for old in kept.parent.glob("manifest-*.json"):
                old.unlink()
            (project.target_path / "manifest.json").replace(kept)
        manifest: Mapping[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return manifest


def _dbt_assets(mesh: Mesh, domain: str, manifest: Mapping[str, Any]) -> dg.AssetsDefinition:
    from dagster_dbt import dbt_assets

    @dbt_assets(
        manifest=manifest,
        name=f"models_{domain}",
        dagster_dbt_translator=_translator(mesh, domain),
        pool=f"{domain}_duckdb",
    )
    def building(context: dg.AssetExecutionContext, config: Models) -> Iterator[Any]:
        with explained(context.retry_number):
            inputs = _published(mesh, domain, _read_here(context))
            project = prepare_dbt(domain, mesh.domain_folder(domain), mesh.store, inputs)
            wait_until_free(project.database)
            dbt = _resource()(
                project_dir=str(project.project_dir),
                profiles_dir=str(project.profiles_dir),
                dbt_executable=_executable(),
                global_config_flags=["--no-use-colors", "--no-version-check", "--no-send-anonymous-usage-stats"],
            )
            results = project.target_path / "run_results.json"
            results.unlink(missing_ok=True)
            command = ["build", *(["--full-refresh"] if config.full_refresh else [])]
            invocation = dbt.cli(command, context=context, target_path=project.target_path, raise_on_error=False)
            for event in invocation.stream():
                yield with_lineage(event, domain, manifest, project.target_path, inputs)
            if not invocation.is_successful():
                words = "; ".join(failed_nodes(project)) or str(invocation.get_error())
                raise TransformFailed(f"the dbt project of '{domain}' did not build: {words}")

    return building


def _resource() -> "type[DbtCliResource]":
    from dagster_dbt import DbtCliResource
    from dagster_dbt.compat import DBT_PYTHON_VERSION

    class Resource(DbtCliResource):
        """dbt of this environment. Asking it for its version, as the library does, takes two seconds a domain."""

        @property
        def _cli_version(self) -> Any:
            return DBT_PYTHON_VERSION

    return Resource


def _translator(mesh: Mesh, domain: str) -> Any:
    from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings

    class Translator(DagsterDbtTranslator):
        """Keys and owners as the rest of the mesh has them."""

        def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
            name = str(dbt_resource_props["name"])
            if dbt_resource_props["resource_type"] != "source":
                return model_key(domain, name)
            product = f"{dbt_resource_props['source_name']}.{name}"
            if product in mesh.products:
                return product_key(product)
            return dg.AssetKey([domain, "sources", str(dbt_resource_props["source_name"]), name])

        def get_asset_spec(
            self, manifest: Mapping[str, Any], unique_id: str, project: "DbtProject | None"
        ) -> dg.AssetSpec:
            spec = super().get_asset_spec(manifest, unique_id, project)
            raw = read_in(self.get_resource_props(manifest, unique_id))
            return spec.replace_attributes(deps=[*spec.deps, *(source_key(domain, path) for path in raw)])

        def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
            return domain

        def get_automation_condition(
            self, dbt_resource_props: Mapping[str, Any]
        ) -> dg.AutomationCondition[dg.AssetKey] | None:
            return follows(made_of(mesh, domain))

        def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
            return owners_of(mesh.domains[domain].owner)

    # The SQL stands in the description and the relation in metadata; columns of products come from their contracts.
    return Translator(settings=DagsterDbtTranslatorSettings(enable_source_metadata=False))


def _broken(mesh: Mesh, domain: str, error: StorymeshError) -> dg.AssetsDefinition:
    """The models that products are read from, as assets that fail with what dbt said about the project."""
    specs = [
        dg.AssetSpec(
            key=model_key(domain, product.name),
            deps=[product_key(port.contract_id) for port in product.inputs],
            group_name=domain,
            description=f"dbt cannot read this project: {error.message}",
            owners=owners_of(mesh.domains[domain].owner),
            kinds={"dbt", "duckdb"},
        )
        for product in mesh.products_of(domain)
        if product.source is None
    ]

    @dg.multi_asset(name=f"models_{domain}", specs=specs)
    def refusing() -> None:
        raise failure(error)

    return refusing


def _inputs(mesh: Mesh, domain: str) -> list[str]:
    ports = (port.contract_id for product in mesh.products_of(domain) for port in product.inputs)
    return sorted(set(ports))


def _unpublished(mesh: Mesh, product: str) -> Snapshot:
    """A product as dbt sees it where only its columns matter: without any row."""
    contract = mesh.contract(product)
    nothing = (0, contract.version, contract.digest, "", 0, datetime(1970, 1, 1))
    return Snapshot(product, "", *nothing, files=(), schema=arrow_schema(contract))


def _read_here(context: dg.AssetExecutionContext) -> set[dg.AssetKey]:
    """What the selected models read."""
    return {key for model in context.selected_asset_keys for key in context.assets_def.asset_deps[model]}


def _published(mesh: Mesh, domain: str, read: set[dg.AssetKey]) -> dict[str, Snapshot]:
    """The snapshots that the domain's models read. Raises NotPublished when one of `read` has none yet; the others
    may have none, since a model that is not built reads nothing."""
    found: dict[str, Snapshot] = {}
    for product in _inputs(mesh, domain):
        owner, name = product.split(".", 1)
        latest = ProductStore(mesh.warehouse, owner).latest(name)
        if latest is None and product_key(product) in read:
            words = f"the models of '{domain}' read '{product}', which nobody has published yet"
            raise NotPublished(words, f"run the domain '{owner}' first")
        found[product] = latest or _unpublished(mesh, product)
    return found


def _fingerprint(mesh: Mesh, domain: str) -> str:
    """A digest of all that the manifest depends on: dbt's own files, the columns of the input ports, and dbt itself."""
    folder = mesh.domain_folder(domain)
    digest = hashlib.sha256()
    for package in ("dbt-core", "dbt-duckdb", "dagster-dbt"):
        digest.update(f"{package} {importlib.metadata.version(package)}\n".encode())
    for product in _inputs(mesh, domain):
        digest.update(f"{product} {mesh.contract(product).digest}\n".encode())
    for path in sorted(_files(folder)):
        content = path.read_bytes() if path.suffix in _READ_BY_DBT else str(path.stat().st_size).encode()
        digest.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:24]


def _files(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.name.startswith(".") or entry.name in _UNREAD:
            continue
        if entry.is_dir():
            yield from (path for path in entry.rglob("*") if path.is_file() and not _UNREAD & set(path.parts))
        else:
            yield entry


def _executable() -> str:
    """dbt of this Python environment, wherever it was started from."""
    beside = Path(sys.executable).parent / "dbt"
    return str(beside) if beside.exists() else "dbt"
