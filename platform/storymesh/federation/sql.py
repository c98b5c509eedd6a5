"""The SQL that reads a table of a server. Names are quoted; a query is sent as it was written, and is one SELECT."""

from collections.abc import Sequence
from typing import Literal

from storymesh.engine import sql_text
from storymesh.federation.relation import Relation

Dialect = Literal["postgres", "mysql", "sqlite", "snowflake", "bigquery", "databricks", "trino"]


def relation_sql(relation: Relation, dialect: Dialect, schema: str | None = None) -> str:
    """Return what stands after FROM. `schema` is that of a table which names none itself.

    The parts of a name are taken as they are written, in upper and lower case. Raises SourceUnreadable for a query
    that is not one SELECT.
    """
    if relation.query is not None:
        # A line of its own: the query may end with a comment.
        return f"(\n{checked_query(relation, dialect)}\n) AS q"
    assert relation.table is not None
    parts = relation.table.split(".")
    if len(parts) == 1 and schema:
        parts = [schema, *parts]
    if not all(parts) or len(parts) > 3:
        raise relation.unreadable("this is no name of a table", "write table or schema.table")
    return ".".join(quote_name(part, dialect) for part in parts)


def checked_query(relation: Relation, dialect: Dialect) -> str:
    """Return the query of a relation as it was written. Raises SourceUnreadable where it is not one SELECT.

    It is parsed to know that, and never rewritten: what is not understood there might say something else.
    """
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    text = (relation.query or "").strip().removesuffix(";")
    try:
        statements = sqlglot.parse(text, dialect=dialect)
    except (SqlglotError, RecursionError) as error:
        words = str(error).splitlines()[0] if str(error) else "it is nested too deeply"
        raise relation.unreadable(f"the query is not read: {words}", "one SELECT, as the server has it") from None
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise relation.unreadable("the query is not one SELECT", "write SELECT … FROM …, and nothing after it")
    return text


def select_sql(columns: Sequence[str], source: str, limit: int | None = None, where: Sequence[str] = ()) -> str:
    """Return the SELECT of these columns, of all rows or of some: those of which all of `where` holds."""
    query = f"SELECT {', '.join(columns)} FROM {source}"
    query += f" WHERE {' AND '.join(where)}" if where else ""
    return query if limit is None else f"{query} LIMIT {limit}"


def quote_name(name: str, dialect: Dialect) -> str:
    """Return a name as it is written, as an identifier."""
    return sql_text.quote_name(name, "`" if dialect in ("mysql", "bigquery", "databricks") else '"')
