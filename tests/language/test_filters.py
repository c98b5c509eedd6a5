"""What every filter prints: its own example, vectors of edge values, and Jinja's own filter where it is Jinja's."""

import random
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal as Exact
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jinja2
import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from storymesh.errors import NotInLanguage
from storymesh.language.filters.registry import FILTERS
from storymesh.language.interpret import Interpreter, as_value
from storymesh.language.parse import parse_template
from storymesh.language.typecheck.templates import check_template
from storymesh.language.types import Array, Date, Decimal, Field, Integer, Struct, Text, Timestamp
from tests.support.generated import FLOATS, WHOLES, WORDS, looking

CODES = Text(MappingProxyType({"suez": "Suez Canal"}))
ROW = Struct({
    "n": Field(Integer()), "t": Field(Text()), "u": Field(Text(), True), "row": Field(Struct({"t": Field(Text())})),
    "action_code": Field(Text()), "cost_usd": Field(Decimal(8, 2), True),
})  # fmt: skip
PLACES: Mapping[str, tuple[Field, Any]] = {
    "price": (Field(Decimal(8, 2)), Exact("12.34")),
    "tiny": (Field(Decimal(8, 2)), Exact("-0.40")),
    "tie": (Field(Decimal(8, 2)), Exact("53.55")),
    "even": (Field(Decimal(8, 2)), Exact("53.45")),
    "rate": (Field(Decimal(8, 4)), Exact("0.1235")),
    "wide": (Field(Decimal(30, 3)), Exact("123456789012345678901234.567")),
    "nines": (Field(Decimal(20, 2)), Exact("999999999999999999.95")),
    "half_cent": (Field(Decimal(8, 3)), Exact("0.005")),
    "missing_price": (Field(Decimal(12, 3), True), None),
    "prices": (Field(Array(Field(Decimal(8, 2)))), []),
    "moment": (Field(Timestamp()), datetime(2024, 3, 3, 9, 5, 7)),
    "leap": (Field(Date()), date(2024, 2, 29)),
    "early": (Field(Date()), date(1, 1, 1)),
    "nothing": (Field(Array(Field(Text()))), []),
    "missing": (Field(Text(), True), None),
    "code": (Field(CODES), "suez"),
    "odd": (Field(CODES), "unlabelled"),
    "name": (Field(Text()), "Acme"),
    "rows": (Field(Array(Field(ROW))), [
        {"n": 20, "t": "a", "u": None, "row": {"t": "x"}, "action_code": "WAIT", "cost_usd": Exact("1.00")},
        {"n": 10, "t": "b", "u": "z", "row": {"t": "x"}, "action_code": "SAIL", "cost_usd": None},
    ]),
    "row": (Field(ROW), {"n": 20, "t": "a", "u": None, "row": {"t": "x"}, "action_code": "WAIT", "cost_usd": None}),
    # The names of the examples in the reference.
    "case": (Field(Struct({"at": Field(Timestamp())})), {"at": datetime(2024, 3, 3)}),
    "delay": (Field(Struct({"waterway": Field(CODES)})), {"waterway": "suez"}),
    "shipment": (Field(Struct({"consignee": Field(Text(), False, "restricted")})), {"consignee": "Acme"}),
    "resolution": (Field(Array(Field(ROW))), [
        {"n": 1, "t": "a", "u": None, "row": {"t": "x"}, "action_code": "WAIT", "cost_usd": Exact("1.00")},
    ]),
}  # fmt: skip
VECTORS = yaml.safe_load((Path(__file__).parent / "filters.yaml").read_text(encoding="utf-8"))


def told(expression: str) -> str:
    text = f"{{{{ {expression} }}}}"
    scope = {name: place for name, (place, _) in PLACES.items()}
    checked = check_template(parse_template(text, "t", "d/t"), scope, lambda name: None)
    names = {name: as_value(value) for name, (_, value) in PLACES.items()}
    return Interpreter(checked.tree, b"key").render("case-1", names)


@pytest.mark.parametrize("name", FILTERS)
def test_the_example_of_the_reference_holds(name: str) -> None:
    expression, text = FILTERS[name].example
    assert told(expression) == text


@pytest.mark.parametrize(
    ("expression", "text"), [pytest.param(*vector, id=vector[0]) for group in VECTORS for vector in group["vectors"]]
)
def test_vector(expression: str, text: str) -> None:
    assert told(expression) == text


def test_every_filter_has_vectors() -> None:
    assert {group["filter"] for group in VECTORS} == set(FILTERS)


def test_a_pseudonym_is_sha256_of_key_bar_value() -> None:
    import hashlib

    assert told("name | pseudonym") == "p-" + hashlib.sha256(b"key|Acme").hexdigest()[:12]


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), 2.0**63, -(2.0**63)])
def test_what_is_not_finite_or_too_large_is_not_printed(value: Any) -> None:
    for name, arguments in (("number", ("en",)), ("percent", ("en",)), ("duration", ("en", "hours"))):
        with pytest.raises(NotInLanguage, match="not finite or too large"):
            FILTERS[name].evaluate(value, *arguments)


@pytest.mark.parametrize("value", [-(2**63), Exact(2**63), Exact(-(2**63)) - 1])
def test_whole_numbers_stay_within_64_bits(value: Any) -> None:
    with pytest.raises(NotInLanguage, match="64 bits"):
        FILTERS["abs" if isinstance(value, int) else "int"].evaluate(value)


# --- against Jinja's own ---

# Where Jinja's filter leans on what Python alone knows (one letter that becomes two, the place of a letter in its word,
# an empty text that stands everywhere, the decimal that a float was written as), ours has its own definition: those
# letters and ties are left out here and stand in the vectors.
JINJA = jinja2.Environment(autoescape=False).filters
TEXTS = st.one_of(st.sampled_from(WORDS), st.text(st.characters(blacklist_categories=("Cs",)), max_size=12))
NUMBERS = st.one_of(st.sampled_from(WHOLES), st.integers(-2000, 2000))
REALS = st.one_of(st.sampled_from([value for value in FLOATS if abs(value) < 1e18]), st.floats(-1e6, 1e6))


def plain_case(text: str) -> bool:
    """Whether every letter has one capital, one small and no title letter of its own, and white space is ASCII's."""
    plain = all(
        len(letter.upper()) == len(letter.lower()) == 1 and letter.title() == letter.upper() and letter != "Σ"
        for letter in text
    )
    return plain and not any(letter.isspace() and letter not in " \t\n\r\f\v" for letter in text)


@pytest.mark.parametrize("name", ["upper", "lower", "capitalize", "title", "trim", "length"])
def test_texts_as_jinja(name: str) -> None:
    @looking(lean=120, deep=5000)
    @given(TEXTS)
    def same(text: str) -> None:
        assume(name in ("trim", "length") or plain_case(text))
        assert FILTERS[name].evaluate(text) == JINJA[name](text)

    same()


@looking(lean=120, deep=5000)
@given(TEXTS, TEXTS, TEXTS)
def test_replace_as_jinja(text: str, old: str, new: str) -> None:
    assume(old)
    jinja = jinja2.Environment(autoescape=False).from_string("{{ text | replace(old, new) }}")
    assert FILTERS["replace"].evaluate(text, old, new) == jinja.render(text=text, old=old, new=new)


@looking(lean=120, deep=5000)
@given(REALS, st.integers(0, 12))
def test_rounding_as_jinja(value: float, digits: int) -> None:
    assert FILTERS["round"].evaluate(value, digits) == JINJA["round"](value, digits)
    assert FILTERS["round"].evaluate(int(value), digits) == JINJA["round"](int(value), digits)
    assert FILTERS["int"].evaluate(value) == JINJA["int"](value)
    assert FILTERS["abs"].evaluate(value) == abs(value)
    amount = Exact(round(value * 100)).scaleb(-2)
    assert FILTERS["round"].evaluate(amount, 1) == JINJA["round"](amount, 1)
    assert FILTERS["int"].evaluate(amount) == JINJA["int"](amount)


@looking(lean=150, deep=5000)
@given(
    st.one_of(st.lists(TEXTS, max_size=5), st.lists(NUMBERS, max_size=5), st.lists(st.dates(), max_size=5)),
    st.booleans(),
)
def test_lists_as_jinja(items: list[Any], reverse: bool) -> None:
    assume(all(plain_case(item) for item in items if isinstance(item, str)))
    environment = jinja2.Environment(autoescape=False)
    assert FILTERS["sort"].evaluate(items, reverse=reverse) == JINJA["sort"](environment, items, reverse=reverse)
    assert FILTERS["unique"].evaluate(items) == list(JINJA["unique"](environment, items))
    assert FILTERS["join"].evaluate(items, "-") == environment.from_string("{{ items | join('-') }}").render(
        items=items
    )
    assert FILTERS["length"].evaluate(items) == JINJA["length"](items)
    for name in ("min", "max") if items else ():
        assert FILTERS[name].evaluate(items) == JINJA[name](environment, items)
    if items:
        assert FILTERS["first"].evaluate(items) == JINJA["first"](environment, items)
        assert FILTERS["last"].evaluate(items) == JINJA["last"](environment, items)


@pytest.mark.slow
@looking(lean=50, deep=500)
@given(st.integers(0, 2**48))
def test_rows_as_jinja(seed: int) -> None:
    rng = random.Random(seed)
    rows = [
        {"n": rng.choice((1, 2, 3, 10)), "m": rng.choice((None, 0, 1, 5)), "t": rng.choice(("a", "A", "b", ""))}
        for _ in range(rng.randint(0, 5))
    ]
    name, number = rng.choice("nmt"), rng.randint(0, 5)
    environment = jinja2.Environment(autoescape=False)

    def jinja(expression: str) -> Any:
        return environment.compile_expression(expression)(rows=rows, number=number)

    assert FILTERS["map"].evaluate(rows, attribute=name) == list(jinja(f"rows | map(attribute='{name}') | list"))
    for keeping in ("selectattr", "rejectattr"):
        ours = FILTERS[keeping].evaluate
        assert ours(rows, name) == jinja(f"rows | {keeping}('{name}') | list")
        assert ours(rows, name, "none") == jinja(f"rows | {keeping}('{name}', 'none') | list")
        assert ours(rows, "m", "ne", number) == jinja(f"rows | {keeping}('m', 'ne', number) | list")
        assert ours(rows, "m", "in", [1, 5]) == jinja(f"rows | {keeping}('m', 'in', [1, 5]) | list")
        for test in (
            "eq",
            "==",
            "equalto",
            "lt",
            "<",
            "lessthan",
            "le",
            "<=",
            "gt",
            ">",
            "greaterthan",
            "ge",
            ">=",
            "!=",
        ):
            assert ours(rows, "n", test, number) == jinja(f"rows | {keeping}('n', '{test}', number) | list")
    assert FILTERS["sum"].evaluate(rows, attribute="n") == jinja("rows | sum(attribute='n')")
    assert FILTERS["sort"].evaluate(rows, attribute="t", reverse=True) == jinja(
        "rows | sort(attribute='t', reverse=true)"
    )
    assert FILTERS["unique"].evaluate(rows, attribute="t") == jinja("rows | unique(attribute='t') | list")
    assert FILTERS["join"].evaluate(rows, "/", attribute="t") == jinja("rows | join('/', attribute='t')")
    if rows:
        assert FILTERS["max"].evaluate(rows, attribute="t") == jinja("rows | max(attribute='t')")
        assert FILTERS["min"].evaluate(rows, attribute="n") == jinja("rows | min(attribute='n')")
