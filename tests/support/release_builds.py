"""A build made by hand: the files that a release is cut from, with few cases and known answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from storymesh.dataset.build import Build
from storymesh.dataset.build_step import BuildStep
from storymesh.dataset.split import SPLITS as RANKS
from storymesh.engine.open import open_engine
from storymesh.narrative.definition import Narrative, read_narrative

NARRATIVE = """
apiVersion: storymesh/v1
kind: Narrative
id: canal-exceptions
version: 1.0.0
title: {title}
owner: logistics-ai
license: cc-by-4.0
cast: {{delay: shipping.delays@1, shipment: shipping.shipments@1}}
case:
  anchor: delay
  at: delay.detected_at
  closes: delay.arrived_at
  links:
    shipment: {{on: {{id: delay.shipment_id}}, within: {{after: 0d, before: 48h}}, expect: one}}
  outcome: {{action: delay.action, score: delay.hours, worked: delay.hours >= 24}}
{precedents}records:
  report: {{format: text, text: a.jinja}}
  advice: {{format: messages, user: a.jinja, assistant: a.jinja}}
  verdict: {{format: unpaired_preference, prompt: a.jinja, option: a.jinja}}
dataset:
  split: {split}
  dedup: {dedup}
"""
SPLIT = "{validation: 2024-01-01, test: 2024-07-01, embargo: 14d, together: [delay.shipment_id]}"

TIME = pa.timestamp("us")
CASES = pa.schema(
    [
        ("case_id", pa.string()),
        ("at", TIME),
        ("closes", TIME),
        ("status", pa.string()),
        ("dropped", pa.string()),
        ("question_dropped", pa.string()),
    ]
)
SPLITS = pa.schema([(name, pa.string()) for name in ("case_id", "split", "dropped", "component", "period")])
DROPS = pa.schema([("case_id", pa.string()), ("reason", pa.string())])
OPTION = pa.struct([("action", pa.string()), ("quoted", pa.list_(pa.struct([("id", pa.string())])))])
PRECEDENTS = pa.schema(
    [
        ("rank", pa.int64()),
        ("day", pa.date32()),
        ("delay", pa.string()),
        ("precedents", pa.struct([("options", pa.list_(OPTION))])),
    ]
)
# Cases that match on their own id: each has its own precedents.
ASKING = CASES.append(pa.field("match", pa.struct([("delay", pa.string())])))
MATCHING = "  precedents: {match: [[delay.id]]}\n"
FORMATS: Mapping[str, list[tuple[str, pa.DataType]]] = {
    "report": [("text", pa.string())],
    "advice": [("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())])))],
    "verdict": [("prompt", pa.string()), ("completion", pa.string()), ("label", pa.bool_())],
}
FACTS = pa.struct([("delay", pa.struct([("waterway", pa.string()), ("hours", pa.decimal128(38, 9))]))])
SOURCES = pa.list_(pa.struct([("product", pa.string()), ("version", pa.string()), ("key", pa.string())]))


def records_schema(config: str) -> pa.Schema:
    return pa.schema(
        [
            *[(name, pa.string()) for name in ("id", "case_id", "split")],
            *FORMATS[config],
            ("at", TIME),
            ("facts", FACTS),
            ("sources", SOURCES),
        ]
    )


@dataclass
class Told:
    """One case. `split` null and `dropped` set: it drops, before the splits when `early`."""

    name: str
    at: datetime
    split: str | None = "train"
    dropped: str | None = None
    early: bool = False
    hindsight_dropped: str | None = None  # dropped in hindsight only: questions tell it
    component: str | None = None
    closes: datetime | None = None
    question: str | None = None
    answer: str = "wait"
    hours: str = ""
    label: bool = True
    untold: Mapping[str, str] = field(default_factory=dict)  # config -> the reason why there is no record


@dataclass(frozen=True)
class HandmadeBuild(Build):
    """A build whose files are written by hand. Its folder stays the same, whatever its narrative says."""

    @property
    def key(self) -> str:
        return "handmade"

    @property
    def fingerprint(self) -> str:
        return "f" * 64


def typed(narrative: Narrative, contracts: Mapping[str, Any]) -> Any:
    """What a release reads of a typed narrative."""
    return SimpleNamespace(
        narrative=narrative,
        contracts=contracts,
        records={config: SimpleNamespace(rewritten=(), texts=()) for config in narrative.records},
        case=SimpleNamespace(outcome={}, match=()),
    )


def with_narrative(build: Build, narrative: Narrative) -> Build:
    return replace(build, typed=typed(narrative, build.contracts))


def usual() -> list[Told]:
    """Five cases in three splits, and one that drops for each reason."""
    return [
        Told("d1", datetime(2023, 5, 1)),
        Told("d2", datetime(2023, 5, 2), untold={"advice": "unjudged", "verdict": "unjudged"}),
        Told("d3", datetime(2023, 5, 2)),
        Told("d4", datetime(2024, 2, 1), "validation"),
        Told("d5", datetime(2024, 8, 1), "test"),
        Told("d6", datetime(2023, 12, 31), None, "embargo"),
        Told("d7", datetime(2023, 6, 1), None, "shipment: none", early=True),
    ]


def make(
    root: Path,
    told: list[Told],
    *,
    quotes: Mapping[str, list[str]] | None = None,
    title: str = "What worked",
    split: str = SPLIT,
    dedup: str = "facts",
    version: str = "v" * 64,
) -> HandmadeBuild:
    """Writes the build's files under `root`; releases go to `root`/releases."""
    mesh = root / "narratives" / "canal_exceptions"
    mesh.mkdir(parents=True, exist_ok=True)
    (mesh / "a.jinja").write_text("x")
    (mesh / "narrative.yaml").write_text(
        NARRATIVE.format(title=title, split=split, dedup=dedup, precedents="" if quotes is None else MATCHING)
    )
    narrative = read_narrative(mesh / "narrative.yaml", root)
    snapshot = SimpleNamespace(
        receipt=None,
        keys_sent=(),
        contract_version="1.0.0",
        contract_digest="c" * 64,
        version=version,
        snapshot_id=17,
        rows=len(told),
    )
    contract = SimpleNamespace(
        evidence=None,
        id="shipping.delays",
        document=SimpleNamespace(value={"id": "shipping.delays", "schema": []}),
        owner="shipping-team@example.com",
        properties={
            "waterway": SimpleNamespace(classification="public"),
            "hours": SimpleNamespace(classification="internal"),
        },
    )
    roles = tuple(narrative.cast)
    build = HandmadeBuild(
        typed(narrative, dict.fromkeys(roles, contract)),
        dict.fromkeys(roles, snapshot),
        root / "store",
        root / "releases",
        open_engine,
        erased={},
    )
    (build.files.folder / "records").mkdir(parents=True, exist_ok=True)
    write(build.files.cases, CASES if quotes is None else ASKING, [case_row(item) for item in told])
    write(
        build.files.splits,
        SPLITS,
        [
            {
                "case_id": item.name,
                "split": item.split,
                "dropped": item.dropped,
                "component": item.component or item.name,
            }
            | {"period": item.split or "train"}
            for item in told
            if not item.early
        ],
    )
    for config in narrative.records:
        placed = [item for item in told if item.split]
        write(
            build.files.records(config),
            records_schema(config),
            [record_row(config, item, version) for item in placed if config not in item.untold],
        )
        write(
            build.files.record_drops(config),
            DROPS,
            [{"case_id": item.name, "reason": item.untold[config]} for item in placed if config in item.untold],
        )
    if quotes is not None:
        write(
            build.files.precedents,
            PRECEDENTS,
            [precedents_row(item, quotes[item.name]) for item in told if item.name in quotes],
        )
    return build


def case_row(item: Told) -> dict[str, Any]:
    closes = item.closes or item.at + timedelta(days=1)
    return {
        "case_id": item.name,
        "at": item.at,
        "closes": closes,
        "status": "judged",
        "dropped": item.dropped if item.early else item.hindsight_dropped,
        "question_dropped": item.dropped if item.early else None,
        "match": {"delay": item.name},
    }


def precedents_row(item: Told, quoted: list[str]) -> dict[str, Any]:
    return {
        "rank": RANKS.index(item.split or "train"),
        "day": item.at.date(),
        "delay": item.name,
        "precedents": {"options": [{"action": "wait", "quoted": [{"id": case_id} for case_id in quoted]}]},
    }


def record_row(config: str, item: Told, version: str) -> dict[str, Any]:
    question = item.question or f"What about {item.name}?"
    told: dict[str, Any] = {
        "report": {"text": f"{question} {item.answer}"},
        "advice": {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": item.answer}]},
        "verdict": {"prompt": question, "completion": item.answer, "label": item.label},
    }[config]
    return {
        "id": f"{config}/{item.name}",
        "case_id": item.name,
        "split": item.split,
        "at": item.at,
        "facts": {"delay": {"waterway": "Suez", "hours": Decimal(item.hours or int(item.name.strip("d")))}},
        "sources": [{"product": "shipping.delays", "version": version, "key": item.name}],
        **told,
    }


def write(path: Path, schema: pa.Schema, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows, schema), path)


def sealed(build: Build) -> Build:
    """Seal the files that were written by hand, as the steps of a build do. Return the build."""
    files = build.files
    BuildStep(files.folder, "cases").seal([files.cases, files.splits])
    for config in build.configs:
        BuildStep(files.folder, f"records-{config}").seal([files.records(config), files.record_drops(config)])
    return build
