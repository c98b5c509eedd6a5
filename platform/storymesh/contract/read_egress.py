"""Reading what a contract says of where its rows are: `leaves`, `inPlace` and the server that it names."""

from collections.abc import Mapping
from typing import Any

from storymesh.contract.definition import Property
from storymesh.contract.document_reader import DocumentReader, Steps
from storymesh.contract.egress_rules import EgressRule, EgressRules, WrittenRule
from storymesh.errors import DefinitionErrors, suggest_name
from storymesh.language.types import Integer, Text

Custom = Mapping[str, tuple[Any, Steps]]


def read_egress(reader: DocumentReader, custom: Custom, properties: Mapping[str, Property]) -> EgressRules | None:
    """Return the rules of `leaves`; None where the contract has none."""
    if "leaves" not in custom:
        return None
    value, at = custom["leaves"]
    if not isinstance(value, list) or not value:
        words = "leaves is a list of what may leave its premise; what no rule names stays"
        reader.add(at, "wrong-value", words, "for instance [{columns: [booked_at], as: raw, to: [hq], for: [aml]}]")
        return None
    rules = [rule for index in range(len(value)) if (rule := _read_rule(reader, (*at, index), properties)) is not None]
    return EgressRules(tuple(rules), reader.document.at(*at))


def _read_rule(reader: DocumentReader, at: Steps, properties: Mapping[str, Property]) -> EgressRule | None:
    try:
        written = reader.document.below(*at).parse(WrittenRule)
    except DefinitionErrors as errors:
        reader.findings.extend(errors.findings)
        return None
    for index, name in enumerate(written.columns):
        here = (*at, "columns", index)
        if name not in properties:
            words = f"leaves names '{name}', which is no property"
            reader.add(here, "unknown-property", words, suggest_name(name, properties))
        elif written.as_ == "hashed" and not isinstance(properties[name].type, Text | Integer):
            words = f"'{name}' is {properties[name].type}, and a text or a whole number is what leaves hashed"
            reader.add(here, "wrong-type", words, "let it leave as figures, or not at all")
    if written.least is not None and written.least.of not in properties:
        words = f"the least group is of '{written.least.of}', which is no property"
        reader.add((*at, "least", "of"), "unknown-property", words, suggest_name(written.least.of, properties))
    return EgressRule(written.columns, written.as_, written.to, written.for_, written.least, reader.document.at(*at))


def read_in_place(reader: DocumentReader, custom: Custom) -> str | None:
    """Return the server on which the rows stay, by its name among the contract's `servers`; None: they are copied."""
    if "inPlace" not in custom:
        return None
    value, at = custom["inPlace"]
    names = [server["server"] for server in reader.value.get("servers") or [] if "server" in server]
    if not isinstance(value, str):
        reader.add(at, "wrong-value", f"inPlace names a server of the contract, {value!r} does not")
        return None
    if value not in names:
        words = f"the rows are to stay on the server '{value}', which is not among the contract's servers"
        reader.add(at, "unknown-name", words, suggest_name(value, names))
    return value
