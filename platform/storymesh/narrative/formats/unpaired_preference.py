"""The format `unpaired_preference`: a question with one answer and whether it was a good one (KTO)."""

from storymesh.narrative.formats import slots
from storymesh.narrative.formats.format import RecordFormat, TextColumn

UNPAIRED_PREFERENCE = RecordFormat(
    name="unpaired_preference",
    purpose="a question with one answer and whether it was a good one (KTO)",
    slots=(slots.PROMPT, slots.OPTION),
    texts=(TextColumn("prompt", slots.PROMPT), TextColumn("completion", slots.OPTION, "own")),
    columns={
        "prompt": "the question, of what was known at its moment",
        "completion": "the answer: the case's own action",
        "label": "whether what the answer advises worked in this case",
    },
    label="label",
)
