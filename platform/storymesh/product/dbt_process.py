"""The process that becomes dbt: `python -m storymesh.product.dbt_process FOLDER HOME NAMES SECONDS ARGUMENTS…`.

Whoever starts dbt (storymesh, or an orchestrator that hands on its own environment) starts this instead. It goes to the
domain's FOLDER, leaves behind all of the environment that dbt has no need of but the variables of NAMES, and is dbt
from then on, for SECONDS at the most (0: as long as it likes), since a model may be made never to end.
"""

import os
import signal
import sys

from storymesh.process_environment import scrubbed_environment

# What an orchestrator tells dbt about the run. Others that begin with DBT_ may be secrets of whoever runs it.
_OF_THE_RUN = frozenset(
    {"DAGSTER_DBT_CLI", "DBT_INDIRECT_SELECTION", "DBT_LOG_FORMAT", "DBT_LOG_PATH", "DBT_PROFILES_DIR"}
    | {"DBT_PROJECT_DIR", "DBT_SEND_ANONYMOUS_USAGE_STATS", "DBT_TARGET_PATH", "DBT_USE_COLORS", "DBT_VERSION_CHECK"}
)
_LONGEST_S = 2**31 - 1


def dbt_command(folder: str, home: str, names: str, seconds: float) -> list[str]:
    """Return the command that runs dbt; `names` are variables of the environment that it may read, with commas."""
    # `-P`: a file in the folder in which dbt works is no module of it.
    return [sys.executable, "-P", "-m", "storymesh.product.dbt_process", folder, home, names, f"{seconds:.0f}"]


def was_ended(returncode: int | None) -> bool:
    """Return True if a process ended because it took longer than it may."""
    return hasattr(signal, "SIGALRM") and returncode == -signal.SIGALRM


def main() -> None:
    """Become dbt."""
    folder, home, names, seconds, *arguments = sys.argv[1:]
    environment = scrubbed_environment(home, names={*names.split(","), *_OF_THE_RUN})
    os.chdir(folder)
    if hasattr(signal, "alarm"):
        # It stays set when the process becomes another program, and ends that one, whatever it is doing.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
        signal.alarm(min(int(seconds), _LONGEST_S))
    # A new program and not a call: the environment of the old one would stay readable.
    os.execve(sys.executable, [sys.executable, "-P", "-m", "dbt.cli.main", *arguments], environment)  # noqa: S606


if __name__ == "__main__":
    main()
