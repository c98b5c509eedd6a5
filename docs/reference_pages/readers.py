"""The parts of docs/reference/readers.md: the table that the tests of the readers hold, tests/product/values.yaml."""

from pathlib import Path
from typing import Any

import yaml

from reference_pages.markdown import code, table

VALUES = Path(__file__).parents[2] / "tests/product/values.yaml"


def page() -> dict[str, str]:
    """Return the parts of the page by name: a table for each reader."""
    scenarios = yaml.safe_load(VALUES.read_text(encoding="utf-8"))
    return {reader: _table(cases) for reader, cases in scenarios.items()}


def _table(cases: list[dict[str, Any]]) -> str:
    """Return the table of one reader, in the order of the types."""
    kinds = list(dict.fromkeys(_kind(case["as"]) for case in cases))
    rows = sorted(cases, key=lambda case: kinds.index(_kind(case["as"])))
    return table(
        ["type", "met", "published", "quarantined"],
        ([_kind(case["as"]), _given(case), _value(case, "published"), _value(case, "quarantined")] for case in rows),
    )


def _kind(item: dict[str, Any]) -> str:
    """Return a property's type in short: `number decimal(10,2)`, `array of integer`, `object of n: integer`."""
    name = " ".join(filter(None, [item["logicalType"], item.get("physicalType")]))
    if "items" in item:
        return f"{name} of {_kind(item['items'])}"
    if "properties" in item:
        return f"{name} of " + ", ".join(f"{below['name']}: {_kind(below)}" for below in item["properties"])
    return name


def _given(case: dict[str, Any]) -> str:
    shown = code(_inline(case["given"]))
    return f"{shown} in {code(case['arrow'])}" if "arrow" in case else _formatted(shown, case)


def _formatted(shown: str, case: dict[str, Any]) -> str:
    return f"{shown} shown as {code(case['format'])}" if "format" in case else shown


def _value(case: dict[str, Any], outcome: str) -> str:
    return code(_inline(case[outcome])) if outcome in case else ""


def _inline(value: Any) -> str:
    """Return a value on one line, with what is not seen written out."""
    text = value if isinstance(value, str) else repr(value)
    seen = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
    return seen or "(empty)"
