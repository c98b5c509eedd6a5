"""Expressions of YAML: what the engine computes is what the interpreter says, and null propagates as in SQL."""

import random
from typing import Any

import ibis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storymesh.engine.engine import Engine
from storymesh.errors import DefinitionErrors, NotInLanguage
from storymesh.language.compile.expressions import compile_expression
from storymesh.language.parse import parse_expression
from storymesh.language.typecheck.templates import check_expression
from storymesh.language.types import Boolean, Field, Integer
from storymesh.location import Location
from tests.support.expressions import DROPPED, compiled, interpreted, random_expressions, rows_of, written
from tests.support.generated import SCOPE, looking, table_of, values_of


@pytest.mark.slow
@looking(lean=12, deep=150)
@given(seed=st.integers(0, 2**48))
def test_the_engine_computes_what_the_interpreter_says(engine: Engine, seed: int) -> None:
    rng = random.Random(seed)
    made, rows = random_expressions(rng, 12), rows_of(rng, 8)
    for item, met in zip(made, compiled(made, rows, engine), strict=True):
        for wanted, value, row in zip(interpreted(item, rows), met, rows, strict=True):
            assert wanted is DROPPED or value == wanted, (item.text, row)


# Edges where the two agree.
EDGES = {
    "a dynamic text replaced": ("t | replace(k, k)", {"t": "a.c\\1", "k": "."}),
    "a decimal of 20 digits with all of them": ("(e | default(d)) | number(4)", {"e": "1234567890123456.7891"}),
    "0.7 hours": ('f | duration("hours")', {"f": 0.7}),
    "a float compared with a large integer": ("n == f", {"n": 2**53 + 1, "f": 9007199254740992.0}),
    "a decimal compared with a float": ("d == 0.1", {"d": "0.10"}),
    "no number is the largest": ("f > 1e300", {"f": float("nan")}),
    "no number equals itself": ("f == f", {"f": float("nan")}),
    "a remainder of a negative number": ("n % -7", {"n": -20}),
    "a quotient of a negative number": ("n // 7", {"n": -20}),
    "minus zero": ("-d", {"d": "0.00"}),
    "a date before the year 1000": ('day | date("%Y %-d %A")', {"day": "0999-12-31"}),
    "a moment of the year 1": ("at ~ ''", {"at": "0001-01-01"}),
    "a microsecond": ("at ~ ''", {"at": "2024-03-03T09:05:07.000001"}),
    "the seconds between two moments": ("at - day", {"at": "2024-03-03T09:05:07.000001", "day": "2024-03-04"}),
    "the longest time between two moments": ("at - day", {"at": "9999-12-31T23:59:59.999999", "day": "0001-01-01"}),
    "a time between two moments as text": ("(day - at) ~ ''", {"at": "2024-03-03T00:00:00", "day": "2024-03-03"}),
    "hours between two moments": ("(at - day) / 3600 > 24", {"at": "2024-03-04T00:00:00.000001", "day": "2024-03-03"}),
    "a date as text": ("day ~ ''", {"day": "0001-01-01"}),
    "NUL in a value": ("t ~ 'x'", {"t": "a\x00b"}),
    "sorting by small letters": ("(texts | sort | join)", {"texts": ["b", "A", "a", "B", "ß", "ẞ", "Z"]}),
    "once without regard to case": ("(texts | unique | join('/'))", {"texts": ["b", "A", "a", "B"]}),
    "a boolean as text": ("b ~ c", {"b": True, "c": False}),
    "a sum of integers past 64 bits": ("[n, n] | sum", {"n": 2**63 - 1}),
    "integers added past 64 bits": ("n + n", {"n": 2**63 - 1}),
    "integers multiplied past 64 bits": ("n * n", {"n": 2**40}),
    "an integer without its sign past 64 bits": ("n | abs", {"n": -(2**63)}),
    "an integer negated past 64 bits": ("-n", {"n": -(2**63)}),
    "a duration past 64 bits": ('n | duration("days")', {"n": 2**62}),
    "a float cut off past 64 bits": ("f | int", {"f": 1e19}),
    "a float that is no number cut off": ("f | int", {"f": float("nan")}),
    "decimals multiplied past 38 digits": ("(d * d) * (d * d) * (d * d) * (d * d) * (d * d)", {"d": "99999999.99"}),
    "decimals added past 38 digits": ("(d * d) * (d * d) + (d * d) * (d * d)", {"d": "9999999.99"}),
    "a long decimal divided": ("(e | default(0)) / 7.0", {"e": "-9415820521191329.4509"}),
    "a long decimal beside a float": ("(e | default(0)) * 1.0", {"e": "-9979581695250806.0647"}),
    "a long decimal as one of two kinds": ("e | default(0.5)", {"e": "-9979581695250806.0647"}),
    "the float nearest to a long decimal": (
        "(e | default(0)) == f",
        {"e": "-9979581695250806.0647", "f": -9979581695250806.0647},
    ),
    "a long decimal among floats": (
        "(e | default(0)) in floats",
        {"e": "-9979581695250806.0647", "floats": [-9979581695250806.0647]},
    ),
    "a float among long decimals": (
        "f in [e | default(0), d]",
        {"e": "-9979581695250806.0647", "f": -9979581695250806.0647},
    ),
    "the longest decimal negated": ("-(h | default(0))", {"h": "9999999999999999999999999999.9999999999"}),
    "a negation is none": ("(not b) is none", {"b": True}),
    "a negation is not none": ("(not b) is not none", {"b": True}),
    "a default of a negation": ("(not b) | default(true)", {"b": True}),
    "a negation equals a test": ("(not b) == (n is not none)", {"b": False}),
    "a test equals a negation": ("b == (not b)", {"b": False}),
    "decimals of two scales compared": ("d * d > d", {"d": "99999999.99"}),
    "decimals of two scales in a list": ("[d * d, d] | last", {"d": "12.34"}),
    "the least integer": ("n - 0", {"n": -(2**63)}),
    "a duration of the least integer": ('n | duration("seconds")', {"n": -(2**63)}),
    "a duration of very many hours": ('n | duration("hours")', {"n": 9007199254740993}),
    "capital ß": ("t | upper", {"t": "straße"}),
    "capital ŉ": ("t | upper", {"t": "ŉ ﬁ ΐ"}),
    "capital dž": ("t | capitalize", {"t": "ǆ"}),
    "small İ": ("t | lower", {"t": "İstanbul"}),
    "a final sigma": ("t | lower", {"t": "ΣΊΣΥΦΟΣ"}),
    "initials of words": ("t | initials", {"t": " ann\tvan\u00a0 dijk\n"}),
    "initials of letters and signs": ("t | initials", {"t": "ßa ǆx e\u0301 🚢⚓ 日本 İ"}),
    "initials of nothing": ("t | initials", {"t": " \u2003"}),
    "white space of Unicode": ("t | trim", {"t": "\xa0\u2003 a \t\n"}),
    "an empty text replaced": ('t | replace("", "-")', {"t": "ab"}),
    "decimals of two precisions": ("(prices | sum) if b else d", {"b": False}),
    "4.35 hours": ('f | duration("hours")', {"f": 4.35}),
    "a quotient of large numbers": ("n // 7", {"n": 2**63 - 1}),
    "a decimal rounded at a tie": ("d | round(1)", {"d": "0.05"}),
    "a decimal printed at a tie": ("d | number(1)", {"d": "53.55"}),
    "a decimal beside an integer, at a tie": ("(e | default(0)) | number(3)", {"e": "53.5555"}),
    "a decimal beside one of another scale, at a tie": (
        "(d if b else (e | default(0))) | number(1)",
        {"d": "53.55", "b": True},
    ),
    "a decimal and an integer in a list": ("[d, n] | sum | number(1)", {"d": "53.55", "n": 1}),
    "a percentage of a decimal": ("d | percent", {"d": "-0.55"}),
    "a decimal of 20 digits": ("(e | default(0)) | number(2)", {"e": "1234567890123456.7850"}),
    "a percentage of many digits": ("(e | default(0)) | percent(1)", {"e": "-9999999999999999.9995"}),
    "a decimal of many digits rounded": ("(e | default(0)) | round(3)", {"e": "9999999999999999.9995"}),
    "a duration of a decimal": ('(e | default(0)) | duration("hours")', {"e": "26.9999"}),
    "a duration of a decimal of many digits": ('(e | default(0)) | duration("days")', {"e": "1234567890123456.7891"}),
    "an integer past 64 bits in percent": ("n | percent(1)", {"n": 2**63 - 1}),
    "decimals of two scales": ("(-d) + (d | round(1))", {"d": "0.10"}),
    "a list in words, titled": ("(texts | sort(reverse=true) | listing) | title", {"texts": ["a", "b"]}),
}


@pytest.mark.parametrize(
    "name",
    EDGES,
)
def test_edge(name: str, engine: Engine) -> None:
    from datetime import date, datetime
    from decimal import Decimal

    text, changes = EDGES[name]
    row = {**values_of(random.Random(1)), "m": 1, "c": True, "prices": [Decimal("1.00")]}
    for key, value in changes.items():
        kind = str(SCOPE[key].type) if isinstance(SCOPE[key], Field) else ""
        if kind == "decimal":
            value = Decimal(value)
        elif kind == "date":
            value = date.fromisoformat(value)
        elif kind == "timestamp":
            value = datetime.fromisoformat(value)
        row[key] = value
    made = written(text.replace("~ c", "~ (c | default(false))"))
    assert made is not None
    [wanted] = interpreted(made, [row])
    [[met]] = compiled([made], [row], engine)
    assert wanted is DROPPED or met == wanted


# --- null ---

NULLS = [
    ("m + 1", None), ("1 - m", None), ("m * 2", None), ("m / 2", None), ("m // 2", None), ("m % 2", None), ("-m", None),
    ("n // 0", None), ("n % 0", None), ("e + 1", None), ("g * 2", None),
    ("m == 1", None), ("m != 1", None), ("m > 1", None), ("1 <= m", None), ("m in [1, 2]", None), ("u in texts", None),
    ("u ~ 'x'", None), ("'x' ~ m", None), ("u | upper", None), ("u | trim", None), ("u | initials", None),
    ("u | length", None), ("q | label", None),
    ("u | replace('a', 'b')", None), ("t | replace('a', u)", None),
    ("m | abs", None), ("g | int", None), ("g | round(1)", None), ("m | number", None),
    ("m | plural('day')", None), ("m | duration('hours')", None), ("off | date", None), ("till | date('%d')", None),
    ("m | default(7)", 7), ("(m + 1) | default(7)", 7), ("m or 7", 7), ("m and 7", None), ("n and m", None),
    ("m is none", True), ("m is not none", False), ("m is defined", True), ("c is true", False), ("c is false", False),
    ("not m", True), ("not c", True), ("not (m > 1)", True), ("not u", True),
    ("m > 1 and b", None), ("m > 1 or b", True), ("m > 1 or m < 5", None), ("(m > 1) is none", True),
    ("1 if m > 1 else 2", 2), ("1 if m else 2", 2), ("1 if not c else 2", 1), ("m if b else n", None),
    ("m if not b else n", 3),
    ("maybe.n", None), ("maybe.n + 1", None), ("maybe is none", True), ("1 if maybe else 2", 2),
    ("maybe.t | upper", None),
    ("maybe.n | default(7)", 7), ("(rows | first).n", None), ("(rows | last).n | default(7)", 7), ("rows | length", 0),
    ("texts | first", None), ("texts | last", None), ("wholes | min", None), ("wholes | max", None),
    ("wholes | sum", 0),
    ("rows | sum(attribute='n')", 0), ("texts | join('/')", ""), ("texts | listing", ""), ("1 if rows else 2", 2),
    ("rows | map(attribute='t') | first", None), ("gaps | first", None),
    ("(n / 0) > 1", True), ("((n - 3) / (n - 3)) > 1", True), ("m / n", None), ("n / m", None),
    ("rows | selectattr('m', 'none') | length", 0), ("g | percent", None), ("g | number", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "wanted"),
    [pytest.param(*case, id=case[0]) for case in NULLS],
)
def test_null_propagates(text: str, wanted: Any, engine: Engine) -> None:
    scope = {**SCOPE, "n": Field(Integer()), "b": Field(Boolean())}
    row = values_of(random.Random(1))
    row |= {name: None for name, place in scope.items() if isinstance(place, Field) and place.nullable}
    row |= {"n": 3, "b": True, "rows": [], "texts": [], "wholes": [], "gaps": [None]}
    expression = parse_expression(text, Location("narrative.yaml"))
    checked = check_expression(expression, scope)
    assert checked.value.nullable or wanted is not None
    table = ibis.memtable(table_of([row]))
    column = compile_expression(checked.tree, {name: table[name] for name in table.columns})
    [met] = engine.fetch_table(table.select(met=column))["met"].to_pylist()
    assert met == wanted
    if wanted is not None:
        assert type(met) is type(wanted)


@pytest.mark.parametrize("text", ["choose('a', 'b')", "m ==", "nothing + 1", "rows + 1", "t + 1", "f ~ ''"])
def test_a_wrong_expression_is_a_finding(text: str) -> None:
    with pytest.raises(DefinitionErrors):
        check_expression(parse_expression(text, Location("narrative.yaml", 12, 7)), SCOPE)


def test_a_finding_in_an_expression_stands_in_its_file() -> None:
    with pytest.raises(DefinitionErrors, match=r"^narrative\.yaml:12:11: error\[unknown-name\]: unknown name 'mm'"):
        check_expression(parse_expression("1 + mm", Location("narrative.yaml", 12, 7)), SCOPE)


def test_choose_is_not_compiled_in_expressions() -> None:
    with pytest.raises((NotInLanguage, DefinitionErrors)):
        check_expression(parse_expression("choose('a', 'b')", Location("n")), SCOPE)
