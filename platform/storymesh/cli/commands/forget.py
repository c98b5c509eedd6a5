"""`storymesh forget`: releases without the cases that a row belongs to."""

from typing import TYPE_CHECKING, Annotated

import typer

from storymesh.cli.options import FormatOption, MeshOption, mesh_root
from storymesh.cli.output.console import echo
from storymesh.cli.output.json_document import echo_result

if TYPE_CHECKING:
    from storymesh.mesh.mesh import Mesh


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
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without this it is shown and nothing changes.")] = False,
    remove_old: Annotated[
        bool, typer.Option("--remove-old", help="Remove the releases that used the row, when their successors stand.")
    ] = False,
    format: FormatOption = "text",  # noqa: A002
) -> None:
    """Follow a row through every release, and cut successors without it.

    A successor leaves out the cases that the row belongs to.
    """
    from storymesh.errors import WrongUsage
    from storymesh.mesh.mesh import load_mesh

    if (gone is None) == (product is None) or (product is None) != (key is None):
        raise WrongUsage("say which row: --product PRODUCT --key KEY, or --gone PRODUCT", "storymesh forget --help")
    loaded = load_mesh(mesh_root(mesh))
    if gone is not None:
        _forget_vanished(loaded, loaded.product(gone).id, format, yes=yes, remove_old=remove_old)
        return
    assert product is not None
    assert key is not None
    _forget_row(loaded, loaded.product(product).id, key, format, yes=yes, remove_old=remove_old)


def _forget_row(loaded: "Mesh", product: str, key: str, form: str, *, yes: bool, remove_old: bool) -> None:
    from storymesh.cli.output.erasure import show_erasure, show_successor
    from storymesh.lifecycle.erase import erase_row, plan_erasure, remove_affected_releases

    plan = plan_erasure(
        product,
        key,
        loaded.contract(product),
        loaded.warehouse,
        loaded.releases,
        loaded.open_engine,
        contracts=loaded.contracts,
    )
    if form == "json":
        successors = list(erase_row(plan, loaded.warehouse, loaded.open_engine, loaded.contracts)) if yes else []
        removed = list(remove_affected_releases(plan, loaded.store, loaded.releases)) if yes and remove_old else []
        echo_result({"plan": plan, "done": yes, "successors": successors, "removed": removed})
        return
    show_erasure(plan, yes=yes)
    if yes:
        for succession in erase_row(plan, loaded.warehouse, loaded.open_engine, loaded.contracts):
            show_successor(succession)
        for old in remove_affected_releases(plan, loaded.store, loaded.releases) if remove_old else ():
            echo(f"{old.narrative} {old.version} is removed")


def _forget_vanished(loaded: "Mesh", product: str, form: str, *, yes: bool, remove_old: bool) -> None:
    from storymesh.cli.output.erasure import show_successor, show_vanished
    from storymesh.lifecycle.vanished_rows import Vanishing

    contract, warehouse = loaded.contract(product), loaded.warehouse
    vanishing = Vanishing(product, contract, warehouse, loaded.releases, loaded.open_engine, loaded.contracts)
    rows = vanishing.plan()
    if form == "json":
        successors = list(vanishing.forget(rows)) if yes else []
        removed = list(vanishing.remove_old(rows)) if yes and remove_old else []
        echo_result({"rows": rows, "done": yes, "successors": successors, "removed": removed})
        return
    show_vanished(rows, yes=yes)
    if yes:
        for succession in vanishing.forget(rows):
            show_successor(succession)
        for old in vanishing.remove_old(rows) if remove_old else ():
            echo(f"{old.narrative} {old.version} is removed")
