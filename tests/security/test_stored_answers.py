"""Answers of models are kept for the releases that have them; files of a stranger that are no answers keep none."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storymesh.llm.response_cache import Attempt, ChatRequest, ChatResponse, ResponseCache
from storymesh.release.layout import ANSWERS_FOLDER, MANIFEST
from storymesh.release.rewritten_records import ANSWER_STORE, prune_answers
from tests.support.edited_release import SMALL_LOCK, relist

QUESTION = ChatRequest("openai:m", None, "{}", "{}", (("user", "Ada Lovelace"),))
ANSWER = ChatResponse("text", "stop", "m", 1, 1, False, None, datetime(2026, 1, 1, tzinfo=UTC))


def write_answers(path: Path) -> None:
    pq.write_table(pa.table({"key": [QUESTION.key]}), path)


def write_link(path: Path) -> None:
    write_answers(path.parents[2] / "elsewhere.parquet")
    path.symlink_to(path.parents[2] / "elsewhere.parquet")


KINDS: dict[str, Callable[[Path], object]] = {
    "a link to other answers": write_link,
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a named pipe": lambda path: os.mkfifo(path),
    "no Parquet": lambda path: path.write_bytes(b"key\n1\n"),
    "a table without keys": lambda path: pq.write_table(pa.table({"text": ["a"]}), path),
    "keys that are numbers": lambda path: pq.write_table(pa.table({"key": [1]}), path),
    "no key": lambda path: pq.write_table(pa.table({"key": pa.nulls(3, pa.string())}), path),
    "a billion nulls": lambda path: pq.write_table(pa.table({"key": pa.nulls(30_000_000, pa.bool_())}), path),
    "a folder": lambda path: path.mkdir(),
}


@pytest.fixture
def mesh(tmp_path: Path) -> Path:
    """A store with one answer, and a release of the narrative that asked for it."""
    release = tmp_path / "releases/roadside/1.0.0-r1"
    (release / ANSWERS_FOLDER).mkdir(parents=True)
    (tmp_path / "store" / ANSWER_STORE).parent.mkdir(parents=True, exist_ok=True)
    with ResponseCache(tmp_path / "store" / ANSWER_STORE) as answers:
        answers.put(QUESTION, ANSWER)
        answers.begin_run()
        answers.record_attempts([Attempt("report/1", 1, "story", QUESTION.key, "accepted", 1.0, None)])
    lock = {**SMALL_LOCK, "retold": {"report": {"model": "openai:m", "texts": 1, "retold": 1, "attempts": {}}}}
    (release / MANIFEST).write_text(json.dumps(lock), encoding="utf-8")
    return tmp_path


def prune(mesh: Path) -> int:
    return prune_answers(mesh / "store", mesh / "releases", {"fleet.trucks"})


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_table_of_answers_keeps_none(kind: str, mesh: Path) -> None:
    release = mesh / "releases/roadside/1.0.0-r1"
    KINDS[kind](release / ANSWERS_FOLDER / "report.parquet")
    if (release / ANSWERS_FOLDER / "report.parquet").is_file() and "link" not in kind:
        relist(release)
    assert prune(mesh) == 1


def test_answers_that_the_lock_does_not_list_keep_none(mesh: Path) -> None:
    write_answers(mesh / "releases/roadside/1.0.0-r1" / ANSWERS_FOLDER / "report.parquet")
    assert prune(mesh) == 1


def test_the_answers_of_a_release_are_kept(mesh: Path) -> None:
    release = mesh / "releases/roadside/1.0.0-r1"
    write_answers(release / ANSWERS_FOLDER / "report.parquet")
    relist(release)
    assert prune(mesh) == 0
