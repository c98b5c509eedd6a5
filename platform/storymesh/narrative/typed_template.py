"""A template of a narrative, checked in the view of time that it has, with what it costs at most."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from storymesh.case.scopes import Phase
from storymesh.language.bounds import TemplateCost, template_cost
from storymesh.language.typecheck.scope import CheckedTemplate
from storymesh.language.variants import draw_between


@dataclass(frozen=True)
class TypedTemplate:
    """The template of a slot, checked in its phase."""

    template: str
    phase: Phase
    checked: CheckedTemplate

    @cached_property
    def cost(self) -> TemplateCost:
        """What it costs at most to render it."""
        return template_cost(self.checked.tree)


def with_variants(template: TypedTemplate, variants: Sequence[TypedTemplate]) -> TypedTemplate:
    """Return a template that tells each case by itself or by one of its variants."""
    if not variants:
        return template
    every = [template.checked, *(variant.checked for variant in variants)]
    checked = CheckedTemplate(
        draw_between(template.checked.tree, [variant.checked.tree for variant in variants]),
        frozenset(name for part in every for name in part.names),
        frozenset(path for part in every for path in part.reads),
        {path: kind for part in every for path, kind in part.prints.items()},
    )
    return replace(template, checked=checked)
