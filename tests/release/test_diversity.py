"""How varied texts are, on texts whose figures can be counted by hand."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storymesh.engine.open import open_engine
from storymesh.release.diversity import Diversity, measure_diversity, sample_texts


def measured(folder: Path, rows: list[dict[str, object]], sample: int = 100) -> dict[str, Diversity]:
    pq.write_table(pa.Table.from_pylist(rows), folder / "train-00000-of-00001.parquet")
    with open_engine() as engine:
        texts = sample_texts(engine, [folder / "train-00000-of-00001.parquet"], sample)
    return {one.column: one for one in measure_diversity(texts)}


def test_the_figures_are_those_of_a_count_by_hand(tmp_path: Path) -> None:
    texts = ["The ship was late today again.", "The ship was late today, too.", "The ship was late today again."]
    found = measured(tmp_path, [{"id": f"a/{n}", "text": text} for n, text in enumerate(texts)])["text"]
    assert (found.records, found.texts) == (3, 2)
    assert (found.opening, found.opening_share) == ("The ship was late today", pytest.approx(2 / 3))
    # the, ship, was, late, today, again., today,, too. of 18; then 5 + 2 pairs of 15; 4 + 2 triples of 12
    assert found.distinct == pytest.approx((8 / 18, 7 / 15, 6 / 12))
    # By the digests of their ids they stand in the order 2, 1, 0, so each text is compared with a different one: two
    # such texts have 4 of their 8 words in common.
    assert found.overlap == pytest.approx(0.5)


def test_each_text_of_a_record_is_measured_by_itself(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {
            "id": f"a/{n}",
            "messages": [{"role": "user", "content": "What?"}, {"role": "assistant", "content": f"Do {n}."}],
        }
        for n in range(4)
    ]
    found = measured(tmp_path, rows)
    assert list(found) == ["messages.user", "messages.assistant"], "nobody said anything as the system"
    assert found["messages.user"].texts == 1
    assert found["messages.user"].distinct == pytest.approx((1 / 4, 0, 0)), "a text of one word has no pair"
    assert found["messages.assistant"].texts == 4


def test_a_sample_is_the_same_whatever_the_order(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"id": f"a/{n}", "text": f"word{n} and more"} for n in range(50)]
    first = measured(tmp_path, rows, sample=20)["text"]
    assert first.records == 20
    assert measured(tmp_path, rows[::-1], sample=20)["text"] == first


def test_texts_without_words_count_and_have_nothing_in_common(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"id": f"a/{n}", "text": text} for n, text in enumerate(["", " \n", ""])]
    found = measured(tmp_path, rows)["text"]
    assert (found.records, found.texts, found.opening, found.opening_share) == (3, 2, "", 1.0)
    assert (found.distinct, found.overlap) == ((0, 0, 0), 0)
    worded = [{"id": f"a/{n}", "text": text} for n, text in enumerate(["one", "", "Two  two\tTHREE"])]
    assert measured(tmp_path, worded)["text"].distinct == pytest.approx((3 / 4, 1, 1))
