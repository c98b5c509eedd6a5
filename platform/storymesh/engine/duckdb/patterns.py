"""Regular expressions as DuckDB runs them: by RE2, in time that grows with the text and never faster."""

from functools import cache
from typing import TYPE_CHECKING

from storymesh.engine.sql_text import quote_text

if TYPE_CHECKING:
    import duckdb


@cache
def regex_fault(pattern: str) -> str | None:
    """Return what keeps RE2 from running a regular expression, in RE2's own words; None: it runs."""
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
    """Return a session without files and without threads, which a forked process may use on."""
    import duckdb

    return duckdb.connect(config={"enable_external_access": "false", "threads": 1})
