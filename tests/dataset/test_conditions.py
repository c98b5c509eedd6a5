"""Records of some cases only: `where` selects them on the engine, and those that it leaves out are drops."""

from datetime import datetime, timedelta

import pyarrow.parquet as pq
import pytest

from storymesh.dataset.build import Build
from storymesh.dataset.preview import preview_records
from storymesh.dataset.stages import write_cases_and_precedents, write_records
from storymesh.errors import StorymeshError
from storymesh.release.write import write_release
from tests.support.small_build import LATE_CALLS, build_of
from tests.support.small_mesh import Product

NARRATIVE = (
    LATE_CALLS
    + """\
  outcome: {action: call.act, score: call.gain, worked: call.gain > 0}
records:
  every: {format: messages, user: report.jinja, assistant: report.jinja}
  imitation: {where: outcome.worked, format: messages, user: report.jinja, assistant: report.jinja}
  large: {where: outcome.score > 1 and call.sea == "n", format: messages, user: report.jinja, assistant: report.jinja}
  open: {where: call.over is none, format: text, text: report.jinja}
"""
)
CALLS = Product(
    "calls",
    {"call": "string", "sea": "string", "at": "timestamp", "over": "timestamp", "act": "string", "gain": "integer"},
    ("call",),
    "at",
    required=("at", "call"),
    known_of=dict.fromkeys(("act", "gain"), "over"),
)
FIRST = datetime(2024, 3, 1)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    rows = [
        {"call": f"c{number}", "sea": "ns"[number % 2], "at": FIRST + timedelta(days=number), "act": "tow"}
        | {"over": None if number == 5 else FIRST + timedelta(days=number + 1), "gain": None if number == 4 else number}
        for number in range(6)
    ]
    build = build_of(
        tmp_path_factory.mktemp("conditions"), NARRATIVE, "{{ case.id }}\n", {"call": CALLS}, {"call": rows}
    )
    write_cases_and_precedents(build)
    return build


@pytest.mark.parametrize(
    ("config", "kept", "drops"),
    [
        ("every", "0123", {"open": 1, "unjudged": 1}),
        ("imitation", "123", {"not selected": 1, "open": 1, "unjudged": 1}),
        ("large", "2", {"not selected": 3, "open": 1, "unjudged": 1}),
        ("open", "5", {"not selected": 5}),
    ],
)
def test_a_record_is_told_of_the_cases_for_which_its_condition_holds(
    build: Build, config: str, kept: str, drops: dict[str, int]
) -> None:
    result = write_records(build, config)
    assert pq.read_table(result.path)["case_id"].to_pylist() == [f"c{number}" for number in kept]
    assert result.drops == drops


def test_the_preview_says_that_a_case_is_not_selected(build: Build) -> None:
    with pytest.raises(StorymeshError, match="'imitation' does not tell case c0: not selected"):
        preview_records(build, "imitation", "c0")
    assert [row["case_id"] for row in preview_records(build, "imitation", "c1")] == ["c1"]


def test_a_release_counts_what_was_not_selected_and_says_the_condition(build: Build) -> None:
    for config in build.configs:
        write_records(build, config)
    release = write_release(build)
    assert release.drops["imitation"] == {"not selected": 1, "open": 1, "unjudged": 1}
    card = (release.path / "README.md").read_text(encoding="utf-8")
    assert "`imitation` has the cases with `outcome.worked` only." in card
