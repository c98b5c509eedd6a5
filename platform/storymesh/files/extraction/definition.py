"""What a model is asked of each file, held against the contract before any file is opened."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

from storymesh.contract.definition import Contract, Property
from storymesh.errors import DefinitionErrors, Finding
from storymesh.files.definition import Extraction, FilesSource
from storymesh.files.extraction.answer_schema import ANSWERABLE, answer_schema
from storymesh.language.parse import parse_template
from storymesh.language.static_values import a_kind
from storymesh.language.typecheck.scope import CheckedTemplate
from storymesh.language.typecheck.templates import check_template
from storymesh.language.types import Array, Boolean, Field, Struct, Text

LABELS = "labels"
LINES = "lines"
CONTENT_NAMES = frozenset({"text", LINES, "pages", "parts", "segments", "cells", "attachments"})
"""Names that print what is in a file. A prompt that prints none of them has the text at its end."""


@dataclass(frozen=True)
class TypedExtraction:
    """What is asked: the properties of the contract, in its order, and a prompt that is typed."""

    definition: Extraction
    contract: Contract
    asked: tuple[Property, ...]
    prompt: CheckedTemplate
    prompt_text: str

    @cached_property
    def schema(self) -> Mapping[str, Any]:
        """The JSON schema of an answer."""
        return answer_schema(self.contract, self.asked, many=self.definition.rows == "many")

    @property
    def judged(self) -> frozenset[str]:
        """The properties that a model judges, and no words of the file say."""
        return frozenset(name for name, how in self.definition.evidence.items() if how == "judged")

    @property
    def key(self) -> tuple[str, ...]:
        """The properties of the contract's key that are asked for: their values name the row in the file."""
        names = {item.name for item in self.asked}
        return tuple(name for name in self.contract.key if name in names)

    @property
    def fingerprint(self) -> str:
        """A digest of all that shapes the rows of a content, but for the model's answers."""
        shaping = [self.prompt_text, self.schema, self.definition.model_dump(mode="json", exclude={"budget", "price"})]
        units = [[item.name, item.unit, item.least_confidence] for item in self.asked]
        return hashlib.sha256(json.dumps([shaping, units], sort_keys=True, default=str).encode()).hexdigest()


def prompt_scope(scope: Mapping[str, Field], contract: Contract) -> dict[str, Field]:
    """Return the names that a prompt may use: those of `take`, the `lines` of the text, and the labels of enums."""
    return {**scope, LINES: Field(Array(Field(Text()))), LABELS: Field(Struct(MappingProxyType(_labels(contract))))}


def _labels(contract: Contract) -> dict[str, Field]:
    item = Field(Struct({"code": Field(Text()), "label": Field(Text())}))
    return {name: Field(Array(item)) for name, found in contract.properties.items() if found.enum}


def label_values(contract: Contract) -> dict[str, list[dict[str, str]]]:
    """Return what a prompt sees as `labels`."""
    return {
        name: [{"code": str(code), "label": label_of(found, code)} for code in found.enum]
        for name, found in contract.properties.items()
        if found.enum
    }


def label_of(found: Property, code: Any) -> str:
    """Return what people call a code: its label, or else the code."""
    labels = found.type.labels if isinstance(found.type, Text) else {}
    return labels.get(str(code), str(code))


def type_extraction(
    source: FilesSource, contract: Contract, asked: tuple[str, ...], scope: Mapping[str, Field]
) -> TypedExtraction:
    """Return what is asked of a model, typed. Raises DefinitionErrors."""
    extract, document = source.file.extract, source.document
    assert extract is not None
    wanted = tuple(contract.properties[name] for name in asked)
    findings = [*_asked_findings(source, contract, wanted)]
    prompt: CheckedTemplate | None = None
    path = f"{document.path.rpartition('/')[0]}/{extract.prompt}"
    try:
        tree = parse_template(source.prompt, extract.prompt, path)
        prompt = check_template(tree, prompt_scope(scope, contract), lambda name: None)
    except DefinitionErrors as errors:
        findings += errors.findings
    if findings or prompt is None:
        raise DefinitionErrors(findings)
    return TypedExtraction(extract, contract, wanted, prompt, source.prompt)


def _asked_findings(source: FilesSource, contract: Contract, asked: tuple[Property, ...]) -> Iterator[Finding]:
    """Yield what a model cannot be asked, and what could not be held against the file."""
    extract, document = source.file.extract, source.document
    assert extract is not None
    judged = {name for name, how in extract.evidence.items() if how == "judged"}
    for item in asked:
        at = ("extract",)
        if not isinstance(item.type, ANSWERABLE):
            words = f"'{item.name}' is {a_kind(item.type)}, for which no model is asked"
            yield Finding(document.key_at(*at), "wrong-type", words, "take it from what the reader gives")
        elif isinstance(item.type, Boolean) and item.name not in judged:
            words = f"'{item.name}' is true or false, which no words of a file say"
            hint = f"evidence: {{{item.name}: judged}}, or ask for the code of an enum"
            yield Finding(document.key_at(*at), "no-evidence", words, hint)
        elif item.name in judged and item.name in contract.key:
            words = f"'{item.name}' is of the key, and a key that is judged names no row of the file"
            yield Finding(document.key_at(*at, "evidence", item.name), "no-evidence", words)
    column = contract.evidence
    if column is None:
        return
    strict = [item.name for item in asked if item.classification == "restricted"]
    if strict and contract.properties[column].classification != "restricted":
        words = f"'{column}' quotes the words that say '{strict[0]}', which is restricted"
        yield Finding(
            contract.properties[column].location, "classification", words, f"classification: restricted on '{column}'"
        )
