"""Reading the relationships of a contract: which of its columns hold the key of which other product."""

from collections.abc import Collection, Mapping
from typing import Any

from storymesh.contract.definition import SUFFIX, Property, Relationship
from storymesh.contract.document_reader import DocumentReader, Steps, names_of_object
from storymesh.errors import suggest_name


class RelationshipReader:
    """Reads the relationships of the contract `own`: of `properties`, whose schema object is called one of
    `object_names`. What leads out of the mesh, or to no property of a row, is a warning: nothing is linked by it."""

    def __init__(
        self,
        reader: DocumentReader,
        properties: Mapping[str, Property],
        own: str,
        object_names: Collection[str],
    ) -> None:
        self.reader = reader
        self.properties = properties
        self.own = own
        self.domain = own.partition(".")[0]
        self.object_names = object_names
        self.siblings: dict[str, str] = {}
        for item in reader.value["schema"]:
            if item["name"] not in object_names:
                self.siblings |= dict.fromkeys(names_of_object(item), item["name"])

    def read_all(self, at: Steps, fields: dict[str, Any]) -> tuple[Relationship, ...]:
        """Return the relationships of the schema object `fields` at `at`, and of its properties."""
        found: list[Relationship] = []
        for index, item in enumerate(fields.get("relationships") or []):
            here = (*at, "relationships", index)
            origins = [self._target((*here, "from"), text) for text in _as_list(item["from"])]
            columns: list[str] = []
            for origin in origins:
                if origin is None:
                    continue
                contract, reference = origin
                own = next((p.name for p in self.properties.values() if p.reference == reference), reference)
                if contract is not None:
                    words = "a relationship starts at a property of its own schema object, so nothing is linked by it"
                    self.reader.warn((*here, "from"), "relationship", words)
                elif own not in self.properties:
                    words = f"there is no property '{reference}'"
                    self.reader.add(
                        (*here, "from"), "unknown-property", words, suggest_name(reference, self.properties)
                    )
                else:
                    columns.append(own)
            found += self._relationship(here, item, tuple(columns), len(origins))
        for number, listed in enumerate(fields.get("properties") or []):
            for index, item in enumerate(listed.get("relationships") or []):
                here = (*at, "properties", number, "relationships", index)
                found += self._relationship(here, item, (listed["name"],), 1)
        return tuple(found)

    def _relationship(
        self,
        here: Steps,
        item: dict[str, Any],
        columns: tuple[str, ...],
        count: int,
    ) -> list[Relationship]:
        targets = [self._target((*here, "to"), text) for text in _as_list(item["to"])]
        named = [target for target in targets if target is not None]
        if len(named) < len(targets) or len(columns) < count:
            return []
        if len(targets) != count:
            words = f"{count} properties point at {len(targets)}"
            self.reader.add((*here, "to"), "relationship", words, "from and to need the same number")
            return []
        own = self.own
        contracts = {contract or own for contract, _ in named}
        if len(contracts) > 1:
            words = f"a relationship points into one contract, this one into {' and '.join(sorted(contracts))}"
            self.reader.add((*here, "to"), "relationship", words)
            return []
        target = contracts.pop()
        references = tuple(reference for _, reference in named)
        if target == own:
            for reference in references:
                if not any(reference in (p.reference, p.name) for p in self.properties.values()):
                    words = f"there is no property '{reference}'"
                    self.reader.add((*here, "to"), "unknown-property", words, suggest_name(reference, self.properties))
        return [Relationship(columns, target, references, self.reader.document.at(*here, "to"))]

    def _target(self, at: Steps, text: str) -> tuple[str | None, str] | None:
        """Return the contract that a reference names (None: this one) and the property in it, by id or name.

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
            self.reader.warn(at, "relationship", f"{words}, so nothing is linked by it", hint)
            return None
        _, named, _, reference = parts
        if not anchor:
            if named in self.object_names:
                return None, reference
            return f"{self.domain}.{self.siblings.get(named, named)}", reference
        folders = [folder for folder in file.split("/") if folder not in (".", "..", "contracts")]
        if "://" in file or not file.endswith(SUFFIX) or not 1 <= len(folders) <= 2:
            words = f"'{file}' is not the file of a contract of this mesh"
            self.reader.warn(at, "relationship", f"{words}, so nothing is linked by it", f"<domain>/<product>{SUFFIX}")
            return None
        contract = f"{folders[0] if len(folders) == 2 else self.domain}.{folders[-1].removesuffix(SUFFIX)}"
        if contract == self.reader.value["id"] and named not in self.object_names and named in self.siblings:
            return f"{self.domain}.{self.siblings[named]}", reference
        return (None if contract == self.own else contract), reference


def _as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
