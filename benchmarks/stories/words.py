"""The templates told by Jinja2 in Python, one case after the other, as a script without storymesh would do it.

The templates are the narrative's own files; the filters are written for it. Needs nothing but Jinja2.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import md5
from math import sqrt
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, pass_context
from jinja2.runtime import Context

Row = Mapping[str, Any]
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September", "October"),
    *("November", "December"),
)
LEAST, Z90 = 5, 1.6448536269514722
UNTRIED: Row = {"tried": 0, "worked": 0, "rate": 0.0, "mean_score": 0.0, "quoted": []}


class Teller:
    """Tells rows of cases that have `split` and `precedents` beside the columns of storymesh's cases."""

    def __init__(self, templates: Path, labels: list[list[str]], versions: Mapping[str, str] | None = None) -> None:
        environment = Environment(
            loader=_Numbered(templates), trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=False
        )
        words = {code: label for _, code, label in labels}
        environment.filters |= {
            "label": lambda code: words.get(code, code),
            "date": _date,
            "number": lambda value, digits=0: f"{float(value):,.{digits}f}",
            "percent": lambda value: f"{100 * value:,.0f}%",
            "plural": _plural,
            "duration": _duration,
        }
        environment.globals["choose"] = _choose
        names = {
            "report": "report.md",
            "system": "system",
            "ask": "ask.md",
            "advise": "advise.md",
            "option": "option.md",
        }
        self._told = {name: environment.get_template(f"{file}.jinja").render for name, file in names.items()}
        self._versions = versions
        self._asked = "", ""

    def record(self, row: Row, config: str) -> dict[str, Any] | None:
        """The record of one config, with facts and sources if there are versions; None where it does not tell it."""
        if row["split"] is None:
            return None
        case = {"id": row["case_id"], "at": row["at"], "closes": row["closes"]}
        seen = {name: row[name] for name in ("delay", "place", "shipment", "disruption", "resolution")}
        if config == "report":
            return self._report(row, case, seen) if row["dropped"] is None else None
        if row["status"] != "judged":
            return None
        at = row["at"]
        seen["disruption"] = [event for event in row["disruption"] if event["started_at"] <= at]
        if seen["shipment"] is not None and seen["shipment"]["booked_at"] > at:
            seen["shipment"] = None
        seen["resolution"] = []
        return {"advice": self._advice, "choice": self._choice, "verdict": self._verdict}[config](row, case, seen)

    def _report(self, row: Row, case: Row, seen: Row) -> dict[str, Any]:
        names = {**seen, "case": case, "outcome": row["outcome"]}
        names["recovered_hours"] = row["hindsight"]["recovered_hours"]
        return {"text": self._told["report"](names)} | self._behind(row, seen, _report_facts(names), [])

    def _advice(self, row: Row, case: Row, seen: Row) -> dict[str, Any]:
        precedents, outcome = row["precedents"], row["outcome"]
        names = {**seen, "case": case, "precedents": precedents, "outcome": outcome}
        told = {"system": self._told["system"](names), "user": self._ask(seen, case)}
        told["assistant"] = self._told["advise"](names)
        messages = [{"role": role, "content": content} for role, content in told.items()]
        best, worst = precedents["best"], precedents["worst"]
        facts = {
            "case": {"at": row["at"]},
            "outcome": {"action": outcome["action"]},
            "precedents": {
                "best": best and {"action": best["action"], "quoted": _picked(best["quoted"], "at", "id", "score")},
                "options": _picked(precedents["options"], "action", "mean_score", "rate", "tried", "worked"),
                "tried": precedents["tried"],
                "worst": worst and {"action": worst["action"]},
            },
            **_question_facts(seen),
        }
        return {"messages": messages} | self._behind(row, seen, facts, [best] if best else [])

    def _choice(self, row: Row, case: Row, seen: Row) -> dict[str, Any] | None:
        pair = _pair(row["precedents"]["options"], row["outcome"])
        if pair is None:
            return None
        sides = dict(zip(("chosen", "rejected"), pair, strict=True))
        facts = {**_question_facts(seen), "option": {side: _option_facts(option) for side, option in sides.items()}}
        told = {side: self._told["option"](option=option) for side, option in sides.items()}
        return {"prompt": self._ask(seen, case), **told} | self._behind(row, seen, facts, pair)

    def _verdict(self, row: Row, case: Row, seen: Row) -> dict[str, Any]:
        outcome = row["outcome"]
        own = _own(row["precedents"]["options"], outcome["action"]) or {**UNTRIED, "action": outcome["action"]}
        told = {"prompt": self._ask(seen, case), "completion": self._told["option"](option=own)}
        facts = {**_question_facts(seen), "option": {"own": _option_facts(own)}}
        return {**told, "label": outcome["worked"]} | self._behind(row, seen, facts, [own])

    def _ask(self, seen: Row, case: Row) -> str:
        """The question, which three configs share, told once a case."""
        if self._asked[0] != case["id"]:
            self._asked = case["id"], self._told["ask"](seen, case=case)
        return self._asked[1]

    def _behind(self, row: Row, seen: Row, facts: Row, quoting: Sequence[Row]) -> dict[str, Any]:
        return {"facts": facts, "sources": self._sources(seen, row, quoting)} if self._versions else {}

    def _sources(self, seen: Row, row: Row, quoting: Sequence[Row]) -> list[dict[str, str]]:
        keys = {("canal.disruptions", event["disruption_id"]) for event in seen["disruption"]}
        keys |= {("resolutions.resolutions", step["resolution_id"]) for step in seen["resolution"]}
        keys.add(("shipping.shipment_delays", row["case_id"]))
        if seen["place"] is not None:
            keys.add(("shipping.ports", seen["place"]["un_locode"]))
        if seen["shipment"] is not None:
            keys.add(("shipping.shipments", seen["shipment"]["shipment_id"]))
        if row["status"] == "judged":
            keys.add(("resolutions.resolutions", row["hindsight"]["last_step"]["resolution_id"]))
        for option in quoting:
            keys.update(("shipping.shipment_delays", quoted["id"]) for quoted in option["quoted"])
        assert self._versions is not None
        return [{"product": of, "version": self._versions[of], "key": key} for of, key in sorted(keys)]


class _Numbered(FileSystemLoader):
    """Writes into each `choose(` its file and its place there, which the draw depends on."""

    def get_source(self, environment: Environment, template: str) -> Any:
        text, path, fresh = super().get_source(environment, template)
        parts = re.split(r"\bchoose\(", text)
        numbered = parts[0] + "".join(f'choose("{template}:{place}", {part}' for place, part in enumerate(parts[1:]))
        return numbered, path, fresh


@pass_context
def _choose(context: Context, call: str, *options: str) -> str:
    digest = md5(f"{context['case']['id']}:{call}".encode(), usedforsecurity=False).hexdigest()
    return options[int(digest[:8], 16) % len(options)]


def _date(moment: datetime, code: str) -> str:
    day = f"{moment.day} {MONTHS[moment.month - 1]} {moment.year:04d}"
    return {"%-d %B %Y": day, "%H:%M": f"{moment:%H:%M}", "%-d %B %Y, %H:%M": f"{day}, {moment:%H:%M}"}[code]


def _plural(count: int, one: str) -> str:
    return f"{count:,} {one}" if count == 1 else f"{count:,} {one}s"


def _duration(value: Any, unit: str) -> str:
    assert unit == "hours"
    minutes = int(round(abs(float(value)) * 3600, 6) // 60)
    parts = [(minutes // 1440, "day"), (minutes // 60 % 24, "hour"), (minutes % 60, "minute")]
    while len(parts) > 1 and not parts[0][0]:
        del parts[0]
    return " ".join(_plural(count, name) for count, name in parts[:2] if count) or "0 minutes"


def _own(options: Sequence[Row], action: str) -> Row | None:
    return next((option for option in options if option["action"] == action), None)


def _pair(options: Sequence[Row], outcome: Row) -> tuple[Row, Row] | None:
    """What a preference chooses and rejects; None where there is no pair."""
    own = _own(options, outcome["action"])
    others = [option for option in options if option["action"] != outcome["action"] and option["tried"] >= LEAST]
    if outcome["worked"]:
        other = others[-1] if others else None
    else:
        other = next((option for option in others if option["worked"]), None)
    if own is None or other is None:
        return None
    chosen, rejected = (own, other) if outcome["worked"] else (other, own)
    return (chosen, rejected) if _wilson(chosen, -1) > _wilson(rejected, 1) else None


def _wilson(option: Row, side: int) -> float:
    n, p = option["tried"], option["worked"] / option["tried"]
    if side < 0 and not option["worked"]:
        return 0.0
    return (p + Z90 * Z90 / (2 * n) + side * Z90 * sqrt((p * (1 - p) + Z90 * Z90 / (4 * n)) / n)) / (1 + Z90 * Z90 / n)


def _picked(rows: Sequence[Row], *names: str) -> list[dict[str, Any]]:
    return [{name: row[name] for name in names} for row in rows]


def _one(row: Row | None, *names: str) -> dict[str, Any] | None:
    return row and {name: row[name] for name in names}


SHIPMENT = ("cargo_type", "carrier", "container_count", "destination", "origin", "vessel_name")
DELAY = ("cause", "delay_code", "detected_at", "expected_delay_hours", "waterway")


def _report_facts(names: Row) -> dict[str, Any]:
    return {
        "delay": _one(names["delay"], *DELAY, "arrived_at", "final_delay_hours", "shipment_id"),
        "disruption": _picked(
            names["disruption"],
            *("citation_publisher", "citation_title", "ended_at", "kind", "severity", "started_at", "title"),
        ),
        "outcome": _one(names["outcome"], "action"),
        "place": _one(names["place"], "country_name", "name"),
        "recovered_hours": names["recovered_hours"],
        "resolution": _picked(names["resolution"], "action_code", "cost_usd", "decided_at"),
        "shipment": _one(names["shipment"], *SHIPMENT, "vessel_imo"),
    }


def _question_facts(seen: Row) -> dict[str, Any]:
    return {
        "delay": _one(seen["delay"], *DELAY),
        "disruption": _picked(seen["disruption"], "kind", "severity", "started_at", "title"),
        "place": _one(seen["place"], "name"),
        "shipment": _one(seen["shipment"], *SHIPMENT),
    }


def _option_facts(option: Row) -> dict[str, Any]:
    kept = {name: option[name] for name in ("action", "mean_score", "rate", "tried", "worked")}
    return {**kept, "quoted": _picked(option["quoted"], "id", "score")}
