"""Syntax errors in SQL and regular expressions, by DuckDB's own parsers: nothing is run, and no name is looked up."""

import re
from functools import cache
from typing import TYPE_CHECKING

from storymesh.engine.sql_text import quote_text

if TYPE_CHECKING:
    import duckdb

MAX_PARSED = 100_000  # characters of SQL that is parsed in this process
_LINE = re.compile(r"^LINE (\d+):", re.MULTILINE)


@cache
def regex_fault(pattern: str) -> str | None:
    """Return RE2's own message about a regular expression that it cannot run, None if it can."""
    import duckdb

    with bare_session().cursor() as session:
        try:
            # As a literal: for a parameter DuckDB imports pandas, which takes as long as a whole check.
            session.execute(f"SELECT regexp_matches('', {quote_text(pattern)})")
        except duckdb.Error as error:
            return str(error).splitlines()[0].removeprefix("Invalid Input Error: ")
    return None


@cache
def bare_session() -> "duckdb.DuckDBPyConnection":
    """Return a session without file access and threads, which stays usable in a forked process."""
    import duckdb

    return duckdb.connect(config={"enable_external_access": "false", "threads": 1})


def syntax_fault(query: str) -> tuple[int, str] | None:
    """Return the line (from 1) and message of the first syntax error in a query.

    None: it parses, as a statement or as the query of a table, or it is too long to be parsed here.
    """
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
