"""Python's garbage collector, called seldom by work that makes many objects which live on or which it need not free."""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

_THRESHOLDS = (200_000, 20, 20)


def raise_gc_threshold() -> None:
    """Have this process look for garbage seldom, for good, and not once more when it ends: the system frees its memory
    at once. To look through what is left would take a short command a fifth of its time."""
    gc.set_threshold(*_THRESHOLDS)
    atexit.register(gc.freeze)


@contextmanager
def raised_gc_threshold() -> Iterator[None]:
    """Have the process look for garbage seldom meanwhile.

    A call of a model makes some thousand objects, which reference counting frees; a compiled narrative many that live
    on. The collector, which starts every 700, takes an eighth to a sixth of the time of either.
    """
    before = gc.get_threshold()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
