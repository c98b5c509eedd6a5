"""What is said of a stage that is there: the same as when it was made, and no engine opens its files for it."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from storymesh.dataset.build import Build
from storymesh.dataset.stages import StageResult, write_cases, write_precedents, write_records
from storymesh.engine.engine import Engine, EngineUnreachable
from storymesh.errors import EngineFailed
from storymesh.product.store import StoreDamaged
from tests.case.test_snapshots import NARRATIVE, PRODUCTS, REPORT, rows
from tests.support.small_build import build_of

STAGES: list[Callable[[Build], StageResult]] = [
    write_cases,
    *([write_precedents] if "precedents:" in NARRATIVE else []),
    partial(write_records, config="report"),
]


def no_engine(**_: object) -> Engine:
    raise AssertionError("an engine was opened")


def content(result: StageResult) -> dict[str, object]:
    sample = [{name: str(value) for name, value in row.items()} for row in result.sample]
    return {**dataclasses.asdict(result), "sample": sample, "seconds": None, "unchanged": None}


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return build_of(tmp_path, NARRATIVE, REPORT, PRODUCTS, rows())


def test_an_unchanged_stage_is_told_of_without_an_engine(build: Build) -> None:
    first = [stage(build) for stage in STAGES]
    assert first[0].rows and first[0].sample and first[-1].sample
    again = [stage(dataclasses.replace(build, open_engine=no_engine)) for stage in STAGES]
    assert [result.unchanged for result in (*first, *again)] == [*[False] * len(first), *[True] * len(again)]
    assert [content(result) for result in again] == [content(result) for result in first]


@pytest.mark.parametrize("noted", ["", "{}", '{"of": "another list", "summary": {"rows": 7, "drops": {}}}'])
def test_a_note_about_other_files_is_not_believed(noted: str, build: Build) -> None:
    first = write_cases(build)
    (note,) = build.files.folder.glob("cases*.json")
    whole = note.read_bytes()
    note.write_text(noted, encoding="utf-8")
    again = write_cases(build)
    assert again.unchanged
    assert content(again) == content(first)
    assert note.read_bytes() == whole


@pytest.mark.parametrize(
    ("failure", "raised"),
    [(EngineFailed("no such file"), StoreDamaged), (EngineUnreachable("gone"), EngineUnreachable)],
)
def test_products_are_read_through_for_a_fault_of_their_files_and_not_for_a_cluster_that_is_gone(
    failure: EngineFailed, raised: type[Exception], build: Build
) -> None:
    """The snapshots of this build are called otherwise than their content, as those of a damaged store would be."""

    def fail(**_: object) -> Engine:
        raise failure

    kept = {
        role: dataclasses.replace(snapshot, contract_digest=build.contracts[role].digest)
        for role, snapshot in build.snapshots.items()
    }
    with pytest.raises(raised):
        write_cases(dataclasses.replace(build, snapshots=kept, open_cluster=fail))
