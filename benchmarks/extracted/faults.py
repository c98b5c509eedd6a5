"""Ways in which an answer about a file is wrong. Each takes a right answer, and returns a wrong one or None.

A fault changes one value at least to one that is not the truth, or tells of a row that there is not. What a model that
is wrong also does is done too: it quotes what stands nearest in the file, or words that would prove it.
"""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from benchmarks.extracted.documents import Cell, Document, Row

Answer = list[Row]


def answer_text(rows: Answer) -> str:
    """Return rows as a model answers them."""
    told = [{name: {"value": _json(cell.value), "quote": cell.quote} for name, cell in row.items()} for row in rows]
    return json.dumps({"rows": told}, ensure_ascii=False)


def _json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value.isoformat() if isinstance(value, date) else value


_OF_DOMAIN = {"notices": "delay_hours", "invoices": "total", "samples": "storage_temperature"}


@dataclass(frozen=True)
class Given:
    """A file, the right answer about it, and a draw of what becomes of it."""

    draw: random.Random
    document: Document
    rows: Answer

    def changed(self, name: str, change: Callable[[Cell], Cell | None]) -> Answer | None:
        """Return the rows with one value of one of them changed."""
        having = [index for index, row in enumerate(self.rows) if name in row]
        if not having:
            return None
        at = self.draw.choice(having)
        cell = change(self.rows[at][name])
        if cell is None:
            return None
        return [{**row, name: cell} if index == at else row for index, row in enumerate(self.rows)]

    def of_kind(self, kind: type | tuple[type, ...]) -> str | None:
        """Return a property whose values are of a kind."""
        names = [name for name, cell in self.rows[0].items() if isinstance(cell.value, kind)]
        return self.draw.choice(names) if names else None


Fault = Callable[[Given], "Answer | str | None"]


def off_by_one(given: Given) -> Answer | None:
    name = given.of_kind((int, Decimal))
    return given.changed(name, lambda cell: Cell(cell.value + 1, cell.quote)) if name else None


def quote_made_up(given: Given) -> Answer | None:
    name = given.of_kind(int)
    if name is None:
        return None
    return given.changed(name, lambda c: Cell(c.value + 3, c.quote.replace(str(c.value), str(c.value + 3))))


def another_unit(given: Given) -> Answer | None:
    return given.changed("delay_hours", lambda cell: Cell(cell.value * given.draw.choice((60, 24)), cell.quote))


def neighbours_row(given: Given) -> Answer | None:
    if len(given.rows) < 2:
        return None
    name = given.draw.choice([name for name in given.rows[0] if name != given.document.key])
    one, other = given.draw.sample(range(len(given.rows)), 2)
    if given.rows[one][name].value == given.rows[other][name].value:
        return None
    return [{**row, name: given.rows[other][name]} if index == one else row for index, row in enumerate(given.rows)]


def rows_swapped(given: Given) -> Answer | None:
    if len(given.rows) < 2:
        return None
    first, second = given.rows[:2]
    if all(first[name].value == second[name].value for name in first if name != given.document.key):
        return None
    key = given.document.key
    return [{**first, key: second[key]}, {**second, key: first[key]}, *given.rows[2:]]


def beside(name: str, of: str = "") -> Fault:
    """Return a fault that takes what stands beside the values: `name` of the file's `beside`, for the property `of`."""

    def fault(given: Given) -> Answer | None:
        cell = given.document.beside.get(name)
        return given.changed(of or _OF_DOMAIN[given.document.domain], lambda _: cell) if cell is not None else None

    return fault


def negated(given: Given) -> Answer | None:
    name = given.of_kind((int, Decimal))
    return given.changed(name, lambda cell: Cell(-cell.value, cell.quote)) if name else None


def rounded(given: Given) -> Answer | None:
    name = given.of_kind(Decimal)
    if name is None:
        return None

    def round_(cell: Cell) -> Cell | None:
        to = given.draw.choice((Decimal(1), Decimal(10), Decimal(100)))
        value = (cell.value / to).quantize(Decimal(1)) * to
        return Cell(value, cell.quote) if value != cell.value else None

    return given.changed(name, round_)


def shifted_point(given: Given) -> Answer | None:
    name = given.of_kind(Decimal)
    if name is None:
        return None
    return given.changed(
        name, lambda cell: Cell(cell.value * given.draw.choice((100, 10, Decimal("0.001"))), cell.quote)
    )


def part_of_number(given: Given) -> Answer | None:
    name = given.of_kind(Decimal)
    if name is None:
        return None
    return given.changed(name, lambda c: Cell(c.value % 1000, c.quote) if c.value > 1000 else None)


def dates_swapped(given: Given) -> Answer | None:
    days = [name for name, cell in given.rows[0].items() if isinstance(cell.value, date)]
    if len(days) < 2:
        return None
    one, other = days
    row = given.rows[0]
    quotes = given.draw.random() < 0.5
    return [
        {
            **row,
            one: Cell(row[other].value, row[other if quotes else one].quote),
            other: Cell(row[one].value, row[one if quotes else other].quote),
        },
        *given.rows[1:],
    ]


def date_of_other(given: Given) -> Answer | None:
    days = [name for name, cell in given.rows[0].items() if isinstance(cell.value, date)]
    if len(days) < 2:
        return None
    one, other = given.draw.sample(days, 2)
    row = {name: cell for name, cell in given.rows[0].items() if name != other}
    return [{**row, one: given.rows[0][other]}, *given.rows[1:]]


def amounts_swapped(given: Given) -> Answer | None:
    if "net" not in given.rows[0]:
        return None
    row = given.rows[0]
    return [{**row, "total": row["net"], "net": row["total"]}]


def net_for_total(given: Given) -> Answer | None:
    if "net" not in given.rows[0]:
        return None
    return [{name: cell for name, cell in given.rows[0].items() if name != "net"} | {"total": given.rows[0]["net"]}]


def date_moved(given: Given) -> Answer | None:
    name = given.of_kind(date)
    if name is None:
        return None
    days = given.draw.choice((1, 365, 30))
    return given.changed(name, lambda cell: Cell(cell.value + timedelta(days), cell.quote))


def enum_invented(given: Given) -> Answer | None:
    others = {"weather", "strike", "customs", "pirates"}
    return given.changed("cause", lambda c: Cell(given.draw.choice(sorted(others - {c.value})), c.quote))


def key_invented(given: Given) -> Answer | None:
    def change(cell: Cell) -> Cell:
        value = cell.value[:-1] + str((int(cell.value[-1]) + 5) % 10)
        return Cell(value, given.draw.choice((value, cell.quote)))

    return given.changed(given.document.key, change)


def row_invented(given: Given) -> Answer | None:
    key = Cell(
        given.document.beside["unaffected"].value if "unaffected" in given.document.beside else "SHP-999999", "SHP"
    )
    return [*given.rows, {**given.rows[0], given.document.key: key}] if given.document.domain != "invoices" else None


def row_twice(given: Given) -> Answer | None:
    name = given.of_kind(int)
    wrong = given.document.beside.get("delay_hours") if name == "delay_hours" else None
    if name is None:
        return None
    cell = wrong or Cell(given.rows[0][name].value + 7, given.rows[0][name].quote)
    twice = {**given.rows[0], name: cell}
    return [twice, *given.rows] if given.draw.random() < 0.5 else [*given.rows, twice]


def vessel_of_nobody(given: Given) -> Answer | None:
    return given.changed("vessel", lambda cell: Cell(given.draw.choice(("Ever Given", "Captain")), cell.quote))


def digits_grouped(given: Given) -> Answer | None:
    """An amount read by the rules of another language: 1.250,5 for 1,250.5."""
    name = given.of_kind(Decimal)
    if name is None:
        return None
    return given.changed(name, lambda c: Cell(Decimal(int(c.value)) / 1000, c.quote) if c.value > 1000 else None)


def cut_to_day(given: Given) -> Answer | None:
    def cut(cell: Cell) -> Cell:
        return Cell(cell.value.replace(hour=0, minute=0), cell.quote)

    return given.changed(given.draw.choice(("taken_at", "received_at")), cut)


def hour_moved(given: Given) -> Answer | None:
    hours = given.draw.choice((1, -1, 12))
    return given.changed("taken_at", lambda cell: Cell(cell.value + timedelta(hours=hours), cell.quote))


def moments_swapped(given: Given) -> Answer | None:
    if not {"taken_at", "received_at"} <= given.rows[0].keys():
        return None
    row = given.rows[0]
    return [{**row, "taken_at": row["received_at"], "received_at": row["taken_at"]}, *given.rows[1:]]


def cut_off(given: Given) -> str:
    text = answer_text(given.rows)
    return text[: given.draw.randrange(len(text) - 2)]


def no_json(given: Given) -> str:
    return given.draw.choice(
        ("It is late.", "", "null", "[]", '{"rows": {}}', '{"rows": [[]]}', '{"row": []}', "{" * 500)
    )


def cells_of_other_types(given: Given) -> Answer | None:
    name = given.draw.choice([name for name in given.rows[0] if name != given.document.key])
    odd = given.draw.choice(([], {}, True, "n/a", "-", 1e400, "12 and 13", {"value": 3}))
    if isinstance(given.rows[0][name].value, str) and isinstance(odd, str):
        return None
    return given.changed(name, lambda cell: Cell(odd, cell.quote))


FAULTS: Mapping[str, Fault] = {
    "another value": off_by_one,
    "a quote made up": quote_made_up,
    "another unit": another_unit,
    "a neighbour's value": neighbours_row,
    "rows swapped": rows_swapped,
    "another number of the unit": beside("delay_hours"),
    "another sum": beside("total"),
    "another currency": beside("cost", "cost"),
    "another column": beside("containers", "containers"),
    "what is denied": beside("denied"),
    "what is supposed": beside("conditional"),
    "a bound": beside("bound"),
    "what was said before": beside("superseded"),
    "what is asked": beside("asked"),
    "what an order says": beside("injected"),
    "negated": negated,
    "rounded": rounded,
    "a point moved": shifted_point,
    "a part of a number": part_of_number,
    "days swapped": dates_swapped,
    "the day of another property": date_of_other,
    "sums swapped": amounts_swapped,
    "the sum of another property": net_for_total,
    "a day moved": date_moved,
    "an enum invented": enum_invented,
    "a key invented": key_invented,
    "a row invented": row_invented,
    "a row twice": row_twice,
    "a name invented": vessel_of_nobody,
    "digits grouped otherwise": digits_grouped,
    "another temperature": beside("storage_temperature"),
    "a limit": beside("limit"),
    "an end of a range": beside("range", "sodium"),
    "another substance": beside("sodium", "sodium"),
    "what may come": beside("supposed", "sodium"),
    "the time there": beside("other time", "received_at"),
    "a weight corrected": beside("other weight", "weight"),
    "a moment cut to its day": cut_to_day,
    "a time of day moved": hour_moved,
    "moments swapped": moments_swapped,
    "cut off": cut_off,
    "no JSON": no_json,
    "cells of other types": cells_of_other_types,
}


def draw_fault(draw: random.Random, document: Document) -> tuple[str, str]:
    """Return the name of a fault that fits a document, and the faulty answer."""
    while True:
        name = draw.choice([*FAULTS])
        answer = FAULTS[name](Given(draw, document, [dict(row) for row in document.rows]))
        if answer is not None:
            return name, answer if isinstance(answer, str) else answer_text(answer)
