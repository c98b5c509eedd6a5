"""A higher recursion limit while SQL is generated: expressions may be nested deeper than Python's default allows."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# sqlglot takes some five calls for each level. At six times Python's 1,000 calls the system's stack is far away for the
# recursion of any library, also of one in C.
_CALLS = 6_000
_lock = threading.Lock()
_within: list[int] = []  # the limits that were met on entering, of all threads: the first is restored by the last


@contextmanager
def deep_nesting() -> Iterator[None]:
    """Raise the recursion limit. It stays low elsewhere, where it also bounds what people write."""
    with _lock:
        _within.append(sys.getrecursionlimit())
        sys.setrecursionlimit(max(_CALLS, _within[0]))
    try:
        yield
    finally:
        with _lock:
            limit = _within[0]
            _within.pop()
            if not _within:
                sys.setrecursionlimit(limit)
