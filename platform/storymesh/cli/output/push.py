"""A release on its way to the Hugging Face Hub."""

from typing import TYPE_CHECKING

from storymesh.cli.output.console import echo

if TYPE_CHECKING:
    from storymesh.lifecycle.push import PushPlan


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
