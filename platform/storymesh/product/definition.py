"""A data product as its team describes it: the Open Data Product Standard 1.0, and what storymesh reads from it."""

import posixpath
import re
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from storymesh.document import Document, describe_kind, read_document
from storymesh.errors import DefinitionErrors, Finding, suggest_name
from storymesh.files.definition_path import is_files_source
from storymesh.location import Location
from storymesh.product.sources.options import NO_FILE, SourceOptions
from storymesh.standards.odps import validate_product

SUFFIX = ".odps.yaml"
_ID = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)\.([A-Za-z_][A-Za-z0-9_-]*)")
_CUSTOM = ("source",)
_FORMAT_NAMES = {"csv": "a CSV", "jsonl": "JSON lines", "xlsx": "a workbook", "parquet": "Parquet"}


@dataclass(frozen=True)
class InputPort:
    """An input of a product: the published rows of the product whose contract is `contract_id`, or a system outside."""

    name: str
    contract_id: str
    version: str
    location: Location


@dataclass(frozen=True)
class OutputPort:
    """An output of a product, promised by the contract `contract_id`."""

    name: str
    contract_id: str
    version: str
    location: Location


@dataclass(frozen=True)
class Product:
    """One data product. `source` is the file that its rows stand in, or the pattern of several, and `layout` says what
    they look like. None: they are those of a server's table, which `layout` names, or of the domain's dbt model of its
    name.

    `inputs` are the input ports of products of the mesh, `outside` those of systems outside it: which is which, the
    mesh knows (`mesh/ports.py`). `lists_outputs`: the file lists its output ports.
    """

    id: str
    domain: str
    name: str
    title: str
    description: str
    owner: str | None
    source: str | None
    layout: SourceOptions
    source_location: Location
    inputs: tuple[InputPort, ...]
    outside: tuple[InputPort, ...]
    outputs: tuple[OutputPort, ...]
    lists_outputs: bool
    tags: tuple[str, ...]
    status: str
    warnings: tuple[Finding, ...]
    location: Location
    document: Document = field(repr=False, compare=False)
    in_place: bool = False
    """Its rows stay on the server that `layout` names."""

    @property
    def is_model(self) -> bool:
        """Return True where its rows are those of a dbt model."""
        return self.source is None and self.layout.server is None


def left_in_place(product: Product, server: str) -> Product:
    """Return a product whose contract leaves its rows on a server. One that names a file is as it was."""
    if product.source is not None:
        return product
    layout = product.layout if product.layout.server is not None else NO_FILE.model_copy(update={"server": server})
    return replace(product, layout=layout, in_place=True)


def read_product(path: Path, root: Path) -> Product:
    """Return the product in the file `path` of the mesh `root`. Raises DefinitionErrors."""
    document = read_document(path, root)
    if not isinstance(document.value, dict):
        words = f"this file should hold fields, it holds {describe_kind(document.value)}"
        raise DefinitionErrors([Finding(Location(document.path), "yaml", words)])
    if violations := validate_product(document):
        raise DefinitionErrors(violations)
    fields: dict[str, Any] = document.value
    findings: list[Finding] = []
    match = _ID.fullmatch(fields["id"])
    if match is None:
        words = f"the id '{fields['id']}' is not <domain>.<product>"
        raise DefinitionErrors([document.finding(("id",), "id", words, "letters, digits, _ and -")])
    domain, name = match.groups()
    place = f"domains/{domain}/products/{name}{SUFFIX}"
    if document.path != place and not document.path.endswith(f"/{place}"):
        words = f"the id '{fields['id']}' belongs into {place}, this file is {document.path}"
        findings.append(document.finding(("id",), "id-and-place", words, "rename one of the two"))
    layout, source_location = _read_source(document, findings)
    inputs = _read_inputs(document, findings)
    outputs = _read_outputs(document, name, findings)
    if isinstance(fields.get("team"), list):
        words = "'team' is a list of members, as it was before the standard's version 1.0"
        findings.append(Finding(document.at("team"), "old-form", words, "write team: {members: […]}", "warning"))
    if any(finding.severity == "error" for finding in findings):
        raise DefinitionErrors(findings)
    description = fields.get("description", {})
    return Product(
        id=fields["id"],
        domain=domain,
        name=name,
        title=fields.get("name") or name.replace("_", " "),
        description=description.get("purpose") or description.get("usage") or "",
        owner=_read_owner(fields.get("team", {})),
        source=layout.file if layout else None,
        layout=layout or NO_FILE,
        source_location=source_location,
        inputs=inputs,
        outside=(),
        outputs=outputs,
        lists_outputs=bool(fields.get("outputPorts")),
        tags=tuple(fields.get("tags", ())),
        status=fields["status"],
        warnings=tuple(sorted(findings)),
        location=document.at(),
        document=document,
    )


def _read_source(document: Document, findings: list[Finding]) -> tuple[SourceOptions | None, Location]:
    options: SourceOptions | None = None
    location = document.at()
    for index, item in enumerate(document.value.get("customProperties", ())):
        at = ("customProperties", index)
        if item["property"] in _CUSTOM:
            location, options = document.at(*at, "value"), _read_options(document, (*at, "value"), findings)
        elif (hint := suggest_name(item["property"].lower(), _CUSTOM)).startswith("did you mean"):
            words = f"unknown custom property '{item['property']}'"
            findings.append(document.finding((*at, "property"), "unknown-field", words, hint))
    return options, location


def _read_options(document: Document, at: tuple[str | int, ...], findings: list[Finding]) -> SourceOptions | None:
    """Return what a source says: the path of a file, or fields of which one is `file`."""
    value = document.below(*at).value
    if isinstance(value, dict):
        try:
            options = document.below(*at).parse(SourceOptions)
        except DefinitionErrors as errors:
            findings.extend(errors.findings)
            return None
        at = (*at, "file")
    elif isinstance(value, str) and value.strip():
        options = SourceOptions(file=value)
    else:
        words = f"source names a file, {value!r} does not"
        findings.append(document.finding(at, "wrong-value", words, "for instance sources/ports.csv"))
        return None
    if options.file is None:
        return options
    if _is_elsewhere(options.file):
        words = f"source '{options.file}': the path has to be relative to the domain's folder, and stay in it"
        hint = "a mesh is read on many machines: put the file into sources/, or name a server of the contract"
        findings.append(document.finding(at, "wrong-value", words, hint))
    if is_files_source(options.file):
        for name in options.given:
            words = f"'{name}' is of a file with rows, and '{options.file}' names files that are read one by one"
            findings.append(Finding(document.key_at(*at[:-1], name), "wrong-value", words, "leave it away"))
        return options
    format_ = options.format_of(options.file)
    if format_ is None:
        return options
    for name in options.misplaced(format_):
        words = f"'{name}' does not apply to {_FORMAT_NAMES[format_]}, which '{options.file}' is"
        findings.append(Finding(document.key_at(*at[:-1], name), "wrong-value", words, "leave it away"))
    return options


def _read_inputs(document: Document, findings: list[Finding]) -> tuple[InputPort, ...]:
    inputs: list[InputPort] = []
    for index, port in enumerate(document.value.get("inputPorts", ())):
        at = ("inputPorts", index)
        contract = port["contractId"]
        if contract == document.value["id"]:
            words = f"'{contract}' cannot read what it publishes itself"
            findings.append(document.finding((*at, "contractId"), "own-input", words))
        if any((other.contract_id, other.name) == (contract, port["name"]) for other in inputs):
            words = f"the contract '{contract}' has two input ports '{port['name']}'"
            findings.append(document.finding((*at, "contractId"), "duplicate-port", words, "keep one"))
        inputs.append(InputPort(port["name"], contract, port["version"], document.at(*at)))
    return tuple(inputs)


def _read_outputs(document: Document, name: str, findings: list[Finding]) -> tuple[OutputPort, ...]:
    """Return the listed output ports; without any, the one of the product's own name."""
    own_id = document.value["id"]
    ports = document.value.get("outputPorts", ())
    if not ports:
        return (OutputPort(name, own_id, document.value.get("version") or "1", document.at()),)
    outputs: list[OutputPort] = []
    for index, port in enumerate(ports):
        at = ("outputPorts", index)
        if any((port["name"], port["version"]) == (other.name, other.version) for other in outputs):
            words = f"the output port '{port['name']}' stands twice"
            findings.append(document.finding((*at, "name"), "duplicate-port", words, "keep one"))
        outputs.append(OutputPort(port["name"], port.get("contractId") or own_id, port["version"], document.at(*at)))
    return tuple(outputs)


def _read_owner(team: dict[str, Any] | list[dict[str, Any]]) -> str | None:
    members = team.get("members", ()) if isinstance(team, dict) else team
    return next((member["username"] for member in members if member.get("role", "").lower() == "owner"), None)


def _is_elsewhere(source: str) -> bool:
    """Return True for a path that means a place of one machine, of another domain, or of the network."""
    home = source.startswith("~") or "\0" in source
    above = posixpath.normpath(source.replace("\\", "/")).startswith("..")
    absolute = PurePosixPath(source).is_absolute() or bool(PureWindowsPath(source).drive)
    return home or above or absolute or "://" in source
