"""The ways in which rows of products in place were fetched, for a terminal."""

import sys
from typing import TYPE_CHECKING

from storymesh.cli.output.console import console_on, open_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storymesh.federation.plan import TransferPlan


def show_transfers(plans: "Mapping[str, TransferPlan]") -> None:
    """Print for each role the ways in which its rows can be fetched, which was chosen, and what came."""
    console = console_on(sys.stdout)
    if not plans:
        console.print("every product of the cast is published: nothing is fetched from where it stays")
    for role, plan in plans.items():
        console.print(f"{role}: {plan.product} on {plan.server}, {', '.join(plan.columns)}")
        table = open_table("way", "rows expected", "bytes expected", "bytes in", "")
        for name, way in plan.ways.items():
            table.add_row(name, *map("{:,}".format, way), "chosen" if name == plan.chosen else "")
        if plan.ways:
            console.print(table)
        for note in plan.notes:
            console.print(f"  {note}")
        moved = f", {plan.bytes:,} bytes" if plan.bytes is not None else ""
        keys = f" by {plan.keys:,} keys" if plan.keys else ""
        console.print(f"came ({plan.chosen}{keys}): {plan.rows or 0:,} rows{moved}")
        for reason, count in plan.quarantined.items():
            console.print(f"  quarantined: {reason} ({count:,})")
        for line in plan.source.lines() if plan.source is not None else ():
            console.print(f"  {line}")
        console.print()
