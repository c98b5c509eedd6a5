"""The meanings of the names in a narrative's templates, told to a language model: from contracts and facts."""

from storymesh.contract.definition import Property
from storymesh.language.static_values import Path
from storymesh.narrative.typed import TypedNarrative


def meaning_of(typed: TypedNarrative, path: Path) -> str | None:
    """Return what the value at a path is, None if nothing is known of it. Of a restricted property no value is told."""
    role, *steps = path
    if role in typed.case.facts and not steps:
        return f"computed as {typed.narrative.case.facts[role]}"
    if role not in typed.contracts:
        return None
    contract = typed.contracts[role]
    if not steps:
        return contract.title or role
    found = contract.properties.get(steps[0])
    return None if found is None else _meaning(found)


def title_of(typed: TypedNarrative, path: Path) -> str:
    """Return in few words what the value at a path is: the path, and the title of its property, if it has one."""
    name = ".".join(path)
    found = typed.contracts[path[0]].properties.get(path[1]) if path[0] in typed.contracts and len(path) > 1 else None
    words = " ".join((found.title or found.description or "").split()) if found is not None else ""
    return f"{name}: {words}" if words else name


def _meaning(found: Property) -> str:
    parts = [" ".join((found.description or found.title or found.name).split())]
    if found.unit:
        parts.append(f"in {found.unit}")
    if not found.required:
        parts.append("may be null")
    if found.enum and found.classification != "restricted":
        parts.append("one of " + ", ".join(map(str, found.enum[:20])))
    return "; ".join(parts)
