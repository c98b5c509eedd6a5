"""Which records of one config are dropped, and why: duplicates, repeated questions, and what else the narrative asks.

Stories from one template look alike by design, so duplicates are compared by what their templates read, not by their
words: by the facts that they print, by what decided between their words, and by their label. A question of an earlier
split would reveal a later one, whatever its answer. The other rules apply before: a record that is already dropped is
nobody's duplicate and asks no question.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from storymesh.dataset.personal_data import PERSONAL_DATA, find_personal_texts
from storymesh.dataset.personal_data_finder import PersonalDataFinder
from storymesh.dataset.render import UNPRINTED
from storymesh.dataset.split import split_rank
from storymesh.narrative.formats import format_of_columns
from storymesh.release.curation.texts import full_text, text_columns

if TYPE_CHECKING:
    import pyarrow as pa
    from ibis.expr.types import StringValue, Table, Value

    from storymesh.engine.engine import Engine
    from storymesh.narrative.definition import Decontaminate, LengthLimits, Narrative, NearDuplicates
    from storymesh.release.curation.decontaminate import EvaluationSet

DUPLICATE = "duplicate"
SAME_QUESTION = "same question"
TOO_SHORT = "too short"
TOO_LONG = "too long"


@dataclass(frozen=True)
class CurationRules:
    """The rules for one config; a rule that is not asked for is None and costs nothing."""

    dedup: Literal["facts", "none"] = "none"
    length: "LengthLimits | None" = None
    near: "NearDuplicates | None" = None
    persons: PersonalDataFinder | None = None  # for texts that a language model wrote
    decontaminate: "Decontaminate | None" = None
    action_cap: float | None = None

    def sentences(self) -> list[str]:
        """Return a sentence for each rule beyond those of every release."""
        sentences = []
        if (limits := self.length) is not None:
            bounds = [("fewer", limits.min), ("more", limits.max)]
            given = [f"{word} than {count:,}" for word, count in bounds if count is not None]
            sentences += [f"A record of {' or '.join(given)} characters is left out."] if given else []
        if (rule := self.decontaminate) is not None:
            files = " or ".join(rule.against)
            sentences.append(f"A record with {rule.ngram} words in a row that stand in {files} too is left out.")
        if (near := self.near) is not None:
            runs = f"runs of {near.shingle} words" if near.shingle > 1 else "words"
            sentences.append(
                f"Of records that have {near.similarity:.0%} or more of their {runs} in common the earliest stays."
            )
        if self.action_cap is not None:
            sentences.append(f"No action is more than {self.action_cap:.0%} of the better or of the worse answers.")
        return sentences


def curation_rules(narrative: "Narrative", config: str) -> CurationRules:
    """Return the rules of a config: those of the dataset, except where the record has its own."""
    dataset, record = narrative.dataset, narrative.records[config]
    return CurationRules(
        dataset.dedup,
        record.length or dataset.length,
        record.near_duplicates or dataset.near_duplicates,
        PersonalDataFinder(regions=dataset.phone_regions) if record.narrator and dataset.personal != "off" else None,
        dataset.decontaminate,
        narrative.records[record.from_ or config].action_cap,
    )


def apply_curation_rules(
    engine: "Engine", records: "Table", rules: CurationRules, evaluation: "EvaluationSet | None" = None
) -> "Table":
    """Apply every rule in order; the first match is the drop reason.

    The order is length, personal data, evaluation set, facts, near duplicates, questions, cap. Returns a temporary
    table of the engine with the columns of `find_repeats`.
    """
    import ibis

    dropped: list[Table] = []

    def remaining() -> "Table":
        return records.anti_join(ibis.union(*dropped), "id") if dropped else records

    for find_drops in _filters(engine, rules, evaluation):
        dropped.append(engine.materialize(find_drops(remaining())))
    temporary = [*dropped]
    repeats = find_repeats(remaining(), rules.dedup if rules.near is None else "none")
    if rules.action_cap is not None:
        from storymesh.release.curation.action_cap import find_over_cap

        repeats = engine.materialize(repeats)
        over = find_over_cap(
            engine, records.semi_join(repeats.filter(repeats["dropped"].isnull()), "id"), rules.action_cap
        )
        over = engine.materialize(over.mutate(conflict=ibis.literal(False)))
        temporary += [repeats, over]
        repeats = repeats.anti_join(over, "id").union(over)
    parts = [repeats, *(part.mutate(conflict=ibis.literal(False)) for part in dropped)]
    curated = engine.materialize(ibis.union(*parts))
    for table in temporary:
        engine.drop(table)
    return curated


def _filters(
    engine: "Engine", rules: CurationRules, evaluation: "EvaluationSet | None"
) -> "Iterator[Callable[[Table], Table | pa.Table]]":
    """Yield functions that return id, dropped and same_as of the records that they drop."""
    if (limits := rules.length) is not None and limits.model_dump(exclude_none=True):
        yield lambda records: _find_wrong_length(records, limits)
    if (finder := rules.persons) is not None:
        yield lambda records: _find_personal(engine, records, finder)
    if evaluation is not None:
        yield lambda records: evaluation.find_contaminated(engine, records)
    if (near := rules.near) is not None:
        from storymesh.release.curation.near_duplicates import find_near_duplicates

        # Exact duplicates are reported as such, and take no place in the index.
        if rules.dedup == "facts":
            yield _find_duplicates
        yield lambda records: find_near_duplicates(engine, records, near)


def _find_personal(engine: "Engine", records: "Table", finder: PersonalDataFinder) -> "pa.Table":
    import pyarrow as pa

    drops = find_personal_texts(engine, records.select("id", text=full_text(records)), finder)
    return drops.append_column("same_as", pa.nulls(len(drops), pa.string()))


def redact_texts(dropped: "Table") -> "Table":
    """Return dropped records with their reasons, without the texts of those dropped for personal data."""
    texts = [name for name in (*text_columns(dropped), "retellings") if name in dropped.columns]
    shown = ~dropped.reason.startswith(PERSONAL_DATA)
    return dropped.mutate(**{name: shown.ifelse(dropped[name], None) for name in texts})


def _find_duplicates(records: "Table") -> "Table":
    repeats = find_repeats(records, "facts")
    return repeats.filter(repeats.dropped == DUPLICATE).drop("conflict")


def _find_wrong_length(records: "Table", limits: "LengthLimits") -> "Table":
    import ibis

    format_ = format_of_columns(records.columns)
    assert format_ is not None
    length = format_.length(records)
    reason = ibis.cases(
        *([(length < limits.min, TOO_SHORT)] if limits.min is not None else []),
        *([(length > limits.max, TOO_LONG)] if limits.max is not None else []),
        else_=ibis.null().cast("string"),
    )
    measured = records.select("id", dropped=reason, same_as=ibis.null().cast("string"))
    return measured.filter(measured.dropped.notnull())


def find_repeats(records: "Table", dedup: Literal["facts", "none"]) -> "Table":
    """Return one row a record: id, dropped (null: it stays), same_as (the id of the record it repeats), conflict.

    `records` are those of one config, in all splits: id, split, at, the format's columns, `facts` and, where the texts
    depend on more than they print, `unprinted`. Of records with the same facts, the same of that, and the same label
    where they have one, the earliest `at`, then the smallest id stays. Of the rest, those that ask the question of a
    record in an earlier split drop. `conflict` marks those of the rest that have the same question as another and a
    different answer; it drops nothing.
    """
    import ibis

    nothing, none = ibis.null().cast("string"), ibis.literal(False)
    found = records.select("id", dropped=nothing, same_as=nothing, conflict=none)
    if dedup == "facts" and "facts" in records.columns:
        duplicates = _find_equal_facts(records)
        found = _with_findings(found, duplicates.mutate(dropped=ibis.literal(DUPLICATE), conflict=none))
        asking = records.anti_join(duplicates, "id").select(*records.columns)
    else:
        asking = records
    repeated = _find_equal_questions(asking)
    return found if repeated is None else _with_findings(found, repeated)


def _with_findings(found: "Table", more: "Table") -> "Table":
    """Return `found` with what `more` says of some records: dropped, same_as and conflict."""
    named = more.rename({f"more_{name}": name for name in more.columns})
    joined = found.left_join(named, found["id"] == named["more_id"])
    return joined.select(
        "id",
        dropped=joined["dropped"].coalesce(joined["more_dropped"]),
        same_as=joined["same_as"].coalesce(joined["more_same_as"]),
        conflict=joined["conflict"] | joined["more_conflict"].coalesce(False),
    )


def _find_equal_facts(records: "Table") -> "Table":
    """Return id and same_as of the records that an earlier one makes duplicates."""
    similar = _with_equal_hash(records, _read_by_texts(records))
    first = similar["id"].first().over(group_by=_read_by_texts(similar), order_by=["at", "id"])
    compared = similar.select("id", same_as=first)
    return compared.filter(compared["id"] != compared["same_as"])


def _find_equal_questions(records: "Table") -> "Table | None":
    """Return id, dropped, same_as and conflict of the records whose question another has too; None if none is asked."""
    import ibis

    if (asked := question_of(records)) is None:
        return None
    similar = _with_equal_hash(records, [asked])
    question, answer = question_digest(similar), _answer_digest(similar)
    questions = similar.select("id", "at", question=question, answer=answer, rank=split_rank(similar["split"]))
    found = questions.mutate(
        late=questions["rank"] > questions["rank"].min().over(group_by="question"),
        asker=questions["id"].first().over(group_by="question", order_by=["at", "id"]),
        conflict=questions["answer"].min().over(group_by="question")
        != questions["answer"].max().over(group_by="question"),
    )
    return found.select(
        "id",
        dropped=ibis.cases((found["late"], SAME_QUESTION)),
        same_as=ibis.cases((found["late"], found["asker"])),
        conflict="conflict",
    )


def _with_equal_hash(records: "Table", values: "list[Value]") -> "Table":
    """Return the records that share the engine's hash of `values` with another: whichever are equal are among them.

    So only those few are compared by what they hold.
    """
    import ibis

    hashed = records.select("id", hash=ibis.struct({f"v{place}": value for place, value in enumerate(values)}).hash())
    counted = hashed.group_by("hash").aggregate(rows=hashed.count())
    shared = counted.filter(counted["rows"] > 1).select(shared="hash")
    similar = hashed.semi_join(shared, hashed["hash"] == shared["shared"]).select("id")
    return records.semi_join(similar, "id").select(*records.columns)


def _read_by_texts(records: "Table") -> "list[Value]":
    """Return all that the texts of a record depend on, and its labels."""
    format_ = format_of_columns(records.columns)
    read = [records[name] for name in ("facts", UNPRINTED) if name in records.columns]
    return [*read, *(format_.labels(records).values() if format_ is not None else ())]


def question_digest(records: "Table") -> "StringValue | None":
    """Return the SHA-256 of what a record asks, None if its format asks nothing."""
    question = question_of(records)
    return question.hexdigest("sha256") if question is not None else None


def question_of(records: "Table") -> "StringValue | None":
    """Return one text for what a record asks, None if its format asks nothing."""
    format_ = format_of_columns(records.columns)
    return format_.question(records) if format_ is not None else None


def _answer_digest(records: "Table") -> "StringValue":
    format_ = format_of_columns(records.columns)
    assert format_ is not None
    return format_.answer(records).hexdigest("sha256")
