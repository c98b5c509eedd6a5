"""Versions of products that are to be removed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from storymesh.cli.output.counting import count_of

if TYPE_CHECKING:
    from storymesh.lifecycle.expire import Expiring


def show_expiry(found: "Sequence[Expiring]", *, yes: bool) -> None:
    """Print which versions of each product go, which stay and why, and which releases lose what they were made from."""
    for one in found:
        typer.echo(f"{one.product}: {count_of(len(one.snapshots), 'version')} of {len(one.snapshots) + len(one.kept)}")
        for snapshot in one.snapshots:
            when = f"{snapshot.published_at:%Y-%m-%d %H:%M}"
            typer.echo(f"  {snapshot.version[:12]} goes: {snapshot.rows:,} rows, published {when} UTC")
        for version, releases in one.kept.items():
            told = [f"{release.narrative} {release.version}" for release in releases]
            seen = ["what readers see"] if version == one.current else []
            typer.echo(f"  {version[:12]} stays: {', '.join([*seen, *told])}")
    lost = dict.fromkeys(f"{release.narrative} {release.version}" for one in found for release in one.lost)
    if lost:
        typer.echo(f"can no longer be rebuilt, traced or exported: {', '.join(lost)}")
    if not any(one.snapshots for one in found):
        typer.echo("nothing expires", err=True)
    elif not yes:
        typer.echo("nothing was changed: --yes does it", err=True)
