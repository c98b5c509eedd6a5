"""The process that becomes dbt: `python -m storymesh.product.dbt_process FOLDER HOME NAMES ARGUMENTS…`.

Whoever starts dbt (storymesh, or an orchestrator that hands on its own environment) starts this instead. It goes to the
domain's FOLDER, leaves behind all of the environment that dbt has no need of but the variables of NAMES, and is dbt
from then on.
"""

import os
import sys

from storymesh.process_environment import scrubbed_environment

# What an orchestrator tells dbt about the run.
_PREFIXES = ("DBT_", "DAGSTER_DBT_")


def dbt_command(folder: str, home: str, names: str) -> list[str]:
    """Return the command that runs dbt; `names` are variables of the environment that it may read, with commas."""
    # `-P`: a file in the folder in which dbt works is no module of it.
    return [sys.executable, "-P", "-m", "storymesh.product.dbt_process", folder, home, names]


def main() -> None:
    """Become dbt."""
    folder, home, names, *arguments = sys.argv[1:]
    environment = scrubbed_environment(home, names=names.split(","), prefixes=_PREFIXES)
    os.chdir(folder)
    # A new program and not a call: the environment of the old one would stay readable.
    os.execve(sys.executable, [sys.executable, "-P", "-m", "dbt.cli.main", *arguments], environment)  # noqa: S606


if __name__ == "__main__":
    main()
