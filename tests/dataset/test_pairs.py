"""Pairs with their scores, and cases whose precedents are withheld: in every split, and the same ones always."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from storymesh.dataset.build import Build
from storymesh.dataset.preview import preview_records
from storymesh.dataset.render import WITHHELD_VALUE
from storymesh.dataset.split import HELD_OUT
from storymesh.dataset.stages import write_cases_and_precedents, write_records
from storymesh.dataset.tables import cases_with_precedents, cases_with_splits
from storymesh.provenance.explain import explain_narrative
from storymesh.provenance.verification_sql import VerificationQueries
from tests.support.small_build import LATE_CALLS, build_of
from tests.support.small_mesh import Product

NARRATIVE = (
    LATE_CALLS
    + """\
  outcome: {action: call.act, score: call.gain, worked: call.gain > 0}
  precedents: {match: [[call.sea]], min: 3, quote: 1, withhold: WITHHOLD}
records:
  advice: {format: messages, user: report.jinja, assistant: report.jinja}
  choice: {format: preference, prompt: report.jinja, option: option.jinja}
  verdict: {format: unpaired_preference, prompt: report.jinja, option: option.jinja}
  known: {where: precedents.unseen, format: messages, user: report.jinja, assistant: report.jinja}
  story: {format: text, text: report.jinja}
dataset:
  split: {validation: 2024-05-01, test: 2024-06-01}
"""
)
CALLS = Product(
    "calls",
    {"call": "string", "sea": "string", "at": "timestamp", "over": "timestamp", "act": "string", "gain": "integer"},
    ("call",),
    "at",
    required=("at", "call", "sea"),
    known_of=dict.fromkeys(("act", "gain"), "over"),
)
REPORT = "{{ call.call }}: {{ precedents.tried }}{% for o in precedents.options %} {{ o.action }}{% endfor %}\n"
FIRST = datetime(2024, 3, 1)
COUNT = 120


def build_with(root: Path, withhold: str, seas: int = 1, split: str = "") -> Build:
    folder = root / "narratives" / "late_calls"
    folder.mkdir(parents=True)
    (folder / "option.jinja").write_text("{{ option.action }}", encoding="utf-8")
    rows: list[dict[str, Any]] = [
        {
            "call": f"c{n:03d}",
            "sea": f"sea {n % seas}",
            "at": FIRST + timedelta(days=n),
            "over": FIRST + timedelta(days=n, hours=1),
        }
        | {"act": ("tow", "wait")[n % 2], "gain": 1 - n % 2 if n % 10 else 0}
        for n in range(COUNT)
    ]
    narrative = NARRATIVE.replace("WITHHOLD", withhold)
    narrative = narrative.replace("{validation: 2024-05-01, test: 2024-06-01}", split) if split else narrative
    build = build_of(root, narrative, REPORT, {"call": CALLS}, {"call": rows})
    write_cases_and_precedents(build)
    return build


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Build, Build]:
    """Without and with withheld precedents."""
    root = tmp_path_factory.mktemp("pairs")
    (root / "all").mkdir()
    (root / "some").mkdir()
    return build_with(root / "all", "0"), build_with(root / "some", "0.25")


def precedents(build: Build) -> dict[str, dict[str, Any]]:
    with build.open_engine() as engine:
        table = cases_with_precedents(build, engine).select("case_id", "precedents")
        return {row["case_id"]: row["precedents"] for row in engine.fetch_rows(table) if row["precedents"] is not None}


def test_a_share_of_the_cases_has_no_precedents_and_the_others_have_all(builds: tuple[Build, Build]) -> None:
    every, some = map(precedents, builds)
    withheld = {case for case, found in some.items() if found != every[case]}
    assert 0.15 * COUNT < len(withheld) < 0.35 * COUNT
    assert all(some[case] == every[case] for case in some if case not in withheld)
    nothing = {"enough": False, "level": None, "tried": 0, "best": None, "worst": None, "options": []}
    nothing |= {"unseen": False, "withheld": True}
    assert all(some[case] == nothing for case in withheld)
    for first, last in ((0, 60), (61, 91), (92, 119)):  # train, validation, test
        assert any(f"c{first:03d}" <= case <= f"c{last:03d}" for case in withheld)


def test_texts_of_withheld_cases_see_none_by_compiler_and_interpreter(builds: tuple[Build, Build]) -> None:
    build = builds[1]
    found = precedents(build)
    records = pq.read_table(write_records(build, "advice").path).to_pylist()
    assert len(records) == COUNT
    told = {row["case_id"]: row["messages"][1]["content"] for row in records}
    for case, text in told.items():
        actions = "".join(f" {option['action']}" for option in found[case]["options"])
        assert text == f"{case}: {found[case]['tried']}{actions}"
    previewed = {
        row["case_id"]: row["messages"][1]["content"] for row in preview_records(build, "advice", sample=COUNT)
    }
    assert previewed == told


def test_the_queries_that_count_again_count_none_of_withheld_precedents(builds: tuple[Build, Build]) -> None:
    every, some = map(precedents, builds)
    late = [case for case in sorted(some) if every[case]["enough"]]
    withheld = next(case for case in late if not some[case]["enough"])
    told = next(case for case in late if some[case]["enough"])
    with builds[1].open_engine() as engine:
        queries = VerificationQueries(builds[1], engine)
        counted = [engine.fetch_rows(queries.tried(case))[0]["value"] for case in (withheld, told)]
        assert counted == [0, some[told]["tried"]]
        assert engine.fetch_rows(queries.enough(withheld))[0]["value"] is False


def test_only_precedents_that_became_known_since_then_count(tmp_path: Path, builds: tuple[Build, Build]) -> None:
    """A case a day, over after an hour: of each day the ten before it, of the two actions five."""
    build = build_with(tmp_path, "0, since: 10d")
    found, every = precedents(build), precedents(builds[0])
    assert [item["tried"] for _, item in sorted(found.items())] == [0, 0, 0, *range(3, 10), *[10] * (COUNT - 10)]
    for number in range(10, COUNT):
        item, before = (precedents_of[f"c{number:03d}"] for precedents_of in (found, every))
        assert {option["action"]: option["tried"] for option in item["options"]} == {"tow": 5, "wait": 5}
        quoted = {option["action"]: option["quoted"] for option in item["options"]}
        assert quoted == {option["action"]: option["quoted"] for option in before["options"]}, "the latest ones"
    told = pq.read_table(write_records(build, "advice").path).to_pylist()
    previewed = {row["case_id"]: row["messages"] for row in preview_records(build, "advice", sample=COUNT)}
    assert previewed == {row["case_id"]: row["messages"] for row in told}
    with build.open_engine() as engine:
        queries = VerificationQueries(build, engine)
        asked = [queries.tried("c009"), queries.tried("c110"), queries.of_option("c110", "tow", "worked")]
        assert [engine.fetch_rows(query)[0]["value"] for query in asked] == [9, 10, 4]
    rule = "equal by call.sea: at least 3 cases, known in the 10 days before the day of case.at"
    assert explain_narrative(build).precedents == rule


def places(build: Build) -> dict[str, tuple[str, str | None, str | None]]:
    """Return case -> its value, its split, and why it has none."""
    with build.open_engine() as engine:
        cases = cases_with_splits(build, engine).select("case_id", sea="call")
        rows = cases.mutate(sea=cases["sea"]["sea"]).join(engine.read_parquet(build.files.splits), "case_id")
        return {row["case_id"]: (row["sea"], row["split"], row["dropped"]) for row in engine.fetch_rows(rows)}


@pytest.mark.parametrize("split", ["", "{random: {validation: 0.2, test: 0.3}}"])
def test_of_a_withheld_value_nothing_is_known_in_any_split(tmp_path: Path, split: str) -> None:
    build = build_with(tmp_path, "{cases: 0.1, values: {call.sea: 0.5}}", seas=10, split=split)
    found, placed = precedents(build), places(build)
    unseen = {placed[case][0] for case, item in found.items() if item["unseen"]}
    held_out = {sea for sea, _, dropped in placed.values() if dropped == HELD_OUT}
    assert held_out
    assert held_out < unseen < {sea for sea, _, _ in placed.values()}
    for case, (sea, chosen, dropped) in placed.items():
        assert (dropped == HELD_OUT) == (sea in held_out and chosen != "test"), case
        assert case not in found or found[case]["unseen"] == (sea in unseen)
        assert case not in found or sea not in unseen or not found[case]["enough"]
    assert any(item["enough"] for item in found.values())
    assert any(not item["enough"] and not item["unseen"] for item in found.values())
    for config in ("verdict", "story"):  # whoever reads these would know something of the value
        written = write_records(build, config)
        told = {placed[row["case_id"]][0] for row in pq.read_table(written.path).to_pylist()}
        assert told == {sea for sea, _, _ in placed.values()} - unseen
        assert written.drops[WITHHELD_VALUE] == sum(item["unseen"] for item in found.values())
    asked = pq.read_table(write_records(build, "known").path).to_pylist()
    assert {row["split"] for row in asked} == {"train", "validation", "test"}
    assert {placed[row["case_id"]][0] for row in asked} == unseen
    previewed = {row["case_id"]: row["messages"] for row in preview_records(build, "known", sample=COUNT)}
    assert previewed == {row["case_id"]: row["messages"] for row in asked}


def test_withheld_values_may_be_listed_and_every_second_one_is_held_out(tmp_path: Path) -> None:
    build = build_with(tmp_path, "{values: {call.sea: [sea 3, sea 1, sea 8]}}", seas=10)
    found, placed = precedents(build), places(build)
    assert {placed[case][0] for case, item in found.items() if item["unseen"]} == {"sea 3", "sea 1", "sea 8"}
    assert {sea for sea, _, dropped in placed.values() if dropped == HELD_OUT} == {"sea 1"}


def test_pairs_say_how_often_each_answer_worked(builds: tuple[Build, Build]) -> None:
    pairs = pq.read_table(write_records(builds[0], "choice").path).to_pylist()
    assert pairs
    for pair in pairs:
        assert (pair["chosen"], pair["rejected"], pair["score_rejected"]) == ("tow", "wait", 0.0)
        assert 0.5 < pair["score_chosen"] < 1
        assert pair["margin"] == pair["score_chosen"]
    (shown,) = preview_records(builds[0], "choice", pairs[-1]["case_id"])
    assert shown["margin"] == pairs[-1]["margin"]
    # Who waited never succeeded: of a tow that failed there is no better option to name.
    drops = {"no other option": 13, "not clearly better": 5, "too few precedents": 3}
    assert write_records(builds[0], "choice").drops == {f"no pair: {reason}": count for reason, count in drops.items()}
    fewer = write_records(builds[1], "choice")
    assert fewer.rows < len(pairs)
    assert fewer.drops["no pair: too few precedents"] > write_records(builds[0], "choice").drops.get(
        "no pair: too few precedents", 0
    )
