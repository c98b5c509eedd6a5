"""`storymesh` with its libraries imported once: a line of JSON on standard input (arguments, what to add to the
environment, a file for what is said) starts the command in a process of its own; its id and, later, its exit code are
answered, a line each."""

import gc
import importlib
import json
import os
import pkgutil
import signal
import sys
import traceback
from pathlib import Path

import storymesh.cli
from storymesh.orchestration.dagster_internals import import_dagster_dbt
from storymesh.product.dbt_server import preloaded_dbt, server_address

sys.path.append(str(Path(__file__).parents[2]))
from tests.support.unsynced import no_wait_for_the_disk

sys.path.pop()

LIBRARIES = (
    *("dagster", "datasets", "datasketch", "duckdb", "huggingface_hub", "ibis.backends.duckdb"),
    *("phonenumbers", "pyarrow.compute"),
    *("pyarrow.dataset", "pyarrow.parquet", "pyiceberg.catalog.sql", "pyiceberg.io.pyarrow", "stdnum"),
)


def load() -> None:
    """Import what commands import when they first need it."""
    for name in LIBRARIES:
        importlib.import_module(name)
    import_dagster_dbt()
    for module in pkgutil.walk_packages(storymesh.__path__, "storymesh."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def load_for_dbt() -> None:
    """Have dbt imported, once for all commands, and what such meshes audit with."""
    if server_address():
        importlib.import_module("great_expectations")


def child(arguments: list[str], more: dict[str, str], out: str) -> int:
    os.environ.update(more)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by what a shell runs in the background
    file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(0)
    sys.argv = ["storymesh", *arguments]
    try:
        storymesh.cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    return 99


def serve() -> None:
    for line in sys.stdin:
        arguments, more, out = json.loads(line)
        if any(Path(arguments[-1]).glob("domains/*/dbt_project.yml")):
            load_for_dbt()
        process = os.fork()
        if process == 0:
            code = child(arguments, more, out)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


load()
gc.collect()
gc.freeze()  # each command would look through all that was imported, and copy it
with no_wait_for_the_disk(), preloaded_dbt():
    serve()
