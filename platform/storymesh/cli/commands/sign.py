"""`storymesh sign`: a release signed with a key of one's own."""

from pathlib import Path
from typing import Annotated

import typer

from storymesh.cli.options import FormatOption, MeshOption, ReleaseArgument
from storymesh.cli.output.console import echo
from storymesh.cli.output.json_document import echo_result
from storymesh.errors import WrongUsage


def sign(
    release: ReleaseArgument,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="A private Ed25519 key, PEM. Default: STORYMESH_SIGNING_KEY_FILE."),
    ] = None,
    mesh: MeshOption = None,
    format: FormatOption = "text",  # noqa: A002
) -> None:
    """Sign a release, so that others can tell that it is yours.

    It is verified first. `storymesh run` signs new releases itself where STORYMESH_SIGNING_KEY_FILE names a key. What
    is printed is for those who verify: the public key, and the digest of the lock.
    """
    from storymesh.engine.open import open_engine
    from storymesh.lifecycle.verify import verify_release
    from storymesh.mesh.lookup import named_release
    from storymesh.release.signature import KEY_VARIABLE, sign_release, signing_key

    private = signing_key(key)
    if private is None:
        raise WrongUsage("there is no key to sign with", f"name its file by --key, or in {KEY_VARIABLE}")
    found = named_release(release, mesh)
    verified = verify_release(found.path, open_engine)
    verified.require_whole()
    signer = sign_release(found.path, private)
    if format == "json":
        echo_result({"release": found, "signer": signer, "lock": verified.lock})
        return
    echo(f"{found.name} is signed by {signer}")
    echo(f"lock {verified.lock}")
