"""Which of many texts may hold one of some questions: told by a few words, before any text is divided into words.

To look for a word in a text takes a hundredth of what it takes to divide the text into runs of words. A text that holds
a question holds all its words, so the words are chosen that together are rare: the year, the ship, the verb that asks.
"""

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import ibis

from storymesh.engine import dialect

if TYPE_CHECKING:
    import pyarrow as pa
    from ibis.expr.types import StringValue, Table

    from storymesh.engine.engine import Engine

_LEAST_TEXTS = 20_000  # fewer are all searched
_SAMPLE = 250  # texts, by which words are chosen; with 1,000 they are no better
_QUESTIONS = 1_000  # by which words are chosen
_WORDS = 12  # looked for in every text
_ENOUGH = 0.0001  # of the pairs of a question and a text are left, so that a further word gains nothing


def screen_texts(engine: "Engine", questions: "Table", texts: "Sequence[Table]") -> "list[Table]":
    """Return of each of the `texts`, tables with the column `text`, the rows that may hold one of the questions.

    `questions` has the column `words`. Where they have no words that are rare enough, all rows may.
    """
    counts = [table.aggregate(rows=table.count()) for table in texts]
    total = sum(row["rows"] for row in engine.fetch_rows(ibis.union(*counts)))
    if total < _LEAST_TEXTS:
        return list(texts)
    asked = [set(words) for words in engine.fetch_table(questions.select("words").distinct())["words"].to_pylist()]
    chosen = _choose_words(asked, _sample_texts(engine, texts, min(_SAMPLE / total, 1.0)))
    sought = {sum(1 << place for place, word in enumerate(chosen) if word in words) for words in asked}
    if 0 in sought:
        return list(texts)
    choices = engine.materialize(_suspect_choices(sorted(sought), len(chosen)))  # too many for literals
    return [_holding(table, chosen, choices) for table in texts]


def _suspect_choices(sought: Sequence[int], words: int) -> "pa.Table":
    """Return as `held` every choice of so many words that has all those of some question."""
    import numpy as np
    import pyarrow as pa

    suspect = np.zeros(1 << words, bool)
    suspect[sought] = True
    for place in range(words):
        without, with_ = suspect.reshape(-1, 2, 1 << place).swapaxes(0, 1)
        with_ |= without
    return pa.table({"held": np.flatnonzero(suspect)})


def _holding(texts: "Table", words: Sequence[str], choices: "Table") -> "Table":
    """Return the texts in which one of the choices of the words stands, as the bits of a number."""
    rows = dialect.materialization_barrier(texts.select("text", plain=_plain(texts["text"])))
    bits = [ibis.literal(1 << place, "int64") for place in range(len(words))]
    held = [rows["plain"].contains(word).ifelse(bit, 0) for word, bit in zip(words, bits, strict=True)]
    return rows.select("text", held=reduce(add, held)).semi_join(choices, "held").select("text")


def _plain(text: "StringValue") -> "StringValue":
    """Return a text in which the words of `split_words` stand as they are."""
    return dialect.normalize_nfc(text).lower().coalesce("")


def _sample_texts(engine: "Engine", texts: "Sequence[Table]", fraction: float) -> list[str]:
    sample = ibis.union(*[table.sample(fraction, method="row", seed=0) for table in texts])
    plain: list[str] = engine.fetch_table(sample.select(plain=_plain(sample["text"])))["plain"].to_pylist()
    return plain


def _choose_words(asked: Sequence[set[str]], sample: Sequence[str]) -> list[str]:
    """Return words that, one after another, leave the fewest pairs of a question and a text that has all of them."""
    import numpy as np

    asked = [asked[place] for place in range(0, len(asked), 1 + len(asked) // _QUESTIONS)]
    words = sorted(set().union(*asked))
    of_questions, of_texts = (
        np.array([[word in held for word in words] for held in several], np.float32) for several in (asked, sample)
    )
    pairs = np.ones((len(sample), len(asked)), np.float32)
    chosen = list[int]()
    while pairs.size and len(chosen) < _WORDS and pairs.mean() > _ENOUGH:
        gains = ((pairs.T @ (1 - of_texts)) * of_questions).sum(axis=0)
        if not gains.max(initial=0):
            break
        chosen.append(int(gains.argmax()))
        pairs *= 1 - np.outer(1 - of_texts[:, chosen[-1]], of_questions[:, chosen[-1]])
    return [words[place] for place in chosen]
