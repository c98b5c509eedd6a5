"""Reading the properties of a contract: their types, options, classification and key."""

import re
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any, cast

from storymesh.contract.definition import CLASSIFICATIONS, TYPES, Property
from storymesh.contract.document_reader import PROPERTY_PROPERTIES, DocumentReader, Steps
from storymesh.contract.physical_types import DECIMALS, MAX_DIGITS, number_type
from storymesh.contract.quality_rules import read_rules
from storymesh.contract.type_options import findings_of_options, is_storable_number, parse_moment, parse_time
from storymesh.errors import Finding, suggest_name
from storymesh.language.static_values import RANK
from storymesh.language.types import (
    Array,
    Boolean,
    Classification,
    Date,
    Decimal,
    Field,
    Float,
    Integer,
    Json,
    Struct,
    Text,
    Time,
    Timestamp,
    Type,
)

_FIELDS: dict[str, Type] = {
    "property": Text(),
    "how": Text(),
    "quote": Text(),
    "uri": Text(),
    "sha256": Text(),
    "reader": Text(),
    "part": Text(),
    "page": Integer(),
    "box": Array(Field(Float())),
    "seconds": Array(Field(Float())),
    "cell": Text(),
    "begin": Integer(),
    "end": Integer(),
    "confidence": Float(),
    "answer": Text(),
}
EVIDENCE = Array(Field(Struct(MappingProxyType({name: Field(kind, nullable=True) for name, kind in _FIELDS.items()}))))
"""One item for each value. `how`: `taken` from what a reader gives, `quoted` or `found` in the text, or `judged` by a
model, which nothing proves. `begin` and `end` count characters in the `part` (or in what the reader gave of the page,
the cell, the seconds); `answer` is the key of the model's answer."""


_KEY_TYPES = Text | Integer | Boolean | Date | Timestamp | Time | Decimal | Json


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
        if not _has_name(reader, here, item):
            continue
        lower[name.lower()] = name
        properties[name] = _read_property(reader, here, item, names)
    return properties


def _has_name(reader: DocumentReader, here: Steps, item: dict[str, Any]) -> bool:
    name: str = item["name"]
    if not name.strip() or "\0" in name:
        reader.add((*here, "name"), "property-name", "a property needs a name")
        return False
    return True


def _read_property(reader: DocumentReader, here: Steps, item: dict[str, Any], names: set[str]) -> Property:
    kind = _read_type(reader, here, item)
    custom = reader.custom_properties(here, item, PROPERTY_PROPERTIES, "property")
    quality, found = read_rules(reader.document, (*here, "quality"), item.get("quality", []), item["name"], names)
    reader.findings += found
    _check_enum(reader, here, kind, item)
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
    kind, evidence, least = _read_evidence(reader, here, item, custom, kind)
    position = item.get("primaryKeyPosition", -1)
    is_key = bool(item.get("primaryKey"))
    if position != -1 and not is_key:
        words = f"'{item['name']}' has a primaryKeyPosition and is no primary key"
        reader.warn((*here, "primaryKeyPosition"), "primary-key", words, "add primaryKey: true")
    partition = item.get("partitionKeyPosition", -1) if item.get("partitioned") else None
    if item.get("partitionKeyPosition", -1) != -1 and partition is None:
        words = f"'{item['name']}' has a partitionKeyPosition and is not partitioned: nothing is kept in parts by it"
        reader.warn((*here, "partitionKeyPosition"), "not-run", words, "add partitioned: true")
    if partition is not None and not isinstance(kind, _KEY_TYPES):
        words = f"'{item['name']}' is {kind}, by whose values no product is kept in parts"
        reader.warn((*here, "partitioned"), "not-run", words, "name a text, a whole number, a date or a timestamp")
        partition = None
    if is_key and not isinstance(kind, _KEY_TYPES):
        words = f"'{item['name']}' is {kind}, which cannot be part of a key"
        reader.add((*here, "primaryKey"), "primary-key", words, "a key is text, a whole number, a date or a timestamp")
    return Property(
        name=item["name"],
        type=kind,
        required=bool(item.get("required")),
        unique=bool(item.get("unique")),
        key_position=position if is_key else None,
        partition_position=partition,
        classification=_read_classification(reader, here, item),
        unit=unit if isinstance(unit, str) else None,
        known_at=known_at if isinstance(known_at, str) else None,
        title=item.get("businessName", ""),
        description=item.get("description", ""),
        options=MappingProxyType(options),
        enum=tuple(entry["value"] for entry in item.get("enum", ()) if entry["value"] is not None),
        quality=quality,
        reference=item.get("id", item["name"]),
        physical_name=item.get("physicalName") or None,
        deprecated=bool(item.get("deprecated")),
        location=reader.document.at(*here),
        evidence=evidence,
        least_confidence=least,
    )


def _read_evidence(
    reader: DocumentReader, here: Steps, item: dict[str, Any], custom: dict[str, tuple[Any, Steps]], kind: Type
) -> tuple[Type, bool, float | None]:
    """Return the type of a property, True if it has the evidence of the others, and the least confidence that a
    recognised value of it needs."""
    evidence, at = custom.get("evidence", (False, ()))
    if not isinstance(evidence, bool):
        reader.add(at, "wrong-value", f"evidence is true or false, not {evidence!r}")
        evidence = False
    if evidence and (item.get("logicalType") != "array" or item.get("items") or item.get("primaryKey")):
        words = f"'{item['name']}' has the evidence of its row, which is a list whose items nobody writes"
        reader.add(here, "wrong-value", words, "logicalType: array, without items, and no part of the key")
    least, at = custom.get("leastConfidence", (None, ()))
    if least is not None and (isinstance(least, bool) or not isinstance(least, int | float) or not 0 <= least <= 1):
        reader.add(at, "wrong-value", f"leastConfidence is a number between 0 and 1, not {least!r}")
        least = None
    return EVIDENCE if evidence else kind, evidence, least


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
        case "time":
            return Time()
        case "array" if item.get("items"):
            return Array(_read_nested(reader, (*here, "items"), item["items"]))
        case "vector":
            whole = item.get("logicalTypeOptions", {}).get("elementType") in ("int8", "uint8", "binary")
            return Array(Field(Integer() if whole else Float(), False, _read_classification(reader, here, item)))
        case "object" if item.get("properties"):
            nested: list[dict[str, Any]] = item["properties"]
            inside = [
                (below["name"], _read_nested(reader, (*here, "properties", i), below))
                for i, below in enumerate(nested)
                if _has_name(reader, (*here, "properties", i), below)
            ]
            if len({key.lower() for key, _ in inside}) < len(inside):
                reader.add(here, "duplicate-property", f"the object '{name}' has two properties of one name")
            return Struct(MappingProxyType(dict(inside)))
        case "map" | "array" | "object":  # what is in it, nobody knows by name
            return Json()
        case _:
            reader.add(here, "missing-field", f"'{name}' has no logicalType", f"one of {', '.join(TYPES)}")
            return Text()


def _read_nested(reader: DocumentReader, here: Steps, item: dict[str, Any]) -> Field:
    """Return the field of a value inside an object or an array, where only types and `required` are audited."""
    ignored = [name for name in ("enum", "quality", "logicalTypeOptions", "unique") if item.get(name)]
    for name in ignored:
        words = f"'{name}' is not audited inside an object or an array"
        reader.warn((*here, name), "not-run", words, "only types and required are, there")
    if (physical := item.get("physicalName") or "").lower() not in ("", item.get("name", "").lower()):
        words = f"the physicalName '{physical}' is not looked for inside an object"
        reader.warn((*here, "physicalName"), "not-run", words, "a value there is called as its property is")
    for name in ("primaryKey", "relationships"):
        if item.get(name):
            words = f"'{name}' counts for nothing inside an object or an array"
            reader.warn((*here, name), "not-run", words, "a key or a relationship is a property of the row itself")
    reader.custom_properties(here, item, PROPERTY_PROPERTIES, "property")
    kind = _read_type(reader, here, item)
    return Field(kind, not item.get("required", False), _read_classification(reader, here, item))


def _read_number(reader: DocumentReader, here: Steps, item: dict[str, Any]) -> Type:
    """Return the type of a number: exact where its `physicalType` says how many digits it has, or where it is a key."""
    physical = item.get("physicalType", "").strip()
    try:
        kind = number_type(physical)
    except ValueError as fault:
        reader.add((*here, "physicalType"), "wrong-value", f"{physical} is no decimal: {fault}")
        return Decimal()
    if item.get("primaryKey") and (kind is None or isinstance(kind, Float)):
        words = f"'{item.get('name')}' is a number and part of the key, so it is read as a whole number"
        reader.warn((*here, "primaryKey"), "primary-key", words, "say so: physicalType: bigint, or decimal(12,2)")
        return Integer()
    if kind is None and physical and physical.lower() not in DECIMALS:
        words = f"the physicalType '{physical}' is not applied: it does not say how many digits a number has"
        reader.warn((*here, "physicalType"), "not-run", words, "numbers are floats: for exact ones write decimal(12,2)")
    if isinstance(kind, Decimal) and (digits := re.search(r"\((\d{1,4})\b", physical)) and int(digits[1]) > MAX_DIGITS:
        words = f"of {physical}, {MAX_DIGITS} digits are kept, {kind.scale} of them after the decimal point"
        reader.warn((*here, "physicalType"), "not-run", words, "rows with longer numbers are quarantined")
    return kind or Float()


def _read_classification(reader: DocumentReader, here: Steps, item: dict[str, Any]) -> Classification:
    """Return who may see a value: of one that is published as a whole, the strictest that any part of it has."""
    own = _own_classification(reader, here, item)
    if item.get("logicalType") != "map":
        return own
    return max((own, *_classifications_within(reader, here, item)), key=RANK.__getitem__)


def _own_classification(reader: DocumentReader, here: Steps, item: dict[str, Any]) -> Classification:
    written = item.get("classification", "internal")
    if written not in CLASSIFICATIONS:
        near = suggest_name(written, CLASSIFICATIONS)
        hint = f"{near if near.startswith('did') else ''} map it in mesh.yaml: classifications: {{{written}: internal}}"
        words = f"the classification '{written}' is not known, so the value is treated as restricted"
        reader.warn((*here, "classification"), "classification", words, hint.strip())
        return "restricted"
    return cast(Classification, written)


def _classifications_within(reader: DocumentReader, here: Steps, item: dict[str, Any]) -> Iterator[Classification]:
    """Yield every classification that is written of the parts of a value."""
    parts: list[tuple[Steps, dict[str, Any]]] = [
        *((("map", name), part) for name, part in (item.get("map") or {}).items()),
        *((("properties", index), part) for index, part in enumerate(item.get("properties") or [])),
        *([(("items",), item["items"])] if item.get("items") else []),
    ]
    for steps, part in parts:
        if "classification" in part:
            yield _own_classification(reader, (*here, *steps), part)
        yield from _classifications_within(reader, (*here, *steps), part)


def _check_enum(reader: DocumentReader, here: Steps, kind: Type, item: dict[str, Any]) -> None:
    found: set[Any] = set()
    for index, entry in enumerate(item.get("enum", ())):
        value = entry["value"]
        if value is None:
            continue  # what may be null, `required` says
        at = (*here, "enum", index, "value")
        if not _allows_value(value, kind):
            hint = "write it in quotes" if isinstance(kind, Text) else ""
            reader.add(at, "enum", f"{value!r} is not of the property's type, {kind}", hint)
        elif value in found:
            reader.add(at, "enum", f"{value!r} stands twice in the enum", "keep one")
        else:
            found.add(value)


def _allows_value(value: Any, kind: Type) -> bool:
    match kind:
        case Text():
            return isinstance(value, str)
        case Integer():
            return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
        case Float() | Decimal():
            return is_storable_number(value)
        case Boolean():
            return isinstance(value, bool)
        case Date() | Timestamp():
            return parse_moment(value) is not None
        case Time():
            return parse_time(value) is not None
        case _:
            return False


def read_key(reader: DocumentReader, at: Steps, properties: dict[str, Property]) -> tuple[str, ...]:
    """Return the names of the key's properties: by their positions, then those without one as they are listed."""
    members = [item for item in properties.values() if item.key_position is not None]
    if not members and properties:
        words = "no property is a primary key, so its rows have no name: no narrative can cast them"
        reader.warn(at, "primary-key", words, "add primaryKey: true to the property that tells the rows apart")
    positions: dict[int, str] = {}
    for item in members:
        position = item.key_position
        if position is None or position < 0:
            continue
        if position in positions:
            words = f"'{positions[position]}' and '{item.name}' are both at position {position} of the key"
            hint = "number them from 1: until then their order is that of the file"
            reader.findings.append(Finding(item.location, "primary-key", words, hint, "warning"))
        positions.setdefault(position, item.name)

    def order(item: Property) -> tuple[bool, int]:
        position = item.key_position if item.key_position is not None else -1
        return position < 0, position

    return tuple(item.name for item in sorted(members, key=order))
