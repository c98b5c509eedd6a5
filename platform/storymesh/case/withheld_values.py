"""Check the values whose precedents a narrative withholds."""

from collections.abc import Iterator, Mapping

from storymesh.case.definition import Precedents
from storymesh.case.resolve import LocationOf
from storymesh.errors import Finding, suggest_name
from storymesh.language.static_values import StaticValue, a_kind
from storymesh.language.types import Integer, Text


def withheld_value_findings(
    precedents: Precedents, values: Mapping[str, StaticValue], at: LocationOf
) -> Iterator[Finding]:
    """Yield a finding for each expression of which no values can be withheld, and each listed value that it has not.
    `values` are those that precedents match on, by their names."""
    columns = precedents.withheld_columns
    for text, wanted in precedents.withheld.values.items():
        location = at("case", "precedents", "withhold", "values", text)
        if any(text not in level for level in precedents.match):
            message = f"a level of `match` does without '{text}', so of its values something would be known there"
            yield Finding(location, "wrong-value", message, "have every level match on it")
        elif (value := values.get(columns[text])) is None:
            continue  # it has a finding of its own
        elif not isinstance(value.type, Text | Integer):
            message = f"'{text}' is {a_kind(value.type)}, values are withheld of a text or a whole number"
            yield Finding(location, "wrong-type", message)
        elif isinstance(wanted, tuple) and value.codes is not None:
            for code in sorted({*map(str, wanted)} - (codes := {*map(str, value.codes)})):
                yield Finding(location, "unknown-code", f"'{text}' is never '{code}'", suggest_name(code, codes))
