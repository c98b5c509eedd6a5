"""`storymesh docs`: the mesh as a static site."""

from pathlib import Path
from typing import Annotated

import typer

from storymesh.cli.options import FormatOption, MeshOption, mesh_root
from storymesh.cli.output.json_document import print_result

STORED = "catalogue.site"  # in the store, with a dot, so that no domain has its name


def docs(
    mesh: MeshOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The folder of the site. Default: one in the store.")
    ] = None,
    title: Annotated[
        str | None, typer.Option("--title", metavar="TEXT", help="The name of the site. Default: the mesh root's.")
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="Leave out values and stories that contracts do not call public.")
    ] = False,
    format: FormatOption = "text",  # noqa: A002
) -> None:
    """Build a static site: products, audits, lineage, stories, releases.

    It is read from disk, needs no network, and has the guide of storymesh too.
    """
    from storymesh.catalogue.site import write_site
    from storymesh.cli.output.console import echo, pluralize
    from storymesh.mesh.check import blocking_findings, check_mesh
    from storymesh.mesh.mesh import load_mesh
    from storymesh.orchestration.audit_history import open_audit_history

    loaded = load_mesh(mesh_root(mesh))
    folder = out if out is not None else loaded.prepare_store() / STORED
    with open_audit_history(loaded) as audits_of:
        site = write_site(loaded, folder, audits_of, title=title or loaded.root.name, public=public)
    if errors := blocking_findings(check_mesh(loaded)):
        words = f"the mesh has {pluralize(len(errors), 'error')}, and the site shows it as it is: storymesh check"
        echo(words, err=True)
    print_result(site, format, lambda made: echo(f"{pluralize(made.pages, 'page')}: open {made.index}"))
