"""Reading a contract: the whole of it, or findings about everything that is wrong with its file."""

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from storymesh.contract.definition import DEFAULT_QUARANTINE_LIMIT, SUFFIX, VERSION, Contract, Freshness, Property
from storymesh.contract.document_reader import CONTRACT_PROPERTIES, OBJECT_PROPERTIES, DocumentReader, Steps
from storymesh.contract.quality_rules import read_rules
from storymesh.contract.read_properties import read_key, read_properties
from storymesh.contract.read_relationships import RelationshipReader
from storymesh.contract.type_options import is_storable_number
from storymesh.document import Document, read_document
from storymesh.errors import DefinitionErrors, Finding, suggest_name
from storymesh.language.types import MOMENTS
from storymesh.location import Location
from storymesh.standards.odcs import validate_contract

_ID = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)\.([A-Za-z_][A-Za-z0-9_-]*)")
MAX_ITEMS: Mapping[str, int] = {"properties": 5_000, "relationships": 1_000, "quality": 1_000, "": 20_000}
"""Name of a list in a contract -> the most items that it may have; "" stands for any other list."""

_UNITS: Mapping[str, timedelta] = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), timedelta(seconds=1)),
    **dict.fromkeys(("m", "min", "minute", "minutes"), timedelta(minutes=1)),
    **dict.fromkeys(("h", "hr", "hour", "hours"), timedelta(hours=1)),
    **dict.fromkeys(("d", "day", "days"), timedelta(days=1)),
    **dict.fromkeys(("w", "week", "weeks"), timedelta(weeks=1)),
    **dict.fromkeys(("mo", "month", "months"), timedelta(days=30)),
    **dict.fromkeys(("y", "yr", "year", "years"), timedelta(days=365)),
}


def read_contract(path: Path, root: Path) -> Contract:
    """Return the contract in the file `path` of the mesh `root`. Raises DefinitionErrors."""
    document = read_document(path, root)
    if not isinstance(document.value, dict):
        raise DefinitionErrors(
            [Finding(Location(document.path), "yaml", "a contract holds fields, this file does not")]
        )
    if too_long := list(_findings_of_length(document, document.value, ())):
        raise DefinitionErrors(too_long)
    if violations := validate_contract(document):
        raise DefinitionErrors(violations)
    return _read(DocumentReader(document))


def _findings_of_length(document: Document, value: Any, at: Steps) -> Iterator[Finding]:
    """Yield a finding for each list that is too long for what is compared with each other in it."""
    name = at[-1] if at else ""
    limit = MAX_ITEMS.get(str(name), MAX_ITEMS[""])
    if isinstance(value, list) and len(value) > limit:
        words = f"'{name}' has {len(value):,} items, at most {limit:,} are read"
        yield document.finding(at, "too-many", words, "split the product, or make a product of them")
    elif isinstance(value, dict | list):
        for step, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _findings_of_length(document, below, (*at, step))


def _read(reader: DocumentReader) -> Contract:
    domain, name = _read_identity(reader)
    at, fields = _read_object(reader, name)
    object_names = {fields["name"], fields.get("id"), name}
    properties = read_properties(reader, at, fields)
    key = read_key(reader, at, properties)
    custom = reader.custom_properties(at, fields, OBJECT_PROPERTIES, "schema object")
    overall = reader.custom_properties((), reader.value, CONTRACT_PROPERTIES, "contract")
    event_time = _read_moment(reader, custom, "eventTime", properties)
    end_time = _read_moment(reader, custom, "endTime", properties)
    known_at = _read_moment(reader, custom, "knownAt", properties)
    timeless = _read_timeless(reader, custom, event_time, end_time)
    for item in properties.values():
        _check_known_at(reader, item, properties)
    rules = fields.get("quality", [])
    quality, found = read_rules(reader.document, (*at, "quality"), rules, None, set(properties))
    reader.findings += found
    relationships = RelationshipReader(reader, properties, domain, object_names).read_all(at, fields)
    freshness = _read_freshness(reader, properties, event_time, object_names)
    limit = _read_limit(reader, custom.get("quarantineLimit") or overall.get("quarantineLimit"))
    if any(finding.severity == "error" for finding in reader.findings):
        raise DefinitionErrors(reader.findings)
    description = reader.value.get("description", {})
    return Contract(
        id=f"{domain}.{name}",
        version=reader.value["version"],
        domain=domain,
        name=name,
        title=reader.value.get("name") or fields.get("businessName") or name.replace("_", " "),
        description=fields.get("description") or description.get("purpose", ""),
        properties=MappingProxyType(properties),
        key=key,
        event_time=event_time,
        end_time=end_time,
        timeless=timeless,
        known_at=known_at,
        relationships=relationships,
        quality=quality,
        freshness=freshness,
        quarantine_limit=limit,
        digest=_digest(reader.value),
        license=_text(overall.get("license", (None, ()))[0]),
        terms=description.get("limitations", ""),
        owner=_read_owner(reader),
        warnings=tuple(sorted(reader.findings)),
        location=reader.document.at(),
        document=reader.document,
    )


def _read_object(reader: DocumentReader, name: str) -> tuple[Steps, dict[str, Any]]:
    """Return the contract's one schema object and its place."""
    version = reader.value["version"]
    if not VERSION.fullmatch(version):
        reader.add(
            ("version",), "version", f"'{version}' is not a version", "like 1.0.0; the first number is the major"
        )
    objects = reader.value.get("schema") or []
    if len(objects) != 1:
        words = f"a contract describes one schema object, this one has {len(objects)}"
        raise DefinitionErrors(
            [*reader.findings, reader.document.finding(("schema",), "one-object", words, f"name it '{name}'")]
        )
    at: Steps = ("schema", 0)
    fields: dict[str, Any] = objects[0]
    if fields["name"] != name:
        words = f"the schema object is named '{fields['name']}', the product is '{name}'"
        reader.add((*at, "name"), "object-name", words, f"name it '{name}'")
    return at, fields


def _read_identity(reader: DocumentReader) -> tuple[str, str]:
    written = reader.value["id"]
    match = _ID.fullmatch(written)
    if match is None:
        words = f"the id '{written}' is not <domain>.<product>"
        raise DefinitionErrors([reader.document.finding(("id",), "id", words, "letters, digits, _ and -")])
    domain, name = match.groups()
    place = f"contracts/{domain}/{name}{SUFFIX}"
    if reader.document.path != place and not reader.document.path.endswith(f"/{place}"):
        words = f"the id '{written}' belongs into {place}, this file is {reader.document.path}"
        reader.add(("id",), "id-and-place", words, "rename one of the two")
    return domain, name


def _read_moment(
    reader: DocumentReader, custom: dict[str, tuple[Any, Steps]], name: str, properties: dict[str, Property]
) -> str | None:
    if name not in custom:
        return None
    value, at = custom[name]
    if not isinstance(value, str):
        reader.add(at, "unknown-property", f"{name} has to name a property, not {value!r}")
        return None
    _check_moment(reader, value, at, name, properties)
    return value


def _check_moment(reader: DocumentReader, value: str, at: Steps, name: str, properties: dict[str, Property]) -> None:
    if value not in properties:
        reader.add(
            at, "unknown-property", f"{name} names '{value}', which is no property", suggest_name(value, properties)
        )
    elif not isinstance(properties[value].type, MOMENTS):
        words = f"{name} names '{value}', which is {properties[value].type}"
        reader.add(at, "not-a-moment", words, "it has to be a date or a timestamp")


def _check_known_at(reader: DocumentReader, item: Property, properties: dict[str, Property]) -> None:
    if item.known_at is None:
        return
    listed = reader.value["schema"][0]["properties"]
    index = next(i for i, one in enumerate(listed) if one["name"] == item.name)
    custom = listed[index]["customProperties"]
    position = next(i for i, one in enumerate(custom) if one["property"] == "knownAt")
    at = ("schema", 0, "properties", index, "customProperties", position, "value")
    _check_moment(reader, item.known_at, at, "knownAt", properties)


def _read_timeless(
    reader: DocumentReader, custom: dict[str, tuple[Any, Steps]], event_time: str | None, end_time: str | None
) -> bool:
    timeless, at = custom.get("timeless", (False, ()))
    if not isinstance(timeless, bool):
        reader.add(at, "wrong-value", f"timeless is {timeless!r}, true or false is wanted")
    if end_time is not None and event_time is None:
        reader.add(
            custom["endTime"][1],
            "end-without-event",
            "endTime says when a row ends, nothing says when it begins",
            "add eventTime",
        )
    if timeless is True and event_time is not None:
        words = f"a row that is timeless does not become true at '{event_time}'"
        reader.add(at, "timeless-with-event", words, "keep eventTime or timeless")
    return timeless is True


def _read_limit(reader: DocumentReader, custom: tuple[Any, Steps] | None) -> float:
    if custom is None:
        return DEFAULT_QUARANTINE_LIMIT
    value, at = custom
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        reader.add(
            at, "wrong-value", f"quarantineLimit is {value!r}, a share between 0 and 1 is wanted", "0.1 is a tenth"
        )
        return DEFAULT_QUARANTINE_LIMIT
    return float(value)


def _read_freshness(
    reader: DocumentReader, properties: dict[str, Property], event_time: str | None, object_names: Collection[str]
) -> Freshness | None:
    for index, item in enumerate(reader.value.get("slaProperties") or []):
        if item["property"].lower() not in ("freshness", "latency", "ly"):
            continue
        at: Steps = ("slaProperties", index)
        value, unit = item["value"], str(item.get("unit", "d")).lower()
        if not is_storable_number(value) or not 0 < value < 1e6:
            reader.add((*at, "value"), "freshness", f"freshness is {value!r}, a number from 0 to a million is wanted")
            return None
        if unit not in _UNITS:
            reader.add(
                (*at, "unit"), "freshness", f"the unit '{item['unit']}' is not known", suggest_name(unit, _UNITS)
            )
            return None
        name = item.get("element", event_time)
        if name is None:
            reader.add(
                at,
                "freshness",
                "freshness of what?",
                "name the property under element, or give the object an eventTime",
            )
            return None
        name = name.split(".", 1)[1] if name.split(".", 1)[0] in object_names and "." in name else name
        _check_moment(reader, name, (*at, "element"), "freshness", properties)
        return Freshness(value * _UNITS[unit], name, reader.document.at(*at))
    return None


def _read_owner(reader: DocumentReader) -> str | None:
    team = reader.value.get("team") or []
    members = team.get("members", []) if isinstance(team, dict) else team
    for member in members:
        if str(member.get("role", "")).lower() == "owner":
            return _text(member.get("username"))
    return team.get("name") if isinstance(team, dict) else None


def _digest(value: Any) -> str:
    """Return the SHA-256 (hex) of a plain value's canonical JSON: sorted keys, no spaces, UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
