"""Which cases a question counts, over whole builds: every judged case that was over by then, told or not.

The expectation is plain Python over the rows of small random worlds, and knows nothing of the library.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from storymesh.dataset.build import Build
from storymesh.dataset.erasure_list import new_erasure_list, write_erasure_list
from storymesh.dataset.stages import write_cases_and_precedents, write_records
from storymesh.dataset.tables import cases_with_precedents
from storymesh.provenance.verification_sql import VerificationQueries
from storymesh.release.refusal import LeakRefused, ReleaseRefused
from storymesh.release.write import write_release
from tests.support.small_build import build_of
from tests.support.small_mesh import Product

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
PHASES = [phase for phase in Phase if DEEP or phase is not Phase.shrink]
NARRATIVE = """\
apiVersion: storymesh/v1
kind: Narrative
id: late-calls
version: 1.0.0
title: Late calls
owner: lab
license: cc-by-4.0
cast: {{call: mesh.calls@1, ship: mesh.ships@1, visit: mesh.visits@1}}
case:
  anchor: call
  at: call.at
  closes: call.over
  links:
    ship: {{on: {{ship: call.ship}}, expect: one}}
    visit: {{on: {{call: call.call}}, within: {{after: -1d, before: 3d}}, expect: {expect}}}
  outcome: {{action: call.act, score: call.gain, worked: call.gain > 0}}
  precedents: {{match: [[call.sea]], min: 1, quote: 2}}
records:
{records}
dataset:
  dedup: {dedup}
{split}
"""
RECORDS = {
    "advice": "  advice: {format: messages, user: report.jinja, assistant: report.jinja}",
    "story": "  story: {format: text, text: report.jinja}",
}
REPORT = (
    "{{ ship.ship }}: {{ precedents.tried }} before"
    "{% for option in precedents.options %}; {{ option.action }} {{ option.tried }}"
    "{% for quote in option.quoted %} {{ quote.id }}{% endfor %}{% endfor %}\n"
)
PRODUCTS = {
    "call": Product(
        "calls",
        {"call": "string", "ship": "string", "sea": "string", "at": "timestamp", "over": "timestamp"}
        | {"act": "string", "gain": "decimal(38,25)"},
        ("call",),
        "at",
        required=("at", "ship", "call"),
        known_of=dict.fromkeys(("act", "gain"), "over"),
    ),
    "ship": Product("ships", {"ship": "string", "flag": "string"}, ("ship",), timeless=True),
    "visit": Product("visits", {"id": "string", "call": "string", "began": "timestamp"}, event="began"),
}
GAIN = Decimal("249969928437093e-25")
"""A number that DuckDB's own cast takes for another float, as it does many times it."""
FIRST = datetime(2024, 3, 1)
DAY = timedelta(days=1)
SPLITS = ("train", "validation", "test")


@dataclass
class World:
    rows: Mapping[str, list[dict[str, Any]]]
    split: str  # the kind of it: none, time or random
    together: bool
    embargo: int
    records: tuple[str, ...]
    expect: str
    erased: str | None
    cuts: tuple[datetime, datetime] = field(default=(FIRST + 8 * DAY, FIRST + 12 * DAY))

    @property
    def narrative(self) -> str:
        together = ", together: [call.ship]" if self.together else ""
        first, second = (f"{cut:%Y-%m-%d}" for cut in self.cuts)
        split = {
            "none": "",
            "time": f"  split: {{validation: {first}, test: {second}, embargo: {self.embargo}d{together}}}",
            "random": f"  split: {{random: {{validation: 0.3, test: 0.3, seed: 5}}{together}}}",
        }[self.split]
        records = "\n".join(RECORDS[name] for name in self.records)
        return NARRATIVE.format(expect=self.expect, records=records, dedup="facts", split=split)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    random = Random(draw(st.integers(0, 2**32)))
    calls = [
        {"call": f"c{number:02d}", "ship": f"s{random.randrange(6)}", "sea": random.choice("nns")}
        | {"at": (at := FIRST + random.randrange(30) * DAY / 2)}
        | {"over": None if random.random() < 0.1 else at + random.choice([0, 1, 2, 6]) * DAY / 2}
        | {"act": random.choice(["tow", "wait", None]), "gain": random.choice([Decimal(0), GAIN])}
        for number in range(random.randint(12, 30))
    ]
    ships = [{"ship": f"s{number}", "flag": "NO"} for number in range(5)]  # s5 is missing: no case
    visits = [
        {"id": f"v{number}", "call": call["call"], "began": call["at"] + random.choice([-1, 1, 4]) * DAY / 2}
        for number, call in enumerate(random.sample(calls, len(calls) * 2 // 3))
    ]
    return World(
        {"call": calls, "ship": ships, "visit": visits},
        draw(st.sampled_from(["time", "time", "random", "none"])),
        draw(st.booleans()),
        draw(st.sampled_from([0, 1, 3])),
        draw(st.sampled_from([("advice",), ("story",), ("advice", "story")])),
        draw(st.sampled_from(["any", "some"])),
        calls[0]["call"] if draw(st.booleans()) else None,
    )


@dataclass
class Told:
    name: str
    at: datetime
    over: datetime | None
    judged: bool
    row: Mapping[str, Any]
    asked: bool  # the question's view takes it for a case
    told: bool  # a view that some record needs takes it for a case


def told_cases(world: World) -> Iterator[Told]:
    ships = {row["ship"] for row in world.rows["ship"]}
    visited = {row["call"] for row in world.rows["visit"]}
    for row in world.rows["call"]:
        asked = row["ship"] in ships and row["call"] != world.erased
        later = asked and (world.expect == "any" or row["call"] in visited)
        told = any(later if name == "story" else asked for name in world.records)
        judged = row["over"] is not None and row["act"] is not None
        yield Told(row["call"], row["at"], row["over"], judged, row, asked, told)


def expected(world: World) -> dict[str, dict[str, Any]]:
    """Case id -> what its question may count, for each case that the dataset keeps."""
    cases = [case for case in told_cases(world) if case.told or case.asked]
    components = {
        case.name: sorted(o.name for o in cases if o is case or (world.together and o.row["ship"] == case.row["ship"]))
        for case in cases
    }
    period = {case.name: period_of(world, case, components[case.name]) for case in cases}
    answers = {}
    for case in cases:
        if not case.told or dropped(world, case, components[case.name], period):
            continue
        midnight = datetime.combine(case.at.date(), time())
        before = [
            other
            for other in cases
            if other.asked
            and other.judged
            and period[other.name] <= period[case.name]
            and other.over is not None
            and max(other.over, other.at) < midnight
            and other.row["sea"] == case.row["sea"]
        ]
        before.sort(key=lambda other: other.name)
        before.sort(key=lambda other: max(other.over or FIRST, other.at), reverse=True)
        options, means = {}, {}
        for action in sorted({other.row["act"] for other in before}):
            theirs = [other for other in before if other.row["act"] == action]
            worked = sum(other.row["gain"] > 0 for other in theirs)
            means[action] = float(sum(Fraction(other.row["gain"]) for other in theirs)) / len(theirs)
            options[action] = (len(theirs), worked, [other.name for other in theirs[:2]])
        answers[case.name] = {"tried": len(before), "options": options, "means": means}
        untold = sum(1 for other in before if not other.told or dropped(world, other, components[other.name], period))
        event(f"precedents without a record: {bool(untold)}")
    return answers


def period_of(world: World, case: Told, component: list[str]) -> int:
    if world.split == "none":
        return 0
    if world.split == "time":
        return sum(case.at >= cut for cut in world.cuts)
    name = f"call.ship={case.row['ship']}" if world.together else f"case.id={case.name}"
    share = int(hashlib.md5(f"5:{name}".encode()).hexdigest()[:8], 16) / 2**32
    return 2 if share < 0.3 else 1 if share < 0.6 else 0


def dropped(world: World, case: Told, component: list[str], period: Mapping[str, int]) -> bool:
    own = period[case.name]
    if world.split != "time" or own == 2:
        return False
    if own < max(period[other] for other in component):
        return True
    return case.over is None or case.over > world.cuts[own] - world.embargo * DAY


def built(root: Path, world: World) -> Build:
    if world.erased is not None:
        write_erasure_list(root / "store", new_erasure_list().with_keys("mesh.calls", [world.erased]))
    return build_of(root, world.narrative, REPORT, PRODUCTS, world.rows)


@pytest.mark.slow
@settings(max_examples=200 if DEEP else 4, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
@given(worlds())
def test_every_judged_case_that_was_over_by_then_counts_and_no_other(world: World) -> None:
    with TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORYMESH_PSEUDONYM_KEY", "a key for tests")
        (Path(root) / "store").mkdir()
        build = built(Path(root), world)
        write_cases_and_precedents(build)
        answers = expected(world)
        with build.open_engine() as engine:
            placed = cases_with_precedents(build, engine)
            asking = placed.filter(placed["precedents"].notnull()).select("case_id", "precedents")
            found = {row["case_id"]: row["precedents"] for row in engine.fetch_rows(asking)}
            kept = engine.fetch_table(placed.filter(placed["split"].notnull()))["case_id"].to_pylist()
            queries = VerificationQueries(build, engine)
            for name in sorted(found)[:2]:
                counted = engine.fetch_table(queries.tried(name))["value"].to_pylist()
                assert counted == [answers[name]["tried"]]
            for name in [name for name in found if found[name]["options"]][-4:]:
                option = found[name]["options"][0]
                mean = engine.fetch_table(queries.of_option(name, option["action"], "mean_score"))["value"].to_pylist()
                assert mean == [option["mean_score"]] == [answers[name]["means"][option["action"]]]
        assert sorted(kept) == sorted(answers)
        told = {name: {part: answer[part] for part in ("tried", "options")} for name, answer in answers.items()}
        assert {name: summary(answer) for name, answer in found.items()} == told
        for config in world.records:
            write_records(build, config)
        try:
            release = write_release(build)
        except LeakRefused:
            raise
        except ReleaseRefused:
            return  # no record is left
        assert not any(release.manifest.certificate.values())


def summary(precedents: Mapping[str, Any]) -> dict[str, Any]:
    options = {
        option["action"]: (option["tried"], option["worked"], [case["id"] for case in option["quoted"]])
        for option in precedents["options"]
    }
    return {"tried": precedents["tried"], "options": options}
