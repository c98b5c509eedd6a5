"""What a data product promises: its properties, their types, its key, its clocks and its quality rules.

A contract is read whole or not at all: what is wrong with the file comes back as findings at their places, and code
further up never meets a half-understood promise.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast, get_args

from storymesh.contract.quality_rules import Rule, read_rules
from storymesh.contract.type_options import findings_of_options, parse_moment
from storymesh.document import Document, Step, read_document
from storymesh.errors import DefinitionErrors, Finding, suggest_name
from storymesh.language.types import (
    MOMENTS,
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
from storymesh.location import Location
from storymesh.standards.odcs import validate_contract

Steps = tuple[Step, ...]

CLASSIFICATIONS: tuple[Classification, ...] = get_args(Classification)
TYPES = ("string", "integer", "number", "boolean", "date", "timestamp", "array", "object")
DEFAULT_QUARANTINE_LIMIT = 0.1
SUFFIX = ".odcs.yaml"

_OBJECT_PROPERTIES = ("eventTime", "endTime", "timeless", "knownAt", "quarantineLimit")
_CONTRACT_PROPERTIES = ("quarantineLimit", "license")
_PROPERTY_PROPERTIES = ("unit", "knownAt")
_ID = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)\.([A-Za-z_][A-Za-z0-9_-]*)")
_VERSION = re.compile(r"v?(\d+)(\.\d+){0,2}([-+].+)?")
_DECIMAL = re.compile(
    r"(?:decimal|numeric|number)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)|(?:decimal|numeric)", re.IGNORECASE
)
_UNITS: Mapping[str, timedelta] = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), timedelta(seconds=1)),
    **dict.fromkeys(("m", "min", "minute", "minutes"), timedelta(minutes=1)),
    **dict.fromkeys(("h", "hr", "hour", "hours"), timedelta(hours=1)),
    **dict.fromkeys(("d", "day", "days"), timedelta(days=1)),
    **dict.fromkeys(("w", "week", "weeks"), timedelta(weeks=1)),
    **dict.fromkeys(("mo", "month", "months"), timedelta(days=30)),
    **dict.fromkeys(("y", "yr", "year", "years"), timedelta(days=365)),
}


@dataclass(frozen=True)
class Property:
    """One column of a product. `known_at` is only what the contract writes; `Contract.known_at_of` has the default."""

    name: str
    type: Type
    required: bool
    unique: bool
    key_position: int | None
    classification: Classification
    unit: str | None
    known_at: str | None
    title: str
    description: str
    options: Mapping[str, Any]
    enum: tuple[Any, ...]
    quality: tuple[Rule, ...]
    reference: str
    location: Location

    @property
    def field(self) -> Field:
        """What an expression may assume of this property's values."""
        return Field(self.type, not self.required and self.key_position is None, self.classification, self.unit)


@dataclass(frozen=True)
class Relationship:
    """`columns` hold the key of a row of the product `to_contract`. `to_columns` are names or ids, as they were
    written: `Contract.property_at` of the other contract finds them."""

    columns: tuple[str, ...]
    to_contract: str
    to_columns: tuple[str, ...]
    location: Location


@dataclass(frozen=True)
class Freshness:
    """The newest `property` must not be older than `max_age` when a snapshot is published; breaking it warns."""

    max_age: timedelta
    property: str
    location: Location


@dataclass(frozen=True)
class Contract:
    """The promise of one output port. `digest` is the SHA-256 of the file's values, whatever their order or layout."""

    id: str
    version: str
    domain: str
    name: str
    title: str
    description: str
    properties: Mapping[str, Property]
    key: tuple[str, ...]
    event_time: str | None
    end_time: str | None
    timeless: bool
    known_at: str | None
    relationships: tuple[Relationship, ...]
    quality: tuple[Rule, ...]
    freshness: Freshness | None
    quarantine_limit: float
    digest: str
    license: str | None
    terms: str
    owner: str | None
    warnings: tuple[Finding, ...]
    location: Location
    document: Document = field(repr=False, compare=False)

    @property
    def major(self) -> int:
        match = _VERSION.fullmatch(self.version)
        assert match is not None  # `read_contract` lets no other version pass
        return int(match[1])

    @cached_property
    def struct(self) -> Struct:
        """The type of one row."""
        return Struct(MappingProxyType({name: item.field for name, item in self.properties.items()}))

    @property
    def hindsight(self) -> bool:
        """Nothing says when a row became true, so only stories that know the end may use it."""
        return self.event_time is None and not self.timeless

    def known_at_of(self, name: str) -> str | None:
        """The property that says when the value of `name` became known; None: known at any time, or never said.

        A moment that another property's knownAt names is itself known only when it comes, as an interval's end is.
        """
        own = self.properties[name].known_at
        if own is not None:
            return own
        if name == self.end_time or (name != self.event_time and name in self._moments):
            return name
        return self.known_at or self.event_time

    @cached_property
    def _moments(self) -> frozenset[str]:
        return frozenset(item.known_at for item in self.properties.values() if item.known_at is not None)

    def is_unique(self, columns: Iterable[str]) -> bool:
        """Do equal values of `columns` mean the same row, by the promise of this contract?"""
        given = set(columns)
        return given.issuperset(self.key) or any(
            self.properties[name].unique for name in given if name in self.properties
        )

    def property_at(self, reference: str) -> Property | None:
        """The property that a relationship of another contract calls `reference`: by its id, or else by its name."""
        by_id = (item for item in self.properties.values() if item.reference == reference)
        return next(by_id, None) or self.properties.get(reference)


def read_contract(path: Path, root: Path) -> Contract:
    """The contract in the file `path` of the mesh `root`. Raises DefinitionErrors."""
    document = read_document(path, root)
    if not isinstance(document.value, dict):
        raise DefinitionErrors(
            [Finding(Location(document.path), "yaml", "a contract holds fields, this file does not")]
        )
    findings = validate_contract(document)
    if findings:
        raise DefinitionErrors(findings)
    return _Reading(document).contract()


class _Reading:
    """One pass over a document that keeps to the standard, gathering findings about what storymesh adds to it."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.value: dict[str, Any] = document.value
        self.findings: list[Finding] = []

    def contract(self) -> Contract:
        domain, name = self._identity()
        version = self.value["version"]
        if not _VERSION.fullmatch(version):
            self._add(
                ("version",), "version", f"'{version}' is not a version", "like 1.0.0; the first number is the major"
            )
        objects = self.value.get("schema") or []
        if len(objects) != 1:
            words = f"a contract describes one schema object, this one has {len(objects)}"
            raise DefinitionErrors(
                [*self.findings, self.document.finding(("schema",), "one-object", words, f"name it '{name}'")]
            )
        at: Steps = ("schema", 0)
        fields: dict[str, Any] = objects[0]
        self.object_names = {fields["name"], fields.get("id"), name}
        if fields["name"] != name:
            words = f"the schema object is named '{fields['name']}', the product is '{name}'"
            self._add((*at, "name"), "object-name", words, f"name it '{name}'")
        properties = self._properties(at, fields)
        names = set(properties)
        key = self._key(at, properties)
        custom = self._custom(at, fields, _OBJECT_PROPERTIES, "schema object")
        overall = self._custom((), self.value, _CONTRACT_PROPERTIES, "contract")
        event_time = self._moment(custom, "eventTime", properties)
        end_time = self._moment(custom, "endTime", properties)
        known_at = self._moment(custom, "knownAt", properties)
        timeless = self._timeless(custom, event_time, end_time)
        for item in properties.values():
            self._known_at_exists(item, properties)
        quality, found = read_rules(self.document, (*at, "quality"), fields.get("quality", []), None, names)
        self.findings += found
        relationships = self._relationships(at, fields, properties, domain)
        freshness = self._freshness(properties, event_time)
        limit = self._limit(custom.get("quarantineLimit") or overall.get("quarantineLimit"))
        if any(finding.severity == "error" for finding in self.findings):
            raise DefinitionErrors(self.findings)
        description = self.value.get("description", {})
        return Contract(
            id=f"{domain}.{name}",
            version=version,
            domain=domain,
            name=name,
            title=self.value.get("name") or fields.get("businessName") or name.replace("_", " "),
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
            digest=digest_of(self.value),
            license=_text(overall.get("license", (None, ()))[0]),
            terms=description.get("limitations", ""),
            owner=self._owner(),
            warnings=tuple(sorted(self.findings)),
            location=self.document.at(),
            document=self.document,
        )

    def _add(self, steps: Steps, rule: str, words: str, hint: str = "") -> None:
        self.findings.append(self.document.finding(steps, rule, words, hint))

    def _warn(self, steps: Steps, rule: str, words: str, hint: str = "") -> None:
        self.findings.append(Finding(self.document.at(*steps), rule, words, hint, "warning"))

    def _identity(self) -> tuple[str, str]:
        written = self.value["id"]
        match = _ID.fullmatch(written)
        if match is None:
            words = f"the id '{written}' is not <domain>.<product>"
            raise DefinitionErrors([self.document.finding(("id",), "id", words, "letters, digits, _ and -")])
        domain, name = match.groups()
        place = f"contracts/{domain}/{name}{SUFFIX}"
        if self.document.path != place and not self.document.path.endswith(f"/{place}"):
            words = f"the id '{written}' belongs into {place}, this file is {self.document.path}"
            self._add(("id",), "id-and-place", words, "rename one of the two")
        return domain, name

    def _properties(self, at: Steps, fields: dict[str, Any]) -> dict[str, Property]:
        listed = fields.get("properties") or []
        if not listed:
            self._add(at, "no-properties", "the schema object has no properties", "list the columns of the product")
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
                self._add((*here, "name"), "duplicate-property", words, "engines do not tell them apart: rename one")
                continue
            if not name.strip() or "\0" in name:
                self._add((*here, "name"), "property-name", "a property needs a name")
                continue
            lower[name.lower()] = name
            properties[name] = self._property(here, item, names)
        return properties

    def _property(self, here: Steps, item: dict[str, Any], names: set[str]) -> Property:
        kind = self._type(here, item)
        custom = self._custom(here, item, _PROPERTY_PROPERTIES, "property")
        quality, found = read_rules(self.document, (*here, "quality"), item.get("quality", []), item["name"], names)
        self.findings += found
        enum = tuple(entry["value"] for entry in item.get("enum", ()))
        self._enum(here, kind, enum)
        options = item.get("logicalTypeOptions") or {}
        self.findings += findings_of_options(
            self.document, (*here, "logicalTypeOptions"), item.get("logicalType", ""), options
        )
        unit, unit_at = custom.get("unit", (None, ()))
        if unit is not None and not isinstance(unit, str):
            self._add(unit_at, "wrong-value", f"a unit is a text, not {unit!r}", "for instance hours")
        known_at, known_at_place = custom.get("knownAt", (None, ()))
        if known_at is not None and not isinstance(known_at, str):
            self._add(known_at_place, "wrong-value", f"knownAt names a property, not {known_at!r}")
        position = item.get("primaryKeyPosition", -1)
        is_key = bool(item.get("primaryKey"))
        if position != -1 and not is_key:
            words = f"'{item['name']}' has a primaryKeyPosition and is no primary key"
            self._add((*here, "primaryKeyPosition"), "primary-key", words, "add primaryKey: true")
        if is_key and not isinstance(kind, Text | Integer | Boolean | Date | Timestamp | Decimal):
            words = f"'{item['name']}' is {kind}, which cannot be part of a key"
            self._add(
                (*here, "primaryKey"), "primary-key", words, "a key is text, a whole number, a date or a timestamp"
            )
        return Property(
            name=item["name"],
            type=kind,
            required=bool(item.get("required")),
            unique=bool(item.get("unique")),
            key_position=position if is_key else None,
            classification=self._classification(here, item),
            unit=_text(unit),
            known_at=_text(known_at),
            title=item.get("businessName", ""),
            description=item.get("description", ""),
            options=MappingProxyType(options),
            enum=enum,
            quality=quality,
            reference=item.get("id", item["name"]),
            location=self.document.at(*here),
        )

    def _type(self, here: Steps, item: dict[str, Any]) -> Type:
        name = item.get("name", "the items")
        match item.get("logicalType"):
            case "string":
                return Text(
                    MappingProxyType({str(e["value"]): e["label"] for e in item.get("enum", ()) if "label" in e})
                )
            case "integer":
                return Integer()
            case "number":
                return self._number(here, item)
            case "boolean":
                return Boolean()
            case "date":
                return Date()
            case "timestamp":
                return Timestamp()
            case "array":
                if "items" not in item:
                    self._add(here, "missing-field", f"the array '{name}' does not say what its items are", "add items")
                    return Array(Field(Text()))
                return Array(self._nested((*here, "items"), item["items"]))
            case "object":
                nested: list[dict[str, Any]] = item.get("properties") or []
                if not nested:
                    self._add(
                        here, "missing-field", f"the object '{name}' does not say what it holds", "add properties"
                    )
                inside = [
                    (below["name"], self._nested((*here, "properties", i), below)) for i, below in enumerate(nested)
                ]
                if len({key.lower() for key, _ in inside}) < len(inside):
                    self._add(here, "duplicate-property", f"the object '{name}' has two properties of one name")
                return Struct(MappingProxyType(dict(inside)))
            case None:
                self._add(here, "missing-field", f"'{name}' has no logicalType", f"one of {', '.join(TYPES)}")
            case other:
                words = f"'{name}' is of type {other}, which storymesh cannot publish"
                self._add((*here, "logicalType"), "unsupported-type", words, f"use {', '.join(TYPES)}")
        return Text()

    def _nested(self, here: Steps, item: dict[str, Any]) -> Field:
        """The field of what stands inside an object or an array; there, only types and `required` are audited."""
        ignored = [name for name in ("enum", "quality", "logicalTypeOptions", "unique") if item.get(name)]
        for name in ignored:
            words = f"'{name}' is not audited inside an object or an array"
            self._warn((*here, name), "not-run", words, "only types and required are, there")
        if item.get("primaryKey") or item.get("relationships"):
            self._add(here, "nested-key", "a key or a relationship has to be a property of the row itself")
        self._custom(here, item, _PROPERTY_PROPERTIES, "property")
        kind = self._type(here, item)
        return Field(kind, not item.get("required", False), self._classification(here, item))

    def _number(self, here: Steps, item: dict[str, Any]) -> Type:
        physical = item.get("physicalType", "").strip()
        match = _DECIMAL.fullmatch(physical)
        if match is None:
            return Float()
        if match[1] is None:
            return Decimal(38, 9)
        precision, scale = int(match[1]), int(match[2] or 0)
        if not (1 <= precision <= 38 and scale <= precision):
            self._add(
                (*here, "physicalType"),
                "wrong-value",
                f"{physical} is no decimal",
                "precision up to 38, scale within it",
            )
            return Decimal()
        return Decimal(precision, scale)

    def _classification(self, here: Steps, item: dict[str, Any]) -> Classification:
        written = item.get("classification", "internal")
        if written not in CLASSIFICATIONS:
            words = f"the classification '{written}' is not known"
            self._add((*here, "classification"), "classification", words, suggest_name(written, CLASSIFICATIONS))
            return "restricted"
        return cast(Classification, written)

    def _enum(self, here: Steps, kind: Type, values: tuple[Any, ...]) -> None:
        met: list[Any] = []
        for index, value in enumerate(values):
            at = (*here, "enum", index, "value")
            match kind:
                case Text():
                    fits = isinstance(value, str)
                case Integer():
                    fits = isinstance(value, int) and not isinstance(value, bool)
                case Float() | Decimal():
                    fits = isinstance(value, int | float) and not isinstance(value, bool)
                case Boolean():
                    fits = isinstance(value, bool)
                case Date() | Timestamp():
                    fits = isinstance(value, str) and parse_moment(value) is not None
                case _:
                    fits = False
            if not fits:
                hint = "write it in quotes" if isinstance(kind, Text) else ""
                self._add(at, "enum", f"{value!r} is not of the property's type, {kind}", hint)
            elif value in met:
                self._add(at, "enum", f"{value!r} stands twice in the enum", "keep one")
            met.append(value)

    def _key(self, at: Steps, properties: dict[str, Property]) -> tuple[str, ...]:
        members = [item for item in properties.values() if item.key_position is not None]
        if not members:
            words = "no property is a primary key, so its rows have no name"
            self._add(at, "primary-key", words, "add primaryKey: true to the property that tells the rows apart")
        positioned = [item for item in members if item.key_position != -1]
        if len(members) > 1:
            for item in members:
                if item.key_position == -1:
                    words = f"'{item.name}' is one of {len(members)} key properties and has no primaryKeyPosition"
                    self.findings.append(Finding(item.location, "primary-key", words, "number them from 1"))
        met: dict[int | None, str] = {}
        for item in positioned:
            if item.key_position in met:
                words = (
                    f"'{met[item.key_position]}' and '{item.name}' are both at position {item.key_position} of the key"
                )
                self.findings.append(Finding(item.location, "primary-key", words, "number them from 1"))
            elif item.key_position is not None and item.key_position < 1:
                words = f"position {item.key_position} of the key: positions count from 1"
                self.findings.append(Finding(item.location, "primary-key", words))
            met[item.key_position] = item.name
        return tuple(item.name for item in sorted(members, key=lambda item: item.key_position or 0))

    def _custom(
        self, at: Steps, fields: dict[str, Any], ours: tuple[str, ...], holder: str
    ) -> dict[str, tuple[Any, Steps]]:
        """storymesh's own custom properties of `fields`, each with the place of its value; others belong to others."""
        everywhere = {*_OBJECT_PROPERTIES, *_CONTRACT_PROPERTIES, *_PROPERTY_PROPERTIES}
        found: dict[str, tuple[Any, Steps]] = {}
        for index, item in enumerate(fields.get("customProperties") or []):
            here = (*at, "customProperties", index)
            name: str = item["property"]
            if name in ours:
                if name in found:
                    self._add((*here, "property"), "duplicate-key", f"'{name}' stands twice", "keep one")
                found[name] = (item["value"], (*here, "value"))
            elif name in everywhere:
                self._add((*here, "property"), "misplaced", f"'{name}' has no meaning on a {holder}", _belongs(name))
            elif "vendor" not in item and (near := _near(name, ours)):
                self._add(
                    (*here, "property"), "unknown-field", f"unknown custom property '{name}'", f"did you mean '{near}'?"
                )
        return found

    def _moment(self, custom: dict[str, tuple[Any, Steps]], name: str, properties: dict[str, Property]) -> str | None:
        if name not in custom:
            return None
        value, at = custom[name]
        if not isinstance(value, str):
            self._add(at, "unknown-property", f"{name} has to name a property, not {value!r}")
            return None
        self._moment_exists(value, at, name, properties)
        return value

    def _moment_exists(self, value: str, at: Steps, name: str, properties: dict[str, Property]) -> None:
        if value not in properties:
            self._add(
                at, "unknown-property", f"{name} names '{value}', which is no property", suggest_name(value, properties)
            )
        elif not isinstance(properties[value].type, MOMENTS):
            words = f"{name} names '{value}', which is {properties[value].type}"
            self._add(at, "not-a-moment", words, "it has to be a date or a timestamp")

    def _known_at_exists(self, item: Property, properties: dict[str, Property]) -> None:
        if item.known_at is None:
            return
        listed = self.value["schema"][0]["properties"]
        index = next(i for i, one in enumerate(listed) if one["name"] == item.name)
        custom = listed[index]["customProperties"]
        position = next(i for i, one in enumerate(custom) if one["property"] == "knownAt")
        at = ("schema", 0, "properties", index, "customProperties", position, "value")
        self._moment_exists(item.known_at, at, "knownAt", properties)

    def _timeless(self, custom: dict[str, tuple[Any, Steps]], event_time: str | None, end_time: str | None) -> bool:
        timeless, at = custom.get("timeless", (False, ()))
        if not isinstance(timeless, bool):
            self._add(at, "wrong-value", f"timeless is {timeless!r}, true or false is wanted")
        if end_time is not None and event_time is None:
            self._add(
                custom["endTime"][1],
                "end-without-event",
                "endTime says when a row ends, nothing says when it begins",
                "add eventTime",
            )
        if timeless is True and event_time is not None:
            words = f"a row that is timeless does not become true at '{event_time}'"
            self._add(at, "timeless-with-event", words, "keep eventTime or timeless")
        return timeless is True

    def _limit(self, custom: tuple[Any, Steps] | None) -> float:
        if custom is None:
            return DEFAULT_QUARANTINE_LIMIT
        value, at = custom
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            self._add(
                at, "wrong-value", f"quarantineLimit is {value!r}, a share between 0 and 1 is wanted", "0.1 is a tenth"
            )
            return DEFAULT_QUARANTINE_LIMIT
        return float(value)

    def _relationships(
        self, at: Steps, fields: dict[str, Any], properties: dict[str, Property], domain: str
    ) -> tuple[Relationship, ...]:
        found: list[Relationship] = []
        for index, item in enumerate(fields.get("relationships") or []):
            here = (*at, "relationships", index)
            origins = [self._target((*here, "from"), text, domain) for text in _listed(item["from"])]
            columns: list[str] = []
            for origin in origins:
                if origin is None:
                    continue
                contract, reference = origin
                own = next((p.name for p in properties.values() if p.reference == reference), reference)
                if contract is not None:
                    self._add((*here, "from"), "relationship", "a relationship starts at a property of this contract")
                elif own not in properties:
                    words = f"there is no property '{reference}'"
                    self._add((*here, "from"), "unknown-property", words, suggest_name(reference, properties))
                else:
                    columns.append(own)
            found += self._relationship(here, item, tuple(columns), len(origins), properties, domain)
        for number, listed in enumerate(fields.get("properties") or []):
            for index, item in enumerate(listed.get("relationships") or []):
                here = (*at, "properties", number, "relationships", index)
                found += self._relationship(here, item, (listed["name"],), 1, properties, domain)
        return tuple(found)

    def _relationship(
        self,
        here: Steps,
        item: dict[str, Any],
        columns: tuple[str, ...],
        wanted: int,
        properties: dict[str, Property],
        domain: str,
    ) -> list[Relationship]:
        targets = [self._target((*here, "to"), text, domain) for text in _listed(item["to"])]
        met = [target for target in targets if target is not None]
        if len(met) < len(targets) or len(columns) < wanted:
            return []
        if len(targets) != wanted:
            words = f"{wanted} properties point at {len(targets)}"
            self._add((*here, "to"), "relationship", words, "from and to need the same number")
            return []
        own = self.value["id"]
        contracts = {contract or own for contract, _ in met}
        if len(contracts) > 1:
            words = f"a relationship points into one contract, this one into {' and '.join(sorted(contracts))}"
            self._add((*here, "to"), "relationship", words)
            return []
        target = contracts.pop()
        references = tuple(reference for _, reference in met)
        if target == own:
            for reference in references:
                if not any(reference in (p.reference, p.name) for p in properties.values()):
                    words = f"there is no property '{reference}'"
                    self._add((*here, "to"), "unknown-property", words, suggest_name(reference, properties))
        return [Relationship(columns, target, references, self.document.at(*here, "to"))]

    def _target(self, at: Steps, text: str, domain: str) -> tuple[str | None, str] | None:
        """The contract that a reference names (None: this one) and the property in it, by id or name.

        Source: https://bitol-io.github.io/open-data-contract-standard/latest/references: `<file>#/schema/<object id>
        /properties/<property id>`, the file left out for the same contract, or the shorthand `object.property`.
        """
        file, anchor, path = text.rpartition("#")
        parts = path.strip("/").split("/")
        if not anchor and len(parts) == 1:
            parts = ["schema", *text.split(".")[:1], "properties", *text.split(".")[1:]]
        if len(parts) != 4 or parts[0] != "schema" or parts[2] != "properties":
            words = f"'{text}' does not name a property of a row"
            hint = "<domain>/<product>.odcs.yaml#/schema/<object>/properties/<property>, or <object>.<property>"
            self._add(at, "relationship", words, hint)
            return None
        _, named, _, reference = parts
        if not anchor:
            if named in self.object_names:
                return None, reference
            return f"{domain}.{named}", reference
        folders = [folder for folder in file.split("/") if folder not in (".", "..", "contracts")]
        if "://" in file or not file.endswith(SUFFIX) or not 1 <= len(folders) <= 2:
            words = f"'{file}' is not the file of a contract of this mesh"
            self._add(at, "relationship", words, f"<domain>/<product>{SUFFIX}")
            return None
        contract = f"{folders[0] if len(folders) == 2 else domain}.{folders[-1].removesuffix(SUFFIX)}"
        return (None if contract == self.value["id"] else contract), reference

    def _freshness(self, properties: dict[str, Property], event_time: str | None) -> Freshness | None:
        for index, item in enumerate(self.value.get("slaProperties") or []):
            if item["property"].lower() not in ("freshness", "latency", "ly"):
                continue
            at: Steps = ("slaProperties", index)
            value, unit = item["value"], str(item.get("unit", "d")).lower()
            if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
                self._add((*at, "value"), "freshness", f"freshness is {value!r}, a number above 0 is wanted")
                return None
            if unit not in _UNITS:
                self._add(
                    (*at, "unit"), "freshness", f"the unit '{item['unit']}' is not known", suggest_name(unit, _UNITS)
                )
                return None
            name = item.get("element", event_time)
            if name is None:
                self._add(
                    at,
                    "freshness",
                    "freshness of what?",
                    "name the property under element, or give the object an eventTime",
                )
                return None
            name = name.split(".", 1)[1] if name.split(".", 1)[0] in self.object_names and "." in name else name
            self._moment_exists(name, (*at, "element"), "freshness", properties)
            return Freshness(value * _UNITS[unit], name, self.document.at(*at))
        return None

    def _owner(self) -> str | None:
        team = self.value.get("team") or []
        members = team.get("members", []) if isinstance(team, dict) else team
        for member in members:
            if str(member.get("role", "")).lower() == "owner":
                return _text(member.get("username"))
        return team.get("name") if isinstance(team, dict) else None


def digest_of(value: Any) -> str:
    """SHA-256 (hex) of a plain value's canonical JSON: sorted keys, no spaces, UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _belongs(name: str) -> str:
    if name in _OBJECT_PROPERTIES:
        return "it belongs on the schema object"
    return "it belongs on a property" if name in _PROPERTY_PROPERTIES else "it belongs on the contract"


def _near(name: str, ours: tuple[str, ...]) -> str | None:
    """One of ours that `name` probably means: other custom properties are anybody's, so it has to be close."""
    plain = {one.lower(): one for one in ours}
    close = get_close_matches(name.lower().replace("_", "").replace("-", ""), plain, n=1, cutoff=0.8)
    return plain[close[0]] if close else None


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
