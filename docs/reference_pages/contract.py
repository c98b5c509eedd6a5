"""The parts of docs/reference/contract.md: what of a contract the platform acts on."""

from collections.abc import Iterable, Mapping
from typing import get_args

from reference_pages.contract_fields import tables
from reference_pages.markdown import code, explained, listed, table
from storymesh.contract import definition as contract
from storymesh.contract import document_reader, physical_types, read_freshness
from storymesh.contract import quality_rules as rule
from storymesh.contract import type_options as option
from storymesh.contract.types import arrow_type
from storymesh.language.types import Boolean, Date, Float, Integer, Json, Text, Time, Timestamp

ON_OBJECT = {
    "eventTime": "the property that says when a row became true",
    "endTime": "with `eventTime`: the row is an interval; null means that it is still open",
    "timeless": "`true`: reference data, fit for a question of any time; not with `eventTime`",
    "knownAt": "the property that says when the values of a row became known. Default: its `eventTime`",
    "quarantineLimit": (
        "the share of rows that may break the contract before nothing is published. "
        f"Default: {contract.DEFAULT_QUARANTINE_LIMIT}"
    ),
    "leaves": (
        "rules of what may leave the premise of the data: `{columns: […], as: raw, hashed or figures, least: "
        "{subjects, of, grain}, to: [premises], for: [purposes]}`. What no rule names stays. "
        "[How to](../how-to/keep-data-on-its-premise.md)"
    ),
    "inPlace": "the server, among the contract's `servers`, on which the rows stay; without it they are copied",
    "changedAt": "the property that says when a row was last changed where it comes from",
}
ON_PROPERTY = {
    "unit": "a text such as `hours` or `usd`",
    "knownAt": "the property that says when this value became known",
    "evidence": "`true` on a list without items: where in its file each value stands that a model took from it",
    "leastConfidence": "how sure, from 0 to 1, a recogniser (of speech, of pictures) has to be of the words of a value",
}
ON_CONTRACT = {
    "quarantineLimit": "as on the schema object, which comes first",
    "license": "of the product; Dagster shows it",
}
CLASSIFIED = {
    "public": "printed freely",
    "internal": "printed; the card of the release says so. This is what a property without a classification is",
    "restricted": "printed only through `| pseudonym`, or replaced through the narrative's `pseudonymise`",
}
METRICS = {
    "nullValues": "values that are null",
    "missingValues": "values that count as missing (`arguments: {missingValues: […]}`)",
    "invalidValues": "values that are not valid (`arguments: {validValues: […]}` or `{pattern: …}`)",
    "duplicateValues": "values that stand more than once (for the table: `arguments: {properties: […]}`)",
    "rowCount": "rows of the table",
}
TYPES = {
    "string": (code(arrow_type(Text())), ""),
    "integer": (code(arrow_type(Integer())), ""),
    "number": (
        code(arrow_type(Float())),
        "exact, or whole, where its `physicalType` says so: see below. As part of a key it is always whole",
    ),
    "boolean": (code(arrow_type(Boolean())), ""),
    "date": (code(arrow_type(Date())), ""),
    "timestamp": (code(arrow_type(Timestamp())), "in UTC"),
    "time": (
        code(arrow_type(Time())),
        "a time of day in ISO 8601: `09:30:00`, `09:30:00.25`",
    ),
    "array": ("a list", "`items` says of what; without `items` JSON text"),
    "object": ("a struct", "`properties` says of what; without `properties` JSON text"),
    "map": (code(arrow_type(Json())), "JSON text: printed whole; what is in it has no name in a template"),
    "vector": ("a list", "of numbers, as many as `dimensions` says"),
}


def page() -> dict[str, str]:
    if set(TYPES) != set(contract.TYPES):
        raise ValueError("the types of a contract have changed")
    return {
        "on_object": _names("property", document_reader.OBJECT_PROPERTIES, ON_OBJECT),
        "on_property": _names("property", document_reader.PROPERTY_PROPERTIES, ON_PROPERTY),
        "on_contract": _names("property", document_reader.CONTRACT_PROPERTIES, ON_CONTRACT),
        "types": table(["`logicalType`", "stored as (Arrow)", ""], ([code(name), *TYPES[name]] for name in TYPES)),
        "integer_types": listed([*sorted(physical_types.INTEGERS)]),
        "wide_integer_types": listed(sorted(physical_types.WIDE_INTEGERS)),
        "decimal_types": listed(sorted(physical_types.DECIMALS)),
        "float_types": listed(sorted(physical_types.FLOATS)),
        "units": listed(read_freshness.UNITS),
        **tables(),
        "text_formats": listed(option.FORMATS),
        "integer_formats": listed(option.RANGES),
        "classifications": _names("classification", contract.CLASSIFICATIONS, CLASSIFIED),
        "metrics": _names("metric", get_args(rule.Metric), METRICS),
        "operators": listed(rule.OPERATORS),
    }


def _names(head: str, names: Iterable[str], words: Mapping[str, str]) -> str:
    return table([head, "meaning"], ([code(name), text] for name, text in explained(names, words, head)))
