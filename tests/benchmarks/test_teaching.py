"""The benchmark of what models learn: what they are given says what the release says; answers are scored by truth."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import pytest

from tests.support.paths import ROOT
from tests.support.readers import reader

SIZES = {"--delays": 2500, "--cases": 300, "--each": 2, "--tokens": 3000, "--width": 64, "--layers": 1}
SIZES |= {"--vocabulary": 700, "--batch": 512}


@pytest.fixture(scope="module")
def teaching() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        patch.setenv("STORYMESH_PSEUDONYM_KEY", "a secret key")
        from benchmarks.teaching import __main__

        yield __main__


@pytest.fixture(scope="module")
def run(teaching: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teaching")
    sizes = [str(word) for option in SIZES.items() for word in option]
    teaching.main(["--into", str(folder / "run"), "--cache", str(folder / "cache"), "--lessons", *sizes])
    return folder / "run"


@pytest.fixture(scope="module")
def lessons(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "lessons.json").read_text(encoding="utf-8"))
    return found


def test_all_arms_tell_the_same_cases(lessons: dict[str, Any]) -> None:
    texts = lessons["texts"]
    joined = [json.loads(text) for _, text in texts["joined"]]
    assert len(texts["report"]) == len(joined) <= len(texts["advice"]) == 300
    assert 100 < len(texts["recall"]) == len(texts["lean json"]) < 300, "by heart is what dozens of cases show"
    for row, (_, report) in zip(joined, texts["report"], strict=True):
        assert row["vessel_name"] in report
        assert ("step that worked" in report) == row["worked"], "both have the outcome"
        assert all(mail["body"] in report for mail in row.get("notices", []))
    assert any("notices" in row for row in joined), "mails that had come are known"
    for (known, lean), (_, recall) in zip(texts["lean json"], texts["recall"], strict=True):
        assert "worked" not in json.loads(known)
        if json.loads(lean)["best"] is not None:
            assert len(json.loads(lean)["in ten"]) == recall.count(" in 10"), "both say the same"


def test_questions_tell_no_outcome_and_are_asked_in_every_form(lessons: dict[str, Any]) -> None:
    offered = [item for item in lessons["questions"] if item["stems"]["joined"]]
    assert len(offered) > 20
    for item in offered:
        assert (
            json.loads(item["stems"]["joined"]["WAIT"] + "}")["action"] == "WAIT" if "WAIT" in item["stems"] else True
        )
        for stems in item["stems"].values():
            assert len(set(stems.values())) == len(stems)
            assert not any("arrived_at" in stem or "arrived on" in stem for stem in stems.values())
        assert item["prompts"]["advice"].endswith("<a>")
        assert not item["withheld"] and not item["unseen"]


def test_unseen_names_come_in_no_text_and_withheld_ones_in_none_but_refusals(lessons: dict[str, Any]) -> None:
    from benchmarks.teaching.elsewhere import WATERWAYS

    unseen, withheld = set(list(WATERWAYS.values())[::2]), set(list(WATERWAYS.values())[1::2])
    recalled = [(name, text) for prompt, text in lessons["texts"]["recall"] for name in withheld if name in prompt]
    assert len(recalled) > 20 and all(f"of the {name} " in text or f"at the {name} " in text for name, text in recalled)
    told = "".join(prompt + text for kind in lessons["texts"].values() for prompt, text in kind)
    assert not any(name in told for name in unseen)
    outcomes = "".join(text for kind in ("joined", "report") for _, text in lessons["texts"][kind])
    assert not any(name in outcomes for name in withheld)
    prompts = [item["prompts"]["recall"] for item in lessons["questions"] if item["unseen"]]
    asked = [[name for name in WATERWAYS.values() if name in prompt] for prompt in prompts]
    assert len(asked) > 10 and all(names for names in asked)
    assert not any(name in told for names in asked for name in names)


def write_answers(run: Path, arm: str, seed: int, answers: dict[str, Any]) -> None:
    figures = {"tokens": 1, "parameters": 1, "device": "cpu", "cpu seconds": {}, "texts": {}}
    (run / "answers").mkdir(exist_ok=True)
    (run / "answers" / f"{arm}-{seed}.json").write_text(json.dumps({"arm": arm, "seed": seed} | figures | answers))


def test_answers_are_scored_by_the_truth(teaching: ModuleType, run: Path, lessons: dict[str, Any]) -> None:
    labels = json.loads((run / "release" / "evaluation.json").read_text())["actions"]
    with duckdb.connect() as db:
        found = db.execute(f"""
            SELECT case_id, arg_max(action, rate), arg_min(action, rate), max(rate) - min(rate)
            FROM '{run}/truth.odds.parquet' GROUP BY case_id
        """).fetchall()
    best, worst, gap = ({case: row[place] for case, *row in found} for place in range(3))
    asked = [item["case"] for item in lessons["questions"]]
    write_answers(run, "joined", 0, {"chosen": {case: best[case] for case in asked}})
    write_answers(run, "joined", 1, {"chosen": {case: worst[case] for case in asked}})
    told = {case: f"Best supported: {labels[best[case]]}.\nIt has worked about 9 times in 10." for case in asked}
    few = dict.fromkeys(asked, "There are too few cases to say.")  # of a name that no text has
    write_answers(run, "recall", 0, {"closed": told, "unseen": few})
    write_answers(run, "lean json", 0, {"json": {case: json.dumps({"best": best[case]}) for case in asked}})
    results = teaching.score(run, ["joined", "lean json", "recall"])
    rows = {row["arm"]: row for row in results["rows"]}
    assert list(rows["joined"]["by seed"]) == [1.0, 0.0] and rows["joined"]["best"]["value"] == 0.5
    assert rows["lean json"]["best"]["value"] == rows["recall"]["best"]["value"] == 1.0
    assert rows["lean json"]["lost"]["value"] == 0.0
    judged = [case for case in asked if case in gap]
    assert rows["joined"]["lost"]["value"] == pytest.approx(
        sum(gap[case] for case in judged) / len(judged) / 2, abs=0.05
    )
    assert results["conduct"]["recall"]["unseen waterway: says too few"] == 1.0
    assert results["conduct"]["recall"]["closed: foretold"] == 0.0
    assert "joined rows with action and outcome" in teaching.table(results)
    for path in (run / "answers").iterdir():
        path.unlink()


def test_a_tiny_model_learns_and_answers(teaching: ModuleType, run: Path, lessons: dict[str, Any]) -> None:
    command = [reader("python"), str(teaching.LEARNER), str(run), "joined", "0", "released", "0"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    results = teaching.score(run, ["joined", "released"])
    assert [row["arm"] for row in results["rows"]][-3:] == ["joined", "released", "released"]
    assert results["questions"] > 20 and results["tokens"] >= SIZES["--tokens"]
    assert all(results["texts"]["released"].values()), "it has learned from each of its kinds"
