"""The value of `source`: a raw file and what it looks like where it does not say so itself, or a server's table."""

import codecs
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from storymesh.contract.value_forms import GapChoice, HourChoice, ValueForms, format_fault
from storymesh.document import Definition, OneOrMore
from storymesh.errors import suggest_name
from storymesh.product.sources.bounds import COMPRESSED

NAMED_MARKS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "space": " "}
NO_QUOTE = "none"
_NOT_OF_FILES = {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem", "utf_7"}
_RANGE = re.compile(r"\$?([A-Z]{1,3})\$?([1-9][0-9]{0,6})(?::(?:\$?([A-Z]{1,3}))?(?:\$?([1-9][0-9]{0,6}))?)?")
_OF_TEXT = ("delimiter", "quote", "escape", "encoding")
_OF_HEAD = ("header", "names", "skipRows")
_OF_SHEET = ("sheet", "range")
_OF_SERVER = ("server", "table", "query")
_ALLOWED = {
    "csv": (*_OF_TEXT, *_OF_HEAD),
    "jsonl": ("encoding",),
    "xlsx": (*_OF_HEAD, *_OF_SHEET),
    "parquet": (),
}

Format = Literal["csv", "jsonl", "xlsx", "parquet"]
_BY_SUFFIX: Mapping[str, Format] = {
    ".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl", ".xlsx": "xlsx",
}  # fmt: skip
_UNPACKED = ("parquet", "xlsx")  # compressed inside


def _check_mark(value: str) -> str:
    mark = NAMED_MARKS.get(value, value)
    if len(mark) != 1 or not mark.isascii() or mark in '\r\n"\0':
        raise ValueError(f"'{value}' is no delimiter: one character, or one of {', '.join(NAMED_MARKS)}")
    return mark


def _check_quote(value: str) -> str:
    if value != NO_QUOTE and (len(value) != 1 or not value.isascii() or value.isspace() or value == "\0"):
        raise ValueError(f"'{value}' is no quote: one character, or {NO_QUOTE} for a file without quotes")
    return value


def _check_escape(value: str) -> str:
    if len(value) != 1 or not value.isascii() or value.isspace() or value == "\0":
        raise ValueError(f"'{value}' is no escape: one character, such as \\")
    return value


def _check_encoding(value: str) -> str:
    try:
        found = codecs.lookup(value)
    except (LookupError, ValueError):
        known = ["utf-8", "utf-16", "latin-1", "cp1252", "cp1250", "cp1251", "iso8859-2", "shift_jis", "gb18030"]
        raise ValueError(f"'{value}' is no encoding ({suggest_name(value.lower(), known)})") from None
    if not found._is_text_encoding or found.name.replace("-", "_") in _NOT_OF_FILES:
        raise ValueError(f"'{value}' is no encoding of files")
    return found.name


def _check_zone(value: str) -> str:
    zones = available_timezones()
    if value not in zones:
        near = [zone for zone in zones if zone.lower().rpartition("/")[2][:3] == value.lower().rpartition("/")[2][:3]]
        hint = suggest_name(value, near) if near else "for instance Europe/Prague"
        raise ValueError(f"'{value}' is no time zone ({hint})")
    ZoneInfo(value)
    return value


def _check_decimal(value: str) -> str:
    if value not in (".", ",", "\u066b"):
        raise ValueError(f"'{value}' is no mark before the decimals: '.' or ','")
    return value


def _check_thousands(value: str) -> str:
    if value not in (".", ",", " ", "'", "_", "\u00a0", "\u202f", "\u2019", "\u066c"):
        raise ValueError(f"'{value}' is no mark between thousands: '.', ',', ' ', '_' or an apostrophe")
    return {"\u00a0": " ", "\u202f": " ", "\u2019": "'"}.get(value, value)


def _check_range(value: str) -> str:
    if cell_range(value) is None:
        raise ValueError(f"'{value}' is no range of a sheet: B3:F200, or B3 for all that is right of and below it")
    return value


def _checked_format(value: str, *, of_day: bool) -> str:
    if fault := format_fault(value, of_day=of_day):
        raise ValueError(fault)
    return value


DayFormat = Annotated[str, AfterValidator(lambda value: _checked_format(value, of_day=True))]
TimeFormat = Annotated[str, AfterValidator(lambda value: _checked_format(value, of_day=False))]
ColumnName = Annotated[str, Field(min_length=1)]


class ColumnForms(Definition):
    """The forms of the values of one column, where they are not those of the others."""

    nulls: Annotated[tuple[str, ...], OneOrMore] = ()
    decimal: Annotated[str, AfterValidator(_check_decimal)] = "."
    thousands: Annotated[str, AfterValidator(_check_thousands)] | None = None
    dates: Annotated[tuple[DayFormat, ...], OneOrMore] = ()
    times: Annotated[tuple[TimeFormat, ...], OneOrMore] = ()

    @property
    def given(self) -> dict[str, Any]:
        """The fields that are written."""
        return self.model_dump(exclude_unset=True)


class SourceOptions(Definition):
    """The fields of `source`: which file it is, or which table of which server; how it is laid out, and how its values
    are written."""

    model_config = ConfigDict(populate_by_name=True)

    file: Annotated[str, Field(min_length=1, description="for instance sources/ports.csv")] | None = None
    server: Annotated[str, Field(min_length=1, description="a server of the contract")] | None = None
    table: Annotated[str, Field(min_length=1, description="for instance public.orders")] | None = None
    query: Annotated[str, Field(min_length=1, description="one SELECT, instead of a table")] | None = None
    changes: Literal["months"] | None = None
    format: Format | None = None
    delimiter: Annotated[str, AfterValidator(_check_mark)] | None = None
    quote: Annotated[str, AfterValidator(_check_quote)] | None = None
    escape: Annotated[str, AfterValidator(_check_escape)] | None = None
    encoding: Annotated[str, AfterValidator(_check_encoding)] | None = None
    member: Annotated[str, Field(min_length=1)] | None = None
    header: bool | None = None
    names: Annotated[tuple[ColumnName, ...], Field(min_length=1)] | None = None
    skip_rows: Annotated[int, Field(alias="skipRows", ge=0, le=1_000_000)] = 0
    sheet: str | Annotated[int, Field(ge=1)] | None = None
    range: Annotated[str, AfterValidator(_check_range)] | None = None
    nulls: Annotated[tuple[str, ...], OneOrMore] = ()
    decimal: Annotated[str, AfterValidator(_check_decimal)] = "."
    thousands: Annotated[str, AfterValidator(_check_thousands)] | None = None
    dates: Annotated[tuple[DayFormat, ...], OneOrMore] = ()
    times: Annotated[tuple[TimeFormat, ...], OneOrMore] = ()
    zone: Annotated[str, AfterValidator(_check_zone)] | None = None
    columns: dict[ColumnName, ColumnForms] = Field(default_factory=dict)
    repeated_hour: Annotated[HourChoice, Field(alias="repeatedHour")] = "refuse"
    skipped_hour: Annotated[GapChoice, Field(alias="skippedHour")] = "refuse"

    @model_validator(mode="after")
    def _check_place(self) -> Self:
        if self.file is not None and self.server is not None:
            raise ValueError("source names a file and a server: rows come from one of them")
        if self.file is None and self.server is None:
            raise ValueError("source names a file, or a server of the contract: {server: ledger, table: orders}")
        for name in ("table", "query", "changes"):
            if self.server is None and getattr(self, name) is not None:
                raise ValueError(f"'{name}' is of a server, and none is named")
        if self.table is not None and self.query is not None:
            raise ValueError("source names a table and a query: leave one of the two away")
        return self

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        marks = {"delimiter": self.delimiter, "quote": self.quote, "escape": self.escape}
        given = [mark for mark in marks.values() if mark not in (None, NO_QUOTE)]
        if len(set(given)) < len(given):
            raise ValueError("delimiter, quote and escape are three different characters")
        if self.thousands == self.decimal:
            raise ValueError(f"'{self.decimal}' is the mark of both decimals and thousands: say which it is")
        for name, forms in self.columns.items():
            if (own := replace(self._file_forms, **forms.given)).thousands == own.decimal:
                raise ValueError(f"'{own.decimal}' is the mark of both decimals and thousands in the column '{name}'")
            if self.names is not None and name not in self.names:
                raise ValueError(f"there is no column '{name}' ({suggest_name(name, self.names)})")
        if self.zone is None and (self.repeated_hour, self.skipped_hour) != ("refuse", "refuse"):
            raise ValueError("repeatedHour and skippedHour are of a zone, and none is named")
        if self.names is not None and len(set(self.names)) < len(self.names):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise ValueError(f"the name '{twice}' stands twice among names")
        return self

    @property
    def given(self) -> dict[str, Any]:
        """The fields that are written, by the names that people write, without the place of the rows."""
        return self.model_dump(by_alias=True, exclude_unset=True, exclude={"file", *_OF_SERVER})

    @property
    def place(self) -> tuple[str, ...]:
        """The server, and the table or the query, where the rows are in no file."""
        return tuple(item for item in (self.server, self.table, self.query) if item is not None)

    @property
    def has_header(self) -> bool:
        """Return True where a line of the file names its columns."""
        return self.header if self.header is not None else self.names is None

    @cached_property
    def forms(self) -> ValueForms:
        """The forms in which values are written."""
        columns = {name: replace(self._file_forms, **forms.given) for name, forms in self.columns.items()}
        return replace(self._file_forms, columns=columns)

    @property
    def _file_forms(self) -> ValueForms:
        return ValueForms(
            nulls=self.nulls,
            decimal=self.decimal,
            thousands=self.thousands,
            dates=self.dates,
            times=self.times,
            zone=self.zone,
            repeated_hour=self.repeated_hour,
            skipped_hour=self.skipped_hour,
        )

    def misplaced(self, format_: Format) -> list[str]:
        """Return the fields that a file of a format does not have, as people write them."""
        layout = (*_OF_TEXT, *_OF_HEAD, *_OF_SHEET)
        return [name for name in layout if name in self.given and name not in _ALLOWED[format_]]

    def format_of(self, name: str) -> Format | None:
        """Return the format of a file: as said, or else by the end of its name; None where neither says."""
        if self.format is not None:
            return self.format
        stem = Path(name.lower())
        plain = stem.with_suffix("") if stem.suffix in COMPRESSED else stem
        found = _BY_SUFFIX.get(plain.suffix)
        return None if found in _UNPACKED and stem.suffix in COMPRESSED else found


NO_FILE = SourceOptions(file="-")
"""The options of a product whose rows are in no file."""


def format_suffixes() -> list[str]:
    """Return the ends of names that say a format."""
    return list(_BY_SUFFIX)


def cell_range(text: str) -> tuple[int, int, int | None, int | None] | None:
    """Return the first row and column and the last ones of a range of cells, counted from 1 (None: to the end); None
    where `text` is no range: `B3:F200` is (3, 2, 200, 6)."""
    match = _RANGE.fullmatch(text.upper())
    if match is None or text.endswith(":"):
        return None
    left, top, right, bottom = match.groups()
    first = (int(top), _column_number(left))
    last = (int(bottom) if bottom else None, _column_number(right) if right else None)
    if (last[0] is not None and last[0] < first[0]) or (last[1] is not None and last[1] < first[1]):
        return None
    return (*first, *last)


def _column_number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - ord("A") + 1
    return number
