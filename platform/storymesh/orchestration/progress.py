"""Progress within a step: from the code that does the work to the log of the run, and to a listener in this process.

Dagster has no event for "so many rows so far". A listener of a run in this process gets it as a value; in Dagster's
user interface it is a line of the log.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import dagster as dg

LOG_INTERVAL_S = 2.0  # people cannot read more often

ProgressListener = Callable[[dg.AssetKey, str, int], None]
"""It is given the asset that is being made, the phase, and the rows so far (0 where nothing is counted)."""

_listener: ContextVar[ProgressListener | None] = ContextVar("progress_listener", default=None)


@contextmanager
def progress_listener(listener: ProgressListener) -> Iterator[None]:
    """Give the progress of every step that begins in this context to `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def progress_reporter(context: dg.AssetExecutionContext) -> Callable[[str, int], None]:
    """Return the callback of a step that makes one asset: it takes a phase and the rows so far.

    Each phase is reported at most every two seconds.
    """
    key, listener = context.asset_key, _listener.get()
    reported: dict[str, float] = {}

    def report(phase: str, rows: int) -> None:
        now = time.monotonic()
        if now - reported.get(phase, 0.0) < LOG_INTERVAL_S:
            return
        reported[phase] = now
        context.log.info(f"{phase} {rows:,} rows")
        if listener is not None:
            listener(key, phase, rows)

    return report
