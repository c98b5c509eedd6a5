"""What the columns of a table hold, counted by the engine: which types their values fit, by the reader's own casts, how
many there are, and how columns of moments stand to each other."""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

from storymesh.contract.cast_text import ERROR_MARK
from storymesh.contract.value_forms import ValueForms
from storymesh.dataset.personal_data_finder import PersonalDataFinder
from storymesh.engine.engine import Engine
from storymesh.language.types import Boolean, Date, Float, Time, Timestamp

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

MAX_VALUES = 12
"""The most distinct values of a column that are listed."""

_MAX_SEARCHED = 1_000  # distinct texts of a column in which personal data is looked for
_INTEGER = r"[+-]?(0|[1-9][0-9]{0,17})"
_CODE = r"[+-]?0[0-9].*"
_PARTS = r"^[+-]?([0-9]*)\.?([0-9]*)$"


@dataclass(frozen=True)
class ColumnProfile:
    """The values of one column. `fits` is a kind of value -> how many of those `present` are one.

    `values` are the distinct ones, most frequent first, where there are at most `MAX_VALUES`; `misfits` are some that
    do not fit the kind that most do; `personal` is a kind of personal data -> how many of the `searched` distinct texts
    hold one; `errors` are cells of a workbook with an error, which count as no value.
    """

    name: str
    found: "pa.DataType"
    rows: int
    present: int
    distinct: int
    longest: int = 0
    fits: Mapping[str, int] = field(default_factory=dict)
    fraction_digits: int = 0
    lowest: float | None = None
    values: tuple[str, ...] = ()
    personal: Mapping[str, int] = field(default_factory=dict)
    searched: int = 0
    errors: int = 0

    @property
    def is_text(self) -> bool:
        import pyarrow.types as at

        return bool(at.is_string(self.found) or at.is_large_string(self.found))

    @property
    def complete(self) -> bool:
        """True where every row has a value."""
        return self.rows > 0 and self.present == self.rows

    @property
    def unique(self) -> bool:
        """True where every row has a value that no other row has."""
        return self.complete and self.distinct == self.rows


def profile_columns(engine: Engine, table: "ir.Table", names: Sequence[str], forms: ValueForms) -> list[ColumnProfile]:
    """Return the profile of each column of `table`, which are called `names` where they come from; their texts are
    written in `forms`."""
    schema = table.schema().to_pyarrow()
    return [
        _profile(engine, table.select(given=table[column]), name, schema.field(column).type, forms.of(name))
        for column, name in zip(table.columns, names, strict=True)
    ]


def _profile(engine: Engine, table: "ir.Table", name: str, found: "pa.DataType", forms: ValueForms) -> ColumnProfile:
    import pyarrow.types as at

    given = table["given"]
    counts = {"rows": table.count(), "present": given.count()}
    if at.is_string(found) or at.is_large_string(found):
        return _profile_texts(engine, table, name, found, forms)
    if at.is_nested(found) or at.is_binary(found) or at.is_null(found):
        (row,) = engine.fetch_rows(table.aggregate(**counts))
        return ColumnProfile(name, found, row["rows"], row["present"], distinct=0)
    numeric = at.is_integer(found) or at.is_floating(found) or at.is_decimal(found)
    lowest = {"lowest": given.min().cast("float64")} if numeric else {}
    (row,) = engine.fetch_rows(table.aggregate(**counts, distinct=given.nunique(), **lowest))
    values = _values(engine, given.cast("string"), row["distinct"]) if at.is_integer(found) else ()
    return ColumnProfile(name, found, **row, values=values)


def _profile_texts(
    engine: Engine, table: "ir.Table", name: str, found: "pa.DataType", forms: ValueForms
) -> ColumnProfile:
    import ibis

    from storymesh.engine.dialect import materialization_barrier, regex_found, regex_group, regex_matches_whole

    error = table["given"].startswith(ERROR_MARK)
    given = forms.without_nulls(ibis.ifelse(error, ibis.null("string"), table["given"]))
    table = table.select(given=given, error=error)
    read = materialization_barrier(table.mutate(**_read_texts(table["given"], forms)))
    text, number = read["plain"], read["number"]
    is_code = regex_matches_whole(text, _CODE)
    holds = {
        "integer": regex_matches_whole(text, _INTEGER),
        "number": number.notnull() & ~is_code,
        "exponent": number.notnull() & regex_found(text, "[eE]"),
        "code": is_code & ~regex_matches_whole(text, r"[+-]?0\..*"),
        "boolean": read["boolean"].notnull() & ~number.notnull(),
        "date": read["day"].notnull(),
        "timestamp": read["moment"].notnull(),
        "time": read["time"].notnull(),
        "object": read["json"].notnull(),
        "array": read["json"].startswith("["),
    }
    fraction = ibis.ifelse(number.notnull(), regex_group(text, _PARTS, 2).length(), 0)
    (row,) = engine.fetch_rows(
        read.aggregate(
            rows=read.count(),
            present=read["given"].count(),
            distinct=read["given"].nunique(),
            longest=read["given"].length().max(),
            fraction_digits=fraction.max(),
            lowest=number.min(),
            errors=read["error"].sum(),
            **{f"fits_{kind}": condition.sum() for kind, condition in holds.items()},
        )
    )
    fits = {kind: row.pop(f"fits_{kind}") or 0 for kind in holds}
    row = {name: value if name == "lowest" else value or 0 for name, value in row.items()}
    searched, personal = _search_personal_data(engine, table["given"])
    return ColumnProfile(
        name, found, **row, fits=fits, values=_values(engine, table["given"], row["distinct"]),
        personal=personal, searched=searched,
    )  # fmt: skip


def _read_texts(given: "ir.StringValue", forms: ValueForms) -> "dict[str, ir.Value]":
    """Return a text without spaces around it, and what it is as a value of each type; null where it is none."""
    import ibis
    import ibis.expr.datatypes as dt

    from storymesh.engine.dialect import is_strict_json, regex_found, strip_characters

    text = strip_characters(given, " ")
    in_json = regex_found(text, r"^[{\[]") & is_strict_json(text)
    return {
        "text": text,
        "plain": forms.plain_number(text),
        "number": forms.cast_text(text, Float(), dt.float64),
        "boolean": forms.cast_text(text, Boolean(), dt.boolean),
        "day": forms.cast_text(text, Date(), dt.date),
        "moment": forms.cast_text(text, Timestamp(), dt.timestamp),
        "time": forms.cast_text(text, Time(), dt.string),
        "json": ibis.ifelse(in_json, text, ibis.null("string")),
    }


def _values(engine: Engine, given: "ir.StringValue", distinct: int) -> tuple[str, ...]:
    """Return the distinct values, most frequent first, where there are few."""
    import ibis

    if not 0 < distinct <= MAX_VALUES:
        return ()
    counted = given.name("value").as_table().drop_null().group_by("value").aggregate(count=lambda rows: rows.count())
    ordered = counted.order_by([ibis.desc("count"), "value"])
    return tuple(row["value"] for row in engine.fetch_rows(ordered))


def _search_personal_data(engine: Engine, given: "ir.StringValue") -> tuple[int, dict[str, int]]:
    """Return how many distinct texts were searched, and for each kind of personal data, how many of them hold some."""
    finder = PersonalDataFinder()
    distinct = given.name("value").as_table().drop_null().distinct().limit(_MAX_SEARCHED)
    rows = engine.fetch_rows(distinct.mutate(possible=distinct["value"].re_search(finder.preselection)))
    counts: dict[str, int] = {}
    for row in rows:
        if row["possible"]:
            for kind in {kind for *_, kind in finder.find(unicodedata.normalize("NFC", row["value"]))}:
                counts[kind] = counts.get(kind, 0) + 1
    return len(rows), counts


def unique_pairs(engine: Engine, table: "ir.Table", columns: Sequence[str], rows: int) -> Iterator[tuple[str, str]]:
    """Yield the pairs of `columns` whose values together no two of the `rows` share, in the order of the columns."""
    pairs = list(combinations(columns, 2))
    for first, second in pairs:
        if engine.fetch_value(table.select(first, second).distinct().count()) == rows:
            yield first, second


@dataclass(frozen=True)
class MomentOrder:
    """How the values of a column of moments stand to those of another: how many rows have both, and in how many the
    second is earlier, and later."""

    both: int
    earlier: int
    later: int


def order_of_moments(
    engine: Engine, table: "ir.Table", columns: Mapping[str, str], forms: ValueForms
) -> dict[tuple[str, str], MomentOrder]:
    """Return the order of each two of the columns of dates and moments; the names of `columns` lead to those where they
    come from."""
    orders: dict[tuple[str, str], MomentOrder] = {}
    if len(columns) < 2:
        return orders
    read = table.select(**{column: _moment(table[column], forms.of(name)) for column, name in columns.items()})
    for first in columns:
        counts = {
            f"{name}_{index}": condition.sum()
            for index, second in enumerate(columns)
            if second != first
            for name, condition in (
                ("both", read[first].notnull() & read[second].notnull()),
                ("earlier", read[second] < read[first]),
                ("later", read[second] > read[first]),
            )
        }
        (row,) = engine.fetch_rows(read.aggregate(**counts))
        for index, second in enumerate(columns):
            if second != first:
                numbers = [row[f"{name}_{index}"] or 0 for name in ("both", "earlier", "later")]
                orders[first, second] = MomentOrder(*numbers)
    return orders


def _moment(value: "ir.Value", forms: ValueForms) -> "ir.TimestampValue":
    import ibis.expr.datatypes as dt

    from storymesh.engine.dialect import strip_characters, utc_microseconds

    if value.type().is_string():
        value = forms.without_nulls(value)
        return forms.cast_text(strip_characters(value, " "), Timestamp(), dt.timestamp)
    return value.cast("timestamp") if value.type().is_date() else utc_microseconds(value)


def present_without(engine: Engine, table: "ir.Table", columns: Sequence[str], moment: str) -> dict[str, int]:
    """Return for each column how many rows have a value there and none in the column `moment`."""
    counts: dict[str, Any] = {
        column: (table[column].notnull() & table[moment].isnull()).sum() for column in columns if column != moment
    }
    if not counts:
        return {}
    (row,) = engine.fetch_rows(table.aggregate(**{f"n{index}": count for index, count in enumerate(counts.values())}))
    return {column: row[f"n{index}"] or 0 for index, column in enumerate(counts)}
