"""Which records of one config say what another record says already: duplicates, and questions asked in two splits.

Stories from one template look alike by design, so records are compared by the facts that they print, not by their
words. A question that stands in an earlier split would give a later one away, whatever its answer.
"""

from typing import TYPE_CHECKING, Literal

from storymesh.record.split import SPLITS

if TYPE_CHECKING:
    from ibis.expr.types import StringValue, Table, Value

DUPLICATE = "duplicate"
SAME_QUESTION = "same question"

_ANSWERS = ("messages", "completion", "chosen", "rejected", "label")


def curate(records: "Table", dedup: Literal["facts", "none"]) -> "Table":
    """One row a record: id, dropped (null: it stays), same_as (the id of the record that it repeats), conflict.

    `records` are those of one config, in all splits: id, split, at, the format's columns and `facts`. Of records with
    the same facts, and the same label where they have one, the earliest `at`, then the smallest id stays. Of the rest,
    those that ask what a record of an earlier split asks drop. `conflict` marks those of the rest that have the same
    question as another and a different answer; it drops nothing.
    """
    import ibis

    if dedup == "facts" and "facts" in records.columns:
        same = [name for name in ("facts", "label") if name in records.columns]
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
    """SHA-256 of what a record asks: its prompt, or its messages but the assistant's. None: the format asks nothing."""
    if "prompt" in records.columns:
        return _text(records.prompt).hexdigest("sha256")
    if "messages" in records.columns:
        return _text(records.messages.filter(lambda message: message.role != "assistant")).hexdigest("sha256")
    return None


def _answer_of(records: "Table") -> "StringValue":
    import ibis

    parts = [_text(records[name]) for name in _ANSWERS if name in records.columns]
    whole = ibis.literal("").join([_measured(part) for part in parts])
    return whole.hexdigest("sha256")


def _text(value: "Value") -> "StringValue":
    """A text as it is, and a conversation as one text that no other conversation gives."""
    if value.type().is_array():
        return value.map(lambda message: message.role + ":" + _measured(message.content)).join("")
    return value.cast("string")


def _measured(text: "StringValue") -> "StringValue":
    return text.length().cast("string") + ":" + text
