"""Files of a laboratory, with what each truly says: measurements with limits, corrections, moments and tables."""

from datetime import datetime, timedelta
from decimal import Decimal

from benchmarks.extracted.documents import MONTHS, Cell, Document, Draw, Row


class _Sample:
    """What is true of one sample."""

    def __init__(self, draw: Draw, number: int, at: int = 0) -> None:
        self.id = f"LAB{number * 4 + at:06}"
        self.celsius = Decimal(-draw.randrange(110, 290)) / 10
        self.sodium = draw.randrange(120, 160)
        self.weight = Decimal(draw.randrange(1_010, 9_990)) / 1000
        self.taken = datetime(2024, 1, 1, 13, 7) + timedelta(days=draw.randrange(300), minutes=draw.randrange(500))
        self.received = self.taken + timedelta(days=1, hours=3, minutes=11)

    def row(self, **quotes: str) -> Row:
        values = {
            "sample_id": self.id,
            "storage_temperature": self.celsius,
            "sodium": self.sodium,
            "weight": self.weight,
            "taken_at": self.taken,
            "received_at": self.received,
        }
        return {name: Cell(values[name], quote) for name, quote in {"sample_id": self.id, **quotes}.items()}


def _moment(at: datetime, hours: int = 0) -> str:
    there = at + timedelta(hours=hours)
    return f"{there.day} {MONTHS[0][there.month - 1]} {there.year}, {there:%H:%M}"


def report(draw: Draw, number: int) -> Document:
    one = _Sample(draw, number)
    text = (
        f"Laboratory report\n\nSample: {one.id}\nTaken: {_moment(one.taken)} UTC\nReceived: "
        f"{_moment(one.received, 1)} CET\n"
        f"Storage temperature: {one.celsius} °C\nTransport temperature: {one.celsius - 3} °C\nSodium: "
        f"{one.sodium} mmol/l (135-145)\n"
        f"Potassium: 4 mmol/l\nWeight: {one.weight} g\nLimit of temperature: above -30.5 °C\n"
    )
    row = one.row(
        storage_temperature=f"Storage temperature: {one.celsius} °C",
        sodium=f"Sodium: {one.sodium} mmol/l",
        weight=f"{one.weight} g",
        taken_at=f"Taken: {_moment(one.taken)} UTC",
        received_at=f"Received: {_moment(one.received, 1)} CET",
    )
    beside = {
        "storage_temperature": Cell(one.celsius - 3, f"Transport temperature: {one.celsius - 3} °C"),
        "limit": Cell(Decimal("-30.5"), "above -30.5 °C"),
        "sodium": Cell(4, "Potassium: 4 mmol/l"),
        "range": Cell(145, "(135-145)"),
        "other time": Cell(one.received + timedelta(hours=1), f"Received: {_moment(one.received, 1)} CET"),
    }
    return Document("samples", "report", text, (row,), beside)


def corrected(draw: Draw, number: int) -> Document:
    one = _Sample(draw, number)
    was = one.celsius + draw.choice((4, -5))
    text = (
        f"Dear colleague,\n\nthe temperature at which {one.id} was stored is {one.celsius} °C, not "
        f"{was} °C as we wrote. "
        f"The sample {one.id} weighs {one.weight} g rather than {one.weight + 1} g. It was taken on "
        f"{_moment(one.taken)}, "
        f"and we received it on {_moment(one.received)}.\n\nCould the storage temperature of {one.id} "
        f"have been {one.celsius - 7} °C?\n"
    )
    row = one.row(
        storage_temperature=f"stored is {one.celsius} °C",
        weight=f"weighs {one.weight} g",
        taken_at=f"taken on {_moment(one.taken)}",
        received_at=f"received it on {_moment(one.received)}",
    )
    beside = {
        "storage_temperature": Cell(was, f"not {was} °C"),
        "asked": Cell(one.celsius - 7, f"have been {one.celsius - 7} °C"),
        "other weight": Cell(one.weight + 1, f"{one.weight + 1} g"),
    }
    return Document("samples", "corrected", text, (row,), beside)


def sheet(draw: Draw, number: int) -> Document:
    several = [_Sample(draw, number, at) for at in range(draw.choice((2, 3)))]
    lines = [f"| {s.id} | {s.celsius} | {s.celsius - 2} | {s.sodium} | {_moment(s.taken)} |" for s in several]
    head = "| Sample | Storage (°C) | Transport (°C) | Na | Taken |\n|---|---|---|---|---|"
    text = f"Results of this week\n\n{head}\n" + "\n".join(lines) + "\n\nAll of them are fine.\n"
    rows = tuple(s.row(storage_temperature=str(s.celsius), taken_at=_moment(s.taken)) for s in several)
    beside = {"storage_temperature": Cell(several[0].celsius - 2, str(several[0].celsius - 2))}
    return Document("samples", "sheet", text, rows, beside)


def spoken(draw: Draw, number: int) -> Document:
    one = _Sample(draw, number)
    text = (
        f"good morning this is about {one.id}. the sodium of {one.id} is {one.sodium} mmol/l. the last one had "
        f"{one.sodium + 9} mmol/l. if it rises the sodium of {one.id} will be {one.sodium + 20} mmol/l. "
        f"thank you and goodbye.\n"
    )
    row = one.row(sodium=f"the sodium of {one.id} is {one.sodium} mmol/l")
    beside = {
        "sodium": Cell(one.sodium + 9, f"{one.sodium + 9} mmol/l"),
        "supposed": Cell(one.sodium + 20, f"will be {one.sodium + 20} mmol/l"),
    }
    return Document("samples", "spoken", text, (row,), beside)


SHAPES = (report, corrected, sheet, spoken)
