"""Where in a file a value of a row stands: the evidence that a product publishes beside its values, read for traces.

It is read from the product as a trace needs it, and is never part of a case, a fact or a text. It quotes words that no
narrative asked for, so they are shown only where nothing of the row is hidden, and without personal data.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from storymesh.dataset.build import Build
from storymesh.dataset.personal_data import MASKS, personal_data_finder
from storymesh.dataset.personal_data_finder import PersonalDataFinder
from storymesh.dataset.tables import published_rows
from storymesh.engine.engine import Engine
from storymesh.files.place import describe_place
from storymesh.files.visible_evidence import is_only_method_visible
from storymesh.provenance.row_values import read_rows


@dataclass(frozen=True)
class FileEvidence:
    """The place of a value in its file, from the product's evidence; places count as in `contract.evidence_type`.
    `hidden`: quote and uri may not be shown, or nothing but `how`; a uri with personal data is absent too."""

    how: str | None
    sha256: str | None = None
    uri: str | None = None
    quote: str | None = None
    reader: str | None = None
    part: str | None = None
    page: int | None = None
    box: tuple[float, ...] | None = None
    seconds: tuple[float, ...] | None = None
    cell: str | None = None
    begin: int | None = None
    end: int | None = None
    confidence: float | None = None
    answer: str | None = None
    hidden: bool = False

    def as_mapping(self) -> dict[str, Any]:
        """Return the fields that say something."""
        found = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in found.items() if value is not None and value is not False}

    @property
    def description(self) -> str:
        """How the file says the value and where, in words."""
        how = self.how or "from a file"
        quote = f' "{" ".join(self.quote.split())}"' if self.quote else ""
        places = (self.uri or "a file that is not shown", describe_place(self.as_mapping()))
        reader = f" · read by {self.reader}" if self.reader else ""
        digest = f" · sha256 {self.sha256}" if self.sha256 else ""
        return f"{how}{quote} in {', '.join(filter(None, places))}{reader}{digest}"


class EvidenceLookup:
    """The evidence of the rows of a build, read for many rows at once."""

    def __init__(self, build: Build, engine: Engine) -> None:
        self._build = build
        self._engine = engine
        self._rows: dict[str, dict[str, Mapping[str, FileEvidence]]] = {}  # role -> key -> property -> evidence

    def has_evidence(self, role: str) -> bool:
        """Return whether the values of a role have evidence that may be read. At a premise of which nothing leaves but
        by a rule it may not: no rule was asked about it."""
        build, contract = self._build, self._build.contracts[role]
        if contract.evidence is None or role in build.guarded or build.snapshots[role].receipt is not None:
            return False
        return contract.residence is None or not contract.residence.guarded

    def is_read(self, role: str, key: str) -> bool:
        return key in self._rows.get(role, {})

    def read(self, role: str, keys: Iterable[str]) -> None:
        """Read the evidence of these rows, as far as it has not been read."""
        known = self._rows.setdefault(role, {})
        wanted = [key for key in dict.fromkeys(keys) if key not in known]
        column = str(self._build.contracts[role].evidence)
        found = read_rows(self._build, self._engine, role, wanted, [column])
        hidden = self._hides_words(role)
        for key in wanted:
            items = found[key][column] if key in found else None
            known[key] = {item["property"]: self._evidence(item, hidden) for item in items or () if item is not None}

    def of_value(self, role: str, key: str, column: str) -> FileEvidence | None:
        """Return the evidence of one property of a row that was read: of evidence that is more guarded than the value
        itself, or restricted, no more than `how`."""
        found, contract = self._rows[role][key].get(column), self._build.contracts[role]
        if found is None or contract.evidence is None:
            return None
        return FileEvidence(found.how, hidden=True) if is_only_method_visible(contract, column) else found

    def _evidence(self, item: Mapping[str, Any], hidden: bool) -> FileEvidence:
        named = {field.name: item.get(field.name) for field in fields(FileEvidence) if field.name != "hidden"}
        for name in ("box", "seconds"):
            named[name] = tuple(item[name]) if item[name] is not None else None
        quote, uri = named["quote"], named["uri"]
        if hidden:
            quote = uri = None
        elif (finder := self._finder) is not None:
            quote = finder.replace(quote, MASKS)[0] if quote is not None else None
            uri = None if uri is not None and finder.replace(uri, MASKS)[1] else uri  # a changed one leads nowhere
        return FileEvidence(**{**named, "quote": quote, "uri": uri}, hidden=hidden)

    def _hides_words(self, role: str) -> bool:
        """Return whether a row has values that may not be shown: a quote or the name of a file may say them."""
        properties = self._build.contracts[role].properties
        pseudonymised = any((role, name) in self._build.typed.pseudonymised for name in properties)
        return pseudonymised or any(item.classification == "restricted" for item in properties.values())

    @cached_property
    def _finder(self) -> PersonalDataFinder | None:
        build = self._build
        tables = {role: published_rows(build, self._engine, role) for role in build.typed.cast.roles}
        return personal_data_finder(self._engine, build.typed, tables)
