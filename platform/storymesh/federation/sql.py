"""The SQL that reads a table of a server: made of a parsed tree, so that no text of a contract is SQL by accident."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from storymesh.federation.relation import Relation

if TYPE_CHECKING:
    from sqlglot import exp


def relation_tree(relation: Relation, dialect: str, schema: Sequence[str | None] = ()) -> "exp.Table | exp.Subquery":
    """Return what stands after FROM. `schema` are the parts before the name of a table that names none itself.

    The parts of a name are taken as they are written, in upper and lower case. Raises SourceUnreadable for a query
    that is not one SELECT.
    """
    from sqlglot import exp

    if relation.query is not None:
        return _one_query(relation, dialect).subquery("q")
    assert relation.table is not None
    parts = relation.table.split(".")
    if len(parts) == 1:
        parts = [*(part for part in schema if part), *parts]
    if not all(parts) or len(parts) > 3:
        raise relation.unreadable("this is no name of a table", "write table or schema.table")
    name, db, catalog = (*reversed(parts), None, None)[:3]
    return exp.table_(name or "", db=db, catalog=catalog, quoted=True)


def _one_query(relation: Relation, dialect: str) -> "exp.Query":
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        statements = [statement for statement in sqlglot.parse(relation.query or "", dialect=dialect) if statement]
    except (SqlglotError, RecursionError) as error:
        words = str(error).splitlines()[0] if str(error) else "it is nested too deeply"
        raise relation.unreadable(f"the query is not read: {words}", "one SELECT, as the server has it") from None
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise relation.unreadable("the query is not one SELECT", "write SELECT … FROM …, and nothing after it")
    return statements[0]


def select_sql(
    columns: "Sequence[exp.Expr]", source: "exp.Table | exp.Subquery", dialect: str, limit: int | None = None
) -> str:
    """Return the SELECT of these columns, of all rows or of some."""
    from sqlglot import exp

    query = exp.select(*columns).from_(source)
    return (query if limit is None else query.limit(limit)).sql(dialect=dialect)


def column_tree(name: str) -> "exp.Column":
    """Return a column by its name, as it is written."""
    from sqlglot import exp

    return exp.column(name, quoted=True)
