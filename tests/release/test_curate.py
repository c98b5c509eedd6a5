"""What stays of records that say the same, and what is said about those that do not."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest

from storymesh.engine.open import open_engine
from storymesh.errors import DefinitionErrors
from storymesh.narrative.definition import LengthLimits, read_narrative
from storymesh.release.curation.curate import CurationRules, apply_curation_rules, find_repeats
from storymesh.release.write import write_release
from tests.support.release_builds import make, usual, with_narrative

ENGINE = ibis.duckdb.connect()
START = datetime(2024, 1, 1)
MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
Verdicts = dict[str, tuple[str | None, str | None, bool]]


def curated(rows: list[dict[str, Any]], columns: dict[str, pa.DataType], dedup: Any = "facts") -> Verdicts:
    name = ibis.util.gen_name("records")
    ENGINE.con.register(name, table_of(rows, columns))
    return read(find_repeats(ENGINE.table(name), dedup))


def ruled(rows: list[dict[str, Any]], columns: dict[str, pa.DataType], rules: CurationRules) -> Verdicts:
    with open_engine(memory="1GB", threads=1) as engine:
        engine.connection.con.register("records", table_of(rows, columns))
        return read(apply_curation_rules(engine, engine.connection.table("records"), rules))


def read(table: ibis.Table) -> Verdicts:
    found = table.to_pyarrow()
    assert found.column_names == ["id", "dropped", "same_as", "conflict"]
    return {row["id"]: (row["dropped"], row["same_as"], row["conflict"]) for row in found.to_pylist()}


def table_of(rows: list[dict[str, Any]], columns: dict[str, pa.DataType]) -> pa.Table:
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("split", pa.string()),
            ("at", pa.timestamp("us")),
            ("facts", pa.struct([("n", pa.int64()), ("who", pa.string())])),
            *columns.items(),
        ]
    )
    return pa.Table.from_pylist(rows, schema)


def record(id_: str, day: int, split: str = "train", facts: Any = None, **told: Any) -> dict[str, Any]:
    return {"id": id_, "split": split, "at": START + timedelta(days=day), "facts": facts or {"n": day}, **told}


STAYS = (None, None, False)
ONE = {"n": 1, "who": None}
TEXT = {"text": pa.string()}


def test_of_records_with_equal_facts_the_earliest_then_the_smallest_id_is_kept_across_splits() -> None:
    rows = [
        record("c", 2, facts=ONE, text="z"),
        record("b", 2, facts=ONE, text="y"),
        record("z", 9, "test", facts=ONE, text="x"),
        record("a", 3, "validation", facts={"n": 1, "who": ""}, text="x"),
    ]
    assert curated(rows, TEXT) == {
        "b": STAYS,
        "c": ("duplicate", "b", False),
        "z": ("duplicate", "b", False),
        "a": STAYS,
    }
    assert set(curated(rows, TEXT, "none").values()) == {STAYS}


def test_records_with_another_label_are_no_duplicates() -> None:
    columns = {"prompt": pa.string(), "completion": pa.string(), "label": pa.bool_()}
    rows = [
        record("a", 1, facts=ONE, prompt="p", completion="c", label=True),
        record("b", 2, facts=ONE, prompt="q", completion="c", label=False),
        record("c", 3, facts=ONE, prompt="r", completion="c", label=True),
    ]
    assert curated(rows, columns) == {"a": STAYS, "b": STAYS, "c": ("duplicate", "a", False)}


def test_records_whose_texts_say_different_things_are_no_duplicates_and_conflict() -> None:
    """As of two loans of which the answer prints nothing but `It was repaid.` or `It was charged off.`"""
    columns = {
        "prompt": pa.string(),
        "completion": pa.string(),
        "unprinted": pa.struct([("outcome", pa.struct([("worked", pa.bool_())]))]),
    }
    repaid, lost = ({"outcome": {"worked": worked}} for worked in (True, False))
    rows = [
        record("a", 1, facts=ONE, prompt="p", completion="It was repaid.", unprinted=repaid),
        record("b", 2, facts=ONE, prompt="p", completion="It was charged off.", unprinted=lost),
        record("c", 3, facts=ONE, prompt="p", completion="It was repaid in the end.", unprinted=repaid),
    ]
    assert curated(rows, columns) == {
        "a": (None, None, True),
        "b": (None, None, True),
        "c": ("duplicate", "a", False),
    }


def test_passages_of_cases_that_ended_otherwise_are_no_duplicates() -> None:
    columns = {"text": pa.string(), "metadata": pa.struct([("action", pa.string()), ("worked", pa.bool_())])}
    rows = [
        record(name, day, facts=ONE, text="t", metadata={"action": action, "worked": worked})
        for day, (name, action, worked) in enumerate(
            [("a", "wait", True), ("b", "wait", False), ("c", "tow", True), ("d", "wait", True)]
        )
    ]
    assert curated(rows, columns) == {"a": STAYS, "b": STAYS, "c": STAYS, "d": ("duplicate", "a", False)}


@pytest.mark.parametrize("dedup", ["facts", "none"])
def test_a_question_of_an_earlier_split_drops_the_later_record(dedup: str) -> None:
    columns = {"prompt": pa.string(), "completion": pa.string()}
    rows = [
        record("b", 1, prompt="p", completion="x"),
        record("a", 2, prompt="p", completion="x"),
        record("v", 3, "validation", prompt="p", completion="x"),
        record("t", 4, "test", prompt="p", completion="x"),
        record("u", 5, "test", prompt="q", completion="x"),
    ]
    late = ("same question", "b", False)
    assert curated(rows, columns, dedup) == {"b": STAYS, "a": STAYS, "v": late, "t": late, "u": STAYS}


def test_a_duplicate_neither_keeps_nor_drops_a_question() -> None:
    columns = {"prompt": pa.string(), "completion": pa.string()}
    rows = [
        record("a", 1, facts=ONE, prompt="p", completion="x"),
        record("b", 2, facts=ONE, prompt="q", completion="y"),
        record("c", 3, "test", prompt="q", completion="z"),
    ]
    assert curated(rows, columns) == {"a": STAYS, "b": ("duplicate", "a", False), "c": STAYS}


def test_a_question_is_everything_before_the_answer_and_a_different_answer_is_reported() -> None:
    def messages(system: str, user: str, assistant: str) -> list[dict[str, str]]:
        contents = {"system": system, "user": user, "assistant": assistant}
        return [{"role": role, "content": content} for role, content in contents.items()]

    rows = [
        record("a", 1, messages=messages("s", "u", "yes")),
        record("b", 2, messages=messages("s", "u", "no")),
        record("c", 3, "test", messages=messages("s", "u", "yes")),
        record("d", 4, "test", messages=messages("s2", "u", "yes")),
        record("e", 5, "test", messages=messages("su", "", "yes")),
    ]
    assert curated(rows, {"messages": MESSAGES}) == {
        "a": (None, None, True),
        "b": (None, None, True),
        "c": ("same question", "a", True),
        "d": STAYS,
        "e": STAYS,
    }


def test_a_preference_asks_by_its_prompt_and_answers_by_both_options() -> None:
    columns = dict.fromkeys(("prompt", "chosen", "rejected"), pa.string())
    rows = [
        record("a", 1, prompt="p", chosen="x", rejected="y"),
        record("b", 2, prompt="p", chosen="y", rejected="x"),
        record("c", 3, "test", prompt="q", chosen="y", rejected="x"),
    ]
    assert curated(rows, columns) == {"a": (None, None, True), "b": (None, None, True), "c": STAYS}


def test_the_length_of_a_record_counts_what_is_read_at_once() -> None:
    five = CurationRules(length=LengthLimits(min=5, max=5))
    told = {
        "text": ({"text": pa.string()}, [{"text": "ünder"}, {"text": "four"}, {"text": "six 🚢x"}]),
        "conversation": (
            {"messages": MESSAGES},
            [
                {"messages": [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "cde"}]},
                {"messages": [{"role": "user", "content": "abcd"}]},
                {"messages": [{"role": "user", "content": "abc"}, {"role": "assistant", "content": "def"}]},
            ],
        ),
        "answer": (
            {"prompt": pa.string(), "completion": pa.string()},
            [
                {"prompt": "abc", "completion": "de"},
                {"prompt": "abc", "completion": "d"},
                {"prompt": "abc", "completion": "def"},
            ],
        ),
        "preference": (
            dict.fromkeys(("prompt", "chosen", "rejected"), pa.string()),
            [
                {"prompt": "ab", "chosen": "c", "rejected": "cde"},
                {"prompt": "ab", "chosen": "cd", "rejected": "c"},
                {"prompt": "ab", "chosen": "cdef", "rejected": ""},
            ],
        ),
    }
    for kind, (columns, rows) in told.items():
        found = ruled([record(str(n), n, **row) for n, row in enumerate(rows)], columns, five)
        assert [found[str(n)][0] for n in range(3)] == [None, "too short", "too long"], kind


def test_a_record_dropped_earlier_is_no_duplicate_and_asks_no_question() -> None:
    columns = {"prompt": pa.string(), "completion": pa.string()}
    rows = [
        record("a", 1, facts=ONE, prompt="p", completion="far too long"),
        record("b", 2, facts=ONE, prompt="p", completion="x"),
        record("c", 3, "test", prompt="p", completion="far too long"),
    ]
    found = ruled(rows, columns, CurationRules("facts", LengthLimits(max=5)))
    assert found == {"a": ("too long", None, False), "b": STAYS, "c": ("too long", None, False)}


def test_a_record_has_its_own_length_or_that_of_the_dataset(tmp_path: Path) -> None:
    build = make(tmp_path, usual(), dedup="none\n  length: {max: 3}")
    path = build.narrative.document.path
    text = (tmp_path / path).read_text().replace("text: a.jinja}", "text: a.jinja, length: {min: 2000}}")
    text = text.replace("verdict: {", "verdict: {length: {}, ").replace("{max: 3}", "{max: 2000}")
    (tmp_path / path).write_text(text)
    release = write_release(with_narrative(build, read_narrative(tmp_path / path, tmp_path)))
    assert release.drops["report"] == {"too short": 5}
    assert set(release.drops["advice"]) == set(release.drops["verdict"]) == {"unjudged"}
    page = (release.path / "README.md").read_text()
    assert "A record of fewer than 2,000 characters is left out. (report)" in page
    assert "A record of more than 2,000 characters is left out. (advice)" in page


def test_a_length_that_no_record_has_is_a_finding(tmp_path: Path) -> None:
    with pytest.raises(DefinitionErrors, match=r"narrative.yaml:24:11: .*`min` is 9 and `max` 3: no record is both"):
        make(tmp_path, [], dedup="none\n  length: {min: 9, max: 3}")


def test_no_records_give_no_drops() -> None:
    assert curated([], TEXT) == {}
