"""A row that is to be forgotten: which releases used it, and which succeed them."""

from typing import TYPE_CHECKING

import typer

from storymesh.cli.output.counting import count_of

if TYPE_CHECKING:
    from storymesh.lifecycle.erase import ErasurePlan, Succession


def show_erasure(plan: "ErasurePlan", *, yes: bool) -> None:
    """Print which versions hold the row, which records used it, and what is done about it, or would be."""
    here = "also in the one that readers see now" if plan.current else "no more in the one that readers see now"
    typer.echo(f"{plan.product} {plan.key}: in {count_of(len(plan.versions), 'version')} of the product, {here}")
    for used in plan.affected:
        release = used.release
        records = ", ".join(f"{config} {count:,}" for config, count in used.records.items()) or "no record prints it"
        quotes = ", ".join(f"{config} {count:,}" for config, count in used.quotes.items())
        quoting = f"; quoted by {quotes}" if quotes else ""
        typer.echo(f"{release.narrative} {release.version}: {count_of(used.cases, 'case')}; {records}{quoting}")
        more = sum(used.records.values()) + sum(used.quotes.values()) - len(used.examples)
        for record in used.examples:
            typer.echo(f"  {record}")
        if more > 0:
            typer.echo(f"  and {more:,} more")
    for release, words in plan.irreproducible:
        typer.echo(f"{release.narrative} {release.version}: {words}", err=True)
    if not plan.affected:
        typer.echo("no release used it")
    typer.echo(f"old versions of {plan.product} keep the row until they expire: storymesh expire {plan.product}")
    if plan.current:
        typer.echo("its domain removes the row itself; until then later cuts leave out the cases that it belongs to")
    if not yes:
        typer.echo("nothing was changed: --yes does it", err=True)


def show_successor(succession: "Succession") -> None:
    old, new = succession.old, succession.new
    typer.echo(f"{old.narrative} {new.version} succeeds {old.version}, without them")
