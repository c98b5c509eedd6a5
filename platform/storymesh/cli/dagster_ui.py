"""Run `dagster dev` on a mesh with the mesh's own instance, and end it cleanly on Ctrl-C."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import IO

from storymesh.cli.output.console import echo, print_output_of_program
from storymesh.errors import WrongUsage
from storymesh.mesh.mesh import Mesh
from storymesh.orchestration.browser_guard import HOSTS
from storymesh.orchestration.instance import HOME, prepare_dagster_home
from storymesh.outage import ResourceUnavailable

STOP_S = 30
_GOING_ON = re.compile(r"(\x1b\[[\d;]*m)*\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+ - [\w.]+ - (INFO|DEBUG) - ")
_SERVER_ENDED = "An unexpected exception has occurred"  # its words follow its traceback
_TRACES = ("Stack Trace:", "Traceback (most recent call last):")
_ENDINGS = ("KeyboardInterrupt", "Aborted!")
_EXPLAINED = re.compile(r"^dagster[\w.]*\.Failure: ")


def serve_dagster(mesh: Mesh, host: str, port: int, announce: Callable[[str], None] = echo) -> None:
    """Serve until interrupted; `announce` says the address.

    Raises WrongUsage when the port is taken, ResourceUnavailable when the servers end by themselves.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise WrongUsage(f"{host}:{port} is not free: {error.strerror}", "name another with --port") from None
    home = prepare_dagster_home(mesh)
    command = [sys.executable, "-P", "-m", "storymesh.orchestration.guarded_dagster", "dev"]
    command += ["--host", host, "--port", str(port), "--workspace", str(workspace_of(mesh, home))]
    command += ["--log-level", "warning"]
    announce(f"Dagster on http://{host}:{port} (Ctrl-C ends it)")
    # People open the page under the name that they gave.
    hosts = ",".join(filter(None, [os.environ.get(HOSTS), None if _is_address(host) else host]))
    ending = _Shutdown()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A shell has what it starts in the background ignore Ctrl-C; `nohup` has it ignore SIGHUP, and means it.
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, ending.ask)
    process = subprocess.Popen(
        command,
        cwd=mesh.root,
        # Libraries warn those who write programs with them, not those who run this one.
        env={"PYTHONWARNINGS": "ignore", **os.environ, HOME: str(home), HOSTS: hosts},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # A terminal tells all processes of a group, a supervisor one: so the first one hears it from here, and once.
        start_new_session=True,
    )
    ending.begin(process)
    assert process.stdout is not None
    printer = threading.Thread(target=_print_safely, args=(process.stdout, ending), daemon=True)
    printer.start()
    code = process.wait()
    ending.end_rest()
    printer.join(STOP_S)
    if ending.asked or code in (-signal.SIGINT, -signal.SIGTERM):
        echo("stopped", err=True)
        return
    # Dagster ends with 0 also where one of its servers ended, and a supervisor would not begin again.
    hint = "start it again: what it was running is then marked as failed, and can be begun again from there"
    raise ResourceUnavailable("Dagster ended though nobody asked it to; why stands above", hint, transient=False)


class _Shutdown:
    """The end of the servers: the first is asked as Ctrl-C asks, so that it ends the others. After a while, or when it
    is asked again, all are told."""

    def __init__(self) -> None:
        self._first: subprocess.Popen[bytes] | None = None
        self.asked = False

    def begin(self, first: "subprocess.Popen[bytes]") -> None:
        """Take the first of the servers, and ask it if somebody has asked already."""
        self._first = first
        if self.asked:
            first.send_signal(signal.SIGINT)

    def ask(self, *_: object) -> None:
        if self.asked:
            self.end_rest()
            return
        self.asked = True
        if self._first is not None:
            self._first.send_signal(signal.SIGINT)
        timer = threading.Timer(STOP_S, self.end_rest)
        timer.daemon = True
        timer.start()

    def end_rest(self) -> None:
        """Tell every server and run that is left to end: those of the locations would look for the first for half a
        minute, and a run says that it was interrupted."""
        if self._first is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._first.pid, signal.SIGTERM)


def _is_address(host: str) -> bool:
    with suppress(ValueError):
        return bool(ip_address(host))
    return host == "localhost"


def _print_safely(output: IO[bytes], ending: _Shutdown) -> None:
    """Print what the servers say, line by line, without what values and names in it would have a terminal do, and
    without how they end when they are asked to.

    Sensors and runs also say here how they go on, which their pages show; no option of Dagster's leaves that out, nor
    the way through its own files to a failure that is explained, or to a server of its own that ended.
    """
    explained = in_trace = False
    for line in output:
        text = line.decode("utf-8", "replace")
        if ending.asked and (text.startswith((" ", *_TRACES, *_ENDINGS)) or not text.strip()):
            continue
        if in_trace and text.startswith(" "):
            continue
        in_trace = explained and text.startswith(_TRACES)
        if in_trace or _GOING_ON.match(text):
            continue
        words = _EXPLAINED.sub("", text)
        explained = words != text or _SERVER_ENDED in text or (explained and not text.strip())
        print_output_of_program(words)


def workspace_of(mesh: Mesh, home: Path) -> Path:
    """Return the path of the mesh's workspace.yaml; write one beside the instance where the mesh has none."""
    own = mesh.root / "workspace.yaml"
    if own.is_file():
        return own
    folders = [mesh.domain_folder(domain) for domain in mesh.domains]
    if mesh.narratives:
        folders.append(mesh.root / "narratives")
    lines = ["load_from:"]
    for folder in folders:
        lines += [
            "  - python_file:",
            f"      relative_path: {folder / 'definitions.py'}",
            f"      working_directory: {mesh.root}",
            f"      location_name: {folder.name}",
        ]
    generated = home / "workspace.yaml"
    generated.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return generated
