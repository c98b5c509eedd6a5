"""DuckDB's own words for errors, also as dbt hands them on: without values of rows, and short enough to be read."""

import re

from storymesh.redaction import HIDDEN

# Errors about a value quote it; those about a query quote names of columns and tables.
_OF_VALUES = re.compile(
    r"((?:Conversion|Invalid Input|Out of Range|Mismatch Type|Constraint) Error:\s*)(.*)", re.DOTALL
)
# Behind these stand the query, advice on how to read what is broken, or settings.
_ASIDE = re.compile(
    r"\s(?:LINE \d+:|Possible (?:fixes|solutions|Solution):|Try setting '|Use \"SET |The search space used).*",
    re.DOTALL,
)
_CSV = re.compile(r"CSV Error on Line: (\d+)\s(.*)\sfile = (.+?)\s+delimiter = ", re.DOTALL)
_CSV_CONVERSION = re.compile(r'.*Error when converting column "([^"]*)"\..*to \'(\w+)\'', re.DOTALL)
_CSV_FIELDS = re.compile(r".*Expected Number of Columns: (\d+) Found: (\d+)", re.DOTALL)
_CSV_FORMS = {
    "This file is not utf-8 encoded": "is not UTF-8",
    "unterminated quote": "has a quote that does not end",
    "Maximum line size": "is too long",
}
_SNIFFED = re.compile(r'Error when sniffing file "([^"\n]*)"')
_TIME = re.compile(r"Could not parse string .* according to format specifier \"([^\"\n]*)\".*", re.DOTALL)
# What DuckDB quotes beside values.
_NAME = re.compile(r"\b(file|column|destination type|converting to|to) (?:\"([^\"'\n]+)\"|'([A-Z][\w(), ]*)')")
_NUMBER = re.compile(r"(?<=with value ).*(?= can't be cast)", re.DOTALL)
# From the first quote to the last: a value may have quotes in it, and a word an apostrophe.
_QUOTED = re.compile(r"(?<!\w)['\"].*['\"](?!\w)", re.DOTALL)


def without_values(message: str) -> str:
    """Return the message without the values that it quotes: they may be restricted."""
    return _OF_VALUES.sub(lambda match: match[1] + _explain(match[2]), message)


def unsniffable_file(message: str) -> str | None:
    """Return the CSV file of which DuckDB cannot tell how it is laid out; None where the error is another."""
    found = _SNIFFED.search(message)
    return found[1] if found else None


def _explain(words: str) -> str:
    if found := _CSV.match(words):
        return f"line {int(found[1]):,} of {found[3]} {_fault_of_line(found[2])}"
    if file := unsniffable_file(words):
        return f"{file} cannot be read as a CSV: its lines do not have the same columns, delimiter and quotes"
    words = _TIME.sub(rf"'{HIDDEN}' is no time of the format \1", _ASIDE.sub("", f"{words} ").strip())
    words = _NUMBER.sub(HIDDEN, _NAME.sub(r"\1 \2\3", words))
    return _QUOTED.sub(f"'{HIDDEN}'", words)


def _fault_of_line(words: str) -> str:
    """Return what is wrong with a line of a CSV, which DuckDB writes out in full."""
    if found := _CSV_CONVERSION.match(words):
        return f"has a value in the column {found[1]} that is no {found[2]}"
    if found := _CSV_FIELDS.match(words):
        return f"has {found[2]} field{'s'[: found[2] != '1']}, {found[1]} are wanted"
    fault = next((ours for theirs, ours in _CSV_FORMS.items() if theirs in words), None)
    return fault or "cannot be read as one of a CSV"
