"""Reading the properties of a contract: their types, options, classification and key."""

import re
from types import MappingProxyType
from typing import Any, cast

from storymesh.contract.definition import CLASSIFICATIONS, TYPES, Property
from storymesh.contract.document_reader import PROPERTY_PROPERTIES, DocumentReader, Steps
from storymesh.contract.quality_rules import read_rules
from storymesh.contract.type_options import findings_of_options, is_storable_number, parse_moment
from storymesh.errors import Finding, suggest_name
from storymesh.language.types import (
    Array,
    Boolean,
    Classification,
    Date,
    Decimal,
    Field,
    Float,
    Integer,
    Struct,
    Text,
    Timestamp,
    Type,
)

_DECIMAL = re.compile(
    r"(?:decimal|numeric|number)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)|(?:decimal|numeric)", re.IGNORECASE
)


def read_properties(reader: DocumentReader, at: Steps, fields: dict[str, Any]) -> dict[str, Property]:
    listed = fields.get("properties") or []
    if not listed:
        reader.add(at, "no-properties", "the schema object has no properties", "list the columns of the product")
    names = {item["name"] for item in listed}
    properties: dict[str, Property] = {}
    lower: dict[str, str] = {}
    for index, item in enumerate(listed):
        here = (*at, "properties", index)
        name: str = item["name"]
        if name.lower() in lower:
            words = f"the property '{name}' stands twice"
            if lower[name.lower()] != name:
                words = f"the properties '{lower[name.lower()]}' and '{name}' differ in upper and lower case only"
            reader.add((*here, "name"), "duplicate-property", words, "engines do not tell them apart: rename one")
            continue
        if not name.strip() or "\0" in name:
            reader.add((*here, "name"), "property-name", "a property needs a name")
            continue
        lower[name.lower()] = name
        properties[name] = _read_property(reader, here, item, names)
    return properties


def _read_property(reader: DocumentReader, here: Steps, item: dict[str, Any], names: set[str]) -> Property:
    kind = _read_type(reader, here, item)
    custom = reader.custom_properties(here, item, PROPERTY_PROPERTIES, "property")
    quality, found = read_rules(reader.document, (*here, "quality"), item.get("quality", []), item["name"], names)
    reader.findings += found
    enum = tuple(entry["value"] for entry in item.get("enum", ()))
    _check_enum(reader, here, kind, enum)
    options = item.get("logicalTypeOptions") or {}
    reader.findings += findings_of_options(
        reader.document, (*here, "logicalTypeOptions"), item.get("logicalType", ""), options
    )
    unit, unit_at = custom.get("unit", (None, ()))
    if unit is not None and not isinstance(unit, str):
        reader.add(unit_at, "wrong-value", f"a unit is a text, not {unit!r}", "for instance hours")
    known_at, known_at_place = custom.get("knownAt", (None, ()))
    if known_at is not None and not isinstance(known_at, str):
        reader.add(known_at_place, "wrong-value", f"knownAt names a property, not {known_at!r}")
    position = item.get("primaryKeyPosition", -1)
    is_key = bool(item.get("primaryKey"))
    if position != -1 and not is_key:
        words = f"'{item['name']}' has a primaryKeyPosition and is no primary key"
        reader.add((*here, "primaryKeyPosition"), "primary-key", words, "add primaryKey: true")
    if is_key and not isinstance(kind, Text | Integer | Boolean | Date | Timestamp | Decimal):
        words = f"'{item['name']}' is {kind}, which cannot be part of a key"
        reader.add((*here, "primaryKey"), "primary-key", words, "a key is text, a whole number, a date or a timestamp")
    return Property(
        name=item["name"],
        type=kind,
        required=bool(item.get("required")),
        unique=bool(item.get("unique")),
        key_position=position if is_key else None,
        classification=_read_classification(reader, here, item),
        unit=unit if isinstance(unit, str) else None,
        known_at=known_at if isinstance(known_at, str) else None,
        title=item.get("businessName", ""),
        description=item.get("description", ""),
        options=MappingProxyType(options),
        enum=enum,
        quality=quality,
        reference=item.get("id", item["name"]),
        location=reader.document.at(*here),
    )


def _read_type(reader: DocumentReader, here: Steps, item: dict[str, Any]) -> Type:
    name = item.get("name", "the items")
    match item.get("logicalType"):
        case "string":
            return Text(MappingProxyType({str(e["value"]): e["label"] for e in item.get("enum", ()) if "label" in e}))
        case "integer":
            return Integer()
        case "number":
            return _read_number(reader, here, item)
        case "boolean":
            return Boolean()
        case "date":
            return Date()
        case "timestamp":
            return Timestamp()
        case "array":
            if "items" not in item:
                reader.add(here, "missing-field", f"the array '{name}' does not say what its items are", "add items")
                return Array(Field(Text()))
            return Array(_read_nested(reader, (*here, "items"), item["items"]))
        case "object":
            nested: list[dict[str, Any]] = item.get("properties") or []
            if not nested:
                reader.add(here, "missing-field", f"the object '{name}' does not say what it holds", "add properties")
            inside = [
                (below["name"], _read_nested(reader, (*here, "properties", i), below)) for i, below in enumerate(nested)
            ]
            if len({key.lower() for key, _ in inside}) < len(inside):
                reader.add(here, "duplicate-property", f"the object '{name}' has two properties of one name")
            return Struct(MappingProxyType(dict(inside)))
        case None:
            reader.add(here, "missing-field", f"'{name}' has no logicalType", f"one of {', '.join(TYPES)}")
        case other:
            words = f"'{name}' is of type {other}, which storymesh cannot publish"
            reader.add((*here, "logicalType"), "unsupported-type", words, f"use {', '.join(TYPES)}")
    return Text()


def _read_nested(reader: DocumentReader, here: Steps, item: dict[str, Any]) -> Field:
    """Return the field of a value inside an object or an array, where only types and `required` are audited."""
    ignored = [name for name in ("enum", "quality", "logicalTypeOptions", "unique") if item.get(name)]
    for name in ignored:
        words = f"'{name}' is not audited inside an object or an array"
        reader.warn((*here, name), "not-run", words, "only types and required are, there")
    if item.get("primaryKey") or item.get("relationships"):
        reader.add(here, "nested-key", "a key or a relationship has to be a property of the row itself")
    reader.custom_properties(here, item, PROPERTY_PROPERTIES, "property")
    kind = _read_type(reader, here, item)
    return Field(kind, not item.get("required", False), _read_classification(reader, here, item))


def _read_number(reader: DocumentReader, here: Steps, item: dict[str, Any]) -> Type:
    physical = item.get("physicalType", "").strip()
    match = _DECIMAL.fullmatch(physical)
    if match is None:
        return Float()
    if match[1] is None:
        return Decimal(38, 9)
    # No decimal has four digits of digits; int() itself refuses a text of thousands.
    precision, scale = int(match[1][:4]), int((match[2] or "0")[:4])
    if not (1 <= precision <= 38 and scale <= precision):
        reader.add(
            (*here, "physicalType"),
            "wrong-value",
            f"{physical} is no decimal",
            "precision up to 38, scale within it",
        )
        return Decimal()
    return Decimal(precision, scale)


def _read_classification(reader: DocumentReader, here: Steps, item: dict[str, Any]) -> Classification:
    written = item.get("classification", "internal")
    if written not in CLASSIFICATIONS:
        words = f"the classification '{written}' is not known"
        reader.add((*here, "classification"), "classification", words, suggest_name(written, CLASSIFICATIONS))
        return "restricted"
    return cast(Classification, written)


def _check_enum(reader: DocumentReader, here: Steps, kind: Type, values: tuple[Any, ...]) -> None:
    met: set[Any] = set()
    for index, value in enumerate(values):
        at = (*here, "enum", index, "value")
        match kind:
            case Text():
                fits = isinstance(value, str)
            case Integer():
                fits = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
            case Float() | Decimal():
                fits = is_storable_number(value)
            case Boolean():
                fits = isinstance(value, bool)
            case Date() | Timestamp():
                fits = isinstance(value, str) and parse_moment(value) is not None
            case _:
                fits = False
        if not fits:
            hint = "write it in quotes" if isinstance(kind, Text) else ""
            reader.add(at, "enum", f"{value!r} is not of the property's type, {kind}", hint)
        elif value in met:
            reader.add(at, "enum", f"{value!r} stands twice in the enum", "keep one")
        met |= {value} if fits else set()


def read_key(reader: DocumentReader, at: Steps, properties: dict[str, Property]) -> tuple[str, ...]:
    members = [item for item in properties.values() if item.key_position is not None]
    if not members:
        words = "no property is a primary key, so its rows have no name"
        reader.add(at, "primary-key", words, "add primaryKey: true to the property that tells the rows apart")
    positioned = [item for item in members if item.key_position != -1]
    if len(members) > 1:
        for item in members:
            if item.key_position == -1:
                words = f"'{item.name}' is one of {len(members)} key properties and has no primaryKeyPosition"
                reader.findings.append(Finding(item.location, "primary-key", words, "number them from 1"))
    met: dict[int | None, str] = {}
    for item in positioned:
        if item.key_position in met:
            words = f"'{met[item.key_position]}' and '{item.name}' are both at position {item.key_position} of the key"
            reader.findings.append(Finding(item.location, "primary-key", words, "number them from 1"))
        elif item.key_position is not None and item.key_position < 1:
            words = f"position {item.key_position} of the key: positions count from 1"
            reader.findings.append(Finding(item.location, "primary-key", words))
        met[item.key_position] = item.name
    return tuple(item.name for item in sorted(members, key=lambda item: item.key_position or 0))
