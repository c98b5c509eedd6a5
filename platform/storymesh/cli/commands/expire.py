"""`storymesh expire`: old versions of products removed."""

from typing import Annotated

import typer

from storymesh.cli.options import FormatOption, MeshOption, YesOption, mesh_root
from storymesh.cli.output.console import echo
from storymesh.cli.output.json_document import echo_result


def expire(
    products: Annotated[list[str] | None, typer.Argument(metavar="[PRODUCT]...", help="Default: all.")] = None,
    mesh: MeshOption = None,
    pinned: Annotated[
        bool, typer.Option("--pinned", help="Also what releases were cut from: those cannot be made again then.")
    ] = False,
    yes: YesOption = False,
    format: FormatOption = "text",  # noqa: A002
) -> None:
    """Remove old versions of products, with their files.

    Old are those that neither readers see nor a release was cut from.
    """
    from storymesh.cli.output.expiry import show_expiry
    from storymesh.lifecycle.expire import expire_snapshots, plan_expiry
    from storymesh.mesh.mesh import load_mesh
    from storymesh.orchestration.instance import dagster_home
    from storymesh.orchestration.sample_erasure import erase_samples

    loaded = load_mesh(mesh_root(mesh))
    named = [loaded.product(product).id for product in products or loaded.products]
    plans = plan_expiry(named, loaded.warehouse, loaded.releases, pinned=pinned)
    due = yes and any(plan.is_due for plan in plans)
    if due:
        erase_samples(dagster_home(loaded))
    if format == "json":
        builds = expire_snapshots(plans, loaded.warehouse, loaded.releases) if due else 0
        echo_result({"plans": plans, "done": due, "builds": builds})
        return
    show_expiry(plans, yes=yes)
    if due:
        builds = expire_snapshots(plans, loaded.warehouse, loaded.releases)
        echo(f"removed, with {builds} of what narratives had made of products")
