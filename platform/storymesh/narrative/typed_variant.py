"""One variant alone: a text typed as one before it is a file, and a narrative that tells every case by the same one."""

from collections.abc import Iterator
from dataclasses import replace

from storymesh.errors import DefinitionErrors, Finding, WrongUsage, suggest_name
from storymesh.language.ast import Draw, Template
from storymesh.location import Location
from storymesh.narrative.typed import TypedNarrative
from storymesh.narrative.typed_record import RecordTyper
from storymesh.narrative.typed_template import TypedTemplate

ORIGINAL = "original"  # the name of the template itself among its variants


def type_variant(typed: TypedNarrative, config: str, slot: str, name: str, text: str) -> TypedTemplate:
    """Return `text` typed as the variant `name` of a template: in the view of its slot, with the partials that the
    narrative uses. Raises DefinitionErrors."""
    narrative, findings = typed.narrative, list[Finding]()
    templates = {**narrative.templates, name: text}
    typer = RecordTyper(narrative.model_copy(update={"templates": templates}), typed.case, findings)
    format_ = narrative.format_of(config)
    place = next(part for part in format_.slots if part.name == slot)
    location = Location(f"{narrative.folder}/{name}")
    language = narrative.records[config].language
    template = typer.type_template(place, name, location, tried=format_.needs_pair, language=language)
    if template is None or findings:
        raise DefinitionErrors(findings)
    return template


def tell_by_variant(typed: TypedNarrative, variant: str) -> TypedNarrative:
    """Return the narrative with every template that has a variant of this name told by that variant alone; `original`
    is the template itself. Raises WrongUsage where no record draws from one of that name."""
    records, known = {}, dict[str, None]()
    for config, record in typed.records.items():
        slots = dict(record.slots)
        for name, slot in record.slots.items():
            named = dict(_variants_in(slot.checked.tree))
            known |= dict.fromkeys(named)
            if (tree := named.get(variant)) is not None:
                slots[name] = replace(slot, checked=replace(slot.checked, tree=tree))
        records[config] = replace(record, slots=slots)
    if variant not in known:
        hint = suggest_name(variant, known) if known else "no record has `variants: true` and files to draw from"
        raise WrongUsage(f"'{typed.narrative.id}' draws from no variant '{variant[:100]}'", hint)
    return replace(typed, records=records)


def _variants_in(tree: Template) -> Iterator[tuple[str, Template]]:
    """Yield the templates that a template draws from, by name: `original`, `01`, `02`, …"""
    for statement in tree.body:
        if isinstance(statement, Draw):
            original, *variants = statement.templates
            yield ORIGINAL, original
            yield from ((template.name.rpartition("/")[2].partition(".")[0], template) for template in variants)
