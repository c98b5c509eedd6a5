"""Templates that nobody checked, as the interpreter would take them: its own bounds have to hold for them as well."""

from collections.abc import Mapping
from dataclasses import is_dataclass, replace
from functools import cache
from typing import Any

from storymesh.language import ast
from storymesh.language.parse import parse_template
from storymesh.location import Location


def unchecked_template(templates: Mapping[str, str], name: str = "t.jinja", folder: str = "d") -> ast.Template:
    """Return a template with its partials in it. They may not include themselves: a tree has an end."""

    @cache
    def linked(included: str) -> ast.Template:
        return _link(parse_template(templates[included], included, f"{folder}/{included}"))  # type: ignore[no-any-return]

    def _link(part: Any) -> Any:
        if isinstance(part, tuple):
            return tuple(map(_link, part))
        if isinstance(part, ast.Include):
            return replace(part, partial=linked(part.template) if part.template in templates else None)
        if not is_dataclass(part) or isinstance(part, Location | type):
            return part
        return replace(part, **{field: _link(inner) for field, inner in vars(part).items()})

    return linked(name)
