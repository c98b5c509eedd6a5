"""A process that reads files: one after the other, within bounds of the system that a file cannot lift.

`python -m storymesh.files.reading.worker SOCKET` answers on the socket of that number until it is closed. To be ready
(`prepare`) may take long, when a model is loaded; the bounds hold for what one file takes beyond that.
"""

import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

from storymesh.files.reading.messages import Connection, ConnectionEnded, content_message, refusal_message
from storymesh.files.reading.passages import FileContent
from storymesh.files.reading.readers import ReaderMissing, load_reader
from storymesh.files.reading.reading import FileRefused, Refused

_GROWN = 0.5  # the share of a file's memory by which the process may stay larger before another takes its place
_TEMPORARY_SIZE = 0  # bytes of a file that it may write


def main() -> None:
    """Answer requests until the connection ends."""
    connection = Connection(socket.socket(fileno=int(sys.argv[1])))
    _forbid_files()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    reader: Callable[[bytes], FileContent] | None = None
    ready_size = 0
    with suppress(ConnectionEnded):
        while True:
            head, content = connection.receive()
            if head["task"] == "prepare":
                try:
                    reader, answer = load_reader(head["kind"], head["options"]), {"ready": True}
                except ReaderMissing as error:
                    reader, answer = None, refusal_message(Refused("no reader", str(error)))
                except Exception as error:  # a library that is there and does not work
                    words = f"{type(error).__name__}: {error}"
                    reader, answer = None, refusal_message(Refused("no reader", words[:500]))
                ready_size = _resident()
                connection.send((answer, b""))
                continue
            assert reader is not None
            message, attached = _read_bounded(reader, content, head["memory"], head["seconds"])
            del content
            message["last"] = _resident() > ready_size + _GROWN * head["memory"]
            connection.send((message, attached))
            del message, attached


def _read_bounded(
    reader: Callable[[bytes], FileContent], content: bytes, memory: int, seconds: float
) -> tuple[dict[str, Any], bytes]:
    """Return what the reader says of a file. The system ends this process where it takes longer."""
    _limit_memory(_addresses() + memory)
    # Ends the process whatever it does, also when nobody is left who waits for it.
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return content_message(reader(content))
    except FileRefused as error:
        return refusal_message(error.refused), b""
    except MemoryError:
        return refusal_message(Refused("too large when opened", f"it takes more than {_size(memory)} of memory")), b""
    except RecursionError:
        return refusal_message(Refused("too large when opened", "it is nested too deep")), b""
    except Exception as error:  # whatever a library meets in a file that is not what it expects
        words = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return refusal_message(Refused("damaged", words)), b""
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        _limit_memory(None)


def _size(memory: int) -> str:
    return f"{memory / 10**9:,.1f} GB" if memory >= 10**9 else f"{memory / 10**6:,.0f} MB"


def _limit_memory(limit: int | None) -> None:
    with suppress(ImportError, ValueError, OSError):
        import resource

        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (hard if limit is None else limit, hard))


def _forbid_files() -> None:
    """Let this process write no file, and leave no core."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
            resource.setrlimit(kind, (_TEMPORARY_SIZE, _TEMPORARY_SIZE))


def _addresses() -> int:
    return _pages(0)


def _resident() -> int:
    return _pages(1)


@cache
def _statm() -> int | None:
    with suppress(OSError):
        return os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    return None


def _pages(field: int) -> int:
    """Return the bytes of a field of `/proc/self/statm`; 0 where the system has none."""
    if (file := _statm()) is None:
        return 0
    return int(os.pread(file, 200, 0).split()[field]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
