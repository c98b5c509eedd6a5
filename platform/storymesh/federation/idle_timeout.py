"""A limit to how long a server may say nothing: one that hangs keeps its connection open, and no library gives up."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class IdleTimeout:
    """Calls `end` once nobody has waited in vain for longer than `seconds`. `expired` tells that it did."""

    def __init__(self, seconds: float, end: Callable[[], None]) -> None:
        self.seconds = seconds
        self.expired = False
        self._end = end
        self._heard = time.monotonic()
        self._waiting = True
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="silence of a server", daemon=True)
        self._thread.start()

    @contextmanager
    def heard(self) -> Iterator[None]:
        """While what came is handled, nobody waits for the server."""
        self._waiting = False
        try:
            yield
        finally:
            self._heard = time.monotonic()
            self._waiting = True

    def close(self) -> None:
        """Watch no longer."""
        self._done.set()

    def _watch(self) -> None:
        while not self._done.wait(max(0.05, min(1.0, self.seconds / 4))):
            if self._waiting and time.monotonic() - self._heard > self.seconds:
                self.expired = True
                self._end()
                return
