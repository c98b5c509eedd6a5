"""What a step may fail with, and what follows from it: what passes by itself is tried again, later each time; what a
person has to mend fails once, in words. What neither explains stays an error of its own, with its traceback.
"""

import errno
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg

from storymesh.errors import PublishConflict, StorymeshError, TransformFailed

RETRIES = 3
FIRST_WAIT_S = 2.0
LONGER = 4  # each wait is so many times the one before: 2, 8, 32 s

_PASSING = {
    getattr(errno, name)
    for name in (
        *("EAGAIN", "EBUSY", "EINTR", "ETXTBSY", "ENOLCK", "EDEADLK", "ESTALE", "ETIMEDOUT", "EPIPE"),
        *("ECONNRESET", "ECONNREFUSED", "ECONNABORTED", "EHOSTUNREACH", "EHOSTDOWN", "ENETUNREACH", "ENETRESET"),
    )
}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}
# Libraries that are not imported here for their names alone: package -> what its passing errors are called.
_PASSING_NAMES = {
    "httpx": ("ConnectError", "Timeout", "ReadError", "WriteError", "ProtocolError"),
    "openai": ("APIConnectionError", "APITimeoutError", "RateLimitError", "InternalServerError"),
    "psycopg2": ("OperationalError", "InterfaceError"),
    "botocore": ("ConnectionError", "TimeoutError", "ConnectionClosedError"),
    "requests": ("ConnectionError", "Timeout"),
    "urllib3": ("ProtocolError", "TimeoutError", "NewConnectionError"),
}
# DuckDB, Arrow and SQLite say in words what the system, or a bucket, said to them.
_UNREACHED_WORDS = (
    *("connection reset", "connection refused", "connection timed out", "could not establish connection"),
    *("aws error network_connection", "aws error slow_down", "aws error service_unavailable"),
)
_PASSING_WORDS = (
    *("could not set lock", "conflicting lock", "database is locked", "database table is locked", "timed out"),
    *("temporarily unavailable", *_UNREACHED_WORDS),
)
_FULL_WORDS = ("no space left", "disk is full", "disk quota exceeded", "file too large")
_FORBIDDEN_WORDS = (
    *("read-only", "readonly", "permission denied", "unable to open database file"),
    *("aws error access_denied", "aws error no_such_bucket"),
)
_DAMAGED_WORDS = ("disk image is malformed", "file is not a database", "not a valid duckdb database")


class Unavailable(StorymeshError):
    """What the data lies on, or a server, did not do its part. `passing`: it may do so in a moment."""

    def __init__(self, words: str, hint: str, *, passing: bool) -> None:
        super().__init__(words, hint)
        self.passing = passing


@contextmanager
def explained(attempt: int | None = None) -> Iterator[None]:
    """Whatever a step raises, as Dagster is to treat it; `attempt` counts from 0, and is None where none follows.

    Raises dg.RetryRequested for what passes by itself, dg.Failure without retries for everything else that has words.
    """
    try:
        yield
    except StorymeshError as error:
        if attempt is not None and is_passing(error):
            raise again(attempt) from failure(error)
        raise failure(error) from None
    except Exception as error:
        known = unavailable(error)
        if known is None:
            raise
        if attempt is not None and known.passing:
            raise again(attempt) from failure(known)
        raise failure(known) from error


def failure(error: StorymeshError, metadata: Mapping[str, Any] | None = None) -> dg.Failure:
    """`error` as Dagster records it; trying again would change nothing."""
    text = f"{error.message} ({error.hint})" if error.hint else error.message
    return dg.Failure(text, metadata={**(metadata or {}), "hint": error.hint or "-"}, allow_retries=False)


def again(attempt: int) -> dg.RetryRequested:
    """Another attempt, after a wait that grows; after the last Dagster fails with what this was raised from."""
    return dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=FIRST_WAIT_S * LONGER**attempt)


def is_passing(error: BaseException) -> bool:
    """Whether `error` comes from something that may be gone in a moment: a lock, a connection, a time-out."""
    if isinstance(error, PublishConflict):
        return True
    if isinstance(error, Unavailable):
        return error.passing
    if isinstance(error, TransformFailed):  # dbt tells in words that its database did not answer
        return any(words in error.message.lower() for words in _UNREACHED_WORDS)
    return not isinstance(error, StorymeshError) and any(_passes(one) for one in _chain(error))


def unavailable(error: BaseException) -> Unavailable | None:
    """`error` in words, where it is a full or read-only disk, a damaged file of ours, a lock, or a server that does not
    answer; None where it is none of these."""
    for one in _chain(error):
        number = one.errno if isinstance(one, OSError) else None
        said = " ".join(str(one).split())[:300]
        lower = said.lower()
        storage = isinstance(one, OSError | sqlite3.Error) or _package(one) in ("duckdb", "_duckdb", "pyarrow")
        if number in _FULL or (storage and any(words in lower for words in _FULL_WORDS)):
            hint = "make room and run again: what was published stays as it is, and nothing has to be cleaned up"
            return Unavailable(f"there is no room to write: {said}", hint, passing=False)
        if number in _FORBIDDEN or (storage and any(words in lower for words in _FORBIDDEN_WORDS)):
            hint = "give the user who runs this the right to it, then run again"
            return Unavailable(f"the system refuses access: {said}", hint, passing=False)
        if storage and any(words in lower for words in _DAMAGED_WORDS):
            hint = "bring the file back from a copy, or remove it and run again"
            return Unavailable(f"a file of the store is damaged: {said}", hint, passing=False)
        if number == errno.EIO or (storage and "disk i/o error" in lower):
            return Unavailable(f"the disk does not read or write: {said}", "look after the disk", passing=False)
        if _passes(one):
            hint = "run again when what holds it, or does not answer, is well"
            return Unavailable(f"{type(one).__name__}: {said}", hint, passing=True)
    return None


def is_of_database(error: BaseException) -> bool:
    """Whether a database, such as Dagster's own, has a part in it."""
    return any(_package(one) in ("sqlalchemy", "sqlite3", "psycopg2") for one in _chain(error))


def _passes(error: BaseException) -> bool:
    if isinstance(error, ConnectionError | TimeoutError | BlockingIOError | InterruptedError):
        return True
    if isinstance(error, OSError) and error.errno in _PASSING:
        return True
    package = _package(error)
    if type(error).__name__.endswith(_PASSING_NAMES.get(package, ("\0",))):
        return True
    in_words = isinstance(error, sqlite3.OperationalError) or (isinstance(error, OSError) and error.errno is None)
    if in_words or package in ("duckdb", "_duckdb", "pyarrow", "sqlalchemy"):
        return any(words in str(error).lower() for words in _PASSING_WORDS)
    return False


def _package(error: BaseException) -> str:
    return type(error).__module__.partition(".")[0]


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from, the innermost last."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
