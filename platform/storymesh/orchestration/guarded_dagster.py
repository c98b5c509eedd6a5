"""Dagster's own programs with its web server guarded against other pages of a browser.

    python -m storymesh.orchestration.guarded_dagster dev --workspace workspace.yaml
    python -m storymesh.orchestration.guarded_dagster webserver --host 0.0.0.0 --port 3000

The arguments are those of `dagster dev` and of `dagster-webserver`.
"""

import sys

from storymesh.orchestration.dagster_internals import run_dagster_dev, run_dagster_webserver

PROGRAMS = {"dev": run_dagster_dev, "webserver": run_dagster_webserver}


def main() -> None:
    """Run the program that the first argument names with the other arguments."""
    name, *arguments = sys.argv[1:] or [""]
    if name not in PROGRAMS:
        sys.exit(f"the first argument is one of {', '.join(PROGRAMS)}")
    PROGRAMS[name](arguments)


if __name__ == "__main__":
    main()
