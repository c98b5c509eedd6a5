"""Where time and memory of a release go, as people read it on a terminal: tables, bars, and what to do about it."""

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding

from storymesh.cli.output.console import console_on, open_table
from storymesh.release.profile_hints import line_title, short_location

if TYPE_CHECKING:
    from rich.table import Table

    from storymesh.dataset.template_profile import ConfigCost, LineCost
    from storymesh.release.profile import ReleaseProfile
    from storymesh.release.profile_hints import Hint

WIDTH = 100
BAR = 20  # characters of the longest bar


def show_profile(profile: "ReleaseProfile") -> None:
    """Print what each step, role and config took, the lines of the templates that cost much, and what to do."""
    console = console_on(sys.stdout)
    console.width = min(console.width, WIDTH)
    sample = "all" if profile.cases == profile.all_cases else f"a sample of {profile.cases:,} of {profile.all_cases:,}"
    console.print(f"{profile.narrative}: {sample} cases, {profile.cpu_seconds:,.1f} CPU seconds")
    for table in (_steps(profile), _roles(profile)):
        if table.row_count:
            console.print()
            console.print(table)
    console.print()
    for template in profile.templates:
        _show_template(console, template)
    if profile.hints:
        console.print()
    for hint in profile.hints:
        _show_hint(console, hint)
    console.print()
    for note in _notes(profile):
        console.print(note)


def _steps(profile: "ReleaseProfile") -> "Table":
    numbers = ("CPU s", "rows in", "rows out", "peak MiB")
    table = open_table("step", "config", "CPU s", "of all", "rows in", "rows out", "peak MiB", right=numbers)
    largest = max((step.cpu_seconds for step in profile.steps), default=0.0)
    for step in profile.steps:
        table.add_row(
            step.step,
            step.config,
            f"{step.cpu_seconds:,.2f}",
            _bar(step.cpu_seconds, largest, profile.cpu_seconds),
            _count(step.rows_in),
            _count(step.rows_out),
            "" if step.peak_bytes is None else f"{step.peak_bytes / 2**20:,.0f}",
        )
    return table


def _roles(profile: "ReleaseProfile") -> "Table":
    numbers = ("rows in", "rows out", "a case", "at most", "properties", "bytes a case")
    table = open_table("role", "engine s", "of all", *numbers, right=("engine s", *numbers))
    seconds = [role.seconds for role in profile.roles]
    for role in profile.roles:
        table.add_row(
            role.role,
            f"{role.seconds:,.2f}",
            _bar(role.seconds, max(seconds), sum(seconds), BAR // 2),
            f"{role.rows_in:,}",
            f"{role.rows_out:,}",
            f"{role.mean:,.1f}",
            f"{role.most:,}",
            f"{role.properties:,}",
            f"{role.bytes_of_case:,.0f}",
        )
    return table


def _show_template(console: Console, template: "ConfigCost") -> None:
    each = f"{template.characters:,.0f} characters a record"
    head = f"{template.config}: {template.records:,} records, {each}, {template.seconds:,.2f} s of the engine"
    console.print(head)
    if not template.is_compared:
        console.print(f"  {_describe_rows(template)}")
    else:
        console.print(Padding(_lines(template), (0, 0, 1, 2), expand=False))
    if template.uncounted:
        console.print(f"  {template.uncounted:,} further loops and includes were not counted")


def _describe_rows(template: "ConfigCost") -> str:
    if not template.lines:
        return "no loops and no includes: nothing to change"
    rows = sum(line.mean for line in template.lines)
    most = max(line.most for line in template.lines)
    several = f"{len(template.lines)} loops and includes make" if len(template.lines) > 1 else "its one loop makes"
    return f"{several} {rows:,.1f} rows a record, {most:,} at most in one: nothing to change"


def _lines(template: "ConfigCost") -> "Table":
    numbers = ("least", "mean", "most", "in all", "printed")
    table = open_table("line", "what", *numbers, "of the text", right=numbers)
    largest = max((line.seconds or 0.0 for line in template.lines), default=0.0)
    for line in template.lines:
        whole = max(template.seconds, largest)
        table.add_row(
            short_location(line.location),
            f"{'  ' * len(line.around)}{_short_title(line)}",
            f"{line.least:,}",
            f"{line.mean:,.1f}",
            f"{line.most:,}",
            f"{line.total:,}",
            "" if line.characters is None else f"{line.characters:,.0f}",
            "" if line.seconds is None else _bar(line.seconds, largest, whole, BAR // 2),
        )
    return table


def _short_title(line: "LineCost") -> str:
    return line_title(line).removeprefix("the ")


def _show_hint(console: Console, hint: "Hint") -> None:
    console.print(f"• {hint.words}")
    console.print(Padding(hint.advice, (0, 0, 0, 2), expand=False))


def _notes(profile: "ReleaseProfile") -> list[str]:
    notes = []
    if not profile.hints:
        notes.append(_nothing_stands_out(profile))
    if profile.refused is not None:
        notes.append(f"The release of these cases was not written to its end: {profile.refused}.")
    if profile.rewritten:
        notes.append(f"No model was asked: {', '.join(profile.rewritten)} was measured as its templates tell it.")
    if profile.cluster:
        notes.append("Measured by DuckDB on this machine; the mesh's own engine, Spark, shares its work otherwise.")
    if profile.cases < profile.all_cases:
        notes.append(
            "Precedents are those among the sampled cases. Part of each step (compiling, planning) stays the same "
            "however many cases there are: --cases says how many to measure, 0 for all."
        )
    return notes


def _nothing_stands_out(profile: "ReleaseProfile") -> str:
    largest = max(profile.steps, key=lambda step: step.cpu_seconds)
    name = f"{largest.step} of {largest.config}" if largest.config else largest.step
    share = largest.cpu_seconds / profile.cpu_seconds if profile.cpu_seconds else 0.0
    return f"No role and no line of a template stands out. The largest step is {name}, with {share:.0%}."


def _bar(value: float, largest: float, whole: float, width: int = BAR) -> str:
    length = round(width * value / largest) if largest else 0
    return f"{'█' * length} {value / whole:.0%}" if whole else ""


def _count(rows: int | None) -> str:
    return "" if rows is None else f"{rows:,}"
