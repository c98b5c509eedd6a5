"""`storymesh pull`: a verified copy of a release."""

from pathlib import Path
from typing import Annotated

import typer

from storymesh.cli.options import MeshOption, ReleaseArgument
from storymesh.cli.output.console import echo


def pull(
    release: ReleaseArgument,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that does not exist, or is empty.")],
    mesh: MeshOption = None,
) -> None:
    """Copy a release to a folder of its own, and verify the copy.

    The copy is whole, or there is none.
    """
    from storymesh.engine.open import open_engine
    from storymesh.lifecycle.pull import pull_release
    from storymesh.mesh.lookup import named_release

    found = named_release(release, mesh)
    copied = pull_release(found, folder, open_engine)
    state = "copied and verified" if copied else "is there already, verified"
    echo(f"{found.name} {state}: {folder}")
