"""One process that has imported dbt, from which every dbt of a run is forked: the imports take most of a short build.

`python -m storymesh.product.dbt_server SOCKET` accepts connections of `dbt_process` on the listening socket of that
number until its standard input ends. Each is answered by the id of the forked process and, later, by its exit code, a
line each. It starts with nothing of an environment but what any dbt may have; what one dbt gets besides is read by its
own process only, after it was forked.
"""

import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, NoReturn

from storymesh.process_environment import scrubbed_environment
from storymesh.product.dbt_warmup import fork_unsafe_state, warm_up
from storymesh.temporary_folder import temporary_folder

# What an orchestrator tells dbt about the run. Others that begin with DBT_ may be secrets of whoever runs it.
OF_THE_RUN = frozenset(
    {"DAGSTER_DBT_CLI", "DBT_INDIRECT_SELECTION", "DBT_LOG_FORMAT", "DBT_LOG_PATH", "DBT_PROFILES_DIR"}
    | {"DBT_PROJECT_DIR", "DBT_SEND_ANONYMOUS_USAGE_STATS", "DBT_TARGET_PATH", "DBT_USE_COLORS", "DBT_VERSION_CHECK"}
)
_STOP_S = 10.0
_current: "DbtServer | None" = None
_starting = threading.Lock()


class Request(NamedTuple):
    """The start of one dbt: its arguments, its whole environment, its folder and its limit of time."""

    arguments: list[str]
    environment: dict[str, str]
    folder: str
    seconds: int


@contextmanager
def preloaded_dbt() -> Iterator[None]:
    """Fork every dbt of this process from a server that has imported dbt, which starts when it is first needed.

    Where processes cannot be forked safely, each dbt starts by itself, as without this.
    """
    global _current
    if _current is not None or sys.platform != "linux":
        yield
        return
    with temporary_folder("dbt") as folder:
        _current = server = DbtServer(folder)
        try:
            yield
        finally:
            _current = None
            server.close()


def is_preloaded() -> bool:
    """Return True within `preloaded_dbt`: one process makes whatever is to be made, so it is worth preparing for."""
    return _current is not None


def server_address() -> str:
    """Return the path of the socket of the server, which is started where it was not; empty: there is none."""
    return "" if _current is None else _current.address()


class DbtServer:
    """The server as its owner has it; it ends with its owner, after what was forked from it has ended."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "dbt.socket"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def address(self) -> str:
        with _starting, suppress(OSError):  # the path of a socket has a limit
            if self._process is None:
                self._process = self._start()
            return str(self._path)
        return ""

    def close(self) -> None:
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.terminate()  # which ends it where it still imports dbt, and nobody has to wait for that
        with suppress(subprocess.TimeoutExpired):  # a dbt that was left behind ends by itself
            self._process.wait(_STOP_S)

    def _start(self) -> "subprocess.Popen[bytes]":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self._path))
            listener.listen()
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "storymesh.product.dbt_server", str(listener.fileno())],
                cwd="/",
                env=scrubbed_environment(str(self._folder), names=OF_THE_RUN),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[listener.fileno()],
            )


def ask_server(address: str, request: Request) -> int | None:
    """Let the server run dbt with this process's output, and return its exit code, minus the signal that ended it.

    None: no server answers. Interrupts are handed on; if this process is killed, so is that dbt.
    """
    body = json.dumps(request._asdict()).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(address)
            socket.send_fds(connection, [len(body).to_bytes(8, "big")], [1, 2])
            connection.sendall(body)
        except OSError:
            return None
        with connection.makefile() as answers:
            if not (answer := answers.readline()):
                return None
            process = int(answer)

            def hand_on(number: int, _: object) -> None:
                with suppress(ProcessLookupError):
                    os.kill(process, number)

            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, hand_on)
            return int(answers.readline() or 1)


def limit_time(seconds: int) -> None:
    """End this process after so many seconds, whatever it is doing, and whatever program it has become."""
    if hasattr(signal, "alarm"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
        signal.alarm(seconds)


def main() -> None:
    """Serve; in each forked process, be dbt."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the dbt, which the terminal asks too
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # whatever the owner does with it
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    listener = socket.socket(fileno=int(sys.argv[1]))
    before = fork_unsafe_state()
    warm_up(Path.home() / "rehearsal")
    if fork_unsafe_state() != before:
        sys.exit()  # each dbt starts by itself then
    gc.freeze()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # from now on it ends with its standard input
    _become_dbt(_serve(listener))


def _serve(listener: socket.socket) -> Request:
    """Answer until the owner has gone and what was forked has ended, and exit. Return in each forked process, with
    what it was asked for."""
    waiting = select.poll()
    waiting.register(listener, select.POLLIN)
    waiting.register(sys.stdin, select.POLLIN)
    asked: dict[int, _Forked] = {}  # by the socket of who asked
    ending: dict[int, _Forked] = {}  # by the pipe that tells of the end
    while True:
        for number, _ in waiting.poll():
            if number == listener.fileno():
                client, _ = listener.accept()
                ends, held = os.pipe()  # nobody else holds it: it closes when the forked process has ended
                process = os.fork()
                if process == 0:
                    signal.signal(signal.SIGTERM, signal.SIG_DFL)
                    return _receive(client, held)
                os.close(held)
                forked = asked[client.fileno()] = ending[ends] = _Forked(process, client)
                forked.answer(process)
                waiting.register(client, 0)  # that is, for its end: what it says is not for this process
                waiting.register(ends, select.POLLIN)
            elif number == sys.stdin.fileno():
                waiting.unregister(sys.stdin)
                waiting.unregister(listener)
                listener.close()
            elif number in ending:
                forked = ending.pop(number)
                forked.answer(os.waitstatus_to_exitcode(os.waitpid(forked.process, 0)[1]))
                if asked.pop(forked.client.fileno(), None) is not None:
                    waiting.unregister(forked.client)
                waiting.unregister(number)
                forked.client.close()
                os.close(number)
            elif number in asked:  # who asked has gone
                waiting.unregister(number)
                os.kill(asked.pop(number).process, signal.SIGKILL)
        if listener.fileno() < 0 and not ending:
            sys.exit()


class _Forked(NamedTuple):
    process: int
    client: socket.socket

    def answer(self, number: int) -> None:
        with suppress(OSError):  # who asked may have gone
            self.client.sendall(f"{number}\n".encode())


def _receive(client: socket.socket, held: int) -> Request:
    """Return what the client asks for, and write where it writes. Of all open files only those and `held` stay."""
    head, outputs, _, _ = socket.recv_fds(client, 8, 2)
    with client.makefile("rb") as asked:
        request = Request(**json.loads(asked.read(int.from_bytes(head, "big"))))
    for number, output in enumerate(outputs, 1):
        os.dup2(output, number)
    os.dup2(held, 3, inheritable=False)
    client.detach()
    os.closerange(4, os.sysconf("SC_OPEN_MAX"))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    return request


def _become_dbt(request: Request) -> NoReturn:
    from dbt.cli.main import cli

    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(request.environment)
    os.chdir(request.folder)
    limit_time(request.seconds)
    sys.argv = ["dbt", *request.arguments]
    cli()
    sys.exit()


if __name__ == "__main__":
    main()
