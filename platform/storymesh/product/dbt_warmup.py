"""A small project that dbt parses once in the process that others are forked from, so that they find done what dbt does
only when it is first needed: classes made from types, JSON Schemas, the macros of dbt and of its adapter read.

Without it, that takes most of the time of parsing a project of ten models, and a third of that of building it.
"""

import gc
import os
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.engine.open import end_idle_threads

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunnerResult

_LIBRARIES = ("dbt.cli.main", "dbt.parser.manifest", "dbt.task.build", "dbt.adapters.duckdb", "agate")
_NAME = "storymesh_rehearsal"
_FILES = {
    "dbt_project.yml": f"""\
name: {_NAME}
version: 1.0.0
config-version: 2
profile: {_NAME}
models: {{{_NAME}: {{+materialized: table}}}}
data_tests: {{+severity: warn}}
""",
    "profiles.yml": f"{_NAME}: {{target: none, outputs: {{none: {{type: duckdb, path: ':memory:', threads: 1}}}}}}\n",
    "macros/macros.sql": "{% macro one() %}1{% endmacro %}\n",
    "models/first.sql": "{{ config(materialized='view') }}\nselect {{ one() }} as number\n",
    "models/second.sql": "select number from {{ ref('first') }} join {{ source('elsewhere', 'table') }} using(number)",
    "models/models.yml": """\
models:
  - name: second
    description: A model.
    columns:
      - {name: number, description: A number., data_tests: [unique, not_null]}
sources:
  - name: elsewhere
    tables: [{name: table, config: {meta: {external_location: "table"}}, columns: [{name: number}]}]
""",
    "tests/test.sql": "select * from {{ ref('second') }} where number is null\n",
}


def warm_up(folder: Path) -> "dbtRunnerResult":
    """Parse a project in the empty `folder`, and return what came of it. Nothing of it stays in this process but what
    dbt has made for any project."""
    import dbt.mp_context

    # dbt locks what it has between processes that it never starts. Locks of `spawn` bring a process along.
    dbt.mp_context._MP_CONTEXT = get_context("fork")  # type: ignore[assignment]
    for name in _LIBRARIES:
        import_module(name)
    from dbt.adapters.factory import reset_adapters
    from dbt.cli.main import dbtRunner
    from dbt_common.tests import enable_test_caching

    enable_test_caching()  # macros by their texts: "test" is who else has use for it
    for name, text in _FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    options = [part for name in ("project-dir", "profiles-dir", "target-path") for part in (f"--{name}", str(folder))]
    # The static parser, which reads models without rendering them, starts threads. It is quick at any time. A log would
    # stay open, and be closed by the next dbt under a number that may be another file's by then.
    quiet = ["--no-static-parser", "--no-send-anonymous-usage-stats", "--log-level-file", "none"]
    result = dbtRunner().invoke([*quiet, "parse", *options])
    reset_adapters()  # type: ignore[no-untyped-call]
    end_idle_threads()
    gc.collect()
    return result


def fork_unsafe_state() -> tuple[int, bool, list[str]]:
    """Return the count of threads of this process, whether it has started processes, and its open files: what a forked
    process would lack, or would close."""
    try:
        os.waitpid(-1, os.WNOHANG)
        has_children = True
    except ChildProcessError:
        has_children = False
    threads, files = (sorted(path.name for path in Path("/proc/self", kind).iterdir()) for kind in ("task", "fd"))
    return len(threads), has_children, files
