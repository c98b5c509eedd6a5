"""Lookups of single rows of a build's products, at their versions, for traces."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from storymesh.case.link import KEY, key_text
from storymesh.dataset.build import Build
from storymesh.dataset.tables import product_rows
from storymesh.engine.engine import Engine
from storymesh.language.interpret import as_value

if TYPE_CHECKING:
    import ibis.expr.types as ir


def keyed_rows(build: Build, engine: Engine, role: str, columns: Iterable[str]) -> "ir.Table":
    """Return the rows of a role's product at its version: their key, `KEY`, and `c_<column>` of each column, with
    pseudonyms as the narrative has them."""
    from storymesh.language.compile.values import pseudonym

    table = product_rows(build, engine, [role])[role]

    def case_value(column: str) -> "ir.Value":
        replaced = (role, column) in build.typed.pseudonymised
        return pseudonym(table[column], build.pseudonym_key) if replaced else table[column]

    return table.select(
        **{KEY: key_text([case_value(column) for column in build.contracts[role].key])},
        **{f"c_{column}": case_value(column) for column in sorted(columns)},
    )


def read_rows(
    build: Build, engine: Engine, role: str, keys: Iterable[str], columns: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """Return key -> columns of a row of a role's product at its version, with pseudonyms as the narrative has them."""
    import ibis

    rows = keyed_rows(build, engine, role, columns)
    chosen = rows.semi_join(ibis.memtable({KEY: list(keys)}, schema={KEY: "string"}), KEY)
    return {
        row[KEY]: as_value({name[2:]: row[name] for name in row if name != KEY}) for row in engine.fetch_rows(chosen)
    }
