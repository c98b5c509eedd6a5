"""`storymesh forget`: releases without the cases that a row belongs to."""

from functools import partial
from typing import Annotated

import typer

from storymesh.cli.options import FormatOption, MeshOption, YesOption, mesh_root
from storymesh.cli.output.console import echo
from storymesh.cli.output.json_document import echo_result


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
    from storymesh.cli.output.erasure import show_erasure, show_successor, show_vanished
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
