"""Runs one contender in a process of its own: `python -m benchmarks.cases.contender NAME PRODUCTS OUT`.

Writes OUT/stages.json: for `cases` and `precedents` the seconds on the wall and on the processors and the rows written.
What it takes to start Python, import libraries and read definitions counts in neither.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

Stages = Mapping[str, Callable[[], int]]
"""Stage -> what writes its file and returns the rows; run in this order."""


def _storymesh(products: Path, out: Path) -> Stages:
    from benchmarks.reference import YARDSTICK, pinned

    # storymesh imports late; here that would count as work.
    import storymesh.case.link
    import storymesh.case.precedent
    import storymesh.case.visibility  # noqa: F401
    from storymesh.dataset.stages import write_cases, write_precedents
    from storymesh.engine.open import open_engine

    with open_engine():
        pass
    build = pinned(products, out, YARDSTICK)
    return {"cases": lambda: write_cases(build).rows, "precedents": lambda: write_precedents(build).rows}


def _sql(products: Path, out: Path) -> Stages:
    from benchmarks.cases import sql

    return {"cases": lambda: sql.cases(products, out), "precedents": lambda: sql.precedents(out)}


def _pandas(products: Path, out: Path) -> Stages:
    from benchmarks.cases import dataframe

    return {"cases": lambda: dataframe.cases(products, out), "precedents": lambda: dataframe.precedents(out)}


CONTENDERS: Mapping[str, Callable[[Path, Path], Stages]] = {"storymesh": _storymesh, "sql": _sql, "pandas": _pandas}


def main(name: str, products: Path, out: Path) -> None:
    stages = CONTENDERS[name](products, out)
    measured = {}
    for stage, write in stages.items():
        wall, cpu = time.monotonic(), time.process_time()
        rows = write()
        measured[stage] = {"wall": time.monotonic() - wall, "cpu": time.process_time() - cpu, "rows": rows}
    (out / "stages.json").write_text(json.dumps(measured), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
