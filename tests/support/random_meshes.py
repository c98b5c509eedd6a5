"""Random small meshes: many cases in each, few values, so that keys meet, times tie and bounds are hit exactly."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.support.oracle import Formula, Meaning, Row
from tests.support.small_mesh import Product, SmallMesh

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
_QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much]
PROFILE = settings(max_examples=1_500 if DEEP else 7, deadline=None, suppress_health_check=_QUIET)
FEW = settings(PROFILE, max_examples=100 if DEEP else 2)

FIRST = datetime(2024, 2, 27)  # a leap day lies in the days that follow
DAYS = 7
MOMENTS = [
    FIRST + timedelta(days=day) + offset
    for day in range(DAYS)
    for offset in (
        timedelta(0),
        timedelta(0),
        timedelta(hours=12),
        timedelta(microseconds=1),
        timedelta(microseconds=-1),
    )
]
LENGTHS = ["-2d", "-1d", "-12h", "0d", "12h", "1d", "2d"]
SINCE = st.sampled_from([{}, {"since": "1d"}, {"since": "2d"}, {"since": "5d"}])
SLACKS = ["0d", "0d", "12h", "1d"]
EXPECT = ["one", "optional", "some", "any"]
ACTIONS = ["reroute", "wait", "Expedite", "ä", ""]


@dataclass(frozen=True)
class Problem:
    mesh: SmallMesh
    meaning: Meaning
    ranks: Mapping[str, int | None]
    periods: Mapping[str, int]


@st.composite
def problems(draw: st.DrawFn, anchors: int = 14, rows: int = 9) -> Problem:
    anchor = _anchor(draw)
    cast = {"a": anchor}
    links: dict[str, Any] = {}
    products = {"a": anchor}
    for index in range(draw(st.integers(1, 3))):
        role = f"r{index}"
        same = draw(st.integers(0, 7)) == 0
        cast[role] = anchor if same else _product(draw, f"p{index}", cast)
        products[cast[role].name] = cast[role]
        links[role] = _link(draw, role, cast, links)
    case: dict[str, Any] = {"anchor": "a", "at": "a.began", "links": links}
    if draw(st.integers(0, 3)):
        case["closes"] = "a.over"
    meaning = _meaning(draw, cast, links, case)
    random = Random(draw(st.integers(0, 2**32)))
    sizes = {name: random.randint(1, anchors) if name == "a" else random.randint(0, rows) for name in products}
    tables = {name: _rows(random, product, sizes[name]) for name, product in products.items()}
    mesh = SmallMesh(cast, case, tables)
    cut = random.choice(MOMENTS)
    periods = {anchor.text_of(row): int(_moment(row["began"]) >= cut) for row in tables["a"]}
    return Problem(mesh, meaning, _some_dropped(random, periods), periods)


def _some_dropped(random: Random, periods: Mapping[str, int]) -> dict[str, int | None]:
    """The rank of each case's split, null for the few that fall to an embargo or the like."""
    return {name: None if random.random() < 0.2 else period for name, period in periods.items()}


def _moment(value: date) -> datetime:
    return value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)


def _time(draw: st.DrawFn) -> str:
    return draw(st.sampled_from(["timestamp", "timestamp", "date"]))


def _anchor(draw: st.DrawFn) -> Product:
    key = draw(st.sampled_from([("id",), ("id",), ("part", "id")]))
    columns = {
        "id": "string",
        "part": "integer",
        "began": _time(draw),
        "over": _time(draw),
        "told": "timestamp",
        "k": "string",
        "n": "integer",
        "day": _time(draw),
        "act": "string",
        "x": draw(st.sampled_from(["integer", "decimal(9,2)", "number"])),
        "good": "boolean",
    }
    event = draw(st.sampled_from(["began", "began", "began", "told", None]))
    end = draw(st.sampled_from(["over", None])) if event == "began" else None
    known_of = {
        column: draw(st.sampled_from(["over", "told"]))
        for column in ("act", "x", "good", "k")
        if draw(st.integers(0, 3)) == 0
    }
    known_of = {column: by for column, by in known_of.items() if not (column == "k" and by == "over")}
    timeless = event is None and draw(st.booleans())
    return Product("a", columns, key, event, end, timeless, None, known_of, required=("began",))


def _product(draw: st.DrawFn, name: str, cast: Mapping[str, Product]) -> Product:
    columns = {
        "id": "string",
        "part": "integer",
        "start": _time(draw),
        "stop": _time(draw),
        "told": "timestamp",
        "k": "string",
        "n": "integer",
        "day": _time(draw),
        "u": "string",
        "act": "string",
        "x": draw(st.sampled_from(["integer", "decimal(9,2)", "number"])),
        "good": "boolean",
    }
    key = draw(st.sampled_from([("id",), ("id",), ("part", "id")]))
    kind = draw(st.sampled_from(["event", "event", "interval", "interval", "timeless", "hindsight"]))
    event = "start" if kind in ("event", "interval") else None
    end = "stop" if kind == "interval" else None
    known = "told" if draw(st.integers(0, 5)) == 0 else None
    known_of = {column: "told" for column in ("act", "x", "good", "k", "stop", "start") if draw(st.integers(0, 6)) == 0}
    refers: list[Any] = []
    if draw(st.integers(0, 3)) == 0:
        refers.append((("k",), draw(st.sampled_from(sorted({item.name for item in cast.values()}))), ("k",)))
    return Product(
        name, columns, key, event, end, kind == "timeless", known, known_of, unique=("u",), refers=tuple(refers)
    )


def _link(draw: st.DrawFn, role: str, cast: Mapping[str, Product], links: Mapping[str, Any]) -> dict[str, Any]:
    product = cast[role]
    others = [item for item in cast if item != role]
    link: dict[str, Any] = {"expect": draw(st.sampled_from(EXPECT))}
    rules = [None, None]
    if product.event:
        rules += ["within", "within", "as_of", "as_of"]
    if product.end:
        rules += ["overlaps", "overlaps", "overlaps"]
    rule = draw(st.sampled_from(rules))
    if rule == "within":
        after, before = sorted(draw(st.lists(st.sampled_from(range(7)), min_size=2, max_size=2)))
        link["within"] = {"after": LENGTHS[after], "before": LENGTHS[before]}
    elif rule == "overlaps":
        slack = draw(st.sampled_from(SLACKS))
        link["overlaps"] = {} if slack == "0d" and draw(st.booleans()) else {"slack": slack}
    elif rule == "as_of":
        link["as_of"] = {}
    related = any(to == cast["a"].name for _, to, _ in product.refers)
    if (related and draw(st.booleans())) or (rule and draw(st.integers(0, 5)) == 0):
        return link  # joined by the relationship, or by time alone
    ways = [
        {"k": "k"},
        {"k": "k"},
        {"n": "n"},
        {"k": "k", "n": "n"},
        {"day": "day"},
        {"id": "k"},
        {"u": "k"},
        {"day": "over"},
    ]
    on = {}
    for column, theirs in draw(st.sampled_from(ways)).items():
        other = draw(st.sampled_from(others))
        if theirs == "over" and other != "a":
            theirs = "day"
        if column not in product.columns:
            column = "k"
        on[column] = f"{other}.{theirs}"
    refers = product.name == "a" or any(to == "a" for _, to, _ in product.refers)
    if refers or not (link.keys() & {"within", "overlaps", "as_of"}) or draw(st.integers(0, 2)):
        link["on"] = on
    return link


def _of(role: str, column: str) -> Formula:
    return Formula(f"{role}.{column}", lambda names: (names[role] or {}).get(column), ((role, column),))


def _last(role: str, column: str) -> tuple[Formula, Formula]:
    def last(names: Mapping[str, Any]) -> Any:
        return names[role][-1] if names[role] else None

    step = Formula(f"{role} | last", last, ((role, None),), role)
    return step, Formula(f"step.{column}", lambda names: (names["step"] or {}).get(column), ((role, column),))


def _meaning(draw: st.DrawFn, cast: Mapping[str, Product], links: Mapping[str, Any], case: dict[str, Any]) -> Meaning:
    facts: dict[str, Formula] = {}
    lists = [role for role, link in links.items() if link["expect"] in ("some", "any")]
    singles = ["a", *(role for role in links if role not in lists)]
    facts["size"] = _of(draw(st.sampled_from(singles)), "n")
    if lists:
        role = draw(st.sampled_from(lists))
        facts["count"] = Formula(f"{role} | length", lambda names: len(names[role]), ((role, None),))
        facts["step"], acted = _last(role, "act")
    outcome: dict[str, Formula] = {}
    if "closes" in case:
        acting = [_of(single, "act") for single in singles] + ([acted, acted] if lists else [])
        scoring = [_of(single, "x") for single in singles]
        outcome["action"] = draw(st.sampled_from(acting))
        outcome["score"] = draw(st.sampled_from(scoring))
        place = outcome["score"].reads[0]
        over = Formula(
            f"{place[0]}.x >= 1",
            lambda names: None if (names[place[0]] or {}).get("x") is None else names[place[0]]["x"] >= 1,
            (place,),
        )
        outcome["worked"] = draw(st.sampled_from([over, over, _of("a", "good")]))
        case["outcome"] = {name: item.text for name, item in outcome.items()}
    match: list[list[Formula]] = []
    if outcome:
        values = [_of("a", "k"), _of("a", "n"), *(_of(role, "k") for role in singles[1:] if cast[role].event)]
        first = draw(st.lists(st.sampled_from(values), min_size=1, max_size=2))
        match = [first, first[:1]] if len(first) > 1 else [first]
        levels = [[item.text for item in level] for level in match]
        case["precedents"] = {"match": levels, "min": draw(st.integers(1, 3)), "quote": draw(st.integers(0, 3))}
        case["precedents"] |= draw(SINCE)
    case["facts"] = {name: fact.text for name, fact in facts.items()}
    return Meaning(facts, outcome, match)


def _rows(random: Random, product: Product, size: int) -> list[Row]:
    rows: list[Row] = []
    names = random.sample([f"{letter}{number}" for letter in ["a", "b/", "~1", "Ä"] for number in range(6)], size)
    for place, name in enumerate(names):
        row: Row = {}
        for column, kind in product.columns.items():
            row[column] = _value(random, column, kind)
        row["id"] = name
        row["part"] = random.randint(1, 11)
        if "u" in row:
            row["u"] = None if random.random() < 0.2 else f"{'xyzw'[place % 4]}{place // 4 or ''}"
        rows.append(row)
    return rows


def _value(random: Random, column: str, kind: str) -> Any:
    required = column == "began"
    if not required and random.random() < (0.35 if column in ("stop", "over") else 0.12):
        return None
    if kind in ("timestamp", "date"):
        later = timedelta(days=random.choice([0, 0, 1, 2])) if column in ("stop", "over", "told") else timedelta(0)
        moment = random.choice(MOMENTS) + later
        return moment.date() if kind == "date" else moment
    if column == "n":
        return random.randint(1, 2)
    if column == "x":
        number = random.randint(-3, 12)
        return {"integer": number, "decimal(9,2)": Decimal(number) / 4}.get(kind, number / 10)
    if kind == "boolean":
        return random.random() < 0.6
    if column == "act":
        return random.choice(ACTIONS)
    return random.choice("xxyz")


@st.composite
def memories(draw: st.DrawFn, anchors: int = 60) -> Problem:
    """Many closed cases of a fortnight with few keys, so that there is something to remember on every level."""
    kind = draw(st.sampled_from(["integer", "decimal(9,2)", "number"]))
    time = _time(draw)
    columns = {"id": "string", "began": time, "over": "timestamp", "told": "timestamp", "k": "string", "n": "integer"}
    columns |= {"act": "string", "x": kind, "good": "boolean"}
    late = draw(st.sampled_from([(), (), ("x",), ("act", "good")]))
    anchor = Product("a", columns, ("id",), "began", "over", known_of=dict.fromkeys(late, "told"), required=("began",))
    values = [_of("a", "k"), _of("a", "n")]
    match = draw(st.sampled_from([[values], [values, values[:1]], [values, values[1:], values[:1]], [values[1:]]]))
    outcome = {"action": _of("a", "act"), "score": _of("a", "x"), "worked": _of("a", "good")}
    definition = {"match": [[item.text for item in level] for level in match]}
    definition |= {"min": draw(st.integers(1, 6)), "quote": draw(st.integers(0, 4)), **draw(SINCE)}
    case = {"anchor": "a", "at": "a.began", "closes": "a.over", "links": {}, "precedents": definition}
    case |= {"outcome": {name: item.text for name, item in outcome.items()}, "facts": {"size": "a.n"}}
    random = Random(draw(st.integers(0, 2**32)))
    rows: list[Row] = []
    for place in random.sample(range(100), random.randint(1, anchors)):
        began = FIRST + timedelta(days=random.randrange(14), hours=random.choice([0, 0, 12]))
        over = began + timedelta(days=random.choice([0, 0, 1, 2]), hours=random.choice([0, 12]))
        number = random.randint(-40, 40)
        score = {"integer": number, "decimal(9,2)": Decimal(number) / 4}.get(kind, number / 10)
        row = {
            "id": f"c{place}",
            "began": began.date() if time == "date" else began,
            "over": over,
            "k": random.choice("xxy"),
        }
        row |= {"told": over + timedelta(days=random.choice([-1, 0, 1])), "n": random.choice([1, 1, 1, 2, None])}
        row |= {"act": random.choice(ACTIONS), "x": score, "good": random.choice([True, True, False, False, None])}
        rows.append(
            {column: row[column] if random.random() > 0.03 or column in ("id", "began") else None for column in columns}
        )
    cuts = sorted(FIRST + timedelta(days=random.randrange(14)) for _ in range(2))
    periods = {row["id"]: sum(cut <= _moment(row["began"]) for cut in cuts) for row in rows}
    meaning = Meaning({"size": _of("a", "n")}, outcome, match, frozenset({"size"}))
    mesh = SmallMesh({"a": anchor}, case, {"a": rows})
    return Problem(mesh, meaning, _some_dropped(random, periods), periods)
