"""`storymesh rebuild`: a release made again from its lock."""

from pathlib import Path
from typing import Annotated

import typer

from storymesh.cli.options import FormatOption, MeshOption, ReleaseArgument
from storymesh.cli.output.console import echo
from storymesh.cli.output.json_document import echo_result


def rebuild(
    release: ReleaseArgument,
    mesh: MeshOption = None,
    into: Annotated[Path | None, typer.Option("--into", metavar="DIR", help="Write it to this new folder.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=0, help="How many differences a config.")] = 3,
    format: FormatOption = "text",  # noqa: A002
) -> None:
    """Make a release again from its lock, and compare the digests.

    Confirms the digest, or says what differs. Changes no release.
    """
    from storymesh.cli.output.contract_changes import show_contract_changes
    from storymesh.cli.output.diff import show_diff
    from storymesh.engine.open import open_engine
    from storymesh.lifecycle.rebuild import rebuild_release
    from storymesh.mesh.lookup import contracts_of, named_release, warehouse_of

    original = named_release(release, mesh)
    current = contracts_of(mesh, original)
    show_contract_changes(original, current)
    found = rebuild_release(original, warehouse_of(mesh), open_engine, into, limit, current)
    name = found.release.name
    if format == "json":
        echo_result(found)
        if found.difference is not None:
            raise typer.Exit(1)
        return
    if found.difference is None:
        echo(f"{name}: made again from its lock, the same digest {found.digest[:12]}")
        if into is not None:
            echo(f"written to {into}")
        return
    echo(f"{name}: made again from its lock, another digest: {found.digest[:12]}", err=True)
    if found.rule_changes is not None:
        echo(found.rule_changes, err=True)
        echo("the storymesh that made it makes the same records again; a new release has the new ones", err=True)
    show_diff(found.difference)
    raise typer.Exit(1)
