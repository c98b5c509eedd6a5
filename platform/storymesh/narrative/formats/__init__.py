"""The formats of records, one object in one file each. `FORMATS` is where a format is registered."""

from collections.abc import Iterable, Mapping

from storymesh.narrative.formats.evaluation import EVALUATION
from storymesh.narrative.formats.format import RecordFormat, TemplateSlot
from storymesh.narrative.formats.messages import MESSAGES
from storymesh.narrative.formats.preference import PREFERENCE
from storymesh.narrative.formats.prompt_completion import PROMPT_COMPLETION
from storymesh.narrative.formats.retrieval import RETRIEVAL
from storymesh.narrative.formats.text import TEXT
from storymesh.narrative.formats.tool_calls import TOOL_CALLS
from storymesh.narrative.formats.unpaired_preference import UNPAIRED_PREFERENCE

FORMATS: Mapping[str, RecordFormat] = {
    item.name: item
    for item in (
        TEXT,
        MESSAGES,
        TOOL_CALLS,
        PROMPT_COMPLETION,
        PREFERENCE,
        UNPAIRED_PREFERENCE,
        RETRIEVAL,
        EVALUATION,
    )
}
AUTHORED = tuple(name for name in FORMATS if name != EVALUATION.name)  # that a record may name


def template_slots() -> Mapping[str, TemplateSlot]:
    """Return every slot that any format has, by name."""
    return {slot.name: slot for item in FORMATS.values() for slot in item.slots}


def format_of_columns(names: Iterable[str]) -> RecordFormat | None:
    """Return the format that records with these columns have: the one that accounts for most of them, None if none
    does. Formats differ in their columns, so a file shows its format."""
    found = frozenset(names)
    fitting = [item for item in FORMATS.values() if item.columns.keys() - item.later_columns <= found]
    return max(fitting, key=lambda item: len(item.columns), default=None)
