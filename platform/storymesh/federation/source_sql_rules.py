"""The SQL rules of a contract as a server is asked for them: one SELECT over the rows of the product, and nothing else.

A rule is written in DuckDB's SQL. It is read as such, and written in the server's; what reads another table, or calls a
function that is not known to be one of values alone, is never sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from storymesh.contract.checks import Check
from storymesh.contract.definition import Contract
from storymesh.contract.quality_rules import SqlRule
from storymesh.contract.table_metrics import fill_placeholders
from storymesh.federation.sql import quote_name

if TYPE_CHECKING:
    from sqlglot import exp

_ROWS = "storymesh_rows"
_QUOTES: Final = "postgres"  # as DuckDB quotes a name too


@dataclass(frozen=True)
class ReadSqlRule:
    """A rule that a server can be asked for, and the properties that it reads."""

    tree: "exp.Query"
    columns: frozenset[str]

    def sql(self, dialect: str, source: str, values: Mapping[str, str]) -> str:
        """Return the rule over a source, whose `values` are the properties as they are written there."""
        columns = (
            ", ".join(f"{values[name]} AS {quote_name(name, _QUOTES)}" for name in sorted(self.columns)) or "1 AS one"
        )
        return self.tree.sql(dialect).replace(quote_name(_ROWS, _QUOTES), f"(SELECT {columns} FROM {source})")


def read_sql_rule(check: Check, contract: Contract) -> ReadSqlRule | str:
    """Return a rule as a server can be asked for it, or why none is."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    assert isinstance(check.test, SqlRule)
    about = check.properties[0] if check.properties else ""
    text = fill_placeholders(partial(quote_name, dialect=_QUOTES), check.test.query, contract, about)
    try:
        statements = sqlglot.parse(text.strip().removesuffix(";"), dialect="duckdb")
    except (SqlglotError, RecursionError):
        return "its SQL is not read"
    tree = statements[0] if len(statements) == 1 else None
    if not isinstance(tree, exp.Query):
        return "its SQL is not one SELECT"
    named = {item.alias_or_name.lower() for item in tree.find_all(exp.CTE)}
    if contract.name.lower() in named:
        return "its SQL gives the name of the product to something else"
    for table in tree.find_all(exp.Table):
        plain = isinstance(table.this, exp.Identifier) and not table.args.get("db")
        if plain and table.name.lower() == contract.name.lower():
            alias = table.alias or contract.name
            table.set("this", exp.to_identifier(_ROWS, quoted=True))
            table.set("alias", exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
        elif not plain or table.name.lower() not in named:
            return "its SQL reads something else than the rows of the product"
    if unknown := next(tree.find_all(exp.Anonymous, exp.Command, exp.Placeholder, exp.Parameter), None):
        return f"its SQL uses {unknown.name or unknown.sql('duckdb')}, which another database may not have"
    return ReadSqlRule(tree, _columns(tree, contract))


def _columns(tree: "exp.Query", contract: Contract) -> frozenset[str]:
    """Return the properties that a query names, and have it write them as the contract does."""
    from sqlglot import exp

    known = {name.lower(): name for name in contract.properties}
    found = set()
    for column in tree.find_all(exp.Column):
        if (name := known.get(column.name.lower())) is not None:
            column.set("this", exp.to_identifier(name, quoted=True))
            found.add(name)
        if column.table.lower() == contract.name.lower():
            column.set("table", exp.to_identifier(contract.name, quoted=True))
    counting = {id(item.this) for item in tree.find_all(exp.Count)}
    if any(id(star) not in counting for star in tree.find_all(exp.Star)):
        return frozenset(contract.properties)
    return frozenset(found)
