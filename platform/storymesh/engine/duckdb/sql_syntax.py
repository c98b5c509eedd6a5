"""Errors of syntax in the SQL that people write, by DuckDB's own parser: nothing is run, and no name is looked up."""

import re

from storymesh.engine.duckdb.patterns import bare_session
from storymesh.engine.duckdb.rule_query import MAX_PARSED

_LINE = re.compile(r"^LINE (\d+):", re.MULTILINE)


def syntax_fault(query: str) -> tuple[int, str] | None:
    """Return the line of the first error of syntax in a query, from 1, and what it is; None: it parses, as a statement
    or as what a table is made of, or it is too long to be looked at."""
    import duckdb

    if len(query) > MAX_PARSED:
        return None
    with bare_session().cursor() as session:
        try:
            session.extract_statements(query)
        except duckdb.ParserException as error:
            fault = str(error)
        else:
            return None
        try:
            session.extract_statements(f"create table made as (\n{query}\n)")
        except duckdb.ParserException:
            words = fault.partition("\n\nLINE ")[0].removeprefix("Parser Error: ")
            found = _LINE.search(fault)
            return (int(found[1]) if found else query.rstrip().count("\n") + 1), " ".join(words.split())
    return None
