"""Which records of one config say what another record says already: duplicates, and questions asked in two splits.

Stories from one template look alike by design, so records are compared by the facts that they print, not by their
words. A question that stands in an earlier split would give a later one away, whatever its answer. What else a
narrative asks for is looked at before: what is dropped already is nobody's duplicate and asks no question.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from storymesh.dataset.personal_data import PERSONAL_DATA, find_personal_texts
from storymesh.dataset.personal_data_finder import PersonalDataFinder
from storymesh.dataset.split import SPLITS
from storymesh.narrative.formats import format_of_columns
from storymesh.release.curation.texts import texts_of, whole_of

if TYPE_CHECKING:
    import pyarrow as pa
    from ibis.expr.types import StringValue, Table

    from storymesh.engine.engine import Engine
    from storymesh.narrative.definition import Decontaminate, LengthLimits, Narrative, NearDuplicates
    from storymesh.release.curation.decontaminate import Evaluation

DUPLICATE = "duplicate"
SAME_QUESTION = "same question"
TOO_SHORT = "too short"
TOO_LONG = "too long"


@dataclass(frozen=True)
class Rules:
    """What one config is curated by. What is not asked for costs nothing."""

    dedup: Literal["facts", "none"] = "none"
    length: "LengthLimits | None" = None
    near: "NearDuplicates | None" = None
    persons: PersonalDataFinder | None = None  # of what a language model told
    decontaminate: "Decontaminate | None" = None

    def in_words(self) -> list[str]:
        """What is asked for beyond what every release does, a sentence each."""
        words = []
        if (limits := self.length) is not None:
            bounds = [("fewer", limits.min), ("more", limits.max)]
            told = [f"{word} than {count:,}" for word, count in bounds if count is not None]
            words += [f"A record of {' or '.join(told)} characters is left out."] if told else []
        if (held := self.decontaminate) is not None:
            files = " or ".join(held.against)
            words.append(f"A record with {held.ngram} words in a row that stand in {files} too is left out.")
        if (near := self.near) is not None:
            runs = f"runs of {near.shingle} words" if near.shingle > 1 else "words"
            words.append(
                f"Of records that have {near.similarity:.0%} or more of their {runs} in common the earliest stays."
            )
        return words


def rules_of(narrative: "Narrative", config: str) -> Rules:
    """The rules of the dataset, with those of the record in their place where it has its own."""
    dataset, record = narrative.dataset, narrative.records[config]
    return Rules(
        dataset.dedup,
        record.length or dataset.length,
        record.near_duplicates or dataset.near_duplicates,
        PersonalDataFinder(regions=dataset.phone_regions) if record.narrator and dataset.personal != "off" else None,
        dataset.decontaminate,
    )


def verdicts(engine: "Engine", records: "Table", rules: Rules, evaluation: "Evaluation | None" = None) -> "Table":
    """`curate`, with each further rule in its turn: length, persons, an evaluation set, facts, near duplicates,
    questions. Of several reasons the first stands.

    A temporary table of `engine`: id, dropped, same_as, conflict.
    """
    import ibis

    gone: list[Table] = []

    def rest() -> "Table":
        return records.anti_join(ibis.union(*gone) if len(gone) > 1 else gone[0], "id") if gone else records

    for step in _steps(engine, rules, evaluation):
        gone.append(_kept(engine, step(rest())))
    last = curate(rest(), rules.dedup if rules.near is None else "none")
    parts = [last, *(one.mutate(conflict=ibis.literal(False)) for one in gone)]
    return _kept(engine, ibis.union(*parts) if len(parts) > 1 else last)


def _steps(
    engine: "Engine", rules: Rules, evaluation: "Evaluation | None"
) -> "Iterator[Callable[[Table], Table | pa.Table]]":
    """Each gives id, dropped and same_as of the records that it drops."""
    if (limits := rules.length) is not None and limits.model_dump(exclude_none=True):
        yield lambda records: _of_wrong_length(records, limits)
    if (finder := rules.persons) is not None:
        yield lambda records: _of_persons(engine, records, finder)
    if evaluation is not None:
        yield evaluation.contaminated
    if (near := rules.near) is not None:
        from storymesh.release.curation.near_duplicates import near_duplicates

        # What repeats another's facts is said to do so, and takes no place in the index.
        if rules.dedup == "facts":
            yield _repeats
        yield lambda records: near_duplicates(engine, records, near)


def _of_persons(engine: "Engine", records: "Table", finder: PersonalDataFinder) -> "pa.Table":
    import pyarrow as pa

    found = find_personal_texts(engine, records.select("id", text=whole_of(records)), finder)
    return found.append_column("same_as", pa.nulls(len(found), pa.string()))


def without_words(dropped: "Table") -> "Table":
    """Records that drop, with their reason: without their texts where these held what is personal."""
    texts = [name for name in (*texts_of(dropped), "retellings") if name in dropped.columns]
    shown = ~dropped.reason.startswith(PERSONAL_DATA)
    return dropped.mutate(**{name: shown.ifelse(dropped[name], None) for name in texts})


def _repeats(records: "Table") -> "Table":
    judged = curate(records, "facts")
    return judged.filter(judged.dropped == DUPLICATE).drop("conflict")


def _of_wrong_length(records: "Table", limits: "LengthLimits") -> "Table":
    import ibis

    format_ = format_of_columns(records.columns)
    assert format_ is not None
    length = format_.length(records)
    reason = ibis.cases(
        *([(length < limits.min, TOO_SHORT)] if limits.min is not None else []),
        *([(length > limits.max, TOO_LONG)] if limits.max is not None else []),
        else_=ibis.null().cast("string"),
    )
    judged = records.select("id", dropped=reason, same_as=ibis.null().cast("string"))
    return judged.filter(judged.dropped.notnull())


def _kept(engine: "Engine", table: "Table | pa.Table") -> "Table":
    """`table` computed once, as a temporary table that goes with the engine."""
    from ibis.expr.types import Table
    from ibis.util import gen_name

    name = gen_name("curated")
    if isinstance(table, Table):
        kept: Table = engine.materialize(table)
        return kept
    # Not `create_table`: ibis 12 drops what it took from memory through sqlglot, whose 30.24 makes of it nothing.
    engine.connection.con.register(f"{name}_given", table)
    engine.connection.con.execute(f'CREATE TEMP TABLE "{name}" AS FROM "{name}_given"')
    engine.connection.con.unregister(f"{name}_given")
    return engine.connection.table(name)


def curate(records: "Table", dedup: Literal["facts", "none"]) -> "Table":
    """One row a record: id, dropped (null: it stays), same_as (the id of the record that it repeats), conflict.

    `records` are those of one config, in all splits: id, split, at, the format's columns and `facts`. Of records with
    the same facts, and the same label where they have one, the earliest `at`, then the smallest id stays. Of the rest,
    those that ask what a record of an earlier split asks drop. `conflict` marks those of the rest that have the same
    question as another and a different answer; it drops nothing.
    """
    import ibis

    if dedup == "facts" and "facts" in records.columns:
        label = format_.label if (format_ := format_of_columns(records.columns)) is not None else None
        same = ["facts", *([label] if label is not None else [])]
        first = records.id.first().over(group_by=same, order_by=["at", "id"])
        compared = records.mutate(first=first, repeats=records.id != first)
    else:
        compared = records.mutate(first=records.id, repeats=ibis.literal(False))
    nothing = ibis.null().cast("string")
    question = question_of(compared)
    if question is None:
        dropped = compared.repeats.ifelse(DUPLICATE, nothing)
        same_as = compared.repeats.ifelse(compared["first"], nothing)
        return compared.select("id", dropped=dropped, same_as=same_as, conflict=ibis.literal(False))
    asked = compared.select(
        "id",
        "at",
        "first",
        "repeats",
        question=question,
        answer=_answer_of(compared),
        rank=ibis.cases(*((compared.split == name, rank) for rank, name in enumerate(SPLITS))),
    )
    # Duplicates stand aside: they sort behind the others and count for nothing.
    earliest = asked.repeats.ifelse(ibis.null().cast("int8"), asked["rank"]).min().over(group_by="question")
    answers = asked.repeats.ifelse(nothing, asked.answer)
    judged = asked.mutate(
        late=~asked.repeats & (asked["rank"] > earliest),
        asker=asked.id.first().over(group_by="question", order_by=["repeats", "at", "id"]),
        conflict=~asked.repeats & (answers.min().over(group_by="question") != answers.max().over(group_by="question")),
    )
    return judged.select(
        "id",
        dropped=ibis.cases((judged.repeats, DUPLICATE), (judged.late, SAME_QUESTION)),
        same_as=ibis.cases((judged.repeats, judged["first"]), (judged.late, judged.asker)),
        conflict=judged.conflict,
    )


def question_of(records: "Table") -> "StringValue | None":
    """Return the SHA-256 of what a record asks, None if its format asks nothing."""
    format_ = format_of_columns(records.columns)
    question = format_.question(records) if format_ is not None else None
    return question.hexdigest("sha256") if question is not None else None


def _answer_of(records: "Table") -> "StringValue":
    format_ = format_of_columns(records.columns)
    assert format_ is not None
    return format_.answer(records).hexdigest("sha256")
