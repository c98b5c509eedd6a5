"""Products as tables: their columns, their rows, and the rows that they refused."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from storymesh.cli.output.console import console_on, count_of, echo, open_table
from storymesh.printable import printable_line

if TYPE_CHECKING:
    from storymesh.contract.definition import Contract
    from storymesh.product.sample import ProductSample, QuarantineSample

_WIDEST = 60


def show_sample(sample: "ProductSample") -> None:
    """Print a version of a product: its columns with types and shares of nulls, then its first rows, one a block."""
    snapshot = sample.snapshot
    published = f"{snapshot.published_at:%Y-%m-%d %H:%M} UTC"
    echo(f"{snapshot.product} {snapshot.version[:12]}: {count_of(snapshot.rows, 'row')}, published {published}")
    rows = [f"row {number}" for number in range(1, len(sample.sample) + 1)]
    table = open_table("property", "type", "classification", "null", *(rows or [""]), right=("null",))
    for column in sample.columns:
        values = [_cell(row[column.name]) for row in sample.sample]
        table.add_row(column.name, column.type, column.classification, f"{column.null_share:.1%}", *values)
    console_on(sys.stdout).print(table)


def show_quarantine(contract: "Contract", origin: str, sample: "QuarantineSample | None") -> None:
    """Print the refused rows: for each its key, and for each rule that it breaks what was met and what is wanted."""
    if sample is None:
        echo(f"{contract.id}: no row was ever quarantined")
        return
    written = f"{sample.written_at:%Y-%m-%d %H:%M} UTC"
    echo(printable_line(f"{contract.id}: {count_of(sample.rows, 'row')} of {origin} refused, {written}"))
    for row in sample.sample:
        place = row.file if row.line is None else f"{row.file}:{row.line}"
        where = f"{place}: " if row.file is not None else ""
        echo(printable_line(f"{where}{_pairs(row.key)}"))
        for rule in row.broken:
            met = f" met {_pairs(rule.met)}," if rule.met else ""
            echo(printable_line(f"  {rule.reason}:{met} wanted: {rule.wanted}"))
    if any(row.file is not None and rule.reason.startswith("type:") for row in sample.sample for rule in row.broken):
        echo("how a file writes its values, `source` of the product says: decimal, thousands, dates, zone, nulls, …")
    echo(f"all of them: {sample.path}")


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {_cell(value)}" for name, value in values.items())


def _cell(value: Any) -> str:
    if value is None:
        return "null"
    text = " ".join(str(value).split())
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"
