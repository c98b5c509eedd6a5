"""`storymesh forget`: releases without the cases that a row belongs to."""

from typing import Annotated

import typer

from storymesh.cli.options import FormatOption, MeshOption, mesh_root
from storymesh.cli.output.console import echo


def forget(
    product: Annotated[str, typer.Option("--product", metavar="PRODUCT", help="The product that the row is of.")],
    key: Annotated[str, typer.Option("--key", metavar="KEY", help="The row's key, as `sources` of records write it.")],
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
    from storymesh.cli.output.erasure import show_erasure, show_successor
    from storymesh.cli.output.json_document import echo_result
    from storymesh.lifecycle.erase import erase_row, plan_erasure, remove_affected_releases
    from storymesh.mesh.mesh import load_mesh

    loaded = load_mesh(mesh_root(mesh))
    named = loaded.product(product).id
    plan = plan_erasure(
        named,
        key,
        loaded.contract(named),
        loaded.warehouse,
        loaded.releases,
        loaded.open_engine,
        contracts=loaded.contracts,
    )
    if format == "json":
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
