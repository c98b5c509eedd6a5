"""Records that say nearly the same: none drops that is not near one that stays, and those that are do drop."""

import os
import random
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storymesh.engine.engine import Engine
from storymesh.engine.open import open_engine
from storymesh.narrative.definition import NearDuplicates
from storymesh.release.curation.curate import CurationRules, apply_curation_rules
from storymesh.release.curation.near_duplicates import lsh_banding
from storymesh.release.write import write_release
from tests.support.release_builds import make, usual
from tests.support.small_release import drops_of

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
START = datetime(2024, 1, 1)
MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
TEXT = {"text": pa.string()}
Verdicts = dict[str, tuple[str | None, str | None]]


@pytest.fixture(scope="module")
def engine() -> Any:
    with open_engine(memory="1GB", threads=1) as item:
        yield item


def judged(
    engine: Engine, rows: list[dict[str, Any]], columns: dict[str, pa.DataType], rules: CurationRules
) -> Verdicts:
    names = [
        ("id", pa.string()),
        ("split", pa.string()),
        ("at", pa.timestamp("us")),
        ("facts", pa.struct([("n", pa.int64())])),
    ]
    engine.connection.con.register("records", pa.Table.from_pylist(rows, pa.schema([*names, *columns.items()])))
    found = apply_curation_rules(engine, engine.connection.table("records"), rules).to_pyarrow().to_pylist()
    assert len(found) == len(rows)
    return {row["id"]: (row["dropped"], row["same_as"]) for row in found}


def record(id_: str, day: int, split: str = "train", **told: Any) -> dict[str, Any]:
    return {"id": id_, "split": split, "at": START + timedelta(days=day), "facts": {"n": day}, **told}


def shingles(text: str, length: int) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return (
        {tuple(words[place : place + length]) for place in range(max(len(words) - length + 1, 1))} if words else set()
    )


def jaccard(item: str, other: str, length: int) -> float:
    a, b = shingles(item, length), shingles(other, length)
    return len(a & b) / len(a | b) if a | b else 0.0


words = st.lists(st.sampled_from(["ab", "cd", "ef", "gh"]), max_size=12).map(" ".join)


@settings(max_examples=1_000 if DEEP else 15, deadline=None)
@given(st.lists(st.tuples(words, st.integers(0, 5)), max_size=10), st.sampled_from([0.5, 0.8, 1.0]), st.integers(1, 3))
def test_a_near_duplicate_names_the_earliest_kept_record_and_equal_texts_drop(
    engine: Engine, told: list[tuple[str, int]], similarity: float, length: int
) -> None:
    rows = [record(f"r{place:02d}", day, text=text) for place, (text, day) in enumerate(told)]
    found = judged(engine, rows, TEXT, CurationRules(near=NearDuplicates(similarity=similarity, shingle=length)))
    order = sorted(rows, key=lambda row: (row["at"], row["id"]))
    stays: list[dict[str, Any]] = []
    for row in order:
        dropped, same_as = found[row["id"]]
        near = [stay["id"] for stay in stays if jaccard(stay["text"], row["text"], length) >= similarity]
        equal = [stay["id"] for stay in stays if jaccard(stay["text"], row["text"], length) == 1]
        if dropped is None:
            assert not equal
            stays.append(row)
        else:
            assert (dropped, same_as in near) == ("near duplicate", True)


def text_of(seed: int, count: int = 120) -> list[str]:
    draw = random.Random(seed)
    return [f"w{draw.randrange(4_000)}" for _ in range(count)]


def changed(words: list[str], *places: int) -> str:
    return " ".join("other" if place in places else word for place, word in enumerate(words))


def test_a_text_with_few_different_words_drops_in_any_split(engine: Engine) -> None:
    rows, expected = [], {}
    for seed in range(60):
        text = text_of(seed)
        name = f"{seed:02d}"
        rows.append(record(f"a{name}", 5, "test", text=changed(text).upper() + "!"))
        rows.append(record(f"b{name}", 3, "train", text=changed(text, 7)))  # earlier: it stays
        rows.append(record(f"c{name}", 9, "validation", text=changed(text, 7, 40)))
        rows.append(
            record(f"d{name}", 9, "train", text=changed(text, *range(0, 120, 12)))
        )  # half of its runs are other
        expected |= {f"a{name}": ("near duplicate", f"b{name}"), f"b{name}": (None, None)}
        expected |= {f"c{name}": ("near duplicate", f"b{name}"), f"d{name}": (None, None)}
    assert judged(engine, rows, TEXT, CurationRules(near=NearDuplicates())) == expected


def test_a_record_near_only_to_a_dropped_record_is_kept(engine: Engine) -> None:
    text = text_of(1)
    rows = [
        record("a", 1, text=changed(text)),
        record("b", 2, text=changed(text, 20, 60)),
        record("c", 3, text=changed(text, 20, 60, 90, 110)),
    ]
    assert jaccard(rows[1]["text"], rows[2]["text"], 5) > 0.8 > jaccard(rows[0]["text"], rows[2]["text"], 5)
    found = judged(engine, rows, TEXT, CurationRules(near=NearDuplicates()))
    assert found == {"a": (None, None), "b": ("near duplicate", "a"), "c": (None, None)}


def test_equal_facts_are_dropped_first_and_a_dropped_record_asks_no_question(engine: Engine) -> None:
    columns = {"prompt": pa.string(), "completion": pa.string()}
    text = text_of(2)
    same = {"facts": {"n": 1}}
    rows = [
        {**record("a", 1, prompt="p", completion=changed(text)), **same},
        {**record("b", 2, prompt="q", completion=changed(text, 3)), **same},
        record("c", 3, prompt="r", completion=changed(text, 3)),
        record("d", 4, "test", prompt="r", completion=changed(text_of(3))),
    ]
    assert judged(engine, rows, columns, CurationRules("facts", near=NearDuplicates())) == {
        "a": (None, None),
        "b": ("duplicate", "a"),
        "c": ("near duplicate", "a"),
        "d": (None, None),
    }


def test_records_with_different_labels_or_words_are_no_near_duplicates(engine: Engine) -> None:
    columns = {"prompt": pa.string(), "completion": pa.string(), "label": pa.bool_()}
    told = {"prompt": changed(text_of(4)), "completion": "x"}
    rows = [
        record("a", 1, **told, label=True),
        record("b", 2, **told, label=False),
        record("c", 3, **told, label=False),
    ]
    rules = CurationRules(near=NearDuplicates())
    assert judged(engine, rows, columns, rules) == {"a": (None, None), "b": (None, None), "c": ("near duplicate", "b")}
    talks = [[{"role": "user", "content": changed(text_of(seed))}] for seed in (5, 5, 6)]
    found = judged(
        engine, [record(str(n), n, messages=talk) for n, talk in enumerate(talks)], {"messages": MESSAGES}, rules
    )
    assert found == {"0": (None, None), "1": ("near duplicate", "0"), "2": (None, None)}


def test_a_release_names_the_record_that_a_near_duplicate_repeats(tmp_path: Path) -> None:
    rule = "none\n  near_duplicates: {similarity: 0.6, shingle: 1}"
    release = write_release(make(tmp_path, usual(), dedup=rule))
    assert release.drops["report"] == {"near duplicate": 4}
    assert {row["same_as"] for row in drops_of(release, "report").values()} == {"report/d1"}
    page = (release.path / "README.md").read_text()
    assert "Of records that have 60% or more of their words in common the earliest stays." in page


@pytest.mark.parametrize("similarity", [0.5, 0.7, 0.8, 0.95, 1.0])
def test_two_records_that_are_just_similar_enough_are_found_by_the_index(similarity: float) -> None:
    bands, rows = lsh_banding(similarity)
    assert bands * rows <= 128
    assert 1 - (1 - similarity**rows) ** bands >= 0.99
