"""A template that writes whatever a language writes in its own way, and rows for it."""

from datetime import datetime, timedelta
from decimal import Decimal as Exact
from typing import Any

import pyarrow as pa

from storymesh.language.interpret import Interpreter, as_value
from storymesh.language.locale_formats import locale_formats
from storymesh.language.parse import parse_template
from storymesh.language.typecheck.scope import CheckedTemplate
from storymesh.language.typecheck.templates import check_template
from storymesh.language.types import Array, Decimal, Field, Float, Integer, Text, Timestamp

LOCALES = ("en", "de", "es", "fr", "ja", "pl", "ru", "tr", "sv", "pt-PT", "he", "ar", "lv", "de-CH")
SCOPE = {
    "n": Field(Integer()),
    "x": Field(Decimal(18, 3)),
    "f": Field(Float()),
    "at": Field(Timestamp()),
    "items": Field(Array(Field(Text()))),
}
COUNTS = (*range(-3, 27), 99, 100, 101, 111, 112, 121, 1_000, 12_345, 999_999, 1_000_000, 2_000_000, 2**63 - 1)
LINES = (
    "{{ n | number }} {{ x | number(2) }} {{ f | number(1) }}",
    "{{ x | percent(1) }} {{ f | percent }} {{ n | percent }}",
    "{{ n | plural(FORMS) }}",
    '{{ n | duration("minutes") }}; {{ x | duration("hours") }}; {{ f | duration("days") }}',
    '{{ at | date("%-d. %B %Y, %A %H:%M") }} {{ at | date("%a %b %-m") }} {{ at | date }}',
    '{{ at | date("medium") }}; {{ at | date("long") }}; {{ at | date("full") }}',
    '{{ items | listing }}; {{ items | listing("o/u") }}',
)


def checked_in(locale: str, text: str | None = None) -> CheckedTemplate:
    """The template, typed; its plural has a word for each form of the language."""
    forms = locale_formats(locale).forms
    words = ['"ONE"', *(f'{form}="{form.upper()}"' for form in forms if form != "one")]
    written = (text or "\n".join(LINES)).replace("FORMS", ", ".join(words) if len(forms) > 1 else '"WORD"')
    return check_template(parse_template(written, "t", "d/t"), SCOPE, lambda name: None, locale=locale)


def rows() -> list[dict[str, Any]]:
    """Whole numbers of every plural form, amounts of both signs, every month and weekday, lists of all lengths."""
    start = datetime(2024, 1, 28, 9, 5)
    return [
        {
            "n": count,
            "x": Exact(count % 10**6) * Exact("1.625") - 40,
            "f": count % 10**6 * -0.37,
            "at": start + timedelta(days=30 * place),
            "items": ["a", "b.c", "d,e", "-f"][: place % 5],
        }
        for place, count in enumerate(COUNTS)
    ]


def as_table(values: list[dict[str, Any]]) -> pa.Table:
    kinds = [pa.int64(), pa.decimal128(18, 3), pa.float64(), pa.timestamp("us"), pa.list_(pa.string())]
    return pa.Table.from_pylist(values, pa.schema(dict(zip(SCOPE, kinds, strict=True))))


def told(checked: CheckedTemplate, row: dict[str, Any]) -> str:
    return Interpreter(checked.tree, b"key").render("case-1", {name: as_value(value) for name, value in row.items()})
