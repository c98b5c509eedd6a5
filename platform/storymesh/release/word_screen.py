"""Which of many texts may hold one of some questions: told by a few words, before any text is divided into words.

To look for a word in a text takes a hundredth of what it takes to divide the text into runs of words. A text that holds
a question holds all its words, so the words are chosen that together are rare: the year, the ship, the verb that asks.
Of the texts that are left other words are rare, as long as they are many.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import ibis

from storymesh.engine import dialect

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from ibis.expr.types import BooleanValue, IntegerValue, StringValue, Table

    from storymesh.engine.engine import Engine

_MIN_TEXTS = 2_000  # fewer are all searched
_SAMPLE = 250  # texts, by which words are chosen; with 1,000 they are no better
_QUESTIONS = 1_000  # by which words are chosen
_WORDS = 12  # looked for in every text
_EARLY = 3  # of them, looked for first: few texts are left for the others
_ENOUGH = 0.0001  # of the pairs of a question and a text are left, so that a further word gains nothing
_LETTER_I = r"(?:i\x{307}?|\x{130})"  # which in small letters are an i, or begin with one


@contextmanager
def screen_texts(
    engine: "Engine", questions: "Table", texts: "Sequence[Table]", samples: "Sequence[Table]" = ()
) -> "Iterator[Table]":
    """Yield the different ones of the `texts`, tables with the column `text`, that may hold one of the questions.

    `questions` has the column `words`. Where they have no words that are rare enough, all texts may. `samples` have
    some of the texts, by which words are chosen (none: they are drawn from all). Meanwhile the engine has a table of
    what is yielded.
    """
    import pyarrow as pa

    asked = [set(words) for words in engine.fetch_table(questions.select("words").distinct())["words"].to_pylist()]
    left = ibis.union(*texts).distinct()
    temporary: list[Table] = []
    size = _count_rows(engine, texts)
    try:
        while size >= _MIN_TEXTS:
            chosen = _choose_words(asked, _sample_texts(engine, samples or texts))
            sought = {sum(1 << place for place, word in enumerate(chosen) if word in words) for words in asked}
            if 0 in sought:
                break
            choices = engine.materialize(pa.table({"held": _holding_all(sought, len(chosen))}))  # too many for literals
            held = ibis.union(*[_holding(table, chosen, sought, choices) for table in texts])
            left = engine.materialize(held.distinct())
            for table in (choices, *temporary):
                engine.drop(table)
            temporary, texts, samples = [left], [left], ()
            before, size = size, _count_rows(engine, texts)
            if 2 * size > before:
                break
        yield left
    finally:
        for table in temporary:
            engine.drop(table)


def _count_rows(engine: "Engine", tables: "Sequence[Table]") -> int:
    counts = [table.aggregate(rows=table.count()) for table in tables]
    return sum(row["rows"] for row in engine.fetch_rows(ibis.union(*counts)))


def _holding_all(sought: Collection[int], words: int) -> "npt.NDArray[np.int64]":
    """Return every choice of so many words, as the bits of a number, that has all those of some question."""
    import numpy as np

    suspect = np.zeros(1 << words, bool)
    suspect[list(sought)] = True
    for place in range(words):
        without, with_ = suspect.reshape(-1, 2, 1 << place).swapaxes(0, 1)
        with_ |= without
    return np.flatnonzero(suspect)


def _holding(texts: "Table", words: Sequence[str], sought: Collection[int], choices: "Table") -> "Table":
    """Return the texts in which one of the choices of the words stands."""
    rows = texts.select("text")
    if all(word.isascii() for word in words):
        held = _bits([_has_word(rows["text"], word) for word in words])
    else:
        rows = dialect.materialization_barrier(rows.select("text", plain=_normalize(rows["text"])))
        held = _bits([rows["plain"].contains(word) for word in words])
    early = [place for place, word in enumerate(words) if word.isascii()][:_EARLY]
    found = {sum(1 << new for new, place in enumerate(early) if choice >> place & 1) for choice in sought}
    if early and 0 not in found:
        # A branch, since engines compute a column before they filter by another.
        first = _bits([_has_word(rows["text"], words[place]) for place in early])
        held = ibis.ifelse(first.isin(_holding_all(found, len(early)).tolist()), held, 0)
    return rows.select("text", held=held).semi_join(choices, "held").select("text")


def _bits(conditions: "Sequence[BooleanValue]") -> "IntegerValue":
    """Return a number of which each condition is a bit."""
    return reduce(add, [holds.ifelse(ibis.literal(1 << place, "int64"), 0) for place, holds in enumerate(conditions)])


def _has_word(text: "StringValue", word: str) -> "BooleanValue":
    """Return True where a word of ASCII is in a text as it is written, wherever it is in its plain form.

    This takes a tenth of what it takes to write a text that is not of ASCII in small letters.
    """
    return dialect.regex_found(text, f"(?i){word.replace('i', _LETTER_I)}")


def _normalize(text: "StringValue") -> "StringValue":
    """Return a text in which the words of `split_words` stand as they are."""
    return dialect.normalize_nfc(text).lower().coalesce("")


def _sample_texts(engine: "Engine", texts: "Sequence[Table]") -> list[str]:
    fraction = min(_SAMPLE / max(_count_rows(engine, texts), 1), 1.0)
    sample = ibis.union(*[table.sample(fraction, method="row", seed=0) for table in texts])
    plain: list[str] = engine.fetch_table(sample.select(plain=_normalize(sample["text"])))["plain"].to_pylist()
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
