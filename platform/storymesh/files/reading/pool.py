"""A pool of processes that read files: each within limits of memory and time, and replaced when it dies."""

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from storymesh.files.reading.messages import Connection, ConnectionEnded, reading_of
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
_WAITING = 4  # groups of files for each process that are read from the iterable ahead
_GROUP, _SMALL, _GROUP_BYTES = 16, 2**14, 2**16  # files at once, and bytes: as many as a socket takes before it is read
_QUICK: tuple[Kind, ...] = ("mail", "text", "html")
_TOLD_S = 0.05  # what has been read is handed on after this time at the latest


class _File(NamedTuple):
    key: Any
    source: Path | bytes
    kind: Kind
    options: Mapping[str, Any]

    def joins(self, group: "list[_File]") -> bool:
        """Return True for a small file that is read quickly, with others of its kind before it."""
        first = group[0]
        if self.kind not in _QUICK or (self.kind, self.options) != (first.kind, first.options):
            return False
        sizes = [len(file.source) if isinstance(file.source, bytes) else _GROUP_BYTES for file in (*group, self)]
        return max(sizes) <= _SMALL and sum(sizes) <= _GROUP_BYTES


_Result = tuple[Any, FileReading | Refused | BaseException]
_Waiting = queue.SimpleQueue[list[_File] | None]
_Done = queue.SimpleQueue[tuple[list[_Result], bool]]
"""Some results, and whether they are the last of their group."""


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
            for group in _groups(map(_File._make, files)):
                waiting.put(group)
                left += 1
                if len(threads) < min(self._workers, left):
                    threads.append(self._start(len(threads), waiting, done))
                while left >= self._workers * _WAITING or (left and not done.empty()):
                    results, last = done.get()
                    left -= last
                    yield from map(_raised, results)
            while left:
                results, last = done.get()
                left -= last
                yield from map(_raised, results)
        finally:
            self._stop(threads, waiting, abandoned=bool(left))

    def _start(self, index: int, waiting: _Waiting, done: _Done) -> threading.Thread:
        if self._folder is None:
            self._folder = self._closing.enter_context(temporary_folder("reading"))
        if index == len(self._processes):
            self._processes.append(ReaderProcess(self._folder, max(1, (os.cpu_count() or 1) // self._workers)))
        process, limits = self._processes[index], self._limits

        def serve() -> None:
            while (group := waiting.get()) is not None:
                results: list[_Result] = []
                told = time.monotonic()
                try:
                    for result in process.read_group(group, limits):
                        results.append(result)
                        if time.monotonic() - told > _TOLD_S:
                            done.put((results, False))
                            results, told = [], time.monotonic()
                except BaseException as error:  # it is raised where the results are read
                    results.append((group[0].key, error))
                done.put((results, True))

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


def _groups(files: Iterable[_File]) -> Iterator[list[_File]]:
    """Yield files that are sent to a process at once, the first ones alone: small ones of one kind, in their order.

    Raises ReaderMissing.
    """
    group: list[_File] = []
    given = 0
    for file in files:
        if not group or (file.kind, file.options) != (group[0].kind, group[0].options):
            reader_version(file.kind, file.options)
        if group and (len(group) >= min(_GROUP, 1 + given // _GROUP) or not file.joins(group)):
            given += len(group)
            yield group
            group = []
        group.append(file)
    if group:
        yield group


def _raised(found: _Result) -> tuple[Any, FileReading | Refused]:
    key, result = found
    if isinstance(result, BaseException):
        raise result
    return key, result


class ReaderProcess:
    """One process that reads files, started when it is needed and again after it has died."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._folder = folder
        self._threads = threads
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._ready: tuple[Kind, dict[str, Any]] | None = None

    def read(
        self, source: Path | bytes, kind: Kind, options: Mapping[str, Any], limits: FileLimits
    ) -> FileReading | Refused:
        """Return what is in one file."""
        [(_, result)] = self.read_group([_File(None, source, kind, options)], limits)
        return result

    def read_group(self, files: "Sequence[_File]", limits: FileLimits) -> "Iterator[tuple[Any, FileReading | Refused]]":
        """Yield what is in files of one kind, in their order. All are sent at once; where the process ends, it is known
        at which, and the others are sent to another one."""
        waiting = deque(files)
        while waiting:
            file = waiting[0]
            contents: list[bytes] = []
            for other in waiting:
                if isinstance(content := _bounded_content(other.source, limits.bytes), Refused):
                    break
                contents.append(content)
            if not contents:
                assert isinstance(content, Refused)
                yield waiting.popleft().key, content
            elif (refused := self._prepare(file.kind, file.options)) is not None:
                yield waiting.popleft().key, refused
            else:
                yield from self._read_some(waiting, contents, limits)

    def _read_some(
        self, waiting: "deque[_File]", contents: list[bytes], limits: FileLimits
    ) -> Iterator[tuple[Any, FileReading | Refused]]:
        """Yield what is in the first files, as long as the process lives, and take them from those that wait."""
        head = {"task": "read", "memory": limits.memory, "seconds": limits.seconds}
        found = reader_version(waiting[0].kind, waiting[0].options)
        for number in range(len(contents)):
            answer: dict[str, Any] = {}
            result: FileReading | Refused
            try:
                until = time.monotonic() + limits.seconds + _GRACE_S
                sent = [(head, content) for content in contents] if number == 0 else []
                answer, body = self._ask(sent, until, limits.bytes * 2 + _TEXT_ROOM)
                result = reading_of(answer, body, waiting[0].kind, found.reader, found.version)
            except TimeoutError:
                self._end(kill=True)
                result = Refused("too slow", f"it took longer than {limits.seconds:g} s")
            except (ConnectionEnded, ValueError):
                result = self._died(limits)
            if answer.get("last"):
                self.close()
            yield waiting.popleft().key, result
            if self._process is None:
                return

    def close(self) -> None:
        """End the process, which has nothing to do."""
        self._end(kill=True)

    def interrupt(self) -> None:
        """End what the process does now; whoever waits for it is answered at once."""
        if (process := self._process) is not None:
            process.kill()

    def _prepare(self, kind: Kind, options: Mapping[str, Any]) -> Refused | None:
        """Make sure that a process is ready for this kind; return why there is none."""
        wanted = (kind, dict(options))
        if self._ready == wanted and self._process is not None:
            return None
        if self._process is None:
            self._launch()
        try:
            request = {"task": "prepare", "kind": kind, "options": wanted[1]}
            answer, _ = self._ask([(request, b"")], time.monotonic() + _READY_S, _TEXT_ROOM)
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
        self._connection, self._ready = Connection(ours), None

    def _ask(
        self, messages: list[tuple[dict[str, Any], bytes]], until: float, most: int
    ) -> tuple[dict[str, Any], bytes]:
        """Send messages, and return the next answer."""
        connection = self._connection
        if connection is None:
            raise ConnectionEnded("it was closed")

        def set_time() -> None:
            if (left := until - time.monotonic()) <= 0:
                raise TimeoutError
            connection.socket.settimeout(left)

        if messages:
            set_time()
            connection.send(*messages)
        return connection.receive(most, set_time)

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


def _bounded_content(source: Path | bytes, limit: int) -> bytes | Refused:
    """Return the content of a file that may be read, or why it may not."""
    content = source if isinstance(source, bytes) else _content_of(source, limit)
    if isinstance(content, Refused):
        return content
    if not content:
        return Refused("empty")
    return Refused("too large", f"it has more than {limit:,} bytes") if len(content) > limit else content


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
