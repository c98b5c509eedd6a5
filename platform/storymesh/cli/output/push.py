"""A release on its way to the Hugging Face Hub."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from storymesh.lifecycle.push import Going


def show_push(what: "Going", *, dry: bool) -> None:
    """Print where the release goes and who may read it there; with `dry` also each file."""
    release = what.release
    place = f"{'public' if what.public else 'private'} dataset {what.repository}"
    size = sum(what.files.values())
    typer.echo(f"{release.narrative} {release.version}: {len(what.files)} files, {size:,} bytes, to the {place}")
    if not dry:
        return
    for name, count in what.files.items():
        typer.echo(f"  {count:>12,}  {name}")
    if what.internal:
        typer.echo(f"prints internal values, so it may not be public: {', '.join(what.internal)}")
    typer.echo("nothing was sent", err=True)
