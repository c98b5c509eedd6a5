"""Versions of products that are to be removed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from storymesh.cli.output.console import echo
from storymesh.cli.output.counting import count_of

if TYPE_CHECKING:
    from storymesh.lifecycle.expire import ExpiryPlan


def show_expiry(plans: "Sequence[ExpiryPlan]", *, yes: bool) -> None:
    """Print which versions of each product go, which stay and why, and which releases lose what they were made from."""
    for plan in plans:
        total = len(plan.snapshots) + len(plan.kept)
        echo(f"{plan.product}: {count_of(len(plan.snapshots), 'version')} of {total}")
        for snapshot in plan.snapshots:
            when = f"{snapshot.published_at:%Y-%m-%d %H:%M}"
            echo(f"  {snapshot.version[:12]} goes: {snapshot.rows:,} rows, published {when} UTC")
        if plan.quarantined:
            echo(f"  {count_of(len(plan.quarantined), 'file')} of rows that were refused before the last run")
        for version, releases in plan.kept.items():
            names = [release.name for release in releases]
            current = ["what readers see"] if version == plan.current else []
            echo(f"  {version[:12]} stays: {', '.join([*current, *names])}")
    lost = dict.fromkeys(release.name for plan in plans for release in plan.lost)
    if lost:
        echo(f"can no longer be rebuilt, traced or exported: {', '.join(lost)}")
    if not any(plan.is_due for plan in plans):
        echo("nothing expires", err=True)
    elif not yes:
        echo("nothing was changed: --yes does it", err=True)
