"""Random templates over the whole grammar of the language, and random values that fit what a contract promises.

One seed gives one template: hypothesis draws the seeds. Most templates are nearly right, so that the checker has to
decide about guards that are a little wrong; those that it accepts must render whatever the values are.
"""

import os
import random
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal as Exact
from functools import partial
from types import MappingProxyType
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, settings

from storymesh.errors import DefinitionErrors, NotInLanguage
from storymesh.language.ast import Template
from storymesh.language.interpret import Interpreter, as_value
from storymesh.language.locale_formats import ENGLISH, locale_formats
from storymesh.language.parse import parse_template
from storymesh.language.typecheck.scope import CheckedTemplate, Scope
from storymesh.language.typecheck.templates import check_template
from storymesh.language.types import (
    Array,
    Boolean,
    Date,
    Decimal,
    Field,
    Float,
    Integer,
    Json,
    Struct,
    Text,
    Time,
    Timestamp,
    Type,
)

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
# What a value may do to its record, as DESIGN has it: such a record drops. Nothing else may happen at run time.
DROPS = ("not finite or too large", "grew past 64 bits", "grew past 38 digits")


def looking(lean: int, deep: int) -> settings:
    """How many examples a property test looks at."""
    checks = list(HealthCheck)
    return settings(max_examples=deep if DEEP else lean, deadline=None, database=None, suppress_health_check=checks)


def _labelled(*codes: str) -> Text:
    return Text(MappingProxyType({code: f"{code} in words" for code in codes}))


PROPERTIES: Mapping[str, Field] = {
    "n": Field(Integer()),
    "m": Field(Integer(), True),
    "f": Field(Float()),
    "g": Field(Float(), True),
    "d": Field(Decimal(10, 2)),
    "e": Field(Decimal(20, 4), True),
    "t": Field(Text()),
    "u": Field(Text(), True),
    "k": Field(_labelled("A", "b", "straße")),
    "q": Field(_labelled("A", "b"), True),
    "b": Field(Boolean()),
    "c": Field(Boolean(), True),
    "day": Field(Date()),
    "off": Field(Date(), True),
    "at": Field(Timestamp()),
    "till": Field(Timestamp(), True),
    "clock": Field(Time()),
    "stop": Field(Time(), True),
    "doc": Field(Json(), True),
    "h": Field(Decimal(38, 10), True),
}
PLACE = Struct({name: PROPERTIES[name] for name in ("n", "t", "u", "d", "at")}, "place")
BELOW: Mapping[str, Field] = {"place": Field(PLACE), "spot": Field(PLACE, True), "tags": Field(Array(Field(Text())))}
INNER = Struct({**PROPERTIES, **BELOW}, "inner")
ROW = Struct({**PROPERTIES, **BELOW, "items": Field(Array(Field(INNER))), "first": Field(Integer())}, "row")
SCOPE: Scope = {
    **PROPERTIES,
    "row": Field(ROW),
    "maybe": Field(ROW, True),
    "rows": Field(Array(Field(ROW))),
    "texts": Field(Array(Field(Text()))),
    "wholes": Field(Array(Field(Integer()))),
    "gaps": Field(Array(Field(Integer(), True))),
    "prices": Field(Array(Field(Decimal(10, 2)))),
    "floats": Field(Array(Field(Float()))),
    "days": Field(Array(Field(Date()))),
    "moments": Field(Array(Field(Timestamp()))),
    "flags": Field(Array(Field(Boolean()))),
    "holes": Field(Array(Field(Text(), True))),
    "grid": Field(Array(Field(Array(Field(Integer()))))),
}

WORDS = (
    "", "a", "Suez Canal", "  padded\t", "ÅNGSTRÖM", "straße", "ǆ ǅ Ǆ", "İstanbul ı", "ΣΊΣΥΦΟΣ", "日本語",
    "🚢 ⚓️ 👩🏽‍✈️", "مرحبا بالعالم", "‏עברית‎", "e\u0301", "{{ t }}", "{% if x %}", "{# x #}", "Ignore all instructions",
    "a,b and c",
    "%Y %", "line\nbreak", "\u00a0nbsp\u2003", "A", "b", "0", "-1", "o'clock \"x\" \\n", "ﬁ", "x" * 300,
)  # fmt: skip
WHOLES = (0, 1, -1, 2, 3, 9, 10, 999, 1000, -1000, 86399, 2**31, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63))
FLOATS = (
    0.0, -0.0, 0.5, 1.5, 2.5, -0.4, 0.125, 0.1, 1.005, 2.675, 1e-9, 999.9999, 1e15, -1e18, 9.2e18, 1e19, 1e300, 5e-324,
    float("inf"), float("-inf"), float("nan"), 0.7, 4.35, 37.0,
)  # fmt: skip
DATES = (date(1, 1, 1), date(999, 12, 31), date(1900, 2, 28), date(2000, 2, 29), date(2024, 2, 29), date(2024, 3, 3))
TIMES = (
    datetime(1, 1, 1), datetime(2024, 2, 29), datetime(2024, 12, 31, 23, 59, 59, 999999), datetime(2024, 3, 3),
    datetime(1969, 12, 31, 23, 59, 59), datetime(2024, 3, 3, 9, 5, 7, 1), datetime(9999, 12, 31, 23, 59, 59),
)  # fmt: skip
CLOCKS = ("00:00:00", "09:30:00", "09:30:00.25", "23:59:59.999999")
DOCUMENTS = ("{}", "[]", '{"a": [1, null], "b": "x y"}', "null", '"🚢"', "0.10")


def value_of(place: Field, rng: random.Random, depth: int = 0) -> Any:
    """A value that the contract allows, as Arrow gives it."""
    if place.nullable and rng.random() < 0.45:
        return None
    match place.type:
        case Text(labels=labels) if labels and rng.random() < 0.8:
            return rng.choice(list(labels))
        case Text():
            return rng.choice(WORDS)
        case Time():
            return rng.choice(CLOCKS)
        case Json():
            return rng.choice(DOCUMENTS)
        case Integer():
            return rng.choice(WHOLES) if rng.random() < 0.3 else rng.randint(-5, 2000)
        case Float():
            return rng.choice(FLOATS) if rng.random() < 0.4 else round(rng.uniform(-100, 5000), rng.randint(0, 4))
        case Decimal(precision=precision, scale=scale):
            edges = [0, 1, -1, 5, 125, -(10 ** (precision - 1)), 10**precision - 1, 10 * rng.randint(-999, 999) + 5]
            digits = rng.choice(
                [*edges, rng.randint(-99999, 99999), rng.randint(-(10**precision) + 1, 10**precision - 1)]
            )
            return Exact(f"{digits}e-{scale}")  # `scaleb` would round to 28 digits
        case Boolean():
            return rng.random() < 0.5
        case Date():
            return rng.choice(DATES)
        case Timestamp():
            return rng.choice(TIMES)
        case Struct(fields=fields):
            return {name: value_of(found, rng, depth + 1) for name, found in fields.items() if isinstance(found, Field)}
        case Array(item=item):
            return [value_of(item, rng, depth + 1) for _ in range(rng.choice((0, 0, 1, 2, 3)) if depth < 3 else 0)]
        case _:
            raise AssertionError(place)


def values_of(rng: random.Random, scope: Scope = SCOPE) -> dict[str, Any]:
    return {name: value_of(place, rng) for name, place in scope.items() if isinstance(place, Field)}


DAY, IS, LISTED, JOINED = '"day"', '"is", many="are"', 'listing("or")', 'join("/")'
TEXT_FILTERS = ("upper", "lower", "capitalize", "title", "initials", "trim")
PLAIN_LISTS = ("wholes", "wholes", "prices", "flags", "days", "moments", "row.tags")
ORDERS = ("sort", "unique", "sort(reverse=true)")
LANGUAGES = (*[ENGLISH] * 9, "de", "pl", "ar", "ja", "lv", "fr")
LEAST = ("sum", "first | default(0)", "last | default(7)", "min | default(1)", "max | default(2)")


class Maker:
    """Writes a random template. `near` are the names of the loops and sets around the place where it writes."""

    def __init__(self, rng: random.Random, *, template: bool = True, locale: str = ENGLISH) -> None:
        self.rng = rng
        self.locale = locale
        self.template = template
        self.rows = ["row"] if template else ["row", "maybe"]
        self.lists = ["rows", "rows", "row.items"]
        self.sets: dict[str, str] = {}  # name -> kind
        self.likely: list[str] = []  # paths that a guard around here may have narrowed
        self.fresh = 0

    def pick(self, *options: Any) -> Any:
        return self.rng.choice(options)

    # --- expressions: every method gives the text of an expression of one kind ---

    def leaf(self, letters: str, nullable: str) -> str:
        guarded = [path for path in self.likely if path.split(".")[-1] in nullable.split()]
        if guarded and self.rng.random() < 0.6:
            return self.rng.choice(guarded)
        name = self.rng.choice(
            nullable.split() if self.rng.random() < (0.1 if self.template else 0.4) else letters.split()
        )
        where = self.rng.random()
        if where < 0.5:
            return name
        return f"{self.rng.choice(self.rows)}.{name}"

    def whole(self, depth: int = 2) -> str:
        made = [name for name, kind in self.sets.items() if kind == "whole"]
        if made and self.rng.random() < 0.3:
            return self.rng.choice(made)
        if depth == 0 or self.rng.random() < 0.35:
            return self.pick(self.leaf("n", "m"), self.leaf("n", "m"), str(self.rng.randint(0, 12)))
        smaller = depth - 1
        return self.pick(
            lambda: f"({self.whole(smaller)} {self.pick('+', '-', '*')} {self.whole(smaller)})",
            lambda: f"({self.whole(smaller)} {self.pick('//', '%')} {self.rng.randint(1, 7)})",
            lambda: f"(({self.whole(smaller)} {self.pick('//', '%')} {self.whole(smaller)}) | default(-1))",
            lambda: f"(-{self.whole(smaller)})",
            lambda: f"({self.whole(smaller)} | abs)",
            lambda: f"({self.number(smaller)} | int)",
            lambda: f"({self.list_(smaller)[0]} | length)",
            lambda: f"({self.text(smaller)} | length)",
            lambda: f"(wholes | {self.pick(*LEAST)})",
            lambda: f'({self.rows_(smaller)} | sum(attribute="n"))',
            lambda: f"({self.leaf('n', 'm')} | default({self.whole(smaller)}))",
            lambda: f"({self.whole(smaller)} if {self.test(smaller)} else {self.whole(smaller)})",
            lambda: f"({self.leaf('n', 'm')} or {self.whole(smaller)})",
            lambda: f"({self.whole(smaller)} | round)",
            lambda: f"({self.row_of(smaller)}.{self.pick('n', 'm', 'place.n')} | default({self.whole(0)}))",
            lambda: (
                f"((grid | {self.pick('first', 'last')} | default([{self.whole(0)}])) | {self.pick('length', 'sum')})"
            ),
            lambda: f'({self.rows_(smaller)} | map(attribute="{self.pick("n", "place.n")}") | {self.pick(*LEAST)})',
            lambda: f"({self.leaf('n', 'm')} and {self.whole(smaller)})",
            *(
                [lambda: f"loop.{self.pick('index', 'index0', 'revindex', 'revindex0', 'length')}"] * 3
                if "loop" in self.sets
                else []
            ),
        )()

    def exact(self, depth: int = 2) -> str:
        if depth == 0 or self.rng.random() < 0.4:
            return self.leaf("d", "e h")
        smaller = depth - 1
        return self.pick(
            lambda: f"({self.exact(smaller)} {self.pick('+', '-')} {self.pick(self.exact, self.whole)(smaller)})",
            lambda: f"({self.leaf('d', 'e')} * {self.pick(self.leaf('d', 'e'), self.whole(0))})",
            lambda: f"(-{self.exact(smaller)})",
            lambda: f"({self.exact(smaller)} | {self.pick('abs', 'round', 'round(1)', 'round(6)')})",
            lambda: "(prices | sum)",
            lambda: f"({self.moment(smaller)} - {self.moment(0)})",
            lambda: f'({self.rows_(smaller)} | sum(attribute="d"))',
            lambda: f"({self.exact(smaller)} if {self.test(smaller)} else {self.exact(smaller)})",
            lambda: f"(prices | {self.pick('min', 'max', 'first')})",
            lambda: f"({self.leaf('h', 'h')} | default({self.pick(self.exact, self.whole)(smaller)}))",
            lambda: f"({self.mapped('d', 'place.d')} | {self.pick('sum', 'max | default(d)')})",
            lambda: f"({self.row_of(smaller)}.d | default({self.leaf('d', 'e')}))",
        )()

    def float_(self, depth: int = 2) -> str:
        if depth == 0 or self.rng.random() < 0.4:
            return self.pick(self.leaf("f", "g"), self.pick("0.5", "1.25", "100.0"))
        smaller = depth - 1
        return self.pick(
            lambda: f"({self.number(smaller)} / {self.divisor(smaller)})",
            lambda: f"({self.float_(smaller)} {self.pick('+', '-', '*')} {self.number(smaller)})",
            lambda: f"({self.number(smaller)} if {self.test(smaller)} else {self.number(smaller)})",
            lambda: f"({self.leaf('f', 'g')} | default({self.pick('0', '0.0', '1.5')}))",
            lambda: f"({self.leaf('d', 'e')} | default({self.pick('0', '0.5')}))",
            lambda: f"({self.float_(smaller)} | {self.pick('abs', 'round', 'round(2)')})",
            lambda: f"(floats | {self.pick('sum', 'first | default(0.0)', 'max | default(1)', 'min | default(d)')})",
            lambda: f"(floats | sort{self.pick('', '(reverse=true)')} | {self.pick('first', 'last')} | default(0.5))",
            lambda: f'({self.rows_(smaller)} | sum(attribute="f"))',
            lambda: f"({self.mapped('f')} | {self.pick('sum', 'max | default(0.0)')})",
            lambda: f"(-{self.float_(smaller)})",
        )()

    def divisor(self, depth: int) -> str:
        name = self.leaf("n d f", "m e g")
        return self.pick(
            lambda: self.number(depth),
            lambda: f"({self.number(depth)} or {self.pick('1', '2.5')})",
            lambda: f"(({self.list_(depth)[0]} | length) + 1)",
            lambda: f"({name} if {name} {self.pick('!= 0', '> 0', '< 0', '>= 1')} else {self.pick('1', '-2')})",
            lambda: f"(1 if {name} {self.pick('== 0', '<= 0', '>= 0')} else {name})",
        )()

    def number(self, depth: int = 2) -> str:
        return self.pick(self.whole, self.whole, self.exact, self.float_)(depth)

    def moment(self, depth: int = 1) -> str:
        return self.pick(
            self.leaf("day at", "off till"),
            self.leaf("day", "off"),
            f"({self.leaf('day', 'off')} if {self.test(0)} else {self.leaf('day', 'off')})",
            f"({self.leaf('at', 'till')} | default(at))",
            *(['(rows | map(attribute="at") | max | default(at))'] if depth else []),
            f"(days | {self.pick('first', 'last', 'min', 'max')} | default({self.leaf('day', 'off')}))",
            f"(moments | {self.pick('first', 'last', 'min', 'max')} | default({self.leaf('at', 'till')}))",
            *([f"({self.row_of(0)}.{self.pick('at', 'place.at')} | default(at))"] if depth else []),
            *[name for name, kind in self.sets.items() if kind == "moment"],
        )

    def forms(self) -> str:
        """A word for each form that numbers have in a language which is not English."""
        others = [form for form in locale_formats(self.locale).forms if form != "one"]
        return ", ".join(['"tag"', *(f'{form}="tag-{form}"' for form in others)]) if others else '"tag"'

    def format_(self) -> str:
        if self.rng.random() < 0.2:
            return self.pick("medium", "long", "full")
        return "".join(
            self.pick("%Y", "%m", "%d", "%-d", "%B", "%b", "%A", "%a", "%H", "%M", "%S", "%-m", "%%", " ", "-", "é")
            for _ in range(self.rng.randint(1, 5))
        )

    def text(self, depth: int = 2) -> str:
        made = [name for name, kind in self.sets.items() if kind == "text"]
        if made and self.rng.random() < 0.3:
            return self.rng.choice(made)
        if depth == 0 or self.rng.random() < 0.25:
            return self.pick(self.leaf("t k", "u q"), self.leaf("t k", "u q"), self.literal())
        smaller = depth - 1
        return self.pick(
            lambda: f"({self.text(smaller)} ~ {self.printable(smaller)})",
            lambda: f"({self.text(smaller)} | {self.pick(*TEXT_FILTERS)})",
            lambda: f"({self.text(smaller)} | replace({self.literal(True)}, {self.text(0)}))",
            lambda: f"({self.leaf('k', 'q')} | label)",
            lambda: f"({self.number(smaller)} | number{self.pick('', '(1)', '(2)', '(digits=12)')})",
            lambda: f"({self.number(smaller)} | percent{self.pick('', '(1)')})",
            lambda: (
                f"({self.whole(smaller)} | plural({self.pick(DAY, IS) if self.locale == ENGLISH else self.forms()}))"
            ),
            lambda: f'({self.number(smaller)} | duration("{self.pick("seconds", "minutes", "hours", "days")}"))',
            lambda: f"({self.moment(smaller)} | date{self.pick('', '(' + chr(34) + self.format_() + chr(34) + ')')})",
            lambda: f"({self.texts(smaller)} | {self.pick('listing', LISTED, 'join', JOINED)})",
            lambda: f"({self.texts(smaller)} | {self.pick('first', 'last', 'min', 'max')} | default({self.text(0)}))",
            lambda: f'({self.rows_(smaller)} | join(", ", attribute="{self.pick("t", "n", "day", "d")}"))',
            lambda: f"({self.text(smaller)} if {self.test(smaller)} else {self.text(smaller)})",
            lambda: f"({self.leaf('t', 'u')} or {self.text(smaller)})",
            lambda: f"({self.leaf('t', 'u')} | default({self.text(smaller)}, true))",
            lambda: f"({self.leaf('t', 'u')} | default({self.text(smaller)}))",
            lambda: f"({self.pick('t', 'n', 'u')} | pseudonym)",
            lambda: f"({self.text(smaller)} | replace({self.text(0)}, {self.text(0)}))",
            lambda: f"({self.pick(*PLAIN_LISTS)} | {self.pick('listing', JOINED)})",
            lambda: f"({self.pick('wholes', 'prices', 'days', 'moments')} | {self.pick(*ORDERS)} | listing)",
            lambda: f"({self.row_of(smaller)}.{self.pick('t', 'u', 'place.t', 'k')} | default({self.text(0)}))",
            lambda: f"({self.mapped('place.t', 'k', 'n', 'day', 'at', 'u')} | listing)",
            lambda: f"({self.leaf('clock', 'stop')} ~ ' ' ~ {self.leaf('clock', 'doc')})",
            lambda: f"({self.leaf('t', 'u')} and {self.text(smaller)})",
            *([lambda: f"choose({self.text(smaller)}, {self.text(0)}, {self.whole(0)})"] if self.template else []),
        )()

    def literal(self, some: bool = False) -> str:
        words = [word for word in WORDS if len(word) < 30 and (word or not some)]
        escaped = self.rng.choice(words).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'

    def printable(self, depth: int = 1) -> str:
        return self.pick(
            self.text,
            self.text,
            self.text,
            self.whole,
            self.whole,
            self.exact,
            lambda d: self.moment(),
            lambda d: self.leaf("b clock", "c stop doc"),
            lambda d: f"({self.test(d)})",
        )(depth)

    def mapped(self, *properties: str) -> str:
        return f'({self.rows_(1)} | map(attribute="{self.pick(*properties)}"))'

    def row_of(self, depth: int = 1) -> str:
        """A row of a list, which may be null."""
        ends = (
            "first",
            "last",
            'min(attribute="n")',
            'max(attribute="t")',
            'max(attribute="at")',
            'min(attribute="d")',
        )
        return f"({self.rows_(depth)} | {self.pick(*ends)})"

    def rows_(self, depth: int = 1) -> str:
        base = self.rng.choice(self.lists)
        if depth == 0 or self.rng.random() < 0.5:
            return base
        number, picks = self.rng.randint(0, 900), self.pick("selectattr", "rejectattr")
        return self.pick(
            f'({base} | selectattr("{self.pick("n", "m", "u", "c", "e", "items")}"))',
            f'({base} | rejectattr("{self.pick("m", "u", "g", "till")}", "none"))',
            f'({base} | selectattr("{self.pick("m", "u")}", "none"))',
            f'({base} | selectattr("n", "{self.pick("eq", "gt", "le", "!=", ">=")}", {number}))',
            f'({base} | selectattr("f", "{self.pick("lt", "==")}", {self.pick("0.5", "3")}))',
            f'({base} | rejectattr("t", "{self.pick("eq", "ne")}", {self.literal()}))',
            f'({base} | selectattr("k", "in", ["A", t]))',
            f'({base} | selectattr("n", "in", [{number}, {self.whole(0)}]))',
            f'({base} | {picks}("{self.pick("b", "c")}", "{self.pick("true", "false")}"))',
            f'({base} | {picks}("{self.pick("at", "day")}", "{self.pick("lt", "ge")}", {self.leaf("at", "off")}))',
            f'({base} | selectattr("d", "{self.pick("lt", "ge", "==")}", {self.exact(0)}))',
            f'({base} | rejectattr("place.n", "{self.pick("gt", "eq")}", {self.whole(0)}))',
            f'({base} | selectattr("spot.u", "{self.pick("none", "defined")}"))',
            f'({base} | sort(attribute="{self.pick("place.n", "place.t", "clock", "at")}"))',
            f'({base} | unique(attribute="{self.pick("place.t", "at", "d")}"))',
            f"({base} if {self.test(0)} else {self.rng.choice(self.lists)})",
            f'({base} | sort(attribute="{self.pick("n", "t", "f", "day", "d")}"{self.pick("", ", reverse=true")}))',
            f'({base} | unique(attribute="{self.pick("n", "t", "k", "b")}"))',
        )

    def texts(self, depth: int = 1) -> str:
        return self.pick(
            lambda: "texts",
            lambda: f'({self.rows_(depth)} | map(attribute="{self.pick("t", "k", "t")}"))',
            lambda: f'({self.rows_(0)} | rejectattr("u", "none") | map(attribute="u"))',
            lambda: f'({self.rows_(0)} | selectattr("u") | map(attribute="u"))',
            lambda: f"[{self.text(0)}, {self.text(0)}]",
            lambda: f"(texts | {self.pick(*ORDERS)})",
            lambda: (
                f'({self.pick("texts | select", "texts | reject")}("{self.pick("ne", "gt", "le")}", {self.text(0)}))'
            ),
            lambda: f'(holes | {self.pick("select", """reject("none")""", """select("ne", "")""")})',
            lambda: f"{self.rng.choice(self.rows)}.tags",
            lambda: f"(texts if {self.test(0)} else [{self.text(0)}])",
        )()

    def list_(self, depth: int = 1) -> tuple[str, str]:
        """A list and the kind of its items."""
        return self.pick(
            lambda: (self.rows_(depth), "row"),
            lambda: (self.texts(depth), "text"),
            lambda: ("wholes", "whole"),
            lambda: (f"[{self.whole(0)}, {self.whole(0)}, 3]", "whole"),
            lambda: ("gaps", "gap"),
            lambda: ("holes", "hole"),
            lambda: ("grid", "wholes"),
            lambda: (self.pick("days", "moments", '(rows | map(attribute="at"))'), "moment"),
            lambda: (f"(wholes | {self.pick(*ORDERS)})", "whole"),
            lambda: ("flags", "flag"),
        )()

    def test(self, depth: int = 2) -> str:
        if depth == 0 or self.rng.random() < 0.3:
            return self.pick(
                self.leaf("b", "c"),
                self.guard(),
                f"{self.whole(0)} {self.pick('==', '!=', '<', '<=', '>', '>=')} {self.whole(0)}",
            )
        smaller = depth - 1
        compare = self.pick("==", "!=", "<", "<=", ">", ">=")
        return self.pick(
            lambda: f"({self.test(smaller)} {self.pick('and', 'or')} {self.test(smaller)})",
            lambda: f"(not {self.test(smaller)})",
            lambda: self.guard(),
            lambda: f"({self.number(smaller)} {compare} {self.number(smaller)})",
            lambda: f"({self.text(smaller)} {self.pick('==', '!=', '<', 'in', 'not in')} {self.text(smaller)})",
            lambda: f"({self.text(smaller)} in {self.texts(smaller)})",
            lambda: f"({self.moment()} {compare} {self.moment()})",
            lambda: f"({self.leaf('b', 'c')} is {self.pick('true', 'not true', 'false', 'not none')})",
            lambda: f"({self.list_(smaller)[0]})",
            lambda: f"({self.whole(0)} < {self.whole(0)} <= {self.whole(0)})",
            lambda: f"({self.leaf('n', 'm')} in [1, {self.whole(0)}, 2.5])",
            lambda: f"({self.moment()} {self.pick('in', 'not in')} {self.pick('days', 'moments')})",
            lambda: f"({self.leaf('clock', 'stop')} {compare} {self.leaf('clock', 'stop')})",
            lambda: f"({self.exact(smaller)} in prices)",
            lambda: f"({self.leaf('n', 'm')} not in wholes)",
            lambda: f"({self.leaf('b', 'c')} {self.pick('==', '!=')} {self.test(0)})",
            lambda: f"({self.row_of(0)}.u is {self.pick('none', 'not none', 'defined')})",
            lambda: self.pick("true", "false"),
            *([lambda: self.pick("loop.first", "loop.last", "not loop.last")] * 3 if "loop" in self.sets else []),
            *[partial(str, name) for name, kind in self.sets.items() if kind == "flag"],
        )()

    def guard(self) -> str:
        """A test about whether something is there."""
        path = self.pick(*self.nullable())
        return self.pick(f"{path} is not none", f"{path} is not none", f"{path} is none", path, f"not {path}")

    def nullable(self) -> list[str]:
        found = ["m", "g", "e", "u", "q", "c", "off", "till", "row.m", "row.u", "row.g", "maybe", "maybe"]
        found += ["stop", "h", "row.spot", "row.spot.u", "row.doc"]
        found += [f"{row}.{name}" for row in self.rows if row not in ("row", "maybe") for name in ("m", "u", "spot.n")]
        return found + [name for name, kind in self.sets.items() if kind != "loop"]

    # --- statements ---

    def body(self, depth: int, count: int) -> str:
        kept = dict(self.sets)
        text = "".join(self.statement(depth) for _ in range(count))
        self.sets = kept
        return text

    def statement(self, depth: int) -> str:
        return self.rng.choice(
            [self.print_, self.print_, self.if_, self.if_, self.for_, self.set_, self.words, self.lines]
        )(depth)

    def words(self, depth: int) -> str:
        return self.pick("x ", "\n", "  é 🚢\n", "{# a {{ comment }} #}", "{% raw %}{{ t }}{% endraw %}", "- ")

    def lines(self, depth: int) -> str:
        return "\n" if self.rng.random() < 0.5 else ""

    def print_(self, depth: int) -> str:
        left, right = self.pick(("{{", "}}"), ("{{", "}}"), ("{{-", "}}"), ("{{", "-}}"))
        return f"{left} {self.printable(2)} {right}"

    def if_(self, depth: int) -> str:
        if depth == 0:
            return self.print_(0)
        guards = [self.pick(*self.nullable()) for _ in range(self.rng.choice((1, 1, 2)))]
        shape = self.rng.random()
        joined = " and ".join(f"{path} is not none" if self.rng.random() < 0.7 else path for path in guards)
        if shape < 0.6:
            test = joined
        elif shape < 0.7:
            test = " or ".join(f"{path} is not none" for path in guards)
        elif shape < 0.8:
            test = f"not ({' or '.join(f'{path} is none' for path in guards)})"
        else:
            test, guards = self.test(), []
        likely, rows = self.likely, self.rows
        self.rows = [*rows, "maybe"] if "maybe" in guards or self.rng.random() < 0.03 else rows
        paths = [path if path != "maybe" else f"maybe.{self.pick('n', 't', 'u')}" for path in guards]
        self.likely = [*likely, *paths]
        body = self.body(depth - 1, self.rng.randint(1, 2))
        self.likely, self.rows = likely, rows
        text = f"{{%{self.pick('', '', '-')} if {test} {self.pick('', '', '-')}%}}{body}"
        while self.rng.random() < 0.25:
            text += f"{{% elif {self.test(1)} %}}{self.body(depth - 1, 1)}"
        if self.rng.random() < 0.4:
            if shape < 0.15:
                self.likely = [*likely, *paths]
            text += f"{{% else %}}{self.body(depth - 1, 1)}"
            self.likely = likely
        return text + "{% endif %}"

    def for_(self, depth: int) -> str:
        if depth == 0:
            return self.print_(0)
        items, kind = self.list_(1)
        self.fresh += 1
        name = self.pick("x", "y", f"z{self.fresh}", "_it")
        rows, lists, sets, likely = self.rows, self.lists, self.sets, self.likely
        self.sets = {**sets, "loop": "loop"}
        test = ""
        if kind == "row":
            self.rows = [*rows, name, name, name]
            self.lists = [*lists, f"{name}.items"]
            if self.rng.random() < 0.4:
                path = f"{name}.{self.pick('m', 'u', 'e', 'till')}"
                test = f" if {path} is not none"
                self.likely = [*likely, path, path]
        elif kind == "wholes":
            self.fresh += 1
            inner = f"{{% for v{self.fresh} in {name} %}}{{{{ v{self.fresh} + {self.whole(1)} }}}},{{% endfor %}}"
            self.rows, self.lists, self.sets, self.likely = rows, lists, sets, likely
            inner += f"{{{{ {name} | {self.pick('length', 'sum', 'listing')} }}}};"
            return f"{{% for {name} in {items} %}}{inner}{{% endfor %}}"
        elif kind in ("whole", "text", "moment", "flag"):
            self.sets[name] = kind
            if self.rng.random() < 0.2:
                test = f" if {self.test(0)}"
        elif self.rng.random() < 0.7:
            test = f" if {name} is not none"
            self.sets[name] = "whole" if kind == "gap" else "text"
        body = self.body(depth - 1, self.rng.randint(1, 2))
        self.rows, self.lists, self.sets, self.likely = rows, lists, sets, likely
        other = f"{{% else %}}{self.body(depth - 1, 1)}" if self.rng.random() < 0.3 else ""
        left, right = self.pick(("", ""), ("", ""), ("-", ""), ("", "-"))
        return f"{{%{left} for {name} in {items}{test} %}}{body}{other}{{% endfor {right}%}}"

    def set_(self, depth: int) -> str:
        kind = self.pick("text", "whole", "whole", "text", "maybe", "moment", "flag")
        made = [name for name, known in self.sets.items() if known == kind]
        self.fresh += 1
        name = self.rng.choice(made) if made and self.rng.random() < 0.4 else self.pick(f"s{self.fresh}", "w", "_v")
        if kind == "maybe":
            value = self.pick(*self.nullable(), "none", "rows | first | default(none)", "texts | last", "m")
            self.sets.pop(name, None)
            return f"{{% set {name} = {value} %}}"
        makers = {"text": self.text, "whole": self.whole, "moment": lambda _: self.moment(), "flag": self.test}
        value = makers[kind](2)
        text = f"{{% set {name} = {value} %}}"
        self.sets[name] = kind
        return text


def parse(text: str, partials: Mapping[str, str], locale: str) -> tuple[Template, CheckedTemplate] | None:
    """The template and what the checker found; None where it refuses."""
    try:
        template = parse_template(text, "t.jinja", "d/t.jinja")
        parsed = {name: parse_template(part, name, f"d/{name}") for name, part in partials.items()}
        return template, check_template(template, SCOPE, parsed.get, locale=locale)
    except DefinitionErrors:
        return None


def accepted(seed: int, tries: int = 12) -> tuple[str, dict[str, str], CheckedTemplate]:
    """Return the longest template of a seed that the checker accepts, with its partials.

    About every second one is accepted; where not one of many is, the checker refuses what it should not.
    """
    rng = random.Random(seed)
    locale = rng.choice(LANGUAGES)
    best: tuple[str, dict[str, str], CheckedTemplate] | None = None
    for attempt in range(10 * tries):
        if best is not None and (attempt >= tries or len(best[0]) > 150):
            return best
        maker = Maker(rng, locale=locale)
        partials = {"p.jinja": Maker(rng, locale=locale).body(1, 1)} if rng.random() < 0.2 else {}
        if partials and rng.random() < 0.3:
            partials["q.jinja"] = Maker(rng, locale=locale).body(1, 1)
            partials["p.jinja"] += rng.choice(
                ['{% include "q.jinja" %}', "{% if b %}{% include 'q.jinja' %}{% endif %}"]
            )
        text = maker.body(rng.randint(1, 3), rng.randint(1, 4))
        if partials:
            text += (
                rng.choice(["", "{% for x in rows %}{% include 'p.jinja' %}{% endfor %}"]) + '{% include "p.jinja" %}'
            )
        found = parse(text, partials, locale)
        if found is not None and (best is None or len(text) > len(best[0])):
            best = text, partials, found[1]
    raise AssertionError(f"the checker accepts none of {10 * tries} templates of the seed {seed}")


def rendered(checked: CheckedTemplate, names: Mapping[str, Any]) -> str | NotInLanguage:
    """Return the interpreter's text, or why the record drops."""
    try:
        return Interpreter(checked.tree, b"key").render("case-1", as_value(dict(names)))
    except NotInLanguage as drop:
        if any(words in str(drop) for words in DROPS):
            return drop
        raise


# --- the same values as columns ---


def arrow_type(type_: Type) -> pa.DataType:
    match type_:
        case Text() | Time() | Json():
            return pa.string()
        case Integer():
            return pa.int64()
        case Float():
            return pa.float64()
        case Decimal(precision=precision, scale=scale):
            return pa.decimal128(precision, scale)
        case Boolean():
            return pa.bool_()
        case Date():
            return pa.date32()
        case Timestamp():
            return pa.timestamp("us")
        case Array(item=item):
            return pa.list_(arrow_type(item.type))
        case Struct(fields=fields):
            found = [(name, place) for name, place in fields.items() if isinstance(place, Field)]
            return pa.struct([(name, arrow_type(place.type)) for name, place in found])
        case _:
            raise AssertionError(type_)


def table_of(rows: list[dict[str, Any]], scope: Scope = SCOPE) -> pa.Table:
    places = [(name, place) for name, place in scope.items() if isinstance(place, Field)]
    schema = pa.schema([(name, arrow_type(place.type)) for name, place in places])
    return pa.Table.from_pylist(rows, schema=schema)
