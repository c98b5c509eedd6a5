"""The format `evaluation`: a case with questions whose right answers are computed. `evaluation:` makes its one config.

Question and context are apart, so that a model can be asked with what it may look up (open book) or without.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from storymesh.narrative.formats.format import RecordFormat, TemplateSlot, TextColumn
from storymesh.narrative.formats.messages import SYSTEM

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

MAX_WORDINGS = 5
REWORDINGS = "rewordings"


class RewordedText(TextColumn):
    """The question in a further wording, an item of the column `rewordings`."""

    @property
    def column(self) -> str:
        return REWORDINGS

    @property
    def path(self) -> str:
        return f"{REWORDINGS}.{self.wording - 2}"

    def value_in(self, records: "ir.Table") -> "ir.StringValue":
        return records[REWORDINGS][self.wording - 2]

    def text_in(self, record: Mapping[str, Any]) -> str | None:
        texts = record.get(REWORDINGS) or ()
        place = self.wording - 2
        return str(texts[place]) if place < len(texts) else None


class EvaluationFormat(RecordFormat):
    """A format whose records ask and do not answer: only judged cases have one, since the answer is computed."""

    @property
    def needs_outcome(self) -> bool:
        return True

    def assemble(self, texts: "Mapping[str, ir.StringValue]") -> "dict[str, ir.Value]":
        import ibis

        absent = ibis.literal("").nullif("")  # an engine has no text type for a bare null
        single: dict[str, ir.Value] = {
            text.column: texts.get(text.name, absent) for text in self.texts if text.column != REWORDINGS
        }
        further = [texts[text.name] for text in self.texts if text.column == REWORDINGS and text.name in texts]
        items = ibis.array(further or [ibis.literal("")]).filter(lambda text: text != "")
        return {column: items if column == REWORDINGS else single[column] for column in self.text_columns}

    def assemble_row(self, texts: Mapping[str, str]) -> dict[str, Any]:
        single = {text.column: texts.get(text.name) for text in self.texts if text.column != REWORDINGS}
        further = [texts[text.name] for text in self.texts if text.column == REWORDINGS and text.name in texts]
        return {column: further if column == REWORDINGS else single[column] for column in self.text_columns}

    def outcome_parts(self, schema: "pa.Schema") -> tuple[str, ...]:
        return ("action", "worked")

    def column_texts(self, records: "ir.Table") -> "dict[str, ir.StringValue]":
        return {
            column: records[column].join("\n") if column == REWORDINGS else records[column].fill_null("")
            for column in self.text_columns
        }


BEST = TemplateSlot("best", "question", "of `evaluation`; question: which action is best", required=False)
RATE = TemplateSlot(
    "rate", "question", "of `evaluation`; question: how often `option.action` works", required=False, sees_option=True
)
VERDICT = TemplateSlot(
    "verdict",
    "question",
    "of `evaluation`; question: whether `option.action`, the case's own, will work",
    required=False,
    sees_option=True,
)
CONTEXT = TemplateSlot(
    "context", "question", "of `evaluation`; question: what a model may look up, the precedents", required=False
)

EVALUATION = EvaluationFormat(
    name="evaluation",
    purpose="a case with questions whose right answers are computed, to test a model with",
    slots=(SYSTEM, BEST, RATE, VERDICT, CONTEXT),
    texts=(
        TextColumn("system", SYSTEM),
        TextColumn("question", BEST),
        *(RewordedText(f"question_{wording}", BEST, wording=wording) for wording in range(2, MAX_WORDINGS + 1)),
        TextColumn("rate_question", RATE, "asked"),
        TextColumn("verdict_question", VERDICT, "own"),
        TextColumn("context", CONTEXT),
    ),
    columns={
        "system": "the system prompt",
        "question": "the question which action is best",
        REWORDINGS: "the same question in other words",
        "rate_question": "the question how often `rate_action` works",
        "verdict_question": "the question whether `action` will work",
        "context": "what a model may look up for its answer (open book)",
        "options": "the actions to choose from with their labels, in an order that is drawn",
        "target": "the actions that count as best: those whose 95 % interval meets that of the best",
        "rates": "of each action how often it was tried and worked before, its rate and the ends of its 95 % interval",
        "rate_action": "the action that `rate_question` asks about",
        "abstain": "true where the right answer is that there are too few cases",
        "withheld": "true where that holds of this case alone, so that only who looks it up can know",
        "action": "what was done in this case",
        "label": "whether that worked",
        "stratum": "the stratum that the case was drawn from",
        "component": "cases with the same value belong together",
    },
    task="question-answering",
    read_by_trl=False,
    label="label",
    later_columns=frozenset({"withheld"}),
)
