"""The questions of an evaluation that a text for training already holds: a model may not learn what it is asked.

Texts are compared by their words. A question stands in a text only if all its words do, and all its runs of words. So a
few words are looked for first, and then the run that is rarest among the texts that are left: for nearly every question
there is none, and nothing is searched.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import ibis

from storymesh.dataset.split import SPLITS
from storymesh.engine import dialect
from storymesh.narrative.formats import format_of_columns
from storymesh.narrative.formats.evaluation import EVALUATION, REWORDINGS
from storymesh.release.curation.decontaminate import word_runs
from storymesh.release.curation.texts import text_columns
from storymesh.release.word_screen import screen_texts

if TYPE_CHECKING:
    from ibis.expr.types import ArrayValue, IntegerValue, StringValue, Table

    from storymesh.engine.engine import Engine

KNOWN_QUESTION = "its question stands in a text for training"
_RUN = 5  # words
_QUESTIONS = ("question", "rate_question", "verdict_question")


def asks_questions(columns: Iterable[str]) -> bool:
    """Return True for the columns of the config that an `evaluation:` makes."""
    return format_of_columns(columns) is EVALUATION


def training_texts(engine: "Engine", files: Mapping[str, Mapping[str, Sequence[Path]]]) -> "list[Table]":
    """Return a table with the column `text` for each text column of train and validation. `files` are config -> split
    -> the files that hold it."""
    tables = []
    for parts in files.values():
        paths = [path for split in SPLITS[:2] for path in parts.get(split, ())]
        if not paths:
            continue
        records = engine.read_parquet(paths)
        if not asks_questions(records.columns):
            tables += [records.select(text=text) for text in text_columns(records).values()]
    return tables


def find_known_questions(
    engine: "Engine", records: "Table", training: "Sequence[Table]", samples: "Sequence[Table]" = ()
) -> list[str]:
    """Return the ids of the evaluation records of which a question stands in a training text, sorted.

    `samples` have some of the training texts, so that not all have to be read to see which words are rare.
    """
    if not training:
        return []
    asked = [records.select("id", text=records[name]) for name in _QUESTIONS]
    asked.append(records.select("id", text=records[REWORDINGS].unnest()))
    named = ibis.union(*asked)
    named = named.filter(named["text"].notnull()).mutate(words=dialect.split_words(named["text"]))
    questions = engine.materialize(named.select("id", "words", text=_spaced(named["words"])))
    try:
        with screen_texts(engine, questions, training, samples) as texts:  # configs share their questions
            return _find_known(engine, questions, texts)
    finally:
        engine.drop(questions)


def _find_known(engine: "Engine", questions: "Table", texts: "Table") -> list[str]:
    suspects = engine.materialize(_possibly_known(questions.select("text").distinct(), texts))
    try:
        if not int(engine.fetch_value(suspects.count())):
            return []
        words = texts.select(held=_spaced(dialect.split_words(texts["text"])))
        found = suspects.join(words, words["held"].contains(suspects["text"])).select("text").distinct()
        known = questions.semi_join(found, "text").select("id").distinct().order_by("id")
        return [row["id"] for row in engine.fetch_rows(known)]
    finally:
        engine.drop(suspects)


def _possibly_known(questions: "Table", texts: "Table") -> "Table":
    """Return the questions of which every run of words stands somewhere in the texts, and those too short for one."""
    # Where two runs have one hash, a question is searched for that would not have to be.
    runs = word_runs(questions.select(question="text", text="text"), _RUN, _quick_hash).distinct()
    held = word_runs(texts, _RUN, _quick_hash).select("run").semi_join(runs, "run").distinct()
    unheard = runs.anti_join(held, "run").select(text="question").distinct()
    return questions.anti_join(unheard, "text").select("text")


def _quick_hash(text: "StringValue") -> "IntegerValue":
    return text.hash()  # of the engine alone, in a third of the time of one that is the same on any


def _spaced(words: "ArrayValue") -> "StringValue":
    """Return words as one text in which each stands between spaces, so that no part of a word is found."""
    return dialect.concat_texts([ibis.literal(" "), words.join(" "), ibis.literal(" ")])
