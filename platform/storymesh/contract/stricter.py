"""The stricter of two versions of a contract, in what they say of who may see a value.

A release keeps the contracts that it was made with. Those may be older than the mesh's, or of a stranger who wrote
`public` where the mesh says `restricted`.
"""

from dataclasses import replace
from types import MappingProxyType

from storymesh.contract.definition import Contract
from storymesh.language.static_values import RANK
from storymesh.language.types import Array, Classification, Field, Hidden, Struct, Type


def stricter_contract(kept: Contract, current: Contract) -> Contract:
    """Return `kept` with each property, and each part of one, classified at least as strictly as `current` has it."""
    properties = dict(kept.properties)
    for name, item in kept.properties.items():
        if (other := current.properties.get(name)) is not None:
            properties[name] = replace(
                item,
                classification=_stricter(item.classification, other.classification),
                type=_stricter_type(item.type, other.type),
            )
    return replace(kept, properties=MappingProxyType(properties))


def _stricter(one: Classification, other: Classification) -> Classification:
    return max(one, other, key=RANK.__getitem__)


def _stricter_type(one: Type, other: Type) -> Type:
    match one, other:
        case Array(), Array():
            return replace(one, item=_stricter_field(one.item, other.item))
        case Struct(), Struct():
            fields: dict[str, Field | Hidden] = {}
            for name, field in one.fields.items():
                beside = other.fields.get(name)
                both = isinstance(field, Field) and isinstance(beside, Field)
                fields[name] = _stricter_field(field, beside) if both else field  # type: ignore[arg-type]
            return replace(one, fields=MappingProxyType(fields))
        case _:
            return one


def _stricter_field(one: Field, other: Field) -> Field:
    classification = _stricter(one.classification, other.classification)
    return replace(one, classification=classification, type=_stricter_type(one.type, other.type))
