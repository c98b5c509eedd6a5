"""A mesh of plain files only: CSV, Excel, Parquet and JSON lines, without any dbt, told in all four formats."""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.support.whole_mesh import KEY, Elsewhere, Preloaded, Ran, every, loaded, locks, products

Records = dict[str, dict[str, list[Any]]]
VALIDATION, TEST = datetime(2024, 7, 1), datetime(2024, 9, 1)


@pytest.fixture(scope="module")
def records(plain_files: Ran, tmp_path_factory: pytest.TempPathFactory) -> Records:
    assert plain_files.code == 0, plain_files.output
    return loaded(plain_files.mesh, "roadside", tmp_path_factory.mktemp("cache"))


def test_every_kind_of_file_is_published(plain_files: Ran) -> None:
    assert plain_files.line("fleet.trucks").startswith("fleet.trucks 24 0 ")
    assert plain_files.line("fleet.depots").startswith("fleet.depots 3 0 ")
    assert plain_files.line("road.breakdowns").startswith("road.breakdowns 180 0 ")
    assert plain_files.line("road.repairs").startswith("road.repairs 171 0 ")
    assert not list(plain_files.mesh.glob(".storymesh/*/dbt")), "no dbt where nobody asks for it"


def test_every_format_has_the_columns_that_trainers_know(records: Records) -> None:
    own = {name: set(records[name]["train"][0]) - {"id", "case_id", "at", "facts", "sources"} for name in records}
    assert own == {
        "report": {"text"},
        "advice": {"messages"},
        "choice": {"prompt", "chosen", "rejected", "score_chosen", "score_rejected", "margin"},
        "verdict": {"prompt", "completion", "label"},
    }
    assert [message["role"] for message in records["advice"]["train"][0]["messages"]] == ["system", "user", "assistant"]


def test_a_story_tells_what_stands_in_the_files(records: Records) -> None:
    driver = "p-" + hashlib.sha256(f"{KEY}|Chloé 20".encode()).hexdigest()[:12]
    assert every(records, "report")["B148"]["text"] == (
        f"Box truck T20 of Coimbra (driver {driver}) stood because of the engine on 17 August 2024.\n"
        "The desk decided to tow the truck.\n"
        "It was lost for 11 hours 15 minutes; 10 hours were expected.\n"
    )


def test_nobody_is_named(plain_files: Ran, records: Records) -> None:
    lines = (plain_files.mesh / "domains/fleet/sources/trucks.csv").read_text(encoding="utf-8").splitlines()[1:]
    whole = json.dumps(records, default=str, ensure_ascii=False)
    assert not [line for line in lines if line.rpartition(",")[2] in whole]


def test_what_has_no_end_is_told_but_neither_asked_nor_advised(plain_files: Ran, records: Records) -> None:
    assert "It was not running again" in every(records, "report")["B178"]["text"]
    assert "B178" not in every(records, "advice")
    (lock,) = locks(plain_files.mesh, "roadside")
    assert lock["drops"]["advice"] == {"open": 3, "unjudged": 8}
    assert lock["drops"]["case"] == {"embargo": 3}


def test_advice_counts_what_was_known_and_nothing_later(plain_files: Ran, records: Records) -> None:
    """Against the files, by brute force: judged cases that were over before the day of the question, told or not."""
    memory = judged_cases(plain_files.mesh)
    told = every(records, "advice")
    assert set(told) <= set(memory)
    levels = defaultdict(int)
    for case_id, record in told.items():
        counts, level = expected_precedents(memory[case_id], memory.values())
        text = record["messages"][2]["content"]
        worked = {
            action: (int(good), int(tried))
            for action, good, tried in re.findall(r"- (.+): worked (\d+) times? of (\d+)\.", text)
        }
        assert worked == counts, case_id
        assert ("too few" in text) == (not counts)
        levels[level] += 1
    assert min(levels[level] for level in (0, 1, 2)) > 5, "the mesh has cases of every kind"


def judged_cases(mesh: Path) -> dict[str, dict[str, Any]]:
    sources = mesh / "domains"
    trucks = [line.split(",") for line in (sources / "fleet/sources/trucks.csv").read_text("utf-8").splitlines()[1:]]
    bodies = {truck: body for truck, body, *_ in trucks}
    lines = (sources / "road/sources/repairs.jsonl").read_text("utf-8").splitlines()
    remedies = {row["breakdown_id"]: row["remedy"] for row in map(json.loads, lines)}
    words = {"tow": "Tow the truck", "fix_on_site": "Repair it on site", "swap_truck": "Send another truck"}
    return {
        row["breakdown_id"]: {
            **row,
            "body": bodies[row["truck_id"]],
            "action": words[remedies[row["breakdown_id"]]],
            "worked": row["expected_hours"] - row["lost_hours"] >= 4,
            "split": (row["happened_at"] >= VALIDATION) + (row["happened_at"] >= TEST),
        }
        for row in pq.read_table(sources / "road/sources/breakdowns.parquet").to_pylist()
        if row["running_at"] is not None and row["breakdown_id"] in remedies
    }


def expected_precedents(
    case: dict[str, Any], judged: Iterable[dict[str, Any]]
) -> tuple[dict[str, tuple[int, int]], int]:
    today = case["happened_at"].replace(hour=0, minute=0)
    known = [item for item in judged if item["split"] <= case["split"] and item["running_at"] < today]
    for level, keys in enumerate((("fault", "body"), ("fault",)), 1):
        alike = [item for item in known if all(item[key] == case[key] for key in keys)]
        if len(alike) >= 5:
            actions = {item["action"] for item in alike}
            return {
                action: (
                    sum(item["worked"] for item in alike if item["action"] == action),
                    sum(item["action"] == action for item in alike),
                )
                for action in actions
            }, level
    return {}, 0


def test_unchanged_input_gives_no_second_release(plain_files: Ran, plain_copy: Path, preloaded: Preloaded) -> None:
    again = preloaded.run("run", mesh=plain_copy)
    assert again.code == 0, again.output
    assert again.output.count("unchanged") >= 4 + 1
    assert " new" not in again.output
    assert locks(plain_copy, "roadside") == locks(plain_files.mesh, "roadside")


def test_another_folder_gives_the_same_digest(plain_files: Ran, plain_files_elsewhere: Elsewhere) -> None:
    other = plain_files_elsewhere.ran.mesh
    assert products(other) == products(plain_files.mesh)
    assert [lock["digest"] for lock in locks(other, "roadside")] == [
        lock["digest"] for lock in locks(plain_files.mesh, "roadside")
    ]
