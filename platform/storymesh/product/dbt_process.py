"""The process that becomes dbt: `python -m storymesh.product.dbt_process FOLDER HOME NAMES SECONDS SERVER ARGUMENTS…`.

Whoever starts dbt (storymesh, or an orchestrator that hands on its own environment) starts this instead. It goes to the
domain's FOLDER, leaves behind all of the environment that dbt has no need of but the variables of NAMES, and is dbt
from then on, for SECONDS at the most (0: as long as it likes), since a model may be made never to end. Where a SERVER
answers that has imported dbt already, a process forked from that one is dbt, and this one ends as it does.
"""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from storymesh.file_lock import hold_lock_until_exit
from storymesh.process_environment import scrubbed_environment
from storymesh.product.dbt_server import OF_THE_RUN, Request, ask_server, limit_time, server_address

_MAX_SECONDS = 2**31 - 1


def dbt_command(folder: str, home: str, names: str, seconds: float) -> list[str]:
    """Return the command that runs dbt; `names` are variables of the environment that it may read, with commas.

    Within `preloaded_dbt` it is for this moment: the server is started for it.
    """
    # `-P`: a file in the folder in which dbt works is no module of it.
    program = [sys.executable, "-P", "-m", "storymesh.product.dbt_process"]
    return [*program, folder, home, names, f"{seconds:.0f}", server_address()]


def was_ended(returncode: int | None) -> bool:
    """Return True if a process ended because it took longer than it may."""
    return hasattr(signal, "SIGALRM") and returncode == -signal.SIGALRM


def main() -> None:
    """Become dbt."""
    folder, home, names, seconds, server, *arguments = sys.argv[1:]
    # Of models that are built alone, a test that also reads others would fail on those that are not there yet.
    kept = scrubbed_environment(home, names={*names.split(","), *OF_THE_RUN})
    environment = {"DBT_INDIRECT_SELECTION": "buildable", **kept}
    limit = min(int(seconds), _MAX_SECONDS)
    if "build" in arguments:  # a killed run leaves its dbt behind, which may not have opened the database yet
        hold_lock_until_exit(Path(home).with_name("build.lock"))
    if server and (code := ask_server(server, Request(arguments, environment, folder, limit))) is not None:
        _end_as(code)
    os.chdir(folder)
    limit_time(limit)  # it stays set when the process becomes another program
    # A new program and not a call: the environment of the old one would stay readable.
    os.execve(sys.executable, [sys.executable, "-P", "-m", "dbt.cli.main", *arguments], environment)  # noqa: S606


def _end_as(code: int) -> None:
    """End with the exit code, or by the signal, of another process."""
    if code < 0:
        with suppress(OSError):  # what cannot be handled
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main()
