"""The lineage of a dbt model's columns, read from its compiled SQL: other models, products and raw files.

What cannot be read this way (`select *` over a file, an oddity of the dialect) is left out.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from storymesh.orchestration.assets.keys import model_key, product_key, source_key
from storymesh.orchestration.assets.metadata import column_lineage_metadata
from storymesh.product.store import Snapshot

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.lineage import Node

Origin = tuple[dg.AssetKey, str]
_TABLES = ("model", "seed", "snapshot")
TableResolver = Callable[["exp.Expression"], dg.AssetKey | None]


def add_column_lineage(
    event: Any, domain: str, manifest: Mapping[str, Any], target: Path, inputs: Mapping[str, Snapshot]
) -> Any:
    """Return the event of a model that was built with the lineage of its columns; any other event as it is.

    `target` is dbt's target folder, `inputs` maps products to the snapshots that the models read.
    """
    if not isinstance(event, dg.Output):
        return event
    unique_id = event.metadata.get("unique_id")
    node = manifest["nodes"].get(unique_id.value) if unique_id is not None else None
    if node is None or node["resource_type"] != "model":
        return event
    compiled = target / "compiled" / node["package_name"] / node["original_file_path"]
    if not compiled.is_file():
        return event
    models = {node["name"] for node in manifest["nodes"].values() if node["resource_type"] in _TABLES}
    files = {file: product for product, snapshot in inputs.items() for file in snapshot.files}
    origins = column_origins(compiled.read_text(encoding="utf-8"), table_resolver(domain, models, files))
    if not origins:
        return event
    return event.with_metadata({**event.metadata, "dagster/column_lineage": column_lineage_metadata(origins)})


def table_resolver(domain: str, models: set[str], files: Mapping[str, str]) -> TableResolver:
    """Return the function that finds the asset of a table in the domain's SQL.

    A model is known by its name, a product by its `files` (file -> product), a raw file by its path.
    """

    def resolve(table: "exp.Expression") -> dg.AssetKey | None:
        from sqlglot import exp

        for literal in table.find_all(exp.Literal):
            if literal.is_string and literal.name in files:
                return product_key(files[literal.name])
            if literal.is_string and literal.name.startswith("sources/"):
                return source_key(domain, literal.name)
        return model_key(domain, table.name) if table.name in models else None

    return resolve


def column_origins(sql: str, resolve: TableResolver) -> dict[str, list[Origin]]:
    """Map each column of the query to the columns that it is computed from; empty where the SQL cannot be parsed."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.lineage import lineage as trace_column
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    try:
        parsed = sqlglot.parse_one(sql, dialect="duckdb")
        tree = qualify(parsed, dialect="duckdb", validate_qualify_columns=False, identify=False)
        if not isinstance(tree, exp.Query):
            return {}
        scope = build_scope(tree)
        nodes = {
            column: trace_column(column, tree, {}, dialect="duckdb", scope=scope, copy=False)
            for column in tree.named_selects
            if column != "*"
        }
    except (SqlglotError, ValueError, KeyError, RecursionError):
        return {}
    found = {column: list(dict.fromkeys(_leaves(node, column, resolve))) for column, node in nodes.items()}
    return {column: sources for column, sources in found.items() if sources}


def _leaves(node: "Node", requested: str, resolve: TableResolver) -> Iterator[Origin]:
    """Yield the columns of tables at the ends. Behind `*` a column keeps the name by which it was requested."""
    from sqlglot import exp

    own = node.name.rpartition(".")[2]
    column = requested if own == "*" else own
    for child in node.downstream:
        yield from _leaves(child, column, resolve)
    if not node.downstream and isinstance(node.expression, exp.Table):
        asset = resolve(node.expression)
        if asset is not None:
            yield asset, column
