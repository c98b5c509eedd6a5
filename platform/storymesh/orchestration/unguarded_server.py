"""Whether the web server that shows this mesh was started without the guard against other pages of a browser.

`dagster dev` and `dagster-webserver` started by hand load the mesh in processes below them: so these say it, since
nothing of the mesh runs in the server itself.
"""

import logging
import os
from pathlib import Path

_PROCESSES = Path("/proc")  # of Linux; elsewhere nobody is warned
_GUARDED = "storymesh.orchestration.guarded_dagster"
_MOST_PARENTS = 32
_LOG = logging.getLogger("storymesh")


def warn_of_unguarded_server() -> None:
    """Log a warning if one of the processes above this one is a web server of Dagster without the guard."""
    if is_below_unguarded_server(os.getppid()):
        _LOG.warning(
            "Dagster's web server was started by hand, so any page that a browser here shows can start and stop what "
            "this mesh does. End it and run `storymesh ui`, or `python -m %s dev`.",
            _GUARDED,
        )


def is_below_unguarded_server(process: int, processes: Path = _PROCESSES) -> bool:
    """Return True if `process` or one above it is `dagster dev` or `dagster-webserver`, and none is the guarded one."""
    found = False
    for _ in range(_MOST_PARENTS):
        try:
            words = (processes / str(process) / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            # The name in brackets may hold anything: what follows the last one is the state and the parent.
            process = int((processes / str(process) / "stat").read_bytes().rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            break
        if _GUARDED in words:
            return False
        found = found or _is_server(words)
    return found


def _is_server(words: list[str]) -> bool:
    names = [word.rpartition("/")[2] for word in words[:5]]
    program = next((name for name in names if name in ("dagster", "dagster-webserver", "dagster_webserver")), None)
    if program != "dagster":
        return program is not None
    return "dev" in names[names.index(program) + 1 :][:1]
