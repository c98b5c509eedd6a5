"""Run `dagster dev` on a mesh with the mesh's own instance, and end it cleanly on Ctrl-C."""

import os
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

STOP_S = 30


def serve_dagster(mesh: Mesh, host: str, port: int, announce: Callable[[str], None] = echo) -> int:
    """Serve until interrupted, and return the exit code; `announce` says the address.

    Raises WrongUsage when the port is taken.
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
    # A shell that starts this in the background has it ignore Ctrl-C, and the servers below would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # People open the page under the name that they gave.
    hosts = ",".join(filter(None, [os.environ.get(HOSTS), None if _is_address(host) else host]))
    process = subprocess.Popen(
        command,
        cwd=mesh.root,
        # Libraries warn those who write programs with them, not those who run this one.
        env={"PYTHONWARNINGS": "ignore", **os.environ, HOME: str(home), HOSTS: hosts},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    printer = threading.Thread(target=_print_safely, args=(process.stdout,), daemon=True)
    printer.start()
    # A supervisor stops this process alone: the servers below are told to clean up as Ctrl-C tells them.
    signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGINT))
    try:
        code = process.wait()
        printer.join(STOP_S)
    except KeyboardInterrupt:
        # The terminal has told the whole group already; a second signal would cut its cleaning up short.
        try:
            process.wait(STOP_S)
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            process.send_signal(signal.SIGTERM)
            process.wait()
        return 0
    return 0 if code in (-signal.SIGINT, -signal.SIGTERM) else code


def _is_address(host: str) -> bool:
    with suppress(ValueError):
        return bool(ip_address(host))
    return host == "localhost"


def _print_safely(output: IO[bytes]) -> None:
    """Print what the servers say, line by line, without what values and names in it would have a terminal do."""
    for line in output:
        print_output_of_program(line.decode("utf-8", "replace"))


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
