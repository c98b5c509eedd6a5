"""A text typed as a variant of one template of a narrative, before it is a file."""

from storymesh.errors import DefinitionErrors, Finding
from storymesh.location import Location
from storymesh.narrative.typed import TypedNarrative
from storymesh.narrative.typed_record import RecordTyper, TypedTemplate


def type_variant(typed: TypedNarrative, config: str, slot: str, name: str, text: str) -> TypedTemplate:
    """Return `text` typed as the variant `name` of a template: in the view of its slot, with the partials that the
    narrative uses. Raises DefinitionErrors."""
    narrative, findings = typed.narrative, list[Finding]()
    templates = {**narrative.templates, name: text}
    typer = RecordTyper(narrative.model_copy(update={"templates": templates}), typed.case, findings)
    format_ = narrative.format_of(config)
    place = next(part for part in format_.slots if part.name == slot)
    location = Location(f"{narrative.folder}/{name}")
    template = typer.type_template(place, name, location, tried=format_.needs_pair)
    if template is None or findings:
        raise DefinitionErrors(findings)
    return template
