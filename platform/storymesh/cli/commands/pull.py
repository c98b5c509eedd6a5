"""`storymesh pull`: a verified copy of a release."""

from pathlib import Path
from typing import Annotated

import typer

from storymesh.cli.options import DigestOption, FormatOption, MeshOption, ReleaseArgument, SignerOption
from storymesh.cli.output.console import echo
from storymesh.cli.output.json_document import echo_result


def pull(
    release: ReleaseArgument,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that does not exist, or is empty.")],
    mesh: MeshOption = None,
    digest: DigestOption = None,
    signer: SignerOption = None,
    format: FormatOption = "text",  # noqa: A002
) -> None:
    """Copy a release to a folder of its own, and verify the copy.

    The copy is whole, or there is none. With --digest or --signer it is also that of whom you trust.
    """
    from storymesh.engine.open import open_engine
    from storymesh.lifecycle.pull import pull_release
    from storymesh.mesh.lookup import expectation, named_release

    found = named_release(release, mesh)
    copied = pull_release(found, folder, open_engine, expectation(mesh, digest, signer or ()))
    if format == "json":
        echo_result({"release": found, "folder": folder, "copied": copied})
        return
    state = "copied and verified" if copied else "is there already, verified"
    echo(f"{found.name} {state}: {folder}")
