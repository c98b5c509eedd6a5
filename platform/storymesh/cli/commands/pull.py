"""`storymesh pull`: a verified copy of a release."""

from pathlib import Path
from typing import Annotated

import typer

from storymesh.cli.options import MeshOption, ReleaseArgument


def pull(
    release: ReleaseArgument,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that does not exist, or is empty.")],
    mesh: MeshOption = None,
) -> None:
    """Copy a release to a folder of its own, and verify the copy.

    The copy is whole, or there is none.
    """
    from storymesh.lifecycle.pull import pull as copy
    from storymesh.mesh.lookup import named_release

    found = named_release(release, mesh)
    copied = copy(found, folder)
    state = "copied and verified" if copied else "is there already, verified"
    typer.echo(f"{found.narrative} {found.version} {state}: {folder}")
