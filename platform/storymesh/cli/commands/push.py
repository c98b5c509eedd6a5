"""`storymesh push`: a release as a dataset on the Hugging Face Hub."""

from typing import TYPE_CHECKING, Annotated

import typer

from storymesh.cli.options import FormatOption, MeshOption, ReleaseArgument
from storymesh.cli.output.console import echo
from storymesh.cli.output.json_document import echo_result

if TYPE_CHECKING:
    from storymesh.lifecycle.push import PushPlan


def push(
    release: ReleaseArgument,
    to: Annotated[str, typer.Option("--to", metavar="ORG/DATASET", help="The dataset on the Hub.")],
    mesh: MeshOption = None,
    public: Annotated[bool, typer.Option("--public", help="For everybody to read. Default: private.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go; ask and send nothing.")] = False,
    format: FormatOption = "text",  # noqa: A002
) -> None:
    """Put a release on the Hugging Face Hub.

    It is one commit, with the version as its tag. Who is logged in comes from HF_TOKEN or `hf auth login`, the Hub's
    address from HF_ENDPOINT. A release that prints internal values is never pushed to a public dataset.
    """
    from storymesh.cli.output.contract_changes import show_contract_changes
    from storymesh.engine.open import open_engine
    from storymesh.lifecycle.push import plan_push, push_release
    from storymesh.mesh.lookup import contracts_of, named_release

    found = named_release(release, mesh)
    current = contracts_of(mesh, found)
    show_contract_changes(found, current)
    plan = plan_push(found, to, open_engine, public=public, current=current)
    if format == "json":
        address, sent = (None, False) if dry_run else push_release(plan)
        echo_result({"plan": plan, "address": address, "sent": sent})
        return
    show_push(plan, dry=dry_run)
    if not dry_run:
        address, sent = push_release(plan)
        echo(f"{address} {'holds it now' if sent else 'has this version already'}: tag {plan.release.version}")


def show_push(plan: "PushPlan", *, dry: bool) -> None:
    """Print where the release goes and who may read it there; with `dry` also each file."""
    release = plan.release
    place = f"{'public' if plan.public else 'private'} dataset {plan.repository}"
    size = sum(plan.files.values())
    echo(f"{release.name}: {len(plan.files)} files, {size:,} bytes, to the {place}")
    if not dry:
        return
    for name, count in plan.files.items():
        echo(f"  {count:>12,}  {name}")
    if plan.internal:
        echo(f"prints internal values, so it may not be public: {', '.join(plan.internal)}")
    echo("nothing was sent", err=True)
