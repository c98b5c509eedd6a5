"""`storymesh forget`: releases without the cases that a row belongs to."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from storymesh.cli.options import FormatOption, MeshOption, YesOption, mesh_root
from storymesh.cli.output.console import echo, pluralize
from storymesh.cli.output.json_document import echo_result
from storymesh.printable import printable_line

if TYPE_CHECKING:
    from storymesh.lifecycle.erase import ErasurePlan, Succession
    from storymesh.lifecycle.vanished_rows import VanishedRows


def forget(
    product: Annotated[
        str | None, typer.Option("--product", metavar="PRODUCT", help="The product that the row is of.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="KEY", help="The row's key, as `sources` of records write it.")
    ] = None,
    gone: Annotated[
        str | None,
        typer.Option(
            "--gone", metavar="PRODUCT", help="All rows that this product no longer has, as of deleted files."
        ),
    ] = None,
    mesh: MeshOption = None,
    yes: YesOption = False,
    remove_old: Annotated[
        bool, typer.Option("--remove-old", help="Remove the releases that used the row, when their successors stand.")
    ] = False,
    format: FormatOption = "text",  # noqa: A002
) -> None:
    """Follow a row through every release, and cut successors without it.

    A successor leaves out the cases that the row belongs to.
    """
    from storymesh.errors import WrongUsage
    from storymesh.lifecycle.erase import Erasure, ErasurePlan
    from storymesh.lifecycle.vanished_rows import plan_vanished
    from storymesh.mesh.mesh import load_mesh

    if (gone is None) == (product is None) or (product is None) != (key is None):
        raise WrongUsage("say which row: --product PRODUCT --key KEY, or --gone PRODUCT", "storymesh forget --help")
    loaded = load_mesh(mesh_root(mesh))
    erasure = Erasure(loaded.warehouse, loaded.releases, loaded.open_engine, loaded.contracts)
    found: dict[str, object]
    plans: tuple[ErasurePlan, ...]
    if gone is not None:
        rows = plan_vanished(erasure, loaded.product(gone).id)
        found, plans, show = {"rows": rows}, rows.plans, partial(show_vanished, rows)
    else:
        plan = erasure.plan(loaded.product(str(product)).id, str(key))
        found, plans, show = {"plan": plan}, (plan,), partial(show_erasure, plan)
    if format == "json":
        successors = list(erasure.erase(plans)) if yes else []
        removed = erasure.remove_old(plans) if yes and remove_old else []
        echo_result({**found, "done": yes, "successors": successors, "removed": removed})
        return
    show(yes=yes)
    if yes:
        for succession in erasure.erase(plans):
            show_successor(succession)
        for old in erasure.remove_old(plans) if remove_old else ():
            echo(f"{old.narrative} {old.version} is removed")


def show_erasure(plan: "ErasurePlan", *, yes: bool) -> None:
    """Print which versions hold the row, which records used it, and what is done about it, or would be."""
    here = "also in the one that readers see now" if plan.current else "no more in the one that readers see now"
    echo(f"{plan.product} {plan.key}: in {pluralize(len(plan.versions), 'version')} of the product, {here}")
    for used in plan.affected:
        release = used.release
        records = ", ".join(f"{config} {count:,}" for config, count in used.records.items()) or "no record prints it"
        quotes = ", ".join(f"{config} {count:,}" for config, count in used.quotes.items())
        quoting = f"; quoted by {quotes}" if quotes else ""
        echo(f"{release.narrative} {release.version}: {pluralize(used.cases, 'case')}; {records}{quoting}")
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
        echo(f"{rows.product}: {pluralize(rows.unused, f'{other}row')} that it no longer has, and that no release used")
    echo(f"old versions of {rows.product} keep such rows until they expire: storymesh expire {rows.product}")
    if rows.plans and not yes:
        echo("nothing was changed: --yes does it", err=True)


def show_successor(succession: "Succession") -> None:
    old, new = succession.old, succession.new
    echo(f"{old.narrative} {new.version} succeeds {old.version}, without them")
