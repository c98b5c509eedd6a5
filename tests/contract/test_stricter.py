"""Of two versions of a contract the stricter counts, down to the parts of objects and the items of lists."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from storymesh.contract.definition import Contract
from storymesh.contract.stricter import stricter_contract
from storymesh.language.types import Array, Classification, Field, Struct, Text, Type
from tests.support.small_mesh import Product


def contract(**types: Type) -> Contract:
    """A contract whose properties, all public, have these types."""
    found = Product("people", dict.fromkeys(types, "string"), key=(next(iter(types)),), timeless=True).contract
    properties = {
        name: replace(item, type=types[name], classification="public") for name, item in found.properties.items()
    }
    return replace(found, properties=MappingProxyType(properties))


def row(**classes: Classification) -> Struct:
    return Struct({name: Field(Text(), classification=kind) for name, kind in classes.items()})


def classes(type_: Type) -> Mapping[str, Classification]:
    assert isinstance(type_, Struct)
    return {name: field.classification for name, field in type_.fields.items() if isinstance(field, Field)}


def test_parts_of_objects_and_of_lists_are_as_strict_as_the_stricter_says() -> None:
    kept = contract(home=row(street="public", town="internal", old="public"), calls=Array(Field(row(to="public"))))
    current = contract(
        home=row(street="restricted", town="public"), calls=Array(Field(row(to="internal", at="public")))
    )
    found = stricter_contract(kept, current)
    assert classes(found.properties["home"].type) == {"street": "restricted", "town": "internal", "old": "public"}
    listed = found.properties["calls"].type
    assert isinstance(listed, Array)
    assert classes(listed.item.type) == {"to": "internal"}


def test_what_is_of_another_type_now_stays_as_it_was_kept() -> None:
    kept = contract(home=row(street="restricted"), town=Text())
    found = stricter_contract(kept, contract(home=Text(), town=row(name="restricted")))
    assert classes(found.properties["home"].type) == {"street": "restricted"}
    assert found.properties["town"].type == Text()
