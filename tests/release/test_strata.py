"""The kinds of cases whose shares differ between splits, most first."""

from datetime import datetime, timedelta
from pathlib import Path

from storymesh.dataset.stages import write_cases
from storymesh.release.strata import Stratum, measure_strata
from tests.support.small_build import LATE_CALLS, build_of
from tests.support.small_mesh import Product

NARRATIVE = (
    LATE_CALLS
    + """\
  outcome: {action: call.act, score: call.gain, worked: call.gain > 0}
  precedents: {match: [[call.sea, call.kind, call.name], [call.kind]]}
records:
  report: {format: text, text: report.jinja}
dataset:
  split: {validation: 2024-03-11, test: 2024-03-21}
"""
)
CALLS = Product(
    "calls",
    {"call": "string", "sea": "string", "kind": "integer", "name": "string", "act": "string", "gain": "integer"}
    | {"at": "timestamp", "over": "timestamp"},
    ("call",),
    "at",
    required=("at", "call"),
    restricted=("name",),
)


def test_kinds_that_differ_most_between_splits_come_first(tmp_path: Path) -> None:
    first = datetime(2024, 3, 1)
    rows = [
        {"call": f"c{n:02d}", "sea": "south" if n % 10 < (1, 5, 9)[n // 10] else None, "kind": n % 2, "name": f"N{n}"}
        | {"at": first + timedelta(days=n), "over": first + timedelta(days=n, hours=1), "act": "tow", "gain": 1}
        for n in range(30)
    ]
    build = build_of(tmp_path, NARRATIVE, "{{ case.id }}\n", {"call": CALLS}, {"call": rows})
    write_cases(build)
    with build.open_engine() as engine:
        found = measure_strata(build, engine)
    shares = {"train": 0.1, "validation": 0.5, "test": 0.9}
    rest = {"train": 0.9, "validation": 0.5, "test": 0.1}
    assert found[:2] == (Stratum("call.sea", "south", shares), Stratum("call.sea", "–", rest))
    assert [stratum.shift for stratum in found[2:4]] == [0, 0]
    assert not any("N1" in stratum.value for stratum in found)
