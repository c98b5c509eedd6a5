"""A bound of time for commands that only look: what a stranger's definitions or data cost there ends by itself."""

import functools
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from storymesh.engine.open import interrupt_sessions
from storymesh.errors import StorymeshError, WrongUsage

VARIABLE = "STORYMESH_TIME_LIMIT"
DEFAULT_S = 900.0
_AGAIN_S = 60.0  # until what swallowed the first signal gets another


class TimeLimitExceeded(StorymeshError):
    """A command that took longer than it may."""

    def __init__(self, seconds: float) -> None:
        words = f"it took longer than {seconds:g} s, so it was ended"
        super().__init__(words, f"{VARIABLE} sets how many seconds it may take, 0 for as long as it likes")


class _Expired(BaseException):
    """Passes by whoever handles an Exception, and becomes TimeLimitExceeded."""


def time_limited(command: Callable[..., None]) -> Callable[..., None]:
    """Return `command` with the bound of time that the environment sets."""

    @functools.wraps(command)
    def limited(*args: Any, **options: Any) -> None:
        with time_limit(_seconds()):
            command(*args, **options)

    return limited


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeLimitExceeded when what runs inside takes longer; 0: it may. Ctrl-C ends it too, whatever it is doing.

    By signals: so only on a process's first thread, and without a limit on Windows.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: set[int] = set()

    def end(number: int, _: object) -> None:
        came.add(number)
        raise KeyboardInterrupt if number == signal.SIGINT else _Expired

    with ExitStack() as ending:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            ending.callback(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, end))
        ending.enter_context(_signals_interrupt_engines())
        if seconds and hasattr(signal, "SIGALRM"):
            ending.callback(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, end))
            left = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN_S)
            ending.callback(signal.setitimer, signal.ITIMER_REAL, *left)
        try:
            yield
        except (Exception, _Expired):
            # An engine makes an error of its own of what a signal raises.
            if signal.SIGINT in came:
                raise KeyboardInterrupt from None
            if came:
                raise TimeLimitExceeded(seconds) from None
            raise


@contextmanager
def _signals_interrupt_engines() -> Iterator[None]:
    """Have every signal that comes to this process also end what its engines are doing, for Python to see it."""
    ours, pythons = socket.socketpair()
    pythons.setblocking(False)
    before = signal.set_wakeup_fd(pythons.fileno(), warn_on_full_buffer=False)

    def interrupt() -> None:
        while ours.recv(64):
            interrupt_sessions()

    watcher = threading.Thread(target=interrupt, name="signals", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        pythons.close()  # which ends the watcher
        watcher.join()
        ours.close()


def _seconds() -> float:
    written = os.environ.get(VARIABLE, "")
    try:
        seconds = float(written or DEFAULT_S)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise WrongUsage(f"{VARIABLE} is '{written}'", "say how many seconds, such as 600, or 0 for no end")
    return seconds
