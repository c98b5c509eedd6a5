"""A small mesh whose release carries questions: delays at two canals, where one action works at each."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from storymesh.dataset.build import Build
from tests.support.small_build import build_of
from tests.support.small_mesh import Product

NARRATIVE = """
apiVersion: storymesh/v1
kind: Narrative
id: delays
version: 1.0.0
title: What worked
owner: desk
license: cc-by-4.0
cast: {delay: mesh.delays@1}
case:
  anchor: delay
  at: delay.detected_at
  closes: delay.arrived_at
  outcome: {action: delay.action, score: delay.hours, worked: delay.hours >= 24}
  precedents: {match: [[delay.waterway]], min: 5, quote: 2}
records:
  report: {format: text, text: report.jinja}
  advice: {format: messages, user: ask.jinja, assistant: answer.jinja}
EVALUATION
dataset:
  split: {validation: 2024-03-01, test: 2024-04-01, together: [delay.ship]}
"""
EVALUATION = """evaluation:
  strata: [delay.waterway]
  each: 3
  wordings: 2
  tasks: {best: ask.jinja, rate: rate.jinja, verdict: verdict.jinja, abstain: true}
  context: context.jinja
"""
TEMPLATES = {
    "ask.jinja": "{{ choose('Stuck', 'Held up', 'Waiting') }} at {{ delay.waterway }}, {{ delay.ship }}, on "
    "{{ delay.detected_at | date('%-d %B %Y, %H:%M') }}. {{ choose('What now?', 'What should we do?', 'And then?') }}",
    "answer.jinja": "{% if precedents.best %}Best: {{ precedents.best.action }}.{% else %}Too few cases.{% endif %}",
    "rate.jinja": "At {{ delay.waterway }}: how often does {{ option.action }} work?",
    "verdict.jinja": "At {{ delay.waterway }}: {{ option.action }}. Will it work?",
    "context.jinja": "{% for option in precedents.options %}{{ option.action }}: {{ option.worked }} of "
    "{{ option.tried }}.{% for quoted in option.quoted %} {{ quoted.cited_as }} {{ quoted.id }}{% endfor %}"
    " {% endfor %}",
}
REPORT = """{{ delay.ship }} at {{ delay.waterway }}.
{% if delay.action is not none %}{{ delay.waterway }}: was it {{ delay.action }}?{% endif %}"""
PRODUCT = Product(
    "delays",
    {
        "id": "string",
        "ship": "string",
        "waterway": "string",
        "detected_at": "timestamp",
        "arrived_at": "timestamp",
        "action": "string",
        "hours": "integer",
    },
    event="detected_at",
    required=("id", "ship", "waterway", "detected_at"),
    known_of={"arrived_at": "arrived_at", "action": "arrived_at", "hours": "arrived_at"},
)
BEST = {"suez": "slot", "panama": "rail", "kiel": "wait"}
ACTIONS = ("slot", "rail", "wait")


def delays(count: int = 120) -> list[dict[str, Any]]:
    """A delay each day from 2024-01-01: mostly at Suez and Panama, from April also at Kiel, which nobody knows yet."""
    rows = []
    for number in range(count):
        detected = datetime(2024, 1, 1) + timedelta(days=number)
        waterway = "kiel" if number >= 100 and number % 7 == 0 else ("suez", "panama")[number % 2]
        action = ACTIONS[number // 2 % 3]
        good = action == BEST[waterway] or number % 11 == 0
        rows.append(
            {
                "id": f"D{number:03d}",
                "ship": f"ship-{number}",
                "waterway": waterway,
                "detected_at": detected + timedelta(hours=5),
                "arrived_at": detected + timedelta(hours=30),
                "action": action,
                "hours": 30 if good else 3,
            }
        )
    return rows


def evaluation_build(
    root: Path,
    evaluation: str = EVALUATION,
    rows: list[dict[str, Any]] | None = None,
    templates: Mapping[str, str] | None = None,
    precedents: str = "",
) -> Build:
    """The build of the mesh, `evaluation` being that part of its narrative.yaml, with further templates, and further
    fields of its `precedents`."""
    folder = root / "narratives" / "delays"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {**TEMPLATES, **(templates or {})}.items():
        (folder / name).write_text(text, encoding="utf-8")
    narrative = NARRATIVE.replace("EVALUATION\n", evaluation).replace("quote: 2", f"quote: 2{precedents}")
    return build_of(root, narrative, REPORT, {"delay": PRODUCT}, {"delay": delays() if rows is None else rows})
