"""Which engine runs: the one place that names the engines."""

import sys
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storymesh.engine.engine import Engine, OpenEngine

DBT_PLUGIN = "storymesh.engine.duckdb.dbt_plugin"  # the module that confines the engine's database inside dbt


def open_engine(
    *, memory: str | None = None, threads: int | None = None, only: Iterable[Path] | None = None
) -> "Engine":
    """Return a new session of the default engine, DuckDB in this process; see `OpenEngine` for `only`."""
    from storymesh.engine.duckdb.engine import DuckDBEngine

    return DuckDBEngine(memory=memory, threads=threads, only=only)


def open_spark(*, remote: str | None, master: str | None, settings: Mapping[str, str]) -> "OpenEngine":
    """Return what opens Spark at a place: `remote` or `master`, with `settings` of Spark's own."""

    def open_session(*, only: Iterable[Path] | None = None) -> "Engine":
        from storymesh.engine.spark.engine import SparkEngine
        from storymesh.engine.spark.session import SparkAddress

        return SparkEngine(SparkAddress(remote, master, settings), only=only)

    return open_session


def settings_of_storymesh() -> Mapping[str, str]:
    """Return the settings of Spark that every session has, by name: results hang on them."""
    from storymesh.engine.spark.session import SETTINGS

    return SETTINGS


def prestarted_workers() -> AbstractContextManager[None]:
    """Start the processes in which the default engine runs untrusted SQL before there is work for them."""
    from storymesh.engine.duckdb import isolated_process

    return isolated_process.prestarted_workers()


def check_engine_settings() -> None:
    """Raise WrongUsage for what the environment says of the default engine and it cannot have."""
    from storymesh.engine.duckdb import machine

    machine.check_settings()


def end_idle_threads() -> None:
    """End the threads that the default engine starts when it is imported, which a forked process would not have."""
    from storymesh.engine.duckdb import connection

    connection.close_default_session()


def interrupt_sessions() -> None:
    """End what sessions of the default engine in this process are doing, with EngineFailed where it was asked for.

    A signal alone does not: an engine at work lets Python see none.
    """
    if (connection := sys.modules.get("storymesh.engine.duckdb.connection")) is not None:
        connection.interrupt_sessions()


def regex_fault(pattern: str) -> str | None:
    """Return what keeps the default engine from running a regular expression in linear time; None: it runs."""
    from storymesh.engine.duckdb import syntax

    return syntax.regex_fault(pattern)


def rule_fault(query: str, table: str) -> str | None:
    """Return what keeps the default engine from running a SQL rule of `table`, by its parse alone; None: it parses."""
    from storymesh.engine.duckdb import rule_query

    return rule_query.rule_fault(query, table)


def syntax_fault(query: str) -> tuple[int, str] | None:
    """Return the line and the words of the first error of syntax that the default engine finds in a query; None: it
    parses."""
    from storymesh.engine.duckdb import syntax

    return syntax.syntax_fault(query)


def without_values(message: str) -> str:
    """Return an error of the default engine, also as dbt hands it on, without the values that it quotes."""
    from storymesh.engine.duckdb import error_words

    return error_words.without_values(message)


def unsniffable_file(message: str) -> str | None:
    """Return the CSV file of which an error of the default engine says that it cannot tell how it is laid out."""
    from storymesh.engine.duckdb import error_words

    return error_words.unsniffable_file(message)
