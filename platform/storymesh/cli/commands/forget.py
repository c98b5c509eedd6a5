"""`storymesh forget`: releases without the cases that a row belongs to."""

from typing import Annotated

import typer

from storymesh.cli.options import MeshOption, mesh_root


def forget(
    product: Annotated[str, typer.Option("--product", metavar="PRODUCT", help="The product that the row is of.")],
    key: Annotated[str, typer.Option("--key", metavar="KEY", help="The row's key, as `sources` of records write it.")],
    mesh: MeshOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without this it is shown and nothing changes.")] = False,
    remove_old: Annotated[
        bool, typer.Option("--remove-old", help="Remove the releases that used the row, when their successors stand.")
    ] = False,
) -> None:
    """Follow a row through every release, and cut successors without it.

    A successor leaves out the cases that the row belongs to.
    """
    from storymesh.cli.output.erasure import show_erasure, show_successor
    from storymesh.lifecycle import erase as forgetting
    from storymesh.mesh.mesh import load_mesh

    loaded = load_mesh(mesh_root(mesh))
    named = loaded.product(product).id
    found = forgetting.find(named, key, loaded.contract(named), loaded.warehouse, loaded.releases)
    show_erasure(found, yes=yes)
    if yes:
        for succeeded in forgetting.forget(found, loaded.warehouse):
            show_successor(succeeded)
        for old in forgetting.remove(found, loaded.store, loaded.releases) if remove_old else ():
            typer.echo(f"{old.narrative} {old.version} is removed")
