"""The output of `explain` on a small mesh in which every rule of a link holds once and nearly holds once."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from storymesh.cli.output.explanation import show_case, show_drops, show_explanation
from storymesh.dataset.build import Build
from storymesh.errors import WrongUsage
from storymesh.provenance.explain import dropped_cases, explain_case, explain_narrative
from tests.support.small_build import build_of
from tests.support.small_mesh import Product

NARRATIVE = """\
apiVersion: storymesh/v1
kind: Narrative
id: late-ships
version: 1.0.0
title: Late ships
owner: lab
license: cc-by-4.0
cast: {delay: mesh.delays@1, ship: mesh.ships@1, storm: mesh.storms@1, call: mesh.calls@1, price: mesh.prices@1}
case:
  anchor: delay
  at: delay.at
  links:
    ship:  {on: {id: delay.ship}, expect: one}
    storm: {on: {sea: delay.sea}, overlaps: {slack: 1d}, expect: any}
    call:  {on: {ship: ship.id}, within: {after: -2d, before: 3d}, expect: any}
    price: {as_of: {}, expect: optional}
records:
  report: {format: text, text: report.jinja}
dataset:
  split: {validation: 2024-03-11, test: 2024-06-01, together: [delay.sea]}
"""
DELAYS = Product(
    "delays",
    {"ship": "string", "leg": "string", "at": "timestamp", "sea": "string"},
    ("ship", "leg"),
    "at",
    required=("at",),
)
SHIPS = Product("ships", {"id": "string", "name": "string"}, timeless=True, restricted=("name",))
STORMS = Product(
    "storms", {"id": "string", "sea": "string", "began": "timestamp", "ended": "timestamp"}, event="began", end="ended"
)
COUNTS = {"crew": "crew_told", "boxes": "boxes_told", "pets": "pets_told"}
CALLS = Product(
    "calls",
    {"id": "string", "ship": "string", "called": "timestamp"}
    | {column: kind for name, told in COUNTS.items() for column, kind in ((name, "integer"), (told, "timestamp"))},
    event="called",
    known_of=COUNTS,
)
PRICES = Product("prices", {"id": "string", "day": "date"}, event="day")
AT = datetime(2024, 3, 10, 12)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
ROWS: dict[str, list[dict[str, Any]]] = {
    "delay": [
        {"ship": "s/1", "leg": "a", "at": AT, "sea": "red"},
        {"ship": "s2", "leg": "b", "at": AT + DAY, "sea": None},
        {"ship": "gone", "leg": "c", "at": AT + DAY, "sea": "red"},
    ],
    "ship": [{"id": "s/1", "name": "Ever [bold]"}, {"id": "s2", "name": "Two"}],
    "storm": [
        {"id": "past", "sea": "red", "began": AT - 9 * DAY, "ended": AT - 2 * DAY},
        {"id": "open", "sea": "red", "began": AT - 3 * DAY - 2 * HOUR, "ended": None},
        {"id": "soon", "sea": "red", "began": AT + 12 * HOUR, "ended": AT + DAY},
        {"id": "blue", "sea": "blue", "began": AT, "ended": None},
    ],
    "call": [
        {"id": "c1", "ship": "s/1", "called": AT - HOUR, "crew": 12, "crew_told": AT + 2 * HOUR,
         "boxes": 40, "boxes_told": AT, "pets": 2},
        {"id": "c2", "ship": "s/1", "called": AT + DAY, "crew": 5, "crew_told": AT + 2 * DAY},
        {"id": "c3", "ship": "s/1", "called": AT + 4 * DAY},
        {"id": "c4", "ship": "s/1", "called": None},
    ],
    "price": [{"id": "p1", "day": datetime(2024, 3, 9).date()}, {"id": "p2", "day": datetime(2024, 3, 10).date()}],
}  # fmt: skip


REPORT = """\
{{ case.id }} {{ ship.name | pseudonym if ship.name is not none else "no ship" }}
{% for c in call %}{{ c.crew | default(0) }} {{ c.boxes | default(0) }} {{ c.pets | default(0) }} {% endfor %}
"""
PRODUCTS = {"delay": DELAYS, "ship": SHIPS, "storm": STORMS, "call": CALLS, "price": PRICES}


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return build_of(tmp_path, NARRATIVE, REPORT, PRODUCTS, ROWS)


Printed = Callable[[], str]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Printed:
    """Return a function that returns what was printed, without blanks at the ends of lines; no line may be long."""
    monkeypatch.setenv("CI", "1")

    def read() -> str:
        lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
        assert max(map(len, lines)) <= 100
        return "\n".join(lines) + "\n"

    return read


PLAN = """\
late-ships: one case for each row of delay, at delay.at
role   product      contract  snapshot      rows
delay  mesh.delays  1.0.0     delayvvvvvvv     3
ship   mesh.ships   1.0.0     shipvvvvvvvv     2
storm  mesh.storms  1.0.0     stormvvvvvvv     4
call   mesh.calls   1.0.0     callvvvvvvvv     4
price  mesh.prices  1.0.0     pricevvvvvvv     2

link   rule                                           expect    a question sees      none  one  many
ship   id = delay.ship                                one       all                     1    2     0
storm  sea = delay.sea, began to ended holds          any       those known by then     1    0     2
       case.at, 1d of slack
call   ship = ship.id, called from -2d to +3d around  any       those known by then     2    0     1
       case.at
price  the latest day up to case.at                   optional  all                     0    3     0

"""
END = """\

status: closed 3
split: train 1, validation 1
dropped: ship: none 1
3 cases in all
"""
CASE = """\
case s~11/a, at 2024-03-10 12:00:00
status: closed
split: train
ship (mesh.ships), expect one
└── ✓ s/1
    ├── id = s/1 of delay.ship
    └── in the question
storm (mesh.storms), expect any
├── ✓ open
│   ├── sea = red of delay.sea
│   ├── began is 3 d 2 h before case.at and ended is open, which holds case.at with 1d of slack
│   └── in the question
├── ✓ soon
│   ├── sea = red of delay.sea
│   ├── began is 12 h after case.at and ended is 1 d after case.at, which holds case.at with 1d of
│   │   slack
│   └── not in the question: known 12 h after case.at
└── ✗ past
    ├── sea = red of delay.sea
    └── began is 9 d before case.at and ended is 2 d before case.at, which does not hold case.at
        with 1d of slack
call (mesh.calls), expect any
├── ✓ c1
│   ├── ship = s/1 of ship.id
│   ├── called is 1 h before case.at, within -2d to +3d
│   └── in the question
├── ✓ c2
│   ├── ship = s/1 of ship.id
│   ├── called is 1 d after case.at, within -2d to +3d
│   └── not in the question: known 1 d after case.at
└── ✗ c3
    ├── ship = s/1 of ship.id
    └── called is 4 d after case.at, not within -2d to +3d
price (mesh.prices), expect optional
├── ✓ p2
│   ├── day is 12 h before case.at, the latest up to case.at
│   └── in the question
└── ✗ p1
    └── day is 1 d 12 h before case.at, but a later row comes before case.at
"""


def test_a_plan_shows_counts_of_every_link_and_step(build: Build, printed: Printed) -> None:
    show_explanation(explain_narrative(build))
    words = printed()
    assert words.startswith(PLAN)
    assert words.endswith(END)
    steps = words.removeprefix(PLAN).removesuffix(END)
    for link in ("ship", "storm", "call", "price"):
        assert re.search(rf"^{link} +join to the cases +3 +3 +\d+\.\d$", steps, re.MULTILINE), steps
        assert re.search(rf"^{link} +read mesh\.{link}s \(", steps, re.MULTILINE), steps
    joined = re.search(r"^storm +join on storm\.sea = delay\.sea and .* (\d+) +(\d+) +\d+\.\d$", steps, re.MULTILINE)
    assert joined is not None, steps
    assert joined[2] == "4", "of three storms of the Red Sea for each of two cases those that were on"


def test_a_case_shows_linked_and_nearly_linked_rows_with_reasons(build: Build, printed: Printed) -> None:
    show_case(explain_case(build, "s~11/a"))
    words, _, values = printed().partition("values\n")
    assert words == CASE
    assert "storm: 2" in values
    counts = re.findall(r"(?:crew|boxes|pets): \d.*", values)
    assert counts == [
        "boxes: 40",
        "crew: 12, not in the question: known 2 h after case.at",
        "pets: 2, not in the question: no question ever knows it",
        "crew: 5",  # of a row that the question does not see at all, as stands above its values
    ]
    assert "name: (restricted)" in values
    assert "Ever" not in values
    show_case(explain_case(build, "gone/c"))
    words = printed()
    assert "dropped: ship: none" in words
    assert "└── no row has id = gone" in words
    assert "└── there is no value of ship to look for" in words
    with pytest.raises(WrongUsage, match="has no case s/1/a"):
        explain_case(build, "s/1/a")


def test_drops_are_listed_with_their_reasons(build: Build, printed: Printed) -> None:
    show_drops(dropped_cases(build, 5))
    assert printed() == "case    why\ngone/c  ship: none\n"


def test_a_case_without_a_split_shows_the_reason(tmp_path: Path, printed: Printed) -> None:
    again = {**ROWS["delay"][0], "leg": "z", "at": AT + DAY}
    build = build_of(tmp_path, NARRATIVE, REPORT, PRODUCTS, {**ROWS, "delay": [*ROWS["delay"], again]})
    show_case(explain_case(build, "s~11/a"))
    assert "\ndropped: straddles\n" in printed()
