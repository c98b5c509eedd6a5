"""`storymesh releases`: the releases of the mesh, listed or verified."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from storymesh.cli.options import DigestOption, FormatOption, MeshOption, SignerOption, mesh_root
from storymesh.cli.output.console import console_on, echo, open_table
from storymesh.cli.output.json_document import echo_result
from storymesh.errors import WrongUsage

if TYPE_CHECKING:
    from storymesh.release.catalog import Release


def releases(
    narrative: Annotated[
        str | None,
        typer.Argument(
            metavar="NARRATIVE", help="Default: of all. With --verify also NARRATIVE@X-rN or the folder of a release."
        ),
    ] = None,
    mesh: MeshOption = None,
    verify: Annotated[bool, typer.Option("--verify", help="Compute digests, counts and certificate again.")] = False,
    digest: DigestOption = None,
    signer: SignerOption = None,
    format: FormatOption = "text",  # noqa: A002
) -> None:
    """List the releases of the mesh, or verify them.

    A verified release is whole: it is what its lock says. That the lock is the one that its maker wrote is proved by
    --digest or --signer.
    """
    from storymesh.mesh.mesh import load_mesh
    from storymesh.release.catalog import list_releases

    if verify:
        from storymesh.cli.output.verification import verify_and_show
        from storymesh.engine.open import open_engine
        from storymesh.mesh.lookup import expectation, extracts_of, named_releases

        expected = expectation(mesh, digest, signer or ())
        found = named_releases(narrative, mesh)
        if digest is not None and len(found) > 1:
            raise WrongUsage("one digest is that of one release", "name it: NARRATIVE@X-rN, or its folder")
        if not verify_and_show(found, format, open_engine, expected, extracts_of(mesh)):
            raise typer.Exit(1)
        return
    if digest is not None or signer:
        raise WrongUsage("--digest and --signer say what is verified", "add --verify")

    loaded = load_mesh(mesh_root(mesh))
    chosen = loaded.narrative(narrative).id if narrative else None
    found = list_releases(loaded.releases, chosen)
    if format == "json":
        echo_result(release_documents(found, loaded.root))
    elif found:
        show_releases(found)
    else:
        echo("no release yet: storymesh run makes one", err=True)


def show_releases(releases: "Sequence[Release]") -> None:
    table = open_table("narrative", "version", "records", "configs", "digest", right=("records",))
    for release in releases:
        records = f"{release.manifest.records:,}"
        table.add_row(release.narrative, release.version, records, ", ".join(release.configs), release.digest[:16])
    console_on(sys.stdout).print(table)


def release_documents(releases: "Sequence[Release]", root: Path) -> list[dict[str, object]]:
    """Return for each release: narrative, version, path (relative to the mesh root), digest, configs, drops."""
    from storymesh.document import path_in_mesh

    return [
        {
            "narrative": release.narrative,
            "version": release.version,
            "path": path_in_mesh(release.path, root),
            "digest": release.digest,
            "configs": release.configs,
            "drops": release.drops,
        }
        for release in releases
    ]
