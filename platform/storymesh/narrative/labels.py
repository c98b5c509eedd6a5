"""The labels of codes in the language of a config, where that is not the language of their contracts."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar

from storymesh.case.scopes import TypedCase
from storymesh.errors import Finding, suggest_name
from storymesh.language.typecheck.scope import Fact, Scope
from storymesh.language.types import Array, Field, Hidden, Struct, Text, Type
from storymesh.narrative.definition import Narrative

Labels = Mapping[str, str]
Place = TypeVar("Place", bound=Field | Hidden | Fact)


class LabelTranslations:
    """The `labels` of a narrative, held against the contracts. What is wrong with them goes to `findings`.

    They are given for a property and hold wherever its codes stand: in facts, in the outcome, in precedents, and in
    other properties whose contracts have the same codes with the same labels.
    """

    def __init__(self, narrative: Narrative, views: TypedCase, findings: list[Finding]) -> None:
        self._by_language: dict[str, list[tuple[Labels, Labels]]] = {}
        scope = views.scopes["hindsight"]
        for language, properties in narrative.labels.items():
            pairs = self._by_language.setdefault(language, [])
            for path, labels in properties.items():
                original = _labels_at(scope, path)
                faults = list(_faults(path, labels, original, scope))
                where = narrative.at("labels", language, path)
                findings += [Finding(where, "unknown-name", words, hint) for words, hint in faults]
                if not faults:
                    pairs.append((original, MappingProxyType({**original, **labels})))

    def in_language(self, scope: Scope, language: str) -> Scope:
        """Return the names of a template, with the labels of a language."""
        pairs = self._by_language.get(language)
        return {name: _translated(place, pairs) for name, place in scope.items()} if pairs else scope


def _faults(path: str, labels: Labels, original: Labels, scope: Scope) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the labels of one property, and a hint."""
    if not original:
        known = sorted(_labelled(scope))
        yield f"'{path[:100]}' has no codes with labels", suggest_name(path, known) or "no property of the cast has any"
        return
    for code in labels.keys() - original.keys():
        yield f"'{path}' has no code '{code[:100]}'", suggest_name(code, original)
    if missing := [code for code in original if code not in labels]:
        yield f"'{path}' also has {', '.join(missing)}", "give each code of the enum its label"


def _labels_at(scope: Scope, path: str) -> Labels:
    """Return the labels of `role.property`; none where that is no property with labels."""
    role, _, name = path.partition(".")
    row = _row_of(scope.get(role))
    field = row.fields.get(name) if row is not None else None
    return field.type.labels if isinstance(field, Field) and isinstance(field.type, Text) else {}


def _labelled(scope: Scope) -> Iterator[str]:
    for role, field in scope.items():
        row = _row_of(field)
        for name in row.fields if row is not None and row.origin is not None else ():
            if _labels_at(scope, f"{role}.{name}"):
                yield f"{role}.{name}"


def _row_of(field: Field | Hidden | Fact | None) -> Struct | None:
    if not isinstance(field, Field):
        return None
    type_ = field.type.item.type if isinstance(field.type, Array) else field.type
    return type_ if isinstance(type_, Struct) else None


def _translated(place: Place, pairs: list[tuple[Labels, Labels]]) -> Place:
    match place:
        case Field():
            return replace(place, type=_translated_type(place.type, pairs))
        case Fact():
            return replace(place, field=_translated(place.field, pairs))
        case _:
            return place


def _translated_type(type_: Type, pairs: list[tuple[Labels, Labels]]) -> Type:
    match type_:
        case Text(labels) if labels:
            return Text(next((translated for original, translated in pairs if original == labels), labels))
        case Struct():
            return replace(type_, fields={name: _translated(field, pairs) for name, field in type_.fields.items()})
        case Array():
            return Array(_translated(type_.item, pairs))
        case _:
            return type_
