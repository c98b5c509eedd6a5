"""The store: one answer for one question, kept through kills and between processes, readable as a table."""

import sqlite3
import threading
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from storymesh.errors import NarratorFailed
from storymesh.llm.canonical_json import canonical_json
from storymesh.llm.response_cache import COLUMNS, Attempt, ChatRequest, ChatResponse, ResponseCache

QUESTION = ChatRequest(
    "openai:m",
    "http://h/v1",
    canonical_json({"temperature": 0.5}),
    canonical_json({"type": "object"}),
    (("user", "Tell “it”."),),
)
ANSWER = ChatResponse(
    "Told.", "stop", "m-01", 10, 5, False, Decimal("0.0000123"), datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
)


def used(question: ChatRequest, record: str = "retold/1", attempt: int = 1) -> Attempt:
    return Attempt(record, attempt, "story", question.key, "accepted", 1.0, None)


@pytest.mark.parametrize(
    "other",
    [
        replace(QUESTION, model="openai:n"),
        replace(QUESTION, base_url=None),
        replace(QUESTION, parameters=canonical_json({})),
        replace(QUESTION, parameters=canonical_json({"temperature": 0.6})),
        replace(QUESTION, schema=None),
        replace(QUESTION, messages=(("system", "Tell “it”."),)),
        replace(QUESTION, messages=(("user", "Tell “it”. "),)),
        replace(QUESTION, messages=(("user", "Tell"), ("user", " “it”."))),
    ],
)
def test_all_that_shapes_an_answer_is_in_its_key(other: ChatRequest) -> None:
    assert other.key != QUESTION.key


def test_the_order_of_parameters_is_not_in_the_key() -> None:
    first, second = (
        replace(QUESTION, parameters=canonical_json(given)) for given in ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    )
    assert first.key == second.key


def test_an_answer_outlives_a_store_that_is_never_closed(tmp_path: Path) -> None:
    ResponseCache(tmp_path / "a.sqlite").put(QUESTION, ANSWER)
    with ResponseCache(tmp_path / "a.sqlite") as again:
        assert again.get(QUESTION.key) == ANSWER
        assert again.get("0" * 64) is None


def test_of_two_answers_to_one_question_the_first_stays(tmp_path: Path) -> None:
    with ResponseCache(tmp_path / "a.sqlite") as item, ResponseCache(tmp_path / "a.sqlite") as two:
        assert item.put(QUESTION, ANSWER) == ANSWER
        assert two.put(QUESTION, replace(ANSWER, text="Other.")) == ANSWER
        assert len(two) == 1


def test_several_threads_and_stores_write_at_once(tmp_path: Path) -> None:
    def write(first: int) -> None:
        with ResponseCache(tmp_path / "a.sqlite") as answers:
            for number in range(first, first + 50):
                answers.put(replace(QUESTION, messages=(("user", str(number)),)), ANSWER)

    with ResponseCache(tmp_path / "a.sqlite") as answers:
        threads = [threading.Thread(target=write, args=(first,)) for first in (0, 25, 50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == 100


def test_the_table_is_read_in_duckdb_and_leads_from_record_to_answer(tmp_path: Path) -> None:
    plain = replace(QUESTION, schema=None, base_url=None)
    with ResponseCache(tmp_path / "a.sqlite") as answers:
        answers.put(QUESTION, ANSWER)
        answers.put(plain, replace(ANSWER, usd=None, estimated=True))
        answers.begin_run()
        answers.record_attempts([Attempt("retold/1", 1, "story", QUESTION.key, "refused", 0.5, "number: 99")])
        answers.record_attempts(
            [used(plain, attempt=2), Attempt("retold/1", 2, "judge", plain.key, "judged", 0.9, None)]
        )
        assert answers.to_parquet(tmp_path / "out" / "answers.parquet") == 3
    table = str(tmp_path / "out" / "answers.parquet")
    assert tuple(pq.read_schema(table).names) == COLUMNS
    rows = duckdb.sql(
        "select record, attempt, kind, verdict, score, reason, messages[1].content, answer, usd, answered_at, "
        f"estimated from '{table}'"
    ).fetchall()
    at = ANSWER.at
    assert [(*row[:9], row[9].astimezone(UTC), row[10]) for row in rows] == [
        ("retold/1", 1, "story", "refused", 0.5, "number: 99", "Tell “it”.", "Told.", Decimal("0.0000123"), at, False),
        ("retold/1", 2, "judge", "judged", 0.9, None, "Tell “it”.", "Told.", None, at, True),
        ("retold/1", 2, "story", "accepted", 1.0, None, "Tell “it”.", "Told.", None, at, True),
    ]


def test_a_table_holds_the_last_run_alone_and_loads_back_whole(tmp_path: Path) -> None:
    other = replace(QUESTION, messages=(("user", "gone"),))
    with ResponseCache(tmp_path / "a.sqlite") as answers:
        for question in (QUESTION, other):
            answers.put(question, ANSWER)
        answers.begin_run()
        answers.record_attempts([used(QUESTION), used(other, "retold/gone")])
        answers.begin_run()
        answers.record_attempts([used(QUESTION), used(QUESTION, "retold/2")])
        assert answers.to_parquet(tmp_path / "a.parquet") == 2
    with ResponseCache(tmp_path / "b.sqlite") as fresh:
        assert fresh.load_parquet(tmp_path / "a.parquet") == 1
        assert fresh.load_parquet(tmp_path / "a.parquet") == 0
        assert fresh.get(QUESTION.key) == ANSWER
        assert fresh.get(other.key) is None


def test_a_table_that_was_changed_is_refused(tmp_path: Path) -> None:
    with ResponseCache(tmp_path / "a.sqlite") as answers:
        answers.put(QUESTION, ANSWER)
        answers.begin_run()
        answers.record_attempts([used(QUESTION)])
        answers.to_parquet(tmp_path / "a.parquet")
        duckdb.sql(
            f"copy (select * replace ('openai:other' as model) from '{tmp_path}/a.parquet') to '{tmp_path}/b.parquet'"
        )
        with pytest.raises(NarratorFailed, match="not the answer to its question"):
            answers.load_parquet(tmp_path / "b.parquet")
        (tmp_path / "c.parquet").write_bytes(b"rubbish")
        with pytest.raises(NarratorFailed, match="not a table of answers"):
            answers.load_parquet(tmp_path / "c.parquet")


def test_what_no_export_stands_on_goes_from_every_file(tmp_path: Path) -> None:
    secret, elsewhere, idle = (
        replace(QUESTION, messages=(("user", name),)) for name in ("Ada Lovelace", "another config", "Grace, unused")
    )
    (tmp_path / "exports").mkdir()
    with ResponseCache(tmp_path / "a.sqlite") as answers:
        for question in (QUESTION, secret, elsewhere, idle):
            answers.put(question, ANSWER)
        answers.begin_run()
        answers.record_attempts([used(QUESTION)])
        answers.to_parquet(tmp_path / "exports/kept.parquet")
        answers.record_attempts(
            [used(secret, "retold/ada"), used(QUESTION, "retold/ada", 2), used(elsewhere, "other/ada")]
        )
        assert answers.prune(["retold"], [tmp_path / "exports/kept.parquet"]) == 2
        assert [answers.get(item.key) for item in (QUESTION, secret, elsewhere, idle)] == [ANSWER, None, ANSWER, None]
        files = [file for file in tmp_path.iterdir() if file.is_file()]
        assert not any(name in file.read_bytes() for file in files for name in (b"Lovelace", b"Grace"))


def test_a_file_that_is_no_store_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite").write_bytes(b"rubbish" * 1000)
    with pytest.raises(NarratorFailed, match=r"cannot be read.*move it away"):
        ResponseCache(tmp_path / "a.sqlite")
    ResponseCache(tmp_path / "b.sqlite").close()
    with sqlite3.connect(tmp_path / "b.sqlite") as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(NarratorFailed, match="version 99"):
        ResponseCache(tmp_path / "b.sqlite")


def test_nobody_else_on_the_machine_reads_the_prompts(tmp_path: Path) -> None:
    with ResponseCache(tmp_path / "a.sqlite") as answers:
        answers.put(QUESTION, ANSWER)
        assert {file.stat().st_mode & 0o077 for file in tmp_path.iterdir()} == {0}


def test_runs_at_the_same_time_are_told_apart(tmp_path: Path) -> None:
    other = replace(QUESTION, model="openai:other")
    with ResponseCache(tmp_path / "a.sqlite") as item, ResponseCache(tmp_path / "a.sqlite") as two:
        item.begin_run()
        two.begin_run()
        for answers, question in ((item, QUESTION), (two, other)):
            answers.put(question, ANSWER)
            answers.record_attempts([used(question, f"retold/{question.model}")])
        assert item.to_parquet(tmp_path / "one.parquet") == two.to_parquet(tmp_path / "two.parquet") == 1
        assert pq.read_table(tmp_path / "one.parquet")["model"].to_pylist() == ["openai:m"]


def test_a_disk_that_is_full_is_told_in_words(tmp_path: Path) -> None:
    with ResponseCache(tmp_path / "a.sqlite") as answers:
        answers._connection.execute("PRAGMA max_page_count = 20")  # SQLite's own way to be out of space

        def fill() -> None:
            for number in range(1000):
                answers.put(replace(QUESTION, messages=(("user", f"{number}" * 500),)), ANSWER)

        with pytest.raises(NarratorFailed, match=r"full.*what it holds is kept"):
            fill()
        assert len(answers) > 0
