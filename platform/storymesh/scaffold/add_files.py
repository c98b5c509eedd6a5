"""A product made of files, added to a mesh: its definition, its contract and its product file, from one pattern."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from storymesh.errors import StorymeshError, WrongUsage
from storymesh.files.content import FolderFiles, OpenedFile
from storymesh.files.definition_path import SUFFIX
from storymesh.files.listing import literal_folder
from storymesh.files.reading.content_type import kind_of
from storymesh.files.reading.reading import KINDS, Kind
from storymesh.language.types import Array, Boolean, Date, Field, Float, Integer, Struct, Text, Timestamp, Type
from storymesh.product.sources.options import format_suffixes
from storymesh.scaffold.names import plain_name, title_of
from storymesh.scaffold.new_files import NewFiles
from storymesh.scaffold.yaml_text import yaml_text

BUCKET = "s3://"
_LOOKED_AT = 20
_BY_SUFFIX: dict[str, Kind] = {
    ".eml": "mail", ".mbox": "mail", ".txt": "text", ".md": "text", ".html": "html", ".htm": "html", ".pdf": "pdf",
    ".docx": "office", ".pptx": "office", ".xlsx": "office", ".jpg": "image", ".jpeg": "image", ".png": "image",
    ".wav": "audio", ".mp3": "audio", ".flac": "audio", ".ogg": "audio", ".m4a": "audio",
}  # fmt: skip
_LOGICAL: dict[type, str] = {
    Text: "string", Integer: "integer", Float: "number", Boolean: "boolean", Date: "date", Timestamp: "timestamp",
}  # fmt: skip
_LISTS = ("pages", "segments", "cells")


@dataclass(frozen=True)
class FilesDraft:
    """A drafted product of files: as what they are read, and how many were looked at."""

    product: str
    pattern: str
    kind: Kind
    found: int
    files: NewFiles


def means_files(origin: str) -> bool:
    """Return True for a pattern of files that are read one by one, and not of tables."""
    if "://" in origin:
        return origin.startswith(BUCKET)
    name = origin.rsplit("/", 1)[-1].lower()
    tables = tuple(suffix for suffix in format_suffixes() if suffix != ".xlsx" or "**" not in origin)
    stem = re.sub(r"\.(gz|zst|zip)$", "", name)
    return bool(re.search(r"[*?\[]", origin)) and not stem.endswith(tables)


def add_files(root: Path, origin: str, domain: str | None, name: str | None, owner: str | None) -> FilesDraft:
    """Write the files of a product of the files that a pattern means. Raises WrongUsage, and then writes nothing."""
    domain, pattern = _place(root, origin, domain)
    folder = root / "domains" / domain
    kind, found = _kind_of_pattern(folder, pattern)
    last = literal_folder(pattern.removeprefix(BUCKET)).rstrip("/").rpartition("/")[2]
    name = name or plain_name(last if last != "sources" else kind, kind)
    if name != plain_name(name, "product"):
        raise WrongUsage(
            f"'{name}' is no name of a product", f"small letters, digits and _: {plain_name(name, 'product')}"
        )
    properties, take = _taken_properties(kind)
    product: dict[str, Any] = {
        "apiVersion": "v1.0.0", "kind": "DataProduct", "id": f"{domain}.{name}", "name": title_of(name),
        "status": "draft",
        **({"team": {"members": [{"username": owner, "role": "owner"}]}} if owner is not None else {}),
        "customProperties": [{"property": "source", "value": f"sources/{name}{SUFFIX}"}],
    }  # fmt: skip
    event_time = "received_at" if kind == "mail" else "arrived_at"
    contract = {
        "apiVersion": "v3.2.0", "kind": "DataContract", "id": f"{domain}.{name}", "version": "1.0.0",
        "status": "draft",
        "schema": [
            {
                "name": name,
                "customProperties": [{"property": "eventTime", "value": event_time}],
                "properties": properties,
            }
        ],
    }  # fmt: skip
    definition = {
        "apiVersion": "storymesh/v1", "kind": "Files", "from": {"files": pattern, "read": kind}, "take": take,
    }  # fmt: skip
    files = NewFiles(
        {
            f"domains/{domain}/sources/{name}{SUFFIX}": yaml_text(definition),
            f"domains/{domain}/products/{name}.odps.yaml": yaml_text(product),
            f"contracts/{domain}/{name}.odcs.yaml": yaml_text(contract),
        }
    )
    files.write(root)
    return FilesDraft(f"{domain}.{name}", pattern, kind, found, files)


def _place(root: Path, origin: str, domain: str | None) -> tuple[str, str]:
    """Return the domain, and the pattern below its folder or in its bucket. Raises WrongUsage."""
    there = sorted(path.parent.name for path in (root / "domains").glob("*/domain.yaml"))
    if origin.startswith(BUCKET):
        if domain is None and len(there) == 1:
            domain = there[0]
        if domain not in there:
            raise WrongUsage("say whose product it is: --domain NAME", f"known: {', '.join(there)}")
        return domain, origin
    below = literal_folder(origin)
    start = Path(os.path.abspath(below or "."))  # noqa: PTH100 - a link is named as it is written
    for name in there if domain is None else [domain]:
        folder = (root / "domains" / name).resolve()
        if start.resolve().is_relative_to(folder):
            inside = start.resolve().relative_to(folder).as_posix()
            return name, f"{inside}/{origin.removeprefix(below)}".removeprefix("./")
    hint = "a domain reads files of its own folder or of a bucket: put them into domains/<domain>/sources/, or s3://…"
    raise WrongUsage(f"{origin} is in the folder of no domain{f' {domain}' if domain else ''}", hint)


def _kind_of_pattern(folder: Path, pattern: str) -> tuple[Kind, int]:
    """Return as what most of the first files can be read, and how many there are. Raises WrongUsage."""
    counts: dict[Kind, int] = {}
    total = 0
    if not pattern.startswith(BUCKET):
        place = FolderFiles(folder, [pattern])
        try:
            entries = [entry for entry in place.list_files() if entry.fault is None]
        except StorymeshError as error:
            raise WrongUsage(error.message, error.hint) from None
        total = len(entries)
        for content in _contents(place, entries):
            if (kind := kind_of(content)) is not None:
                counts[kind] = counts.get(kind, 0) + 1
    if counts:
        return max(counts, key=lambda kind: counts[kind]), total
    suffix = Path(pattern).suffix.lower()
    if suffix not in _BY_SUFFIX or (total == 0 and not pattern.startswith(BUCKET)):
        words = f"no file of {pattern} is one that can be read"
        raise WrongUsage(words, f"files of {', '.join(KINDS)} are read")
    return _BY_SUFFIX[suffix], total


def _contents(place: FolderFiles, entries: list[Any]) -> Iterator[bytes]:
    for _, opened in islice(place.open_files(entries, 25 * 10**6), _LOOKED_AT):
        if isinstance(opened, OpenedFile):
            yield opened.content if isinstance(opened.content, bytes) else opened.content.read_bytes()


def _taken_properties(kind: Kind) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return the properties of a contract with the expression of each: what a reader gives, in values and lists."""
    properties: list[dict[str, Any]] = [{"name": "file", "logicalType": "string", "primaryKey": True}]
    take = {"file": "file.uri"}

    def add(name: str, expression: str, of: dict[str, Any]) -> None:
        properties.append({"name": name, **of})
        take[name] = expression

    for name, given in KINDS[kind].items():
        if isinstance(given.type, Struct):
            for below, inner in given.type.fields.items():
                if isinstance(inner, Field) and type(inner.type) in _LOGICAL and (name, below) != ("mail", "received"):
                    own = {"date": "written_at", "pages": "page_count"}.get(below, below)
                    add(own, f"{name}.{below}", _property(inner.type))
        elif name in _LISTS:
            add(name, name, _property(given.type))
    if kind == "mail":
        add("received_at", "mail.received | default(file.arrived)", {"logicalType": "timestamp", "required": True})
    else:
        add("arrived_at", "file.arrived", {"logicalType": "timestamp", "required": True})
    add("text", "text", {"logicalType": "string"})
    return properties, take


def _property(of: Type) -> dict[str, Any]:
    match of:
        case Array(item):
            return {"logicalType": "array", "items": _property(item.type)}
        case Struct(fields):
            inner = [
                {"name": name, **_property(below.type)} for name, below in fields.items() if isinstance(below, Field)
            ]
            return {"logicalType": "object", "properties": inner}
        case _:
            return {"logicalType": _LOGICAL[type(of)]}
