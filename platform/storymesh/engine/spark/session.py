"""Opening Spark: one session for each process and address, with the settings that results depend on."""

import logging
import re
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from storymesh.engine.engine import EngineUnreachable
from storymesh.errors import WrongUsage
from storymesh.redaction import redact

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# What an expression means may not hang on how a cluster is set up.
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
HINT = "see docs/how-to/scale-out.md"


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

    Raises WrongUsage where pyspark is not installed, EngineUnreachable where Spark cannot be reached.
    """
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as error:
        words = f"the engine 'spark' needs pyspark ({error})"
        raise WrongUsage(words, "pip install 'storymesh[spark]', and Java 17") from error
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what fails is raised, with these words
    try:
        session = _connected(address, SparkSession)
        with warnings.catch_warnings():  # of a setting that a later Spark may drop, whose default is ours too
            warnings.simplefilter("ignore", UserWarning)
            for name, value in {**(address.settings if address.remote else {}), **SETTINGS}.items():
                session.conf.set(name, value)
        _prefer(address, session, DEFAULTS)
    except (PySparkException, OSError, RuntimeError, ValueError, ImportError) as error:
        where = _shown(address)
        words = f"Spark at {where} does not answer: {first_line(error)}"
        raise EngineUnreachable(f"{words} ({HINT})") from error
    return session


def _prefer(address: SparkAddress, session: "SparkSession", defaults: Mapping[str, str]) -> None:
    """Set what no result depends on, unless the mesh's own settings have it or the server does not let us."""
    from pyspark.errors import PySparkException

    for name, value in defaults.items():
        if name not in address.settings:
            with suppress(PySparkException):
                session.conf.set(name, value)


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


def _set_retries(session: "SparkSession", retries: int) -> None:
    from pyspark.sql.connect.client.retries import DefaultPolicy

    session.client.set_retry_policies([DefaultPolicy(max_retries=retries)])


def _shown(address: SparkAddress) -> str:
    """Return an address without what stands behind it, such as a token."""
    return redact((address.remote or address.master or "").split(";")[0])


def is_gone(error: BaseException) -> bool:
    """Return True for an error that says that Spark no longer answers."""
    from py4j.protocol import Py4JNetworkError

    return isinstance(error, ConnectionError | Py4JNetworkError) or "RETRIES_EXCEEDED" in str(error)


def first_line(error: BaseException) -> str:
    """Return the first line of an error of Spark or of Java, without tokens and without the value that it quotes."""
    if "RETRIES_EXCEEDED" in str(error) and (reason := getattr(error.__cause__, "details", None)) is not None:
        return redact(f"no answer in {RETRIES + 1} tries: {reason()}")[:300]
    lines = [line for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    text = re.sub(r"[Tt]he value .* of the type", "a value of the type", text)
    return redact(re.sub(r"token=[^;\s]+", "token=…", text))[:300]
