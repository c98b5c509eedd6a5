"""`storymesh` with its libraries imported once: a line of JSON on standard input (arguments, a file for what is said)
starts the command in a process of its own; its id and, later, its exit code are answered, a line each."""

import json
import os
import sys
import traceback

import dagster
import great_expectations.core
import great_expectations.expectations
import pyiceberg.catalog.sql
import pyiceberg.io.pyarrow

import storymesh.cli
import storymesh.contract.audit
import storymesh.dataset.build
import storymesh.mesh.check
import storymesh.orchestration.run.execute
import storymesh.product.publish

__all__ = ["dagster", "great_expectations", "pyiceberg", "storymesh"]


def child(arguments: list[str], out: str) -> int:
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
        arguments, out = json.loads(line)
        process = os.fork()
        if process == 0:
            code = child(arguments, out)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


serve()
