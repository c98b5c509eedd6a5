"""Outages of disks, files and servers: errors of the system and of libraries, explained for people.

Libraries raise what the system said in classes of their own, or only in words; here all of them become one error.
"""

import errno
import sqlite3
import tempfile
from collections.abc import Iterator

from storymesh.errors import PublishConflict, StorymeshError, TransformFailed

_TRANSIENT_ERRNOS = {
    getattr(errno, name)
    for name in (
        *("EAGAIN", "EBUSY", "EINTR", "ETXTBSY", "ENOLCK", "EDEADLK", "ESTALE", "ETIMEDOUT", "EPIPE"),
        *("ECONNRESET", "ECONNREFUSED", "ECONNABORTED", "EHOSTUNREACH", "EHOSTDOWN", "ENETUNREACH", "ENETRESET"),
    )
}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}
# Libraries that are not imported here for their names alone: package -> what its transient errors are called.
_TRANSIENT_NAMES = {
    "httpx": ("ConnectError", "Timeout", "ReadError", "WriteError", "ProtocolError"),
    "openai": ("APIConnectionError", "APITimeoutError", "RateLimitError", "InternalServerError"),
    "psycopg2": ("OperationalError", "InterfaceError"),
    "botocore": ("ConnectionError", "TimeoutError", "ConnectionClosedError"),
    "requests": ("ConnectionError", "Timeout"),
    "urllib3": ("ProtocolError", "TimeoutError", "NewConnectionError"),
}
# DuckDB, Arrow and SQLite say in words what the system, or a bucket, said to them.
_UNREACHED_PHRASES = (
    *("connection reset", "connection refused", "connection timed out", "could not establish connection"),
    *("aws error network_connection", "aws error slow_down", "aws error service_unavailable"),
)
_TRANSIENT_PHRASES = (
    *("could not set lock", "conflicting lock", "database is locked", "database table is locked", "timed out"),
    *("temporarily unavailable", *_UNREACHED_PHRASES),
)
_FULL_PHRASES = ("no space left", "disk is full", "disk quota exceeded", "file too large")
_FORBIDDEN_PHRASES = (
    *("read-only", "readonly", "permission denied", "unable to open database file"),
    *("aws error access_denied", "aws error no_such_bucket"),
)
_DAMAGED_PHRASES = ("disk image is malformed", "file is not a database", "not a valid duckdb database")


class ResourceUnavailable(StorymeshError):
    """A disk, a file or a server that is not available. `transient`: it may be soon."""

    def __init__(self, message: str, hint: str, *, transient: bool) -> None:
        super().__init__(message, hint)
        self.transient = transient


def is_transient(error: BaseException) -> bool:
    """Return True for an error whose cause may be gone in a moment: a lock, a connection, a time-out."""
    if isinstance(error, PublishConflict):
        return True
    if isinstance(error, ResourceUnavailable):
        return error.transient
    if isinstance(error, TransformFailed):  # dbt tells in words that its database did not answer
        return any(phrase in error.message.lower() for phrase in _UNREACHED_PHRASES)
    return not isinstance(error, StorymeshError) and any(_is_transient_itself(cause) for cause in _chain(error))


def as_unavailable(error: BaseException) -> ResourceUnavailable | None:
    """Explain a full or read-only disk, a damaged file of ours, a lock, or a server that does not answer.

    Returns None where `error` is none of these.
    """
    for cause in _chain(error):
        if isinstance(cause, MemoryError):  # Arrow's is one as well
            hint = "give it more, or let the engine take less of it, such as STORYMESH_MEMORY=1GB; then run again"
            words = " ".join(str(cause).split())[:300]
            return ResourceUnavailable(f"memory ran out{words and f': {words}'}", hint, transient=False)
        number = cause.errno if isinstance(cause, OSError) else None
        text = " ".join(str(cause).split())[:300]
        lower = text.lower()
        storage = isinstance(cause, OSError | sqlite3.Error) or _package(cause) in ("duckdb", "_duckdb", "pyarrow")
        if number in _FULL or (storage and any(phrase in lower for phrase in _FULL_PHRASES)):
            # A library seldom says where it wrote: queries spill to the one place, files go to the other.
            named = isinstance(cause, OSError) and cause.filename is not None
            where = "" if named else f" where the mesh is and in {tempfile.gettempdir()} (TMPDIR), whichever is full,"
            hint = f"make room{where} and run again: what was published stays as it is, and nothing is to be cleaned up"
            return ResourceUnavailable(f"there is no room to write: {text}", hint, transient=False)
        if number in _FORBIDDEN or (storage and any(phrase in lower for phrase in _FORBIDDEN_PHRASES)):
            hint = "give the user who runs this the right to it, then run again"
            return ResourceUnavailable(f"the system refuses access: {text}", hint, transient=False)
        if storage and any(phrase in lower for phrase in _DAMAGED_PHRASES):
            hint = "bring the file back from a copy, or remove it and run again"
            return ResourceUnavailable(f"a file of the store is damaged: {text}", hint, transient=False)
        if number == errno.EIO or (storage and "disk i/o error" in lower):
            return ResourceUnavailable(
                f"the disk does not read or write: {text}", "look after the disk", transient=False
            )
        if _is_transient_itself(cause):
            hint = "run again when what holds it, or does not answer, is well"
            return ResourceUnavailable(f"{type(cause).__name__}: {text}", hint, transient=True)
    return None


def is_database_error(error: BaseException) -> bool:
    """Return True if a database, such as Dagster's own, is among the causes of `error`."""
    return any(_package(cause) in ("sqlalchemy", "sqlite3", "psycopg2") for cause in _chain(error))


def _is_transient_itself(error: BaseException) -> bool:
    if isinstance(error, ConnectionError | TimeoutError | BlockingIOError | InterruptedError):
        return True
    if isinstance(error, OSError) and error.errno in _TRANSIENT_ERRNOS:
        return True
    package = _package(error)
    if type(error).__name__.endswith(_TRANSIENT_NAMES.get(package, ("\0",))):
        return True
    in_words = isinstance(error, sqlite3.OperationalError) or (isinstance(error, OSError) and error.errno is None)
    if in_words or package in ("duckdb", "_duckdb", "pyarrow", "sqlalchemy"):
        return any(phrase in str(error).lower() for phrase in _TRANSIENT_PHRASES)
    return False


def _package(error: BaseException) -> str:
    return type(error).__module__.partition(".")[0]


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what caused it, the innermost last."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
