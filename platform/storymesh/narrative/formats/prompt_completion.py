"""The format `prompt_completion`: a question and its answer, for supervised fine-tuning."""

from storymesh.narrative.formats import slots
from storymesh.narrative.formats.format import RecordFormat, TemplateSlot, TextColumn

COMPLETION = TemplateSlot("completion", "answer", "answer")

PROMPT_COMPLETION = RecordFormat(
    name="prompt_completion",
    purpose="a question and its answer, for supervised fine-tuning",
    slots=(slots.PROMPT, COMPLETION),
    texts=(TextColumn("prompt", slots.PROMPT), TextColumn("completion", COMPLETION)),
    columns={"prompt": "the question, of what was known at its moment", "completion": "the answer"},
)
