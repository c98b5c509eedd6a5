"""The template slots that several formats have."""

from storymesh.narrative.formats.format import TemplateSlot

TEXT = TemplateSlot("text", "hindsight", "hindsight: sees everything")
PROMPT = TemplateSlot("prompt", "question", "question")
OPTION = TemplateSlot(
    "option",
    "answer",
    "answer, for one `option`: `action`, `tried`, `worked`, `rate`, `mean_score`, `quoted`",
    sees_option=True,
)
