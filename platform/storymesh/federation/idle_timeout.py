"""A timeout for servers that send nothing: one that hangs keeps its connection open, and libraries wait for ever."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class IdleTimeout:
    """Calls `end` when the server has sent nothing for `seconds` while somebody waited; then `expired` is true."""

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
        """Pause the timeout while what arrived is handled."""
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
