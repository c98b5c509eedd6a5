"""Files read by processes that a bad file cannot harm: each in bounds of memory and time, and replaced when it dies."""

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from storymesh.files.reading.messages import ConnectionEnded, reading_of, receive_message, send_message
from storymesh.files.reading.readers import reader_version
from storymesh.files.reading.reading import FileLimits, FileReading, Kind, Refused
from storymesh.input_file import InputFileRefused, open_input
from storymesh.process_environment import scrubbed_environment
from storymesh.temporary_folder import temporary_folder

Key = TypeVar("Key")
_READY_S = 180.0  # to import libraries and load a model
_GRACE_S = 1.0  # the process ends itself in time; where it cannot, it is ended after this
_ENDS_S = 1.0  # a process whose connection has ended ends by itself in this time, or is ended
_TEXT_ROOM = 2**28  # bytes of an answer beside those of its attachments
_OUT_OF_MEMORY = (signal.SIGABRT, signal.SIGKILL, signal.SIGTRAP)  # C++ without memory, the system's own way, Chrome's
_WAITING = 4  # files for each process that are read from the iterable ahead


class _File(NamedTuple):
    key: Any
    source: Path | bytes
    kind: Kind
    options: Mapping[str, Any]


_Waiting = queue.SimpleQueue[_File | None]
_Done = queue.SimpleQueue[tuple[Any, FileReading | Refused | BaseException]]


class ReaderPool:
    """Processes that read files. They start when there is something to read, and end with the pool.

    ```
    with ReaderPool(limits, workers=2) as pool:
        for key, result in pool.read_many((path, path, "mail", {}) for path in paths):
    ```
    """

    def __init__(self, limits: FileLimits | None = None, workers: int = 2) -> None:
        self._limits = limits or FileLimits()
        self._workers = max(1, workers)
        self._processes: list[ReaderProcess] = []
        self._closing = ExitStack()
        self._folder: Path | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.close()
        self._processes.clear()
        self._closing.close()
        self._folder = None

    def read_many(
        self, files: Iterable[tuple[Key, Path | bytes, Kind, Mapping[str, Any]]]
    ) -> Iterator[tuple[Key, FileReading | Refused]]:
        """Yield the key of each file with its reading or its refusal, in the order in which they are done.

        A path is of a regular file, and no link out of its folder. `files` is iterated here, a few files ahead of what
        is read. Raises ReaderMissing where a kind cannot be read on this machine at all.
        """
        waiting: _Waiting = queue.SimpleQueue()
        done: _Done = queue.SimpleQueue()
        threads: list[threading.Thread] = []
        left = 0
        try:
            for file in map(_File._make, files):
                reader_version(file.kind, file.options)
                waiting.put(file)
                left += 1
                if len(threads) < min(self._workers, left):
                    threads.append(self._start(len(threads), waiting, done))
                while left >= self._workers * _WAITING or (left and not done.empty()):
                    yield _result(*done.get())
                    left -= 1
            while left:
                yield _result(*done.get())
                left -= 1
        finally:
            self._stop(threads, waiting, abandoned=bool(left))

    def _start(self, index: int, waiting: _Waiting, done: _Done) -> threading.Thread:
        if self._folder is None:
            self._folder = self._closing.enter_context(temporary_folder("reading"))
        if index == len(self._processes):
            self._processes.append(ReaderProcess(self._folder, max(1, (os.cpu_count() or 1) // self._workers)))
        process, limits = self._processes[index], self._limits

        def serve() -> None:
            while (file := waiting.get()) is not None:
                try:
                    done.put((file.key, process.read(file.source, file.kind, file.options, limits)))
                except BaseException as error:  # it is raised where the results are read
                    done.put((file.key, error))

        thread = threading.Thread(target=serve, name=f"reader {index}", daemon=True)
        thread.start()
        return thread

    def _stop(self, threads: list[threading.Thread], waiting: _Waiting, *, abandoned: bool) -> None:
        """Let the threads end: what waits is taken away, and what is read now is ended where nobody asks for it."""
        with suppress(queue.Empty):
            while abandoned:
                waiting.get_nowait()
        for _ in threads:
            waiting.put(None)
        for thread, process in zip(threads, self._processes, strict=False):
            while thread.is_alive():
                if abandoned:
                    process.interrupt()
                thread.join(0.1)
            if abandoned:
                process.close()


def _result(key: Any, result: FileReading | Refused | BaseException) -> tuple[Any, FileReading | Refused]:
    if isinstance(result, BaseException):
        raise result
    return key, result


class ReaderProcess:
    """One process that reads files, started when it is needed and again after it has died."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._folder = folder
        self._threads = threads
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._ready: tuple[Kind, dict[str, Any]] | None = None

    def read(
        self, source: Path | bytes, kind: Kind, options: Mapping[str, Any], limits: FileLimits
    ) -> FileReading | Refused:
        """Return what is in one file."""
        content = source if isinstance(source, bytes) else _content_of(source, limits.bytes)
        if isinstance(content, Refused):
            return content
        if not content:
            return Refused("empty")
        if len(content) > limits.bytes:
            return Refused("too large", f"it has more than {limits.bytes:,} bytes")
        if (refused := self._prepare(kind, options)) is not None:
            return refused
        head = {"task": "read", "memory": limits.memory, "seconds": limits.seconds}
        try:
            until = time.monotonic() + limits.seconds + _GRACE_S
            answer, body = self._ask(head, content, until, limits.bytes * 2 + _TEXT_ROOM)
            found = reader_version(kind, options)
            result = reading_of(answer, body, kind, found.reader, found.version)
        except TimeoutError:
            self._end(kill=True)
            return Refused("too slow", f"it took longer than {limits.seconds:g} s")
        except (ConnectionEnded, ValueError):
            return self._died(limits)
        if answer.get("last"):
            self.close()
        return result

    def close(self) -> None:
        """End the process, which has nothing to do."""
        self._end(kill=True)

    def interrupt(self) -> None:
        """End what the process does now; whoever waits for it is answered at once."""
        if (process := self._process) is not None:
            process.kill()

    def _prepare(self, kind: Kind, options: Mapping[str, Any]) -> Refused | None:
        """Have a process that is ready for this kind; return why there is none."""
        wanted = (kind, dict(options))
        if self._ready == wanted and self._process is not None:
            return None
        if self._process is None:
            self._launch()
        try:
            request = {"task": "prepare", "kind": kind, "options": wanted[1]}
            answer, _ = self._ask(request, b"", time.monotonic() + _READY_S, _TEXT_ROOM)
        except (TimeoutError, ConnectionEnded):
            self._end(kill=True)
            return Refused("no reader", f"the reader of {kind} does not start")
        if "refused" in answer:
            self._ready = None
            return Refused("no reader", str(answer["refused"].get("detail", ""))[:1000])
        self._ready = wanted
        return None

    def _launch(self) -> None:
        ours, theirs = socket.socketpair()
        threads = str(self._threads)
        environment = scrubbed_environment(str(self._folder))
        environment |= {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "HF_HUB_OFFLINE": "1"}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "storymesh.files.reading.worker", str(theirs.fileno())],
                cwd=self._folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # an interrupt is for whoever waits for it
            )
        self._connection, self._ready = ours, None

    def _ask(self, head: dict[str, Any], body: bytes, until: float, most: int) -> tuple[dict[str, Any], bytes]:
        connection = self._connection
        if connection is None:
            raise ConnectionEnded("it was closed")

        def set_time() -> None:
            if (left := until - time.monotonic()) <= 0:
                raise TimeoutError
            connection.settimeout(left)

        set_time()
        send_message(connection, head, body)
        return receive_message(connection, most, set_time)

    def _died(self, limits: FileLimits) -> Refused:
        """Return what became of a file whose reader has ended."""
        code = self._end(kill=False)
        if code in (-signal.SIGALRM, -signal.SIGXCPU):
            return Refused("too slow", f"it took longer than {limits.seconds:g} s")
        if -code in _OUT_OF_MEMORY:
            words = f"it needs more than the {limits.memory:,} bytes that limits: memory gives its reader"
            return Refused("too large when opened", f"{words}, which was ended by {signal.Signals(-code).name}")
        ended = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        return Refused("reader crashed", f"its reader {ended}")

    def _end(self, *, kill: bool) -> int:
        """End the process and return its exit code, minus a signal."""
        process, self._process, self._ready = self._process, None, None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        if process is None:
            return 0
        if kill:
            process.kill()
        try:
            return process.wait(_ENDS_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def _content_of(path: Path, limit: int) -> bytes | Refused:
    """Return what is in a file, at most one byte more than the limit; or why it cannot be read."""
    try:
        with open_input(path, path.parent) as file:
            return file.read(limit + 1)
    except InputFileRefused as error:
        if not path.exists():
            return Refused("gone")
        wrong = "not a regular file" in error.reason
        return Refused("wrong type" if wrong else "no access", f"the file {error.reason}")
    except OSError as error:
        return Refused("no access", error.strerror or str(error))
