"""How likely each action is to work for a delay, and how the desk chooses among them: two worlds.

In the *steady* world, which is that of the reference mesh, odds hang on waterway and cargo and never change. In the
*changing* one they hang on the cause of the delay and the severity of the disruption as well, and drift with time;
and the desk chooses by what it is used to, by the odds of a year ago, and takes dear actions where the delay is long,
which lowers the odds of any action. So rates of the past mislead whoever only counts them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from generator import world

Ints = NDArray[np.int64]
Columns = Mapping[str, NDArray]
YEAR = 365 * 24 * 60


@dataclass(frozen=True)
class Drift:
    """An action that comes to work more or less often at a waterway, by so many points, evenly between two days."""

    waterway: str
    action: str
    first_day: str
    last_day: str
    points: int


@dataclass(frozen=True)
class World:
    """What beside waterway and cargo moves the odds, in points of a hundred, and what moves the desk.

    `cargo`: tenths of what the cargo adds. `for_cause`: by cause, in the order of ALL_CAUSES. `severity`: tenths of
    it that hold in a disruption so severe. `for_hours`: (from so many expected hours on, points for every action).
    `habits`: weights of the desk by waterway. `dear_when_long`: (from so many expected hours on, their factors).
    """

    least: int
    most: int
    cargo: int
    for_cause: Sequence[Sequence[int]]
    severity: Mapping[str, int]
    drifts: Sequence[Drift]
    for_hours: Sequence[tuple[int, int]]
    habits: Mapping[str, Sequence[int]]
    dear_when_long: Sequence[tuple[int, Sequence[int]]]
    looks_back: int  # minutes


_NOTHING = (0,) * len(world.ACTIONS)

STEADY = World(
    least=12,
    most=88,
    cargo=10,
    for_cause=[_NOTHING for _ in world.ALL_CAUSES],
    severity=dict.fromkeys(("minor", "moderate", "major", "severe"), 10),
    drifts=(),
    for_hours=(),
    habits=dict.fromkeys(world.WATERWAYS, world.HABIT),
    dear_when_long=(),
    looks_back=0,
)

_FOR_CAUSE = {
    #                                WAIT CAPE TRAN  AIR RAIL PRIO SPLIT
    "storymesh:waterway-blocked":   (-10,  24,   2,  -6,  10, -44,  -4),
    "storymesh:draught-limit":      ( -6,   2,   8, -16,  -8, -34,  46),
    "storymesh:transit-limit":      (-12,   4, -18, -12,  26,   4,  -4),
    "storymesh:security-diversion": (-14,  20, -26,  -6, -22, -40,  -8),
    "storymesh:weather":            ( 56, -14, -16, -34, -12, -22,  -4),
    "storymesh:paperwork-check":    ( 10, -26, -30, -24, -26,  22, -12),
    "storymesh:queue":              ( -4, -12,  -4,  -8,  -4,  28,  -2),
    "storymesh:pilot-or-tug":       ( 44, -18,  -6, -26, -14, -16,  10),
    "storymesh:engine-trouble":     (-20, -30,  40,  -2, -10, -30,   6),
}  # fmt: skip

CHANGING = World(
    least=4,
    most=94,
    cargo=13,
    for_cause=[_FOR_CAUSE[cause.name] for cause in world.ALL_CAUSES],
    severity={"minor": 4, "moderate": 7, "major": 10, "severe": 13},
    drifts=(
        Drift("suez", "AIR_FREIGHT", "2021-06-01", "2022-12-01", -30),
        Drift("suez", "RAIL_BRIDGE", "2022-02-20", "2022-06-01", -26),
        Drift("suez", "PRIORITY_SLOT", "2022-01-01", "2023-06-01", 28),
        Drift("panama", "PRIORITY_SLOT", "2022-06-01", "2023-06-01", -44),
        Drift("panama", "TRANSSHIP", "2022-01-01", "2023-06-01", 24),
        Drift("bab_el_mandeb", "REROUTE_CAPE", "2023-06-01", "2023-12-01", -14),
        Drift("rhine", "SPLIT_SHIPMENT", "2022-09-01", "2023-06-01", -30),
        Drift("rhine", "TRANSSHIP", "2021-09-01", "2023-03-01", 24),
        Drift("bosporus", "PRIORITY_SLOT", "2022-02-24", "2022-09-01", -40),
        Drift("bosporus", "TRANSSHIP", "2022-09-01", "2023-06-01", 10),
        Drift("baltimore_channel", "RAIL_BRIDGE", "2022-01-01", "2023-06-01", 20),
    ),
    for_hours=((0, 6), (48, 0), (96, -6), (168, -14)),
    habits={
        #                     WAIT CAPE TRAN  AIR RAIL PRIO SPLIT
        "suez":              (26,   24,  10,  14,  10,  10,   6),
        "panama":            (24,    6,  12,  10,  12,  28,   8),
        "bab_el_mandeb":     (22,   20,  16,  10,  12,  12,   8),
        "rhine":             (24,    0,  10,   8,  30,   0,  14),
        "bosporus":          (30,    0,  14,   8,  10,  22,   8),
        "baltimore_channel": (26,    0,  24,   8,  20,   0,  12),
    },
    dear_when_long=((0, (3, 1, 1, 1, 1, 1, 1)), (48, (1, 1, 1, 1, 1, 1, 1)), (120, (1, 2, 1, 3, 1, 3, 1))),
    looks_back=YEAR,
)  # fmt: skip

WORLDS = {"steady": STEADY, "changing": CHANGING}


def percent_worked(chosen: World, delays: Columns, cargo: Ints, scale: Ints, at: Ints | None = None) -> Ints:
    """Return how often each action truly works for each delay, in percent: a row a delay, a column an action; 0 where
    nobody would choose it. `scale`: tenths of the effect of the cause; `at`: the odds of other moments."""
    base = np.array([world.PERCENT_WORKED[name] for name in world.WATERWAYS])[delays["waterway"]]
    percent = base + np.array([world.PERCENT_FOR_CARGO[name] for name in world.CARGO])[cargo] * chosen.cargo // 10
    percent = percent + np.array(chosen.for_cause)[delays["cause"]] * scale[:, None] // 10
    percent = percent + _drifted(chosen.drifts, delays["waterway"], delays["detected_at"] if at is None else at)
    percent = percent + _of_hours(chosen.for_hours, delays["expected_hours"], 0)[:, None]
    return np.where(base == 0, 0, np.clip(percent, chosen.least, chosen.most))


def desk_weights(chosen: World, delays: Columns, cargo: Ints, scale: Ints) -> Ints:
    """Return how often the desk reaches for each action, as weights: by habit, and by the odds that it knows."""
    believed = percent_worked(chosen, delays, cargo, scale, delays["detected_at"] - chosen.looks_back)
    habit = np.array([chosen.habits[name] for name in world.WATERWAYS])[delays["waterway"]]
    dear = _of_hours(chosen.dear_when_long, delays["expected_hours"], (1,) * len(world.ACTIONS))
    return np.where(believed == 0, 0, habit * dear * (40 + believed))


def _drifted(drifts: Sequence[Drift], waterway: Ints, at: Ints) -> Ints:
    points = np.zeros((len(at), len(world.ACTIONS)), dtype=np.int64)
    for drift in drifts:
        first, last = (_minutes(day) for day in (drift.first_day, drift.last_day))
        passed = np.clip(at - first, 0, last - first)
        held = waterway == world.WATERWAYS.index(drift.waterway)
        points[:, world.ACTIONS.index(drift.action)] += held * drift.points * passed // (last - first)
    return points


def _of_hours(bands: Sequence[tuple[int, object]], hours: Ints, none: object) -> Ints:
    """Return for each delay what is named for its expected hours."""
    values = np.array([none, *(value for _, value in bands)], dtype=np.int64)
    return values[np.searchsorted([least for least, _ in bands], hours, side="right")]


def _minutes(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) // 60
