"""The format `unpaired_preference`: a question with one answer and whether it was a good one (KTO)."""

from storymesh.narrative.formats import slots
from storymesh.narrative.formats.conversation import TurnFormat, TurnText
from storymesh.narrative.formats.messages import SYSTEM

UNPAIRED_PREFERENCE = TurnFormat(
    name="unpaired_preference",
    purpose="a question with one answer and whether it was a good one (KTO)",
    slots=(SYSTEM, slots.PROMPT, slots.OPTION),
    texts=(
        TurnText("system", SYSTEM),
        TurnText("prompt", slots.PROMPT),
        TurnText("completion", slots.OPTION, "own"),
    ),
    columns={
        "prompt": "the question, of what was known at its moment",
        "completion": "the answer: the case's own action",
        "label": "whether what the answer advises worked in this case",
    },
    label="label",
    may_chat=True,
)
