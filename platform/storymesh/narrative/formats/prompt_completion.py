"""The format `prompt_completion`: a question and its answer, for supervised fine-tuning."""

from storymesh.narrative.formats import slots
from storymesh.narrative.formats.conversation import TurnFormat, TurnText
from storymesh.narrative.formats.format import TemplateSlot
from storymesh.narrative.formats.messages import SYSTEM

COMPLETION = TemplateSlot("completion", "answer", "answer")

PROMPT_COMPLETION = TurnFormat(
    name="prompt_completion",
    purpose="a question and its answer, for supervised fine-tuning",
    slots=(SYSTEM, slots.PROMPT, COMPLETION),
    texts=(TurnText("system", SYSTEM), TurnText("prompt", slots.PROMPT), TurnText("completion", COMPLETION)),
    columns={"prompt": "the question, of what was known at its moment", "completion": "the answer"},
    may_chat=True,
)
