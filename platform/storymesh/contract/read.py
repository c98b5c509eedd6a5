"""Reading a contract: the whole of it, or findings about everything that is wrong with its file."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from storymesh.contract.definition import DEFAULT_QUARANTINE_LIMIT, SUFFIX, VERSION, Contract, Property
from storymesh.contract.document_reader import (
    CONTRACT_PROPERTIES,
    OBJECT_PROPERTIES,
    DocumentReader,
    Steps,
    names_of_object,
)
from storymesh.contract.quality_rules import read_rules
from storymesh.contract.read_egress import read_egress, read_in_place
from storymesh.contract.read_freshness import read_freshness
from storymesh.contract.read_properties import read_key, read_properties
from storymesh.contract.read_relationships import RelationshipReader
from storymesh.document import Document, read_document
from storymesh.errors import DefinitionErrors, Finding, suggest_name
from storymesh.language.types import MOMENTS, Classification
from storymesh.location import Location
from storymesh.standards.odcs import validate_contract

_ID = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)\.([A-Za-z_][A-Za-z0-9_-]*)")
MAX_ITEMS: Mapping[str, int] = {"properties": 5_000, "relationships": 1_000, "quality": 1_000, "": 20_000}
"""Name of a list in a contract -> the most items that it may have; "" stands for any other list."""

_DEPRECATED = ("deprecated", "retired")

NO_WORDS: Mapping[str, Classification] = MappingProxyType({})


@dataclass(frozen=True)
class ContractFile:
    """A file that keeps to the standard. It has the contract of the product of its own id, or those of several
    products of its domain: each has the schema object of its name."""

    id: str
    document: Document

    @property
    def object_names(self) -> tuple[str, ...]:
        """Return the names of the schema objects."""
        return tuple(item["name"] for item in self.document.value.get("schema") or [])

    def has_object(self, product: str) -> bool:
        """Return True if one of several schema objects is that of the product of this id."""
        domain, _, name = product.partition(".")
        return domain == self.id.partition(".")[0] and len(self.object_names) > 1 and name in self.object_names

    def contract(self, product: str | None = None) -> Contract:
        """Return the contract of a product, by default that of the file's own id. Raises DefinitionErrors."""
        return _read(DocumentReader(self.document), *(product or self.id).split("."))


def read_contract(
    path: Path, root: Path, classifications: Mapping[str, Classification] = NO_WORDS, *, dumped: bool = False
) -> Contract:
    """Return the contract of the file's own id. Raises DefinitionErrors; see `read_contract_file`."""
    return read_contract_file(path, root, classifications, dumped=dumped).contract()


def read_contract_file(
    path: Path, root: Path, classifications: Mapping[str, Classification], *, dumped: bool = False
) -> ContractFile:
    """Return the file `path` of the mesh `root`.

    `classifications` says what words for who may see a value mean here: the values of the document have our words, as
    everything that is made of a contract takes them from there. `dumped`: PyYAML wrote the file, as `compose_yaml` has
    it. Raises DefinitionErrors.
    """
    document = read_document(path, root, dumped=dumped)
    if not isinstance(document.value, dict):
        raise DefinitionErrors(
            [Finding(Location(document.path), "yaml", "a contract holds fields, this file does not")]
        )
    if too_long := list(_findings_of_length(document, document.value, ())):
        raise DefinitionErrors(too_long)
    if violations := validate_contract(document):
        raise DefinitionErrors(violations)
    document = replace(document, value=_with_our_words(document.value, classifications))
    return ContractFile(_read_id(document), document)


def _with_our_words(value: Any, words: Mapping[str, Classification]) -> Any:
    """Return a value of a contract in which each classification that is in `words` is what it means."""
    if not words:
        return value
    if isinstance(value, list):
        return [_with_our_words(item, words) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: words.get(item, item)
        if name == "classification" and isinstance(item, str)
        else item
        if name in ("customProperties", "examples", "enum")
        else _with_our_words(item, words)
        for name, item in value.items()
    }


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


def _read(reader: DocumentReader, domain: str, name: str) -> Contract:
    at, fields = _read_object(reader, name)
    object_names = {*names_of_object(fields), name}
    properties = read_properties(reader, at, fields)
    key = read_key(reader, at, properties)
    custom = reader.custom_properties(at, fields, OBJECT_PROPERTIES, "schema object")
    overall = reader.custom_properties((), reader.value, CONTRACT_PROPERTIES, "contract")
    event_time = _read_moment(reader, custom, "eventTime", properties)
    end_time = _read_moment(reader, custom, "endTime", properties)
    known_at = _read_moment(reader, custom, "knownAt", properties)
    changed_at = _read_moment(reader, custom, "changedAt", properties)
    leaves, in_place = read_egress(reader, custom, properties), read_in_place(reader, custom)
    timeless = _read_timeless(reader, custom, event_time, end_time)
    for item in properties.values():
        _check_known_at(reader, at, item, properties)
    rules = fields.get("quality", [])
    quality, found = read_rules(reader.document, (*at, "quality"), rules, None, set(properties))
    reader.findings += found
    relationships = RelationshipReader(reader, properties, f"{domain}.{name}", object_names).read_all(at, fields)
    freshness = read_freshness(reader, properties, event_time, object_names)
    limit = _read_limit(reader, custom.get("quarantineLimit"), _read_limit(reader, overall.get("quarantineLimit")))
    license_ = _read_license(reader, overall.get("license"))
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
        leaves=leaves,
        in_place=in_place,
        changed_at=changed_at,
        quarantine_limit=limit,
        deprecated=bool(fields.get("deprecated")) or reader.value.get("status") in _DEPRECATED,
        digest=_digest({**reader.value, "schema": [fields]}),
        license=license_,
        terms=description.get("limitations", ""),
        owner=_read_owner(reader),
        warnings=tuple(sorted(reader.findings)),
        location=reader.document.at(),
        document=reader.document,
    )


def _read_object(reader: DocumentReader, name: str) -> tuple[Steps, dict[str, Any]]:
    """Return the schema object of the product `name` and its place: the only one, or the one of its name."""
    version = reader.value["version"]
    if not VERSION.fullmatch(version):
        reader.add(
            ("version",), "version", f"'{version}' is not a version", "like 1.0.0; the first number is the major"
        )
    objects: list[dict[str, Any]] = reader.value.get("schema") or []
    named = [index for index, item in enumerate(objects) if item["name"] == name]
    if len(named) > 1:
        reader.add(("schema", named[1], "name"), "object-name", f"the schema object '{name}' stands twice", "keep one")
    if not named and len(objects) != 1:
        words = f"a contract describes the schema object of its product: of {len(objects)}, none is named '{name}'"
        hint = f"name the product's own '{name}'"
        raise DefinitionErrors([*reader.findings, reader.document.finding(("schema",), "one-object", words, hint)])
    at: Steps = ("schema", named[0] if named else 0)
    fields = objects[named[0] if named else 0]
    if not named:
        words = f"the schema object is named '{fields['name']}', the product is '{name}'"
        reader.add((*at, "name"), "object-name", words, f"name it '{name}'")
    return at, fields


def _read_id(document: Document) -> str:
    """Return the id of a contract. Raises DefinitionErrors for one that is none, or that belongs elsewhere."""
    written: str = document.value["id"]
    match = _ID.fullmatch(written)
    if match is None:
        words = f"the id '{written}' is not <domain>.<product>"
        raise DefinitionErrors([document.finding(("id",), "id", words, "letters, digits, _ and -")])
    domain, name = match.groups()
    place = f"contracts/{domain}/{name}{SUFFIX}"
    if document.path != place and not document.path.endswith(f"/{place}"):
        words = f"the id '{written}' belongs into {place}, this file is {document.path}"
        raise DefinitionErrors([document.finding(("id",), "id-and-place", words, "rename one of the two")])
    return written


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


def _check_known_at(reader: DocumentReader, at: Steps, item: Property, properties: dict[str, Property]) -> None:
    if item.known_at is None:
        return
    listed = reader.value["schema"][at[1]]["properties"]
    index = next(i for i, fields in enumerate(listed) if fields["name"] == item.name)
    custom = listed[index]["customProperties"]
    position = next(i for i, fields in enumerate(custom) if fields["property"] == "knownAt")
    place = (*at, "properties", index, "customProperties", position, "value")
    _check_moment(reader, item.known_at, place, "knownAt", properties)


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


def _read_limit(
    reader: DocumentReader, custom: tuple[Any, Steps] | None, default: float = DEFAULT_QUARANTINE_LIMIT
) -> float:
    if custom is None:
        return default
    value, at = custom
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        reader.add(
            at, "wrong-value", f"quarantineLimit is {value!r}, a share between 0 and 1 is wanted", "0.1 is a tenth"
        )
        return default
    return float(value)


def _read_license(reader: DocumentReader, custom: tuple[Any, Steps] | None) -> str | None:
    value, at = custom or (None, ())
    if value is not None and not isinstance(value, str):
        reader.warn(at, "wrong-value", f"license is {value!r}, a text is wanted", "for instance cc-by-4.0")
    return _text(value)


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
