"""What a language writes in its own way: against vectors, against Babel itself, and on the engine as in Python."""

from datetime import datetime
from decimal import Decimal as Exact
from pathlib import Path
from typing import Any

import ibis
import pytest
import yaml
from babel.dates import format_date
from babel.lists import format_list
from babel.numbers import format_decimal, format_percent
from hypothesis import given
from hypothesis import strategies as st

from storymesh.engine.engine import Engine
from storymesh.engine.open import open_engine
from storymesh.errors import DefinitionErrors
from storymesh.language.compile.templates import compile_template
from storymesh.language.locale_formats import UnknownLanguage, locale_formats
from tests.support.locales import LOCALES, as_table, checked_in, rows, told

VECTORS = yaml.safe_load((Path(__file__).parent / "locales.yaml").read_text(encoding="utf-8"))
ROW = {"n": 1, "x": Exact(0), "f": 0.0, "at": datetime(2024, 3, 3, 9, 5), "items": ["a"]}
OTHERS = [locale for locale in LOCALES if locale != "en"]  # English is written as it always was


@pytest.mark.parametrize(
    ("locale", "expression", "text"),
    [(group["locale"], *vector) for group in VECTORS for vector in group["vectors"]],
)
def test_vector(locale: str, expression: str, text: str) -> None:
    written = told(checked_in(locale, f"{{{{ {expression} }}}}"), ROW)
    assert written.replace("\xa0", " ").replace("\u202f", " ") == text


@pytest.mark.parametrize("locale", LOCALES)
def test_the_engine_writes_what_python_writes(locale: str) -> None:
    checked, values = checked_in(locale), rows()
    with open_engine() as engine:
        table = ibis.memtable(as_table(values))
        names: dict[str, Any] = {name: table[name] for name in table.columns}
        text = compile_template(checked.tree, names, ibis.literal("case-1"), b"key")
        found = [row["text"] for row in engine.fetch_rows(table.select(text=text))]
    for row, written in zip(values, found, strict=True):
        assert written == told(checked, row), row


def test_the_least_number_has_a_plural(engine: Engine) -> None:
    rows = [{**ROW, "n": count - 2**63} for count in (0, 1, 3, 999, 1_000)]
    for locale in ("ar", "lv", "pl", "ru"):
        checked, table = checked_in(locale, "{{ n | plural(FORMS) }}"), ibis.memtable(as_table(rows))
        text = compile_template(checked.tree, {"n": table["n"]}, ibis.literal("case-1"), b"key")
        found = engine.fetch_rows(table.select("n", text=text).order_by("n"))
        assert [row["text"] for row in found] == [told(checked, row) for row in rows]


@given(st.sampled_from(OTHERS), st.decimals(-(10**12), 10**12, places=3, allow_nan=False))
def test_numbers_are_those_of_babel(locale: str, value: Exact) -> None:
    tag = locale.replace("-", "_")
    row = {**ROW, "x": value}
    assert told(checked_in(locale, "{{ x | number(2) }}"), row) == without_minus_zero(
        format_decimal(value, "#,##0.00", locale=tag), locale
    )
    pattern = {"tr": "%#,##0"}.get(locale)
    if pattern is None:
        assert told(checked_in(locale, "{{ x | percent }}"), row) == without_minus_zero(
            format_percent(value, locale=tag), locale
        )


def without_minus_zero(text: str, locale: str) -> str:
    """No number that is rounded to zero has a sign here."""
    minus = locale_formats(locale).minus
    return text if any(sign in text for sign in "123456789") else text.removeprefix(minus)


@given(st.sampled_from(OTHERS), st.dates(), st.lists(st.text("abc", min_size=1), max_size=5))
def test_dates_and_lists_are_those_of_babel(locale: str, day: Any, items: list[str]) -> None:
    tag = locale.replace("-", "_")
    row = {**ROW, "at": datetime(day.year, day.month, day.day), "items": items}
    assert told(checked_in(locale, "{{ items | listing }}"), row) == format_list(items, locale=tag)
    if day.year >= 1000:  # years have four digits here
        for style in ("medium", "long", "full"):
            assert told(checked_in(locale, f'{{{{ at | date("{style}") }}}}'), row) == format_date(day, style, tag)


def test_a_form_that_a_language_has_is_asked_for() -> None:
    with pytest.raises(DefinitionErrors, match="'pl' has a form of the word for 'few'"):
        checked_in("pl", '{{ n | plural("statek", "statków") }}')
    with pytest.raises(DefinitionErrors, match="'de' has a form of the word for 'many'"):
        checked_in("de", '{{ n | plural("Tag") }}')
    with pytest.raises(DefinitionErrors, match="'de' has no form of a word for 'few'"):
        checked_in("de", '{{ n | plural("Tag", "Tage", few="Tage") }}')


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("xx", "CLDR has no language 'xx'"),
        ("german", "'german' is no tag of a language"),
        ("../de", "is no tag of a language"),
        ("hi", "numbers of 'hi' are written in a way that is not printed here"),
        ("th", "dates of 'th' are written in a way that is not printed here"),
    ],
)
def test_what_is_not_printed_here_is_said(code: str, words: str) -> None:
    with pytest.raises(UnknownLanguage) as error:
        locale_formats(code)
    assert words in str(error.value)
