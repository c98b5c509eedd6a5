"""Raw files as external assets, whose version is the digest of their content.

A digest is computed again only where the size or the time of a file has changed.
"""

import hashlib
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import dagster as dg

from storymesh.atomic_write import write_atomically
from storymesh.document import path_in_mesh
from storymesh.errors import SourceUnreadable, StorymeshError
from storymesh.federation.relation import Relation
from storymesh.files.definition_path import is_files_source
from storymesh.input_file import InputFileRefused, open_input
from storymesh.mesh.file_collections import file_collection
from storymesh.mesh.mesh import Mesh
from storymesh.orchestration.assets.keys import source_key
from storymesh.orchestration.assets.metadata import asset_owners, code_references
from storymesh.orchestration.dagster_internals import DATA_VERSION_TAG, latest_data_version
from storymesh.product.definition import Product
from storymesh.product.sources.bounds import COMPRESSED, ContentTooLarge, require_bounded
from storymesh.product.sources.server_relation import server_relation
from storymesh.redaction import redact

SENSOR = "new_files"
SOURCE = "source"
CHECK_EVERY_S = 30
SETTLED_S = 10.0  # a file that was written to a moment ago may not be whole yet
MISSING = "missing"
_IN_SQL = re.compile(r"""(['"])(sources/[^'"\n{}]+)\1""")
_GLOB = re.compile(r"[*?\[]")

Files = Mapping[dg.AssetKey, str]  # the raw file, or the pattern of several, below the domain's folder


def raw_files_of_domain(mesh: Mesh, domain: str, manifest: Mapping[str, Any] | None) -> Files:
    """Return the files that the domain's products name, and those that the dbt models of `manifest` read."""
    sources = [product.source for product in mesh.products_of(domain) if product.source is not None]
    nodes = manifest["nodes"].values() if manifest is not None else ()
    paths = [path for node in nodes for path in files_read_by_model(node)]
    return {source_key(domain, path): path for path in dict.fromkeys([*sources, *paths])}


def server_table_specs(mesh: Mesh, domain: str) -> list[dg.AssetSpec]:
    """Return the tables of servers that the domain's products are read from as external assets, with their place."""
    specs: dict[dg.AssetKey, dg.AssetSpec] = {}
    for product in mesh.products_of(domain):
        if (relation := _relation(mesh, product)) is None:
            continue
        server = relation.server
        specs[source_key_of(product)] = dg.AssetSpec(
            key=source_key_of(product),
            description=f"{relation.words[0].upper()}{relation.words[1:]}, read as it is when the product is made.",
            group_name=domain,
            kinds={source_kind(mesh, product)},
            owners=asset_owners(mesh.domains[domain].owner),
            metadata={
                "server": server.name,
                "place": server.place,
                **({"table": relation.table} if relation.table is not None else {}),
                **({"query": dg.MetadataValue.md(f"```sql\n{relation.query}\n```")} if relation.query else {}),
                **(
                    {"dagster/code_references": code_references(mesh.root, {"server": server.location})}
                    if server.location is not None
                    else {}
                ),
            },
        )
    return list(specs.values())


def source_key_of(product: Product) -> dg.AssetKey:
    """Return the key of the file, or of the table of a server, that a product is read from."""
    layout = product.layout
    if layout.server is None:
        assert product.source is not None
        return source_key(product.domain, product.source)
    return source_key(product.domain, f"sources/{layout.server}.{layout.table or product.name}")


def source_kind(mesh: Mesh, product: Product) -> str:
    """Return the kind that Dagster shows for what a product is read from."""
    relation = _relation(mesh, product)
    if relation is not None:
        return re.sub(r"[^a-z0-9]", "", relation.server.kind or relation.server.type) or "server"
    return "dbt" if product.source is None else file_format(product.source)


def _relation(mesh: Mesh, product: Product) -> Relation | None:
    if product.layout.server is None:
        return None
    try:
        return server_relation(product, mesh.contract(product.id))
    except SourceUnreadable:
        return None  # of a server that is not there; the step that reads it says so


def files_read_by_model(node: Mapping[str, Any]) -> list[str]:
    """Return the raw files that the SQL of a dbt node names, relative to the domain's folder."""
    return list(dict.fromkeys(path for _, path in _IN_SQL.findall(str(node.get("raw_code") or ""))))


def _raw_words(source: str, path: str) -> str:
    if is_files_source(source):
        return f"The files that {path} names, as their owners leave them."
    return f"The raw data in {path}, as its owners leave it."


def raw_file_specs(mesh: Mesh, domain: str, files: Files) -> list[dg.AssetSpec]:
    """Return the raw files as external assets."""
    specs = []
    for key, source in files.items():
        path = path_in_mesh(mesh.domain_folder(domain) / source, mesh.root)
        specs.append(
            dg.AssetSpec(
                key=key,
                description=_raw_words(source, path),
                group_name=domain,
                kinds={file_format(source)},
                owners=asset_owners(mesh.domains[domain].owner),
                metadata={"path": dg.MetadataValue.path(path), SOURCE: source},
            )
        )
    return specs


def raw_files_of(definitions: dg.Definitions, domain: str) -> Files:
    """Return the raw files of a domain among the assets of `definitions`."""
    return {
        spec.key: str(spec.metadata[SOURCE])
        for spec in definitions.resolve_all_asset_specs()
        if spec.group_name == domain and SOURCE in spec.metadata
    }


def file_format(source: str) -> str:
    """Return the kind that Dagster shows for a file: its format."""
    if is_files_source(source):
        return "files"
    path = PurePath(source.lower())
    suffix = (path.with_suffix("") if path.suffix in COMPRESSED else path).suffix.removeprefix(".")
    return {"jsonl": "json", "ndjson": "json", "xlsx": "excel", "pq": "parquet"}.get(
        suffix, suffix if suffix.isalnum() else "file"
    )


def raw_file_sensor(mesh: Mesh, domain: str, files: Files) -> dg.SensorDefinition:
    """Return the sensor that reports new versions of a domain's raw files, so that what is built on them follows."""

    @dg.sensor(
        name=f"{SENSOR}_{domain}",
        minimum_interval_seconds=CHECK_EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Notes when a raw file has new content: then its products are made again. Stop it to load by hand.",
    )
    def look(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        unseen: dict[str, str] = {}
        updates = list(raw_file_updates(mesh, domain, files, context.instance, settled_s=SETTLED_S, unseen=unseen))
        news = [f"new: {', '.join(update.asset_key.path[-1] for update in updates)}"] if updates else []
        news += [f"{source} could not be looked at: {why}" for source, why in unseen.items()]
        return dg.SensorResult(asset_events=updates, skip_reason="; ".join(news) or "no raw file has changed")

    return look


def raw_file_updates(
    mesh: Mesh,
    domain: str,
    files: Files,
    instance: dg.DagsterInstance,
    *,
    settled_s: float = 0.0,
    unseen: MutableMapping[str, str] | None = None,
) -> Iterator[dg.AssetMaterialization]:
    """Yield an update of each raw file whose content has changed since Dagster last saw it.

    A file that was written to within the last `settled_s` seconds waits for the next call. What cannot be looked at is
    added to `unseen`, source -> why; the step that reads it says the same.

    The user interface holds the version of what Dagster does not make against materialisations alone: with observations
    it would call whatever is made of raw files out of date for ever.
    """
    unseen = {} if unseen is None else unseen
    folder = mesh.domain_folder(domain)
    digests = _FileDigests(mesh.store / "dagster" / "raw" / f"{domain}.json")
    now = time.time()
    for key, source in files.items():
        if is_files_source(source):
            try:
                yield from _collection_updates(mesh, domain, key, source, instance, sparing=settled_s > 0)
            except (StorymeshError, OSError) as error:
                unseen[source] = redact(" ".join(str(error).split()))
            continue
        try:
            stats = {path: path.stat() for path in _matching(folder, source)}
            if any(now - stat.st_mtime < settled_s for stat in stats.values()):
                continue
            version = digests.version(folder, stats)
        except OSError as error:
            unseen[source] = error.strerror or str(error)
            continue
        if latest_data_version(instance, key, is_source=False) != version:
            newest = max((stat.st_mtime for stat in stats.values()), default=None)
            yield dg.AssetMaterialization(
                key,
                tags={DATA_VERSION_TAG: version},
                metadata={
                    "files": len(stats),
                    "bytes": sum(stat.st_size for stat in stats.values()),
                    **({"changed": dg.MetadataValue.timestamp(newest)} if newest is not None else {}),
                },
            )
    digests.save()


_listed: dict[dg.AssetKey, tuple[float, float]] = {}  # when files were listed last, and how long that took
_LISTING_SHARE = 50


def _collection_updates(
    mesh: Mesh, domain: str, key: dg.AssetKey, source: str, instance: dg.DagsterInstance, *, sparing: bool
) -> Iterator[dg.AssetMaterialization]:
    """Yield an update of the files of a definition, if they have changed since Dagster last saw them. Raises as
    `FileCollection.observe` does.

    Listing many takes long, so whoever is `sparing` spends at most one part in `_LISTING_SHARE` of the time on it.
    """
    began = time.monotonic()
    before, took = _listed.get(key, (0.0, 0.0))
    if sparing and took and began - before < took * _LISTING_SHARE:
        return
    product = next((item for item in mesh.products_of(domain) if item.source == source), None)
    found = file_collection(mesh, product).observe() if product is not None else None
    _listed[key] = (began, time.monotonic() - began)
    if found is None or found.version is None or latest_data_version(instance, key, is_source=False) == found.version:
        return
    yield dg.AssetMaterialization(
        key, tags={DATA_VERSION_TAG: found.version}, metadata={"files": found.files, "bytes": found.bytes}
    )


def _matching(folder: Path, source: str) -> list[Path]:
    """Return the files below the domain's folder that a source means: one of this very name, or those of a pattern."""
    if ".." in PurePath(source).parts or PurePath(source).is_absolute() or "\0" in source:
        return []
    literal = folder / source
    paths: Iterable[Path] = [literal] if literal.is_file() or not _GLOB.search(source) else folder.glob(source)
    root = folder.resolve()
    return sorted(path for path in paths if path.is_file() and path.resolve().is_relative_to(root))


def _digest(path: Path, folder: Path) -> str:
    """Return the digest of a file's content; a file that is made to be too large is known by its size and time."""
    try:
        require_bounded(path)
        with open_input(path, folder) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (ContentTooLarge, InputFileRefused):
        return f"{path.stat().st_size} {path.stat().st_mtime_ns}"


@dataclass
class _FileDigests:
    """Size, time of change and digest of each file as it was last read, kept in a JSON file beside the instance."""

    path: Path

    def __post_init__(self) -> None:
        try:
            self.known: dict[str, list[Any]] = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self.known = {}
        self.before = dict(self.known)

    def version(self, folder: Path, stats: Mapping[Path, os.stat_result]) -> str:
        if not stats:
            return MISSING
        whole = hashlib.sha256()
        for path, stat in stats.items():
            name = path.relative_to(folder).as_posix()
            size, changed, digest = self.known.get(name, (None, None, ""))
            if (size, changed) != (stat.st_size, stat.st_mtime_ns):
                digest = _digest(path, folder)
                self.known[name] = [stat.st_size, stat.st_mtime_ns, digest]
            whole.update(f"{name} {digest}\n".encode())
        return whole.hexdigest()

    def save(self) -> None:
        if self.known != self.before:
            write_atomically(self.path, json.dumps(self.known))
