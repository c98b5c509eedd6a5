"""`storymesh expire`: old versions of products removed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from storymesh.cli.options import FormatOption, MeshOption, YesOption, mesh_root
from storymesh.cli.output.console import echo, pluralize
from storymesh.cli.output.json_document import echo_result

if TYPE_CHECKING:
    from storymesh.lifecycle.expire import ExpiryPlan


def expire(
    products: Annotated[list[str] | None, typer.Argument(metavar="PRODUCT", help="Default: all.")] = None,
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


def show_expiry(plans: "Sequence[ExpiryPlan]", *, yes: bool) -> None:
    """Print which versions of each product go, which stay and why, and which releases lose what they were made from."""
    for plan in plans:
        total = len(plan.snapshots) + len(plan.kept)
        echo(f"{plan.product}: {pluralize(len(plan.snapshots), 'version')} of {total}")
        for snapshot in plan.snapshots:
            when = f"{snapshot.published_at:%Y-%m-%d %H:%M}"
            echo(f"  {snapshot.version[:12]} goes: {snapshot.rows:,} rows, published {when} UTC")
        if plan.quarantined:
            echo(f"  {pluralize(len(plan.quarantined), 'file')} of rows that were refused before the last run")
        for version, releases in plan.kept.items():
            names = [release.name for release in releases]
            current = ["what readers see"] if version == plan.current else []
            echo(f"  {version[:12]} stays: {', '.join([*current, *names])}")
    lost = dict.fromkeys(release.name for plan in plans for release in plan.lost)
    if lost:
        echo(f"can no longer be rebuilt, traced or exported: {', '.join(lost)}")
    if not any(plan.is_due for plan in plans):
        echo("nothing expires", err=True)
    elif not yes:
        echo("nothing was changed: --yes does it", err=True)
