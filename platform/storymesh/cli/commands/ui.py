"""`storymesh ui`: the mesh in Dagster's user interface."""

from typing import Annotated

import typer

from storymesh.cli.options import MeshOption, mesh_root


def ui(
    mesh: MeshOption = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 3000,
    host: Annotated[str, typer.Option("--host", help="Whom to listen to. Default: this machine only.")] = "127.0.0.1",
) -> None:
    """Open the mesh in Dagster's user interface; Ctrl-C ends it."""
    from storymesh.cli.dagster_ui import serve_dagster
    from storymesh.mesh.mesh import load_mesh

    code = serve_dagster(load_mesh(mesh_root(mesh)), host, port)
    if code:
        raise typer.Exit(code)
