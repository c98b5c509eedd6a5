"""`storymesh expire`: old versions of products removed."""

from typing import Annotated

import typer

from storymesh.cli.options import MeshOption, mesh_root
from storymesh.cli.output.console import echo


def expire(
    products: Annotated[list[str] | None, typer.Argument(metavar="[PRODUCT]...", help="Default: all.")] = None,
    mesh: MeshOption = None,
    pinned: Annotated[
        bool, typer.Option("--pinned", help="Also what releases were cut from: those cannot be made again then.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without this it is shown and nothing changes.")] = False,
) -> None:
    """Remove old versions of products, with their files.

    Old are those that neither readers see nor a release was cut from.
    """
    from storymesh.cli.output.expiry import show_expiry
    from storymesh.lifecycle.expire import expire_snapshots, plan_expiry
    from storymesh.mesh.mesh import load_mesh

    loaded = load_mesh(mesh_root(mesh))
    named = [loaded.product(product).id for product in products or loaded.products]
    plans = plan_expiry(named, loaded.warehouse, loaded.releases, pinned=pinned)
    show_expiry(plans, yes=yes)
    if yes and any(plan.snapshots for plan in plans):
        builds = expire_snapshots(plans, loaded.warehouse, loaded.releases)
        echo(f"removed, with {builds} of what narratives had made of products")
