"""The format `preference`: a question with a better and a worse answer, for preference tuning (DPO)."""

from storymesh.narrative.formats import slots
from storymesh.narrative.formats.format import RecordFormat, TextColumn

PREFERENCE = RecordFormat(
    name="preference",
    purpose="a question with a better and a worse answer, for preference tuning (DPO)",
    slots=(slots.PROMPT, slots.OPTION),
    texts=(
        TextColumn("prompt", slots.PROMPT),
        TextColumn("chosen", slots.OPTION, "chosen"),
        TextColumn("rejected", slots.OPTION, "rejected"),
    ),
    columns={
        "prompt": "the question, of what was known at its moment",
        "chosen": "the answer that earlier cases favour",
        "rejected": "the answer that earlier cases speak against",
    },
)
