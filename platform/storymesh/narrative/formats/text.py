"""The format `text`: a story in hindsight, for language modelling."""

from storymesh.narrative.formats import slots
from storymesh.narrative.formats.format import RecordFormat, TextColumn

TEXT = RecordFormat(
    name="text",
    purpose="a story in hindsight, for language modelling",
    slots=(slots.TEXT,),
    texts=(TextColumn("text", slots.TEXT),),
    columns={"text": "the story"},
)
