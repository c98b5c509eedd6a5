"""Reads the definition files of a mesh root, and gathers the findings of all of them."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

from storymesh.case.definition import NAME
from storymesh.contract.definition import Contract
from storymesh.contract.read import ContractFile
from storymesh.document import Document, Step, read_document, refusal_finding
from storymesh.errors import DefinitionErrors, Finding, suggest_name
from storymesh.input_file import InputFileRefused, require_inside
from storymesh.location import Location
from storymesh.mesh.ports import contract_file_of
from storymesh.mesh.settings import Domain, Settings
from storymesh.product.definition import Product


class _Definition(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def document(self) -> Document: ...


Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Definition = TypeVar("Definition", bound=_Definition)


class DefinitionReader:
    """One pass over the files of a root; what is wrong with them is in `findings`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.findings: list[Finding] = []
        self.domain_documents: dict[str, Document] = {}
        self._settings_document: Document | None = None

    def _attempt(
        self, read: Callable[Arguments, Result], *args: Arguments.args, **options: Arguments.kwargs
    ) -> Result | None:
        try:
            return read(*args, **options)
        except DefinitionErrors as errors:
            self.findings.extend(errors.findings)
            return None

    def _read_own(self, read: Callable[[Path, Path], Result], path: Path, part: str) -> Result | None:
        """Return what `read` gives for a file of the folder `part` that links do not lead out of."""
        return self._attempt(read, path, self.root) if self._attempt(self._require_own, path, part) else None

    def _require_own(self, path: Path, part: str) -> bool:
        """Raise DefinitionErrors for a path that leads out of the folder `part` of the mesh, such as into its store."""
        try:
            require_inside(path, self.root / part)
            require_inside(self.root / part, self.root)
        except InputFileRefused as error:
            raise DefinitionErrors([refusal_finding(error, self.root)]) from None
        return True

    def read_settings(self) -> Settings:
        """Return the content of `mesh.yaml`, or the defaults where there is none."""
        path = self.root / "mesh.yaml"
        if not os.path.lexists(path):
            return Settings()
        return self._attempt(self._parse_settings, path) or Settings()

    def _parse_settings(self, path: Path) -> Settings:
        document = read_document(path, self.root)
        settings = document.parse(Settings)
        self._settings_document = document
        return settings

    def check_premise_narratives(self, settings: Settings) -> None:
        """Note each narrative that a premise names and that has no folder."""
        known = [path.name.replace("_", "-") for path in (self.root / "narratives").iterdir() if path.is_dir()]
        for name, premise in settings.premises.items():
            for position, narrative in enumerate(premise.narratives):
                if narrative not in known and self._settings_document is not None:
                    message = f"the premise '{name}' makes the cases of '{narrative}', and there is no such narrative"
                    place: tuple[Step, ...] = ("premises", name, "narratives", position)
                    hint = suggest_name(narrative, known)
                    self.findings.append(self._settings_document.finding(place, "unknown-name", message, hint))

    def read_domains(self) -> dict[str, Domain]:
        """Return the domains by their folders."""
        domains: dict[str, Domain] = {}
        for folder in sorted(path for path in (self.root / "domains").iterdir() if path.is_dir()):
            if folder.name.startswith((".", "_")):
                continue
            path = folder / "domain.yaml"
            if self._attempt(self._require_own, folder, "domains") is None:
                continue
            if not os.path.lexists(path):
                location = Location(f"domains/{folder.name}")
                hint = "write one with id, title and owner"
                self.findings.append(Finding(location, "missing-file", "this domain has no domain.yaml", hint))
                continue
            document = self._read_own(read_document, path, "domains")
            domain = self._attempt(document.parse, Domain) if document else None
            if document is None or domain is None:
                continue
            self.domain_documents[domain.id] = document
            if domain.id != folder.name or not NAME.match(domain.id):
                message = f"the domain '{domain.id}' lies in the folder '{folder.name}'"
                hint = "a domain's id is its folder's name"
                self.findings.append(document.finding(["id"], "wrong-place", message, hint))
            domains[folder.name] = domain
        return domains

    def read_all(self, part: str, pattern: str, read: Callable[[Path, Path], Definition]) -> dict[str, Definition]:
        """Return every definition below the folder `part` by its id; `pattern` finds the files."""
        definitions: dict[str, Definition] = {}
        for path in sorted((self.root / part).glob(pattern)):
            item = self._read_own(read, path, part)
            if item is None:
                continue
            if item.id in definitions:
                message = f"'{item.id}' is defined twice, first in {definitions[item.id].document.path}"
                self.findings.append(item.document.finding(["id"], "duplicate-id", message))
            definitions[item.id] = item
        return definitions

    def read_contracts(self, files: Mapping[str, ContractFile], products: Mapping[str, Product]) -> dict[str, Contract]:
        """Return the contract of each product by its id, and that of each file that no product uses, by the file's."""
        wanted = {product.id: file for product in products.values() if (file := contract_file_of(product, files))}
        used = {file.id for file in wanted.values()}
        wanted |= {id_: file for id_, file in files.items() if id_ not in used}
        found = {id_: self._attempt(file.contract, id_) for id_, file in sorted(wanted.items())}
        return {id_: contract for id_, contract in found.items() if contract is not None}
