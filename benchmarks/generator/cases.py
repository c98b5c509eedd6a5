"""Draws the truth, block by block: shipments, the delays they meet, what was done about them and how that went.

Times are whole minutes since 1970 in UTC (int64), -1 stands for "never". Only uniform numbers are drawn and only plain
arithmetic is done with them, so that one seed gives the same bytes on any machine.
"""

import csv
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from generator import world
from generator.odds import World, desk_weights, percent_worked

Ints = NDArray[np.int64]
NEVER = -1
HOUR = 60
DAY = 24 * HOUR


def minutes(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) // 60


FIRST_DAY = minutes("2021-01-10")
LAST_DETECTION = minutes("2024-12-20")
EXPORTED_AT = minutes("2025-01-15")
"""The day of the exports: nothing later is known, so that later arrivals are still open."""


@dataclass(frozen=True)
class Disruption:
    reference: str
    waterway: int
    cause: int
    start: int
    end: int
    severity: str
    weight: int


def read_disruptions(path: Path) -> list[Disruption]:
    """The canal desk's own register, each row with the weight that it has among the causes of delays."""
    weight_of = {"severe": 14, "major": 7, "moderate": 4, "minor": 1}
    kinds = list(world.CAUSE_OF_KIND)
    disruptions: dict[str, Disruption] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            waterway = row["waterway"].strip().lower().replace(" ", "_").replace("-", "_")
            start = minutes(row["from_local"], row["zone"])
            end = minutes(row["to_local"], row["zone"]) if row["to_local"] else LAST_DETECTION
            days = min(90, max(25 if row["severity"] == "severe" else 8, (end - start) // DAY))
            disruptions[row["ref"]] = Disruption(
                reference=row["ref"],
                waterway=world.WATERWAYS.index(waterway),
                cause=kinds.index(row["kind"].lower()),
                start=start,
                end=min(end + DAY // 2, LAST_DETECTION),
                severity=row["severity"],
                weight=weight_of[row["severity"]] * days,
            )
    return list(disruptions.values())


@dataclass(frozen=True)
class Block:
    """One block of the world. Columns are named for what they hold; `*_at` are minutes."""

    shipments: pa.Table
    delays: pa.Table
    steps: pa.Table


def draw_block(
    size: int, first_shipment: int, seed: tuple[int, int], disruptions: list[Disruption], chosen: World
) -> Block:
    """A block of `size` delays whose shipments are numbered from `first_shipment`, in the order of booking.

    One shipment in twenty-five is late twice, on its main leg and on the feeder; one in nine is never late.
    """
    rng = np.random.default_rng(seed)
    second_legs = size // 25
    first_legs = size - second_legs
    quiet = size // 8
    ships = first_legs + quiet

    delays = _draw_delays(rng, first_legs, disruptions)
    delays["shipment"] = np.arange(first_legs)
    delays["leg"] = np.ones(first_legs, dtype=np.int64)

    origin, destination = _lanes(rng, delays["waterway"])
    location = destination.copy()
    containers = 1 + _below(rng, ships, 24)
    cargo = _below(rng, ships, len(world.CARGO))

    early_enough = np.flatnonzero((delays["detected_at"] < minutes("2024-07-15")) & (delays["waterway"] < 3))
    followed = np.sort(rng.choice(early_enough, size=second_legs, replace=False)) if second_legs else early_enough[:0]
    follow = _follow(rng, delays, followed)
    feeder = np.array([world.FEEDERS.get(w, "") for w in world.WATERWAYS])
    location[followed] = feeder[follow["waterway"]]
    _, final = _lanes(rng, follow["waterway"])
    destination[followed] = final

    # Shipments that nothing happens to, with a planned arrival of their own.
    quiet_waterway = _pick(rng, quiet, tuple(world.BACKGROUND_SHARE[w] for w in world.WATERWAYS))
    quiet_origin, quiet_destination = _lanes(rng, quiet_waterway)
    quiet_planned = FIRST_DAY + _below(rng, quiet, LAST_DETECTION - FIRST_DAY)
    quiet_planned -= quiet_planned % HOUR

    booked = np.concatenate([delays["detected_at"], quiet_planned]) - (18 * DAY + _below(rng, ships, 26 * DAY))
    number = np.empty(ships, dtype=np.int64)
    number[np.argsort(booked, kind="stable")] = np.arange(first_shipment, first_shipment + ships)
    vessels = len(world.VESSEL_NAMES)
    value = (containers * (1_800_000 + _below(rng, ships, 9_000_000))).astype(np.int64)
    shipments = pa.table(
        {
            "number": number,
            "booked_at": booked,
            "carrier": _below(rng, ships, len(world.CARRIERS)),
            "consignee": _below(rng, ships, len(world.CONSIGNEES)),
            "cargo": cargo,
            "containers": containers,
            "value_cents": value,
            "origin": np.concatenate([origin, quiet_origin]),
            "destination": np.concatenate([destination, quiet_destination]),
            "vessel": _below(rng, ships, vessels),
            "quiet_planned_at": np.concatenate([np.full(first_legs, NEVER), quiet_planned]),
            "die": _below(rng, ships, 1_000_000),
        }
    )

    both = {name: np.concatenate([delays[name], follow[name]]) for name in delays}
    places = np.concatenate([location, final])
    tenths = np.array([*(chosen.severity[d.severity] for d in disruptions), 10])  # the last one: no disruption
    odds = {"cargo": cargo[both["shipment"]], "scale": tenths[both["disruption"]]}
    percent, weights = percent_worked(chosen, both, **odds), desk_weights(chosen, both, **odds)
    steps, outcome = _draw_steps(rng, both, containers[both["shipment"]], percent, weights)
    missing = (rng.random(size) < 0.035) | (outcome["arrived_at"] > EXPORTED_AT - 6 * HOUR)
    delay_table = pa.table(
        {
            **{name: both[name] for name in ("waterway", "disruption", "cause", "detected_at", "planned_at", "leg")},
            "number": number[both["shipment"]],
            "booked_at": booked[both["shipment"]],
            "expected_hours": both["expected_hours"],
            "location": places,
            "cargo": cargo[both["shipment"]],
            "arrived_at": np.where(missing, NEVER, outcome["arrived_at"]),
            "action": outcome["action"],
            "best_action": outcome["best_action"],
            "percent_taken": outcome["percent_taken"],
            "percent_best": outcome["percent_best"],
            "percent": pa.FixedSizeListArray.from_arrays(percent.ravel(), len(world.ACTIONS)),
            "minutes_if_worked": outcome["minutes_if_worked"],
            "minutes_if_failed": outcome["minutes_if_failed"],
            "die": _below(rng, size, 1_000_000),
        }
    )
    delay = steps.pop("delay")
    steps["number"] = number[both["shipment"]][delay]
    steps["leg"] = both["leg"][delay]
    kept = steps["decided_at"] < EXPORTED_AT
    return Block(shipments, delay_table, pa.table({name: column[kept] for name, column in steps.items()}))


def _draw_delays(rng: np.random.Generator, size: int, disruptions: list[Disruption]) -> dict[str, NDArray]:
    """Delays by cause: half around the disruptions, half spread over the years."""
    background = [world.BACKGROUND_SHARE[w] for w in world.WATERWAYS]
    total = sum(d.weight for d in disruptions)
    weights = [share * total * 1.1 / sum(background) for share in background] + [d.weight for d in disruptions]
    component = _pick(rng, size, tuple(weights))
    starts = np.array([FIRST_DAY] * len(background) + [d.start for d in disruptions])
    ends = np.array([LAST_DETECTION] * len(background) + [d.end for d in disruptions])
    waterway = np.array([*range(len(background)), *(d.waterway for d in disruptions)])[component]
    known_cause = np.array([NEVER] * len(background) + [d.cause for d in disruptions])[component]
    usual = len(world.CAUSE_OF_KIND) + _pick(rng, size, (48, 18, 20, 14))
    detected = starts[component] + _below(rng, size, 1_000_000) * (ends - starts)[component] // 1_000_000
    return _with_hours(
        rng,
        {
            "waterway": waterway,
            "disruption": np.where(known_cause == NEVER, NEVER, component - len(background)),
            "cause": np.where(known_cause == NEVER, usual, known_cause),
            "detected_at": detected,
        },
    )


def _follow(rng: np.random.Generator, delays: dict[str, NDArray], followed: Ints) -> dict[str, NDArray]:
    """A second delay for some shipments, on the feeder leg, long after the first one is over."""
    size = len(followed)
    feeders = [world.WATERWAYS.index(name) for name in world.FEEDERS]
    first_done = delays["planned_at"][followed] + delays["expected_hours"][followed] * HOUR * 2
    detected = np.maximum(first_done, delays["detected_at"][followed] + 40 * DAY) + _below(rng, size, 12 * DAY)
    follow = {
        "waterway": np.array(feeders, dtype=np.int64)[_below(rng, size, len(feeders))],
        "disruption": np.full(size, NEVER),
        "cause": len(world.CAUSE_OF_KIND) + _pick(rng, size, (48, 18, 20, 14)),
        "detected_at": detected,
    }
    return {**_with_hours(rng, follow), "shipment": followed, "leg": np.full(size, 2)}


def _with_hours(rng: np.random.Generator, delays: dict[str, NDArray]) -> dict[str, NDArray]:
    """Adds how many hours the desk expects to lose, and the planned arrival, two days to three weeks ahead."""
    size = len(delays["cause"])
    quartiles = np.array([cause.hours for cause in world.ALL_CAUSES])[delays["cause"]]
    draw = _below(rng, size, 4000)
    quarter, rest = draw // 1000, draw % 1000
    rows = np.arange(size)
    low, high = quartiles[rows, quarter], quartiles[rows, quarter + 1]
    planned = delays["detected_at"] + 2 * DAY + _below(rng, size, 19 * DAY)
    return {**delays, "expected_hours": low + (high - low) * rest // 1000, "planned_at": planned - planned % HOUR}


def _draw_steps(
    rng: np.random.Generator, delays: dict[str, NDArray], containers: Ints, percent: Ints, weights: Ints
) -> tuple[dict[str, NDArray], dict[str, NDArray]]:
    """What was decided for each delay, and how it ended; the last step decides the odds."""
    size = len(containers)

    many = _pick(rng, size, (12, 68, 15, 5))  # no step, one, two, three
    chosen = np.stack([_pick_rows(rng, weights) for _ in range(3)], axis=1)
    last = np.maximum(many - 1, 0)
    rows = np.arange(size)
    action = np.where(many == 0, NEVER, chosen[rows, last])
    taken = np.where(many == 0, percent[:, 0] // 2, percent[rows, np.maximum(action, 0)])

    expected = delays["expected_hours"] * 4  # quarters of an hour from here on
    worked = _below(rng, size, 100) < taken
    won, lost = np.minimum(expected, 96 + 480) - 96, expected // 2 + 80  # how far above a day, and below it
    recovered = np.where(
        worked, 96 + _below(rng, size, 1000) * won // 1000, 95 - _below(rng, size, 1000) * lost // 1000
    )
    arrived = delays["planned_at"] + (expected - recovered) * 15

    delay = np.repeat(rows, many)
    order = np.arange(len(delay)) - np.repeat(np.cumsum(many) - many, many)
    window = np.minimum(20 * DAY, arrived[delay] - delays["detected_at"][delay] - 12 * HOUR)
    share = (order * 1000 + _below(rng, len(delay), 1000)) * 1000 // (many[delay] * 1000)  # in order, never together
    pace = 150 + _below(rng, size, 700)
    decided = delays["detected_at"][delay] + HOUR // 2 + share * pace[delay] // 1000 * window // 1000
    step_action = chosen[delay, order]
    per_container = np.array(world.COST_PER_CONTAINER)[step_action] * (70 + _below(rng, len(delay), 60))
    cost = per_container * containers[delay] + np.array(world.COST_FIXED)[step_action] * 100
    settled = decided + 3 * DAY + _below(rng, len(delay), 57 * DAY)
    unsettled = (settled >= EXPORTED_AT) | (_below(rng, len(delay), 100) < 4)
    steps = {
        "delay": delay,
        "action": step_action,
        "decided_at": decided,
        "settled_at": np.where(unsettled, NEVER, settled),
        "cost_cents": cost,
        "decider": _below(rng, len(delay), len(world.DECIDERS)),
        "note": _pick(rng, len(delay), (10, 8, 9, 4, 9, 60)),
        "die": _below(rng, len(delay), 1_000_000),
    }
    best = np.argmax(percent, axis=1)
    outcome = {
        "arrived_at": arrived,
        "action": action,
        "best_action": best,
        "percent_taken": taken,
        "percent_best": percent[rows, best],
        # The mean of what is drawn above, in whole minutes.
        "minutes_if_worked": 96 * 15 + won * 15 // 2,
        "minutes_if_failed": 95 * 15 - lost * 15 // 2,
    }
    return steps, outcome


def _lanes(rng: np.random.Generator, waterway: Ints) -> tuple[NDArray, NDArray]:
    """Origins and destinations: for each waterway, one of the lanes that lead through it."""
    lanes = [lane for name in world.WATERWAYS for lane in world.LANES[name]]
    count = np.array([len(world.LANES[name]) for name in world.WATERWAYS])
    first = np.cumsum(count) - count
    lane = first[waterway] + _below(rng, len(waterway), 60) % count[waterway]
    ends = np.array(lanes)
    return ends[lane, 0], ends[lane, 1]


def _below(rng: np.random.Generator, size: int, bound: int) -> Ints:
    return rng.integers(0, bound, size=size, dtype=np.int64)


def _pick(rng: np.random.Generator, size: int, weights: tuple[float, ...]) -> Ints:
    edges = np.cumsum(np.array([round(weight * 100) for weight in weights]))
    return np.searchsorted(edges, _below(rng, size, int(edges[-1])), side="right")


def _pick_rows(rng: np.random.Generator, weights: Ints) -> Ints:
    """One column for each row, by that row's own weights."""
    edges = np.cumsum(weights, axis=1)
    draw = _below(rng, len(weights), 1_000_000) * edges[:, -1] // 1_000_000
    return (edges <= draw[:, None]).sum(axis=1)
