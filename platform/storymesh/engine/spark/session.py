"""Opening Spark: one session for each process and address, with the settings that results depend on."""

import logging
import re
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from storymesh.engine.spark.failures import HINT, first_line, is_gone, query_failure, start_failure
from storymesh.errors import StorymeshError, WrongUsage
from storymesh.redaction import redact

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# The meaning of an expression must not depend on how a cluster is set up.
SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    "spark.sql.caseSensitive": "true",
    "spark.sql.decimalOperations.allowPrecisionLoss": "false",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.variable.substitute": "false",
    "spark.sql.parser.escapedStringLiterals": "false",
    "spark.sql.mapKeyDedupPolicy": "EXCEPTION",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.parquet.inferTimestampNTZ.enabled": "true",
    "spark.sql.legacy.parquet.nanosAsLong": "false",
    # Each level of a nested query is resolved in a round of its own; a large template has more than the usual 100.
    "spark.sql.analyzer.maxIterations": "2000",
}
# How it is computed, where `mesh.yaml` says nothing else: no result depends on it, and a server may refuse it.
DEFAULTS = {
    # A part of a file is a task. Cases are small to read and dear to compute: with the 4 to 128 MiB that Spark takes by
    # itself, a core has two row groups while another has one or none. Of large products more is read at once.
    "spark.sql.files.maxPartitionBytes": "1m",
    "spark.sql.files.maxPartitionNum": "4000",
}
# Times that a call of a server is tried again, with longer and longer pauses: some twenty seconds in all. pyspark tries
# 15 times: it waits ten minutes for a server that has gone, also at the end of the process.
RETRIES = 5
LEAST_VERSION = 4  # what an earlier Spark makes of a query is not known


@dataclass(frozen=True)
class SparkAddress:
    """Where Spark runs: `remote`, a Spark Connect server (`sc://…`), or `master`, such as `local[2]` or `yarn`.

    `settings` are Spark's own, of the application for `master` and of the session for `remote`.
    """

    remote: str | None = None
    master: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


def open_session(address: SparkAddress) -> "SparkSession":
    """Return a session of its own at an address, without temporary views.

    Raises WrongUsage where pyspark is not installed or the server does not suit, EngineUnreachable where there is none.
    """
    try:
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as error:
        words = f"the engine 'spark' needs pyspark ({error})"
        raise WrongUsage(words, "pip install 'storymesh[spark]', and Java 17") from error
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what fails is raised, with these words
    try:
        session = _connected(address, SparkSession)
        version = session.version
    except (PySparkException, Py4JError, OSError, RuntimeError, ValueError, ImportError) as error:
        raise start_failure(_format_address(address), error, here=address.remote is None) from error
    try:
        if int(version.partition(".")[0]) < LEAST_VERSION:
            raise WrongUsage(f"at {_format_address(address)} is Spark {version}, not 4.0 or later", HINT)
        _configure(address, session)
    except StorymeshError:
        end_session(address, session)
        raise
    return session


def _configure(address: SparkAddress, session: "SparkSession") -> None:
    """Give a session its settings. Raises WrongUsage where Spark refuses what the mesh or a result needs."""
    where = _format_address(address)
    with warnings.catch_warnings():  # of a setting that a later Spark may drop, whose default is ours too
        warnings.simplefilter("ignore", UserWarning)
        for name, value in address.settings.items() if address.remote else ():
            if refusal := _refusal(session, name, value):
                words = f"Spark at {where} does not take {name}: {value}, which stands in mesh.yaml: {refusal}"
                raise WrongUsage(words, "what is of a server, such as its memory, is written where that is started")
        for name, value in SETTINGS.items():
            if (refusal := _refusal(session, name, value)) and name in refusal:
                words = f"Spark at {where} does not let a session have {name}: {value}, on which results depend"
                raise WrongUsage(f"{words}: {refusal}", "set it where the server is started")
            if refusal:
                words = f"Spark at {where} opens no session: {refusal}"
                raise WrongUsage(words, f"look at the settings in mesh.yaml, and at Spark's own; {HINT}")
        for name, value in DEFAULTS.items():
            if name not in address.settings:
                _refusal(session, name, value)


def _refusal(session: "SparkSession", name: str, value: str) -> str:
    """Set a setting, and return why Spark does not take it: nothing, where it has this value already."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        session.conf.set(name, value)
    except (PySparkException, Py4JError, OSError) as error:
        if is_gone(error):
            raise query_failure(error, " while it was set up", None) from error
        with suppress(PySparkException, Py4JError):
            if session.conf.get(name, None) == value:
                return ""
        return first_line(error)
    return ""


def _connected(address: SparkAddress, sessions: "type[SparkSession]") -> "SparkSession":
    if address.remote:
        session = sessions.builder.remote(address.remote).create()
        _set_retries(session, RETRIES)
        return session
    master = address.master or "local"
    builder = sessions.builder.appName("storymesh").master(master)
    quiet = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}
    for name, value in {**quiet, **address.settings}.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    if session.sparkContext.master != master:
        raise RuntimeError(f"this process works with Spark at {session.sparkContext.master} already")
    return session.newSession()


def end_session(address: SparkAddress, session: "SparkSession") -> None:
    """End a session of a server, which would keep it for an hour. Of a server that has gone nothing is waited for."""
    if address.remote:
        _set_retries(session, 0)
        session.stop()


def make_active(address: SparkAddress, session: "SparkSession") -> None:
    """Make a session of a server the one of this thread, to which pyspark gives what any session checkpoints."""
    if address.remote:
        type(session)._active_session.session = session


def is_cluster(session: "SparkSession") -> bool:
    """Return True unless one process is all of Spark, as at `local[2]`."""
    return re.fullmatch(r"local(\[.*\])?", session.conf.get("spark.master", None) or "") is None


def _set_retries(session: "SparkSession", retries: int) -> None:
    from pyspark.sql.connect.client.retries import DefaultPolicy

    session.client.set_retry_policies([DefaultPolicy(max_retries=retries)])


def _format_address(address: SparkAddress) -> str:
    """Return an address without what stands after it, such as a token."""
    return redact((address.remote or address.master or "").split(";")[0])
