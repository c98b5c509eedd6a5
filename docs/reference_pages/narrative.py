"""The parts of docs/reference/narrative.md: the fields of a narrative with their types, and the record formats."""

from reference_pages.fields import field_table
from reference_pages.markdown import code, listed, table
from reference_pages.narrative_fields import FIELDS, SECTIONS
from storymesh.narrative import definition as narrative
from storymesh.narrative.formats import FORMATS


def page() -> dict[str, str]:
    parts: list[str] = []
    for title, (model, words) in SECTIONS.items():
        parts.append(f"## {title}\n" if title == "The file" else f"## `{title}`\n")
        parts += [f"{words}\n"] if words else []
        fields = field_table(model, FIELDS[title], title)
        parts += [fields] if fields else []
    formats = (
        [
            code(name),
            listed(sorted(slot.name for slot in format_.slots if slot.required)),
            listed(sorted(slot.name for slot in format_.slots if not slot.required)),
            f"{listed(format_.columns)}{f': {format_.layout}' if format_.layout else ''}",
        ]
        for name, format_ in FORMATS.items()
    )
    return {
        "sections": "\n".join(parts),
        "formats": table(["format", "needs", "may have", "columns"], formats),
        "reserved": listed(sorted(narrative.RESERVED)),
    }
