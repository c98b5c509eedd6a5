"""A data product as its team describes it: the Open Data Product Standard 1.0, and what storymesh reads from it."""

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from storymesh.document import Document, read_document, suggest_file
from storymesh.errors import DefinitionErrors, Finding, suggest_name
from storymesh.location import Location

SUFFIX = ".odps.yaml"
SOURCES = (".csv", ".csv.gz", ".parquet", ".jsonl", ".jsonl.gz", ".ndjson", ".xlsx")
_ID = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)\.([A-Za-z_][A-Za-z0-9_-]*)")
_CUSTOM = ("source",)


@dataclass(frozen=True)
class InputPort:
    """What a product reads: the published rows of the product whose contract is `contract_id`."""

    name: str
    contract_id: str
    version: str
    location: Location


@dataclass(frozen=True)
class OutputPort:
    """What a product publishes, promised by the contract `contract_id`."""

    name: str
    contract_id: str
    version: str
    location: Location


@dataclass(frozen=True)
class Product:
    """One data product. `source` is the file that its rows stand in; None: the domain's dbt model of its name."""

    id: str
    domain: str
    name: str
    title: str
    description: str
    owner: str | None
    source: str | None
    source_location: Location
    inputs: tuple[InputPort, ...]
    outputs: tuple[OutputPort, ...]
    tags: tuple[str, ...]
    status: str
    location: Location
    document: Document = field(repr=False, compare=False)


def read_product(path: Path, root: Path) -> Product:
    """The product in the file `path` of the mesh `root`. Raises DefinitionErrors."""
    document = read_document(path, root)
    written = document.parse(_DataProduct)
    findings: list[Finding] = []
    match = _ID.fullmatch(written.id)
    if match is None:
        words = f"the id '{written.id}' is not <domain>.<product>"
        raise DefinitionErrors([document.finding(("id",), "id", words, "letters, digits, _ and -")])
    domain, name = match.groups()
    place = f"domains/{domain}/products/{name}{SUFFIX}"
    if document.path != place and not document.path.endswith(f"/{place}"):
        words = f"the id '{written.id}' belongs into {place}, this file is {document.path}"
        findings.append(document.finding(("id",), "id-and-place", words, "rename one of the two"))
    source, source_location = _source(document, written, findings)
    inputs = tuple(
        InputPort(port.name, port.contractId, port.version, document.at("inputPorts", index))
        for index, port in enumerate(written.inputPorts)
    )
    for index, port in enumerate(inputs):
        if port.contract_id == written.id:
            words = f"'{written.id}' cannot read what it publishes itself"
            findings.append(document.finding(("inputPorts", index, "contractId"), "own-input", words))
        if any(other.contract_id == port.contract_id for other in inputs[:index]):
            words = f"the contract '{port.contract_id}' has two input ports"
            findings.append(document.finding(("inputPorts", index, "contractId"), "duplicate-port", words, "keep one"))
    outputs = _outputs(document, written, name, findings)
    if any(finding.severity == "error" for finding in findings):
        raise DefinitionErrors(findings)
    description = written.description or _Description()
    return Product(
        id=written.id,
        domain=domain,
        name=name,
        title=written.name or name.replace("_", " "),
        description=description.purpose or description.usage or "",
        owner=next((one.username or one.name for one in written.team if (one.role or "").lower() == "owner"), None),
        source=source,
        source_location=source_location,
        inputs=inputs,
        outputs=outputs,
        tags=written.tags,
        status=written.status,
        location=document.at(),
        document=document,
    )


def _source(document: Document, written: "_DataProduct", findings: list[Finding]) -> tuple[str | None, Location]:
    source: str | None = None
    place = document.at()
    for index, item in enumerate(written.customProperties):
        at = ("customProperties", index)
        if item.property in _CUSTOM:
            place = document.at(*at, "value")
            if isinstance(item.value, str) and item.value.strip():
                source = item.value
                if _is_elsewhere(source):
                    words = f"source '{source}': the path has to be relative to the domain's folder"
                    hint = "a mesh is read on many machines: put the file into sources/"
                    findings.append(document.finding((*at, "value"), "wrong-value", words, hint))
            else:
                words = f"source names a file, {item.value!r} does not"
                findings.append(
                    document.finding((*at, "value"), "wrong-value", words, "for instance sources/ports.csv")
                )
        elif suggest_name(item.property.lower(), _CUSTOM).startswith("did you mean"):
            words = f"unknown custom property '{item.property}'"
            findings.append(
                document.finding(
                    (*at, "property"), "unknown-field", words, suggest_name(item.property.lower(), _CUSTOM)
                )
            )
    return source, place


def source_problem(product: Product, folder: Path) -> tuple[str, str] | None:
    """Why the rows of `product` cannot stand in its source, a path from the domain's `folder`: words and a hint."""
    path = folder / (product.source or "")
    if path.is_dir():
        return "this is a folder, a file is wanted", ""
    if not path.is_file():
        beside = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
        if not beside:
            return "there is no such file, nor its folder", f"looked for {path}"
        return "there is no such file", suggest_file(path.name, beside)
    if not path.name.lower().endswith(SOURCES):
        return f"a file '{source_kind(path)}' cannot be read", f"use {', '.join(SOURCES)}, or a dbt model"
    return None


def source_kind(path: Path) -> str:
    """The ending of a file's name in small letters: `.csv`, `.csv.gz`."""
    return "".join(path.suffixes[-2:]).lower() if path.suffix.lower() == ".gz" else path.suffix.lower()


def _is_elsewhere(source: str) -> bool:
    """Whether the path means a place of one machine, or of the network."""
    home = source.startswith("~")
    return home or "://" in source or PurePosixPath(source).is_absolute() or bool(PureWindowsPath(source).drive)


def _outputs(document: Document, written: "_DataProduct", name: str, findings: list[Finding]) -> tuple[OutputPort, ...]:
    """The listed output ports; without any, the one of the product's own name."""
    if not written.outputPorts:
        return (OutputPort(name, written.id, written.version or "1", document.at()),)
    outputs = []
    for index, port in enumerate(written.outputPorts):
        at = ("outputPorts", index)
        if any((port.name, port.version) == (other.name, other.version) for other in written.outputPorts[:index]):
            words = f"the output port '{port.name}' stands twice"
            findings.append(document.finding((*at, "name"), "duplicate-port", words, "keep one"))
        outputs.append(OutputPort(port.name, port.contractId or written.id, port.version, document.at(*at)))
    return tuple(outputs)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _CustomProperty(_Model):
    property: str
    value: Any
    description: str | None = None


class _AuthoritativeDefinition(_Model):
    type: str
    url: str
    description: str | None = None


_Tags = tuple[str, ...]
_Customs = tuple[_CustomProperty, ...]
_Definitions = tuple[_AuthoritativeDefinition, ...]


def _list() -> Any:
    """A list of the file becomes a tuple: strict models would take tuples only, which no YAML file holds."""
    return Field(default=(), strict=False)


class _Description(_Model):
    purpose: str | None = None
    limitations: str | None = None
    usage: str | None = None
    authoritativeDefinitions: _Definitions = _list()
    customProperties: _Customs = _list()


class _InputPort(_Model):
    name: str
    version: str
    contractId: str = Field(description="the id of the contract of another product, <domain>.<product>")


class _Sbom(_Model):
    type: str = "external"
    url: str


class _InputContract(_Model):
    id: str
    version: str


class _OutputPort(_Model):
    name: str
    description: str | None = None
    type: str | None = None
    version: str
    contractId: str | None = None
    sbom: tuple[_Sbom, ...] = _list()
    inputContracts: tuple[_InputContract, ...] = _list()


class _ManagementPort(_Model):
    name: str
    content: str
    type: str = "rest"
    url: str | None = None
    channel: str | None = None
    description: str | None = None
    tags: _Tags = _list()
    customProperties: _Customs = _list()
    authoritativeDefinitions: _Definitions = _list()


class _Support(_Model):
    channel: str
    url: str
    description: str | None = None
    tool: str | None = None
    scope: str | None = None
    invitationUrl: str | None = None
    tags: _Tags = _list()
    customProperties: _Customs = _list()
    authoritativeDefinitions: _Definitions = _list()


class _TeamMember(_Model):
    username: str | None = None
    name: str | None = None
    description: str | None = None
    role: str | None = None
    dateIn: str | None = None
    dateOut: str | None = None
    replacedByUsername: str | None = None
    tags: _Tags = _list()
    customProperties: _Customs = _list()
    authoritativeDefinitions: _Definitions = _list()


class _DataProduct(_Model):
    """https://github.com/bitol-io/open-data-product-standard, schema v1.0.0."""

    apiVersion: Literal["v0.9.0", "v1.0.0"]
    kind: Literal["DataProduct"]
    id: str = Field(description="<domain>.<product>")
    status: str = Field(description="for instance active")
    name: str | None = None
    version: str | None = None
    domain: str | None = None
    tenant: str | None = None
    authoritativeDefinitions: _Definitions = _list()
    description: _Description | None = None
    customProperties: _Customs = _list()
    tags: _Tags = _list()
    inputPorts: tuple[_InputPort, ...] = _list()
    outputPorts: tuple[_OutputPort, ...] = _list()
    managementPorts: tuple[_ManagementPort, ...] = _list()
    support: tuple[_Support, ...] = _list()
    team: tuple[_TeamMember, ...] = _list()
    productCreatedTs: str | None = None
