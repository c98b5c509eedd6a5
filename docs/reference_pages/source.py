"""The parts of docs/reference/source.md: the fields of a product's `source`."""

from collections.abc import Mapping

from reference_pages.fields import field_table
from reference_pages.markdown import code, table
from storymesh.contract.value_forms import DIRECTIVES, EPOCHS
from storymesh.product.sources.options import SourceOptions

FIELDS: Mapping[str, str] = {
    "file": (
        "a path in the domain's folder, or a pattern of several: `sources/orders-*.csv`. They are read in the order of "
        "their paths, and each has the columns that the contract promises"
    ),
    "server": (
        "instead of a file: a server of the contract, whose table is read. [How to](../how-to/read-from-a-server.md)"
    ),
    "table": (
        "which table of the server, as `orders` or `sales.orders`, in upper and lower case as the server has it; of a "
        "server of files, their path below its own. Without it the one that `physicalName` of the schema object says"
    ),
    "query": "instead of a table of a database: one SELECT",
    "changes": (
        "`months`: of a PostgreSQL only the rows of those months of `eventTime` are read in which something differs. "
        "[How to](../how-to/read-from-a-server.md)"
    ),
    "format": "what the file is, where its name does not say it: `data.txt`, `export.asc`",
    "delimiter": (
        "between two fields of a CSV: one character, or `comma`, `semicolon`, `tab`, `pipe`, `space`. Without it, the "
        "one of `,` `;` tab and `|` that suits"
    ),
    "quote": 'around a field of a CSV, instead of `"`; `none`: quotes are characters as any other',
    "escape": 'in front of a character of a CSV that is meant as such, as in `\\"`',
    "encoding": "of a CSV or of JSON lines that are not UTF-8: `cp1252`, `iso8859-2`, `utf-16`, `shift_jis`, …",
    "member": "which of several files in a `.zip` is read",
    "header": "`false`: no line names the columns. They are called `column_1`, `column_2`, … then, or as `names` says",
    "names": "the names of the columns, in their order. With `header: true` they take the place of those in the file",
    "skipRows": "lines above the header, or above the first row of a range, that are not read",
    "sheet": "which sheet of a workbook: its title, or its number from 1",
    "range": "which cells of the sheet: `B3:F200`, or `B3` for all that is right of it and below",
    "nulls": "words that mean no value, such as `NULL`, `n/a` or `-`; `''` is a value of spaces alone",
    "decimal": "the mark before the decimals: `.` or `,`",
    "thousands": "the mark between three digits: `.`, `,`, a space of any width, `'` or `_`",
    "dates": "formats of dates and moments, besides ISO 8601: see below",
    "times": "formats of times of day: `%H.%M`, `%I:%M %p`",
    "zone": "whose clock it is that moments without an offset are of: `Europe/Prague`. They are published in UTC",
    "columns": (
        "columns whose values are not written as those of the others, each with its own `nulls`, `decimal`, "
        "`thousands`, `dates` or `times`, which take the place of the file's"
    ),
    "repeatedHour": (
        "the hour that comes twice when a clock is put back: `first`, `second`, or `refuse`, which quarantines its rows"
    ),
    "skippedHour": (
        "the hour that a clock leaves out: `shift`, as if it had not been put forward, or `refuse`, which quarantines "
        "its rows"
    ),
}
DIRECTIVE_WORDS: Mapping[str, str] = {
    "%Y": "the year: four digits",
    "%y": "the year: two digits; 69 to 99 are of the 20th century",
    "%m": "the month: one digit or two; two where a digit is beside it",
    "%d": "the day of the month, likewise",
    "%H": "the hour, 0 to 23, likewise",
    "%I": "the hour, 1 to 12, likewise; with `%p`",
    "%M": "the minute: two digits",
    "%S": "the second: two digits",
    "%j": "the day of the year: three digits",
    "%f": "a fraction of a second: up to six digits",
    "%p": "AM or PM",
    "%b": "the month in English: `Mar`",
    "%B": "the month in English: `March`",
    "%a": "the day of the week, which is passed over: `Fri`",
    "%A": "the day of the week, which is passed over: `Friday`",
    "%z": "the offset: `+02:00`, `+0200`, `+02` or `Z`",
    "%s": "alone: seconds since 1970 began in UTC",
    "%Q": "alone: milliseconds since then",
}


def page() -> dict[str, str]:
    known = (*DIRECTIVES, *EPOCHS)
    if set(known) != set(DIRECTIVE_WORDS):
        raise ValueError(f"directives: {set(known) ^ set(DIRECTIVE_WORDS)}")
    directives = table(["directive", "meaning"], [[code(name), DIRECTIVE_WORDS[name]] for name in known])
    return {"fields": field_table(SourceOptions, FIELDS, "source"), "directives": directives}
