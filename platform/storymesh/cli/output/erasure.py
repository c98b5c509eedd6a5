"""A row that is to be forgotten: which releases used it, and which succeed them."""

from typing import TYPE_CHECKING

from storymesh.cli.output.console import count_of, echo
from storymesh.printable import printable_line

if TYPE_CHECKING:
    from storymesh.lifecycle.erase import ErasurePlan, Succession
    from storymesh.lifecycle.vanished_rows import VanishedRows


def show_erasure(plan: "ErasurePlan", *, yes: bool) -> None:
    """Print which versions hold the row, which records used it, and what is done about it, or would be."""
    here = "also in the one that readers see now" if plan.current else "no more in the one that readers see now"
    echo(f"{plan.product} {plan.key}: in {count_of(len(plan.versions), 'version')} of the product, {here}")
    for used in plan.affected:
        release = used.release
        records = ", ".join(f"{config} {count:,}" for config, count in used.records.items()) or "no record prints it"
        quotes = ", ".join(f"{config} {count:,}" for config, count in used.quotes.items())
        quoting = f"; quoted by {quotes}" if quotes else ""
        echo(f"{release.narrative} {release.version}: {count_of(used.cases, 'case')}; {records}{quoting}")
        more = sum(used.records.values()) + sum(used.quotes.values()) - len(used.examples)
        for record in used.examples:
            echo(f"  {record}")
        if more > 0:
            echo(f"  and {more:,} more")
    for release, words in plan.irreproducible:
        echo(f"{release.narrative} {release.version}: {words}", err=True)
    for release, words in plan.rule_changes:
        echo(f"{release.narrative} {release.version}: {words}")
        echo("  so its successor differs from it by more than what is forgotten: storymesh diff says by what")
    if not plan.affected:
        echo("no release used it")
    echo(f"old versions of {plan.product} keep the row until they expire: storymesh expire {plan.product}")
    if plan.current:
        echo("its domain removes the row itself; until then later cuts leave out the cases that it belongs to")
    if not yes:
        echo("nothing was changed: --yes does it", err=True)


def show_vanished(rows: "VanishedRows", *, yes: bool) -> None:
    """Print which releases used rows that their product no longer has, and what is done about it, or would be."""
    for plan in rows.plans:
        for used in plan.affected:
            records = (
                ", ".join(f"{config} {count:,}" for config, count in used.records.items()) or "no record prints it"
            )
            echo(printable_line(f"{used.release.narrative} {used.release.version}: {plan.key}: {records}"))
        for release, words in plan.irreproducible:
            echo(f"{release.narrative} {release.version}: {words}", err=True)
    if not rows.plans and not rows.unused:
        echo(f"{rows.product}: every row that an earlier version has is there still, so nothing is to be forgotten")
        return
    if rows.unused:
        other = "other " if rows.plans else ""
        echo(f"{rows.product}: {count_of(rows.unused, f'{other}row')} that it no longer has, and that no release used")
    echo(f"old versions of {rows.product} keep such rows until they expire: storymesh expire {rows.product}")
    if rows.plans and not yes:
        echo("nothing was changed: --yes does it", err=True)


def show_successor(succession: "Succession") -> None:
    old, new = succession.old, succession.new
    echo(f"{old.narrative} {new.version} succeeds {old.version}, without them")
