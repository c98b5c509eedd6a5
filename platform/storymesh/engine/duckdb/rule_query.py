"""The columns that a SQL rule of a contract reads, by DuckDB's own parse of it.

A rule is one SELECT over the table of its contract. Whether it reads a property that nobody may see is answered on the
safe side: what is not on a short list of forms counts as reading the whole row.
"""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from storymesh.engine.duckdb.syntax import MAX_PARSED, bare_session
from storymesh.engine.sql_text import quote_text
from storymesh.errors import EngineFailed

if TYPE_CHECKING:
    import duckdb

_TABLE_FUNCTIONS = frozenset({"range", "generate_series", "unnest"})
_REFUSED_FUNCTIONS = frozenset({
    "current_setting", "getenv", "getvariable", "query", "query_table", "which_secret", "write_log", "nextval",
    "currval", "current_database", "current_user", "session_user", "user", "in_search_path", "current_schemas",
    "sleep_ms", "json_execute_serialized_sql", "json_serialize_plan", "add_parquet_key", "sql_auto_complete",
})  # fmt: skip
_REFUSED_PREFIXES = ("duckdb_", "pragma_", "pg_", "read_", "sniff_", "parquet_", "glob", "enable_", "disable_")
_PLAIN = frozenset({
    "SELECT_NODE", "BASE_TABLE", "SUBQUERY", "JOIN", "EMPTY", "FUNCTION", "CONSTANT", "COMPARISON", "CONJUNCTION",
    "OPERATOR", "CASE", "CAST", "BETWEEN", "COLUMN_REF", "WINDOW",
})  # fmt: skip


@dataclass(frozen=True)
class RuleQuery:
    """A SQL rule that may be run; `reads_hidden`: its value may say something of a hidden column."""

    text: str
    reads_hidden: bool


def parse_rule(session: "duckdb.DuckDBPyConnection", text: str, table: str, hidden: Collection[str]) -> RuleQuery:
    """Return the rule `text` about `table`, of which nobody may see the columns `hidden`.

    Raises EngineFailed for what is not one SELECT that reads this table alone.
    """
    import duckdb

    statements = session.extract_statements(text)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise EngineFailed("a rule is one SELECT")
    # As a literal: for a parameter DuckDB imports pandas, which takes as long as a whole check.
    row = session.execute(f"SELECT json_serialize_sql({quote_text(text)}::VARCHAR, skip_empty := true)").fetchone()
    tree = json.loads(row[0]) if row else {}
    if tree.get("error"):
        # DuckDB serialises no PIVOT, SUMMARIZE or DESCRIBE.
        raise EngineFailed("a rule is one plain SELECT, without PIVOT, SUMMARIZE and the like")
    nodes = list(_nodes(tree))
    known = {table.lower(), *(str(name).lower() for node in nodes for name in _cte_names(node))}
    for node in nodes:
        _require_harmless(node, known)
    return RuleQuery(text, bool(hidden) and _reads_any(nodes, {name.lower() for name in hidden}, known))


def rule_fault(text: str, table: str) -> str | None:
    """Return what keeps a rule from being run, by its parse alone: no name in it is looked up. None: it parses."""
    import duckdb

    if len(text) > MAX_PARSED:
        return f"the query has more than {MAX_PARSED:,} characters"
    with bare_session().cursor() as session:
        try:
            parse_rule(session, text, table, ())
        except EngineFailed as error:
            return str(error)
        except duckdb.Error as error:
            return str(error).splitlines()[0].removeprefix("Parser Error: ")
    return None


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a parsed query. A query of a file is not nested deeper than its parser allows."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _cte_names(node: dict[str, Any]) -> Iterator[Any]:
    for entry in (node.get("cte_map") or {}).get("map") or []:
        yield entry.get("key")
    if node.get("type") in ("RECURSIVE_CTE_NODE", "CTE_NODE"):
        yield node.get("cte_name") or node.get("ctename")


def _require_harmless(node: dict[str, Any], known: Collection[str]) -> None:
    match node.get("type"):
        case "BASE_TABLE":
            name = str(node.get("table_name", ""))
            if node.get("catalog_name") or node.get("schema_name") or name.lower() not in known:
                raise EngineFailed(f"a rule reads its own table alone, not '{name}'")
        case "TABLE_FUNCTION":
            function = str((node.get("function") or {}).get("function_name", "")).lower()
            if function not in _TABLE_FUNCTIONS:
                raise EngineFailed(f"a rule reads its own table alone, not '{function}'")
        case "SHOW_REF":
            raise EngineFailed("a rule is one plain SELECT, without SUMMARIZE, DESCRIBE and SHOW")
        case _ if "function_name" in node:
            function = str(node["function_name"]).lower()
            if function in _REFUSED_FUNCTIONS or function.startswith(_REFUSED_PREFIXES):
                raise EngineFailed(f"a rule cannot call '{function}'")


def _reads_any(nodes: Collection[dict[str, Any]], hidden: Collection[str], tables: Collection[str]) -> bool:
    aliases = {str(node["alias"]).lower() for node in nodes if node.get("alias") and "table_name" in node}
    rows = {*tables, *aliases}
    for node in nodes:
        kind = node.get("class") or node.get("type")
        if "query_location" in node and kind not in _PLAIN:
            return True  # a star, a lambda, a positional reference: of which columns, the text does not say
        if node.get("column_name_alias") or node.get("using_columns") or node.get("ref_type") == "NATURAL":
            return True
        # The name of a table alone means its rows as a whole.
        names = [str(name).lower() for name in node.get("column_names") or ()]
        if not set(hidden).isdisjoint(names) or (len(names) == 1 and names[0] in rows):
            return True
    return False
