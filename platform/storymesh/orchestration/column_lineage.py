"""Where the columns of a dbt model come from, read from its compiled SQL: columns of other models, of products that it
reads, and of raw files. What cannot be read this way (`select *` over a file, an oddity of the dialect) is left out.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from storymesh.orchestration.asset_keys import model_key, product_key, source_key
from storymesh.orchestration.asset_metadata import lineage
from storymesh.product.store import Snapshot

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.lineage import Node

Origin = tuple[dg.AssetKey, str]
_TABLES = ("model", "seed", "snapshot")
KeyOf = Callable[["exp.Expression"], dg.AssetKey | None]


def with_lineage(
    event: Any, domain: str, manifest: Mapping[str, Any], target: Path, inputs: Mapping[str, Snapshot]
) -> Any:
    """The event of a model that was built, with where its columns come from; any other event as it is. `target` is
    dbt's target folder, `inputs` the snapshots that the models read, by product."""
    if not isinstance(event, dg.Output):
        return event
    told = event.metadata.get("unique_id")
    node = manifest["nodes"].get(told.value) if told is not None else None
    if node is None or node["resource_type"] != "model":
        return event
    compiled = target / "compiled" / node["package_name"] / node["original_file_path"]
    if not compiled.is_file():
        return event
    models = {
        one["name"] for one in manifest["nodes"].values() if one["resource_type"] in ("model", "seed", "snapshot")
    }
    files = {file: product for product, snapshot in inputs.items() for file in snapshot.files}
    found = origins(compiled.read_text(encoding="utf-8"), key_of(domain, models, files))
    if not found:
        return event
    return event.with_metadata({**event.metadata, "dagster/column_lineage": lineage(found)})


def key_of(domain: str, models: set[str], files: Mapping[str, str]) -> KeyOf:
    """Which asset a table of the domain's SQL is: a model by its name, a product by its `files` (file -> product), a
    raw file by its path."""

    def found(table: "exp.Expression") -> dg.AssetKey | None:
        from sqlglot import exp

        for literal in table.find_all(exp.Literal):
            if literal.is_string and literal.name in files:
                return product_key(files[literal.name])
            if literal.is_string and literal.name.startswith("sources/"):
                return source_key(domain, literal.name)
        return model_key(domain, table.name) if table.name in models else None

    return found


def origins(sql: str, key: KeyOf) -> dict[str, list[Origin]]:
    """Column of the query -> the columns that it is computed from; empty where DuckDB's SQL is beyond the parser."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.lineage import lineage as traced
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    try:
        parsed = sqlglot.parse_one(sql, dialect="duckdb")
        tree = qualify(parsed, dialect="duckdb", validate_qualify_columns=False, identify=False)
        if not isinstance(tree, exp.Query):
            return {}
        scope = build_scope(tree)
        nodes = {
            column: traced(column, tree, {}, dialect="duckdb", scope=scope, copy=False)
            for column in tree.named_selects
            if column != "*"
        }
    except (SqlglotError, ValueError, KeyError, RecursionError):
        return {}
    found = {column: list(dict.fromkeys(_leaves(node, column, key))) for column, node in nodes.items()}
    return {column: sources for column, sources in found.items() if sources}


def _leaves(node: "Node", named: str, key: KeyOf) -> Iterator[Origin]:
    """The columns of tables at the ends. Behind `*` a column keeps the name by which it was asked for."""
    from sqlglot import exp

    own = node.name.rpartition(".")[2]
    column = named if own == "*" else own
    for child in node.downstream:
        yield from _leaves(child, column, key)
    if not node.downstream and isinstance(node.expression, exp.Table):
        asset = key(node.expression)
        if asset is not None:
            yield asset, column
