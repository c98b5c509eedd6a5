"""The cost of the templates of a config: the rows that each loop, include and filter makes for a record, and the time.

Rows are counted by the engine, for every case, beside the text; so they are exact, whichever branches a case takes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from storymesh.dataset.build import Build
from storymesh.dataset.stages import typed_record
from storymesh.dataset.tables import cases_with_precedents
from storymesh.engine.engine import Engine, PlanOperator
from storymesh.language.ast import Template
from storymesh.language.template_lines import LineKind, TemplateLine, excerpt, template_lines
from storymesh.location import Location

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from storymesh.narrative.typed_record import TypedRecord

MAX_LINES = 200  # of a config, that are counted
MAX_EXCERPTS = 40  # of those, that stand in no other and whose characters are counted
MAX_TIMED = 4  # of those, whose time is taken

# Rows of a record from which on a line is worth a look: of loops in loops the most, of others the mean.
NESTED_ROWS = 1_000
ROWS = 200
INCLUDES = 50
CHARACTERS = 16_384  # that a line prints, on average

Place = tuple[Location, ...]


@dataclass(frozen=True)
class OuterLoop:
    """A loop that a line stands in: where it is, what it goes over, and the name of its items."""

    location: Location
    over: str
    item: str


@dataclass(frozen=True)
class LineCost:
    """The rows that one line makes. `over` is the list or the partial; `around` are the loops that it stands in, the
    outermost first. Rows are those of one record: the least, the mean, the most, and of all records together. `rounds`
    is how often the record with the most rows went through the loop around it, None where there is none. `characters`,
    the mean that it prints, and `seconds` of the engine are of lines that stand in no other, where they were taken.
    It `differs_by_round` where it reads the item of the loop around it, or what is set there."""

    kind: LineKind
    location: Location
    over: str
    around: tuple[OuterLoop, ...]
    least: int
    mean: float
    most: int
    total: int
    rounds: int | None
    characters: float | None = None
    seconds: float | None = None
    differs_by_round: bool = False

    @property
    def is_costly(self) -> bool:
        """True if it makes so much that its author should know."""
        if (self.characters or 0.0) >= CHARACTERS:
            return True
        if self.kind == "include":
            return self.mean >= INCLUDES
        return self.mean >= ROWS or (bool(self.around) and self.most >= NESTED_ROWS)


@dataclass(frozen=True)
class ConfigCost:
    """The cost of the texts of one config: `seconds` of the engine for all records, the mean `characters` of one.
    `uncounted` lines are too many to be counted. Where no line `is_compared`, there is nothing to say of any."""

    config: str
    records: int
    seconds: float
    characters: float
    lines: tuple[LineCost, ...]
    uncounted: int = 0

    @property
    def is_compared(self) -> bool:
        return any(line.is_costly or line.seconds is not None for line in self.lines)


@dataclass
class _Line:
    """One line of a config, with what it makes in each of the texts that have it."""

    line: TemplateLine
    counts: list["ir.IntegerValue"] = field(default_factory=list)
    excerpts: list["ir.StringValue"] = field(default_factory=list)


def profile_templates(build: Build, engine: Engine, config: str) -> ConfigCost:
    """Return what the templates of a config cost on the cases and precedents that the build has written."""
    from storymesh.dataset.render import template_inputs

    record = typed_record(build, config)
    table = engine.materialize(template_inputs(cases_with_precedents(build, engine), build.typed, record))
    try:
        return _Profile(build, engine, record, table).cost()
    finally:
        engine.drop(table)


class _Profile:
    """The profile of one config. `inputs` is a materialized table of what its templates are given."""

    def __init__(self, build: Build, engine: Engine, record: "TypedRecord", inputs: "ir.Table") -> None:
        self.engine = engine
        self.config = record.config
        self.inputs = inputs
        self.key = build.pseudonym_key
        self.lines: dict[Place, _Line] = {}
        self.texts: list[ir.StringValue] = []
        self.uncounted = 0
        names = {name.removeprefix("n_"): inputs[name] for name in inputs.columns if name.startswith("n_")}
        for text in record.texts:
            visible = {**names, "option": names[f"option_{text.option}"]} if text.option else names
            self._add(record.slots[text.slot.name].checked.tree, visible)

    def _add(self, template: Template, names: "Mapping[str, ir.Value]") -> None:
        from storymesh.language.compile.rounds import compile_rounds

        every = template_lines(template)
        lines = every[:MAX_LINES]
        self.uncounted += len(every) - len(lines)
        counts = compile_rounds(template, lines, names, self.inputs["case_id"], self.key)
        for line, count in zip(lines, counts, strict=True):
            found = self.lines.setdefault(line.place, _Line(line))
            found.counts.append(count)
            if not line.around and len(self._outermost()) <= MAX_EXCERPTS:
                found.excerpts.append(self._text(excerpt(template, line.node), names))  # type: ignore[arg-type]
        self.texts.append(self._text(template, names))

    def _text(self, template: Template, names: "Mapping[str, ir.Value]") -> "ir.StringValue":
        from storymesh.language.compile.templates import compile_template

        return compile_template(template, names, self.inputs["case_id"], self.key)

    def _outermost(self) -> list[_Line]:
        return [line for line in self.lines.values() if not line.line.around]

    def cost(self) -> ConfigCost:
        from storymesh.engine import dialect
        from storymesh.engine.cse import eliminate_common

        found = list(self.lines.values())
        counted = {f"rows_{number}": _sum(line.counts) for number, line in enumerate(found)}
        printed = {f"text_{number}": _lengths(line.excerpts) for number, line in enumerate(found) if line.excerpts}
        columns = {**counted, **printed, "text": _lengths(self.texts)}
        rows = self.engine.materialize(eliminate_common(self.inputs.select(**dialect.name_columns(columns))))
        try:
            (figures,) = self.engine.fetch_rows(rows.aggregate(records=rows.count(), **self._aggregates(rows, found)))
        finally:
            self.engine.drop(rows)
        lines = [_line_cost(number, line.line, figures) for number, line in enumerate(found)]
        # Of one calm line alone nobody needs to know, and a query takes its time.
        if any(line.is_costly for line in lines) or len(self._outermost()) > 1:
            for number in self._most_outermost(lines, found):
                lines[number] = replace(lines[number], seconds=self._seconds_of(found[number].excerpts))
        return ConfigCost(
            self.config,
            figures["records"],
            self._seconds_of(self.texts),
            figures["mean_text"] or 0.0,
            tuple(lines),
            self.uncounted,
        )

    def _aggregates(self, rows: "ir.Table", found: Sequence[_Line]) -> "dict[str, ir.Value]":
        numbers = {line.line.place: number for number, line in enumerate(found)}
        values: dict[str, ir.Value] = {"mean_text": rows["text"].mean()}
        for number, line in enumerate(found):
            count = rows[f"rows_{number}"]
            values |= {f"least_{number}": count.min(), f"most_{number}": count.max()}
            values |= {f"mean_{number}": count.mean(), f"total_{number}": count.sum().cast("int64")}
            if loops := line.line.loops_around:
                values[f"outer_{number}"] = rows[f"rows_{numbers[loops[-1].place]}"].argmax(count)
            if line.excerpts:
                values[f"characters_{number}"] = rows[f"text_{number}"].mean()
        return values

    def _most_outermost(self, lines: Sequence[LineCost], found: Sequence[_Line]) -> list[int]:
        """Return the numbers of the lines in no other that make or print the most, what is inside them counted in."""

        def weight(number: int) -> float:
            place = found[number].line.place
            inside = [line.mean for line, other in zip(lines, found, strict=True) if other.line.place[:1] == place]
            return max(*inside, (lines[number].characters or 0.0) / 20, 0.0)

        outermost = [number for number, line in enumerate(found) if line.excerpts]
        return sorted(outermost, key=weight, reverse=True)[:MAX_TIMED]

    def _seconds_of(self, texts: "Sequence[ir.StringValue]") -> float:
        """Return the engine's own seconds for some texts of all records."""
        from storymesh.engine import dialect
        from storymesh.engine.cse import eliminate_common

        columns = {f"text_{number}": text for number, text in enumerate(texts)}
        selected = self.inputs.select(**dialect.name_columns(columns))
        return _plan_seconds(self.engine.profile_plan(eliminate_common(selected)))


def _plan_seconds(operator: PlanOperator) -> float:
    return operator.seconds + sum(map(_plan_seconds, operator.children))


def _sum(values: "Iterable[ir.IntegerValue]") -> "ir.IntegerValue":
    first, *others = values
    return sum(others, first)


def _lengths(texts: "Sequence[ir.StringValue]") -> "ir.IntegerValue":
    return _sum(text.length().cast("int64") for text in texts)


def _line_cost(number: int, line: TemplateLine, figures: Mapping[str, float | None]) -> LineCost:
    def count(name: str) -> int:
        return int(figures[f"{name}_{number}"] or 0)

    return LineCost(
        line.kind,
        line.location,
        line.over,
        tuple(OuterLoop(loop.location, loop.over, loop.item) for loop in line.loops_around),
        count("least"),
        float(figures[f"mean_{number}"] or 0.0),
        count("most"),
        count("total"),
        count("outer") if line.loops_around else None,
        figures.get(f"characters_{number}"),
        differs_by_round=line.differs_by_round,
    )
