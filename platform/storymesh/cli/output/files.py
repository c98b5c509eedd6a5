"""Files that a product is made of: what became of each, what was read in one, and what a run would do."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from storymesh.cli.output.console import console_on, echo, open_table, pluralize
from storymesh.files.place import describe_place
from storymesh.printable import printable_line

if TYPE_CHECKING:
    from storymesh.files.collection import FilesPlan
    from storymesh.files.outcomes import FileOutcomes, ReadFile
    from storymesh.product.publish_files import ShardRead

_MAX_PASSAGES = 40
_MAX_WIDTH = 100


def show_outcomes(found: "FileOutcomes") -> None:
    """Print how many files there are by outcome and by reason, then some of them."""
    outcomes = ", ".join(f"{name} {count:,}" for name, count in found.outcomes.items()) or "none"
    echo(printable_line(f"{found.product}: {pluralize(found.files, 'file')}: {outcomes}"))
    for reason, count in found.reasons.items():
        echo(printable_line(f"  {reason} ({count:,})"))
    if found.attachments:
        inside = ", ".join(f"{name} {count:,}" for name, count in found.attachments.items())
        echo(printable_line(f"  inside of them: {inside}"))
    table = open_table("file", "bytes", "arrived", "outcome", "why")
    for file in found.sample:
        arrived = f"{file.arrived:%Y-%m-%d %H:%M}" if file.arrived is not None else ""
        why = ": ".join(filter(None, (file.reason, file.detail))) + (
            "" if file.lasting else " (tried again at the next run)"
        )
        table.add_row(printable_line(file.uri), f"{file.size:,}", arrived, file.outcome, printable_line(why))
    if found.sample:
        console_on(sys.stdout).print(table)
    if (more := found.files - len(found.sample)) > 0:
        echo(f"and {more:,} more: --limit N")


def show_shards(read: "Sequence[ShardRead]") -> None:
    """Print what was read of a shard of each product."""
    for found in read:
        calls = f", {pluralize(found.calls, 'call')}" if found.calls else ""
        words = f"{pluralize(found.listed, 'file')}, {found.opened:,} opened, {found.read:,} read{calls}"
        echo(printable_line(f"{found.product}, shard {found.shard}: {words}"))
    echo("nothing is published yet: storymesh run, when all shards are read")


def show_file(found: "ReadFile") -> None:
    """Print one file: what became of it, its values, its text, and where the passages of the text stand."""
    file = found.file
    why = ": ".join(filter(None, (file.reason, file.detail)))
    echo(printable_line(f"{file.uri}: {file.outcome}{f', {why}' if why else ''}"))
    if file.sha256 is not None:
        echo(f"sha256 {file.sha256}, {file.size:,} bytes, read by {found.reader or 'nobody'}")
    for reason in found.refused_rows:
        echo(printable_line(f"a row is refused: {reason}"))
    for answer in found.answers:
        echo(printable_line(f"a model answered: {_shortened(answer)}"))
    for name, value in found.values.items():
        for line in _lines(name, value):
            echo(printable_line(line))
    if found.text is None:
        return
    for passage in found.passages[:_MAX_PASSAGES]:
        begin, end = passage["begin"], passage["end"]
        echo(printable_line(f"[{describe_place(passage)}] {_shortened(found.text[begin:end])}"))
    if (more := len(found.passages) - _MAX_PASSAGES) > 0:
        echo(f"and {more:,} more passages: --format json")
    echo("")
    for line in found.text.splitlines():
        echo(printable_line(line))


def _lines(name: str, value: Any) -> list[str]:
    if isinstance(value, dict):
        return [line for inner, item in value.items() for line in _lines(f"{name}.{inner}", item)]
    if isinstance(value, list):
        return (
            [f"{name}: {pluralize(len(value), 'item')}"]
            if value and isinstance(value[0], dict)
            else _lines(name, ", ".join(map(str, value)) or None)
        )
    return [] if value is None else [f"{name}: {_shortened(str(value))}"]


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_WIDTH else f"{line[: _MAX_WIDTH - 1]}…"


def show_plans(plans: Sequence[tuple[str, "FilesPlan"]]) -> None:
    """Print for each product that is made of files what a run would open, ask and pay."""
    for product, plan in plans:
        opened = f"{pluralize(plan.opened, 'file')} to open ({plan.opened_bytes:,} bytes)"
        again = f", {plan.passing:,} of them tried again" if plan.passing else ""
        known = f"{pluralize(plan.listed, 'file')} ({plan.bytes:,} bytes)"
        known += f", {plan.gone:,} gone since the last run" if plan.gone else ""
        cost = f", at most {plan.usd:.2f} USD" if plan.calls and plan.usd is not None else ""
        calls = f"{pluralize(plan.calls, 'call')} of a model{cost}"
        echo(printable_line(f"{product}: {known}, {opened}{again}; {calls}"))
    if not plans:
        echo("nothing that would run is made of files")
