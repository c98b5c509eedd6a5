"""`storymesh ui`: the mesh in Dagster's user interface."""

from typing import Annotated

import typer

from storymesh.cli.options import FormatOption, MeshOption, mesh_root
from storymesh.cli.output.json_document import echo_result


def ui(
    mesh: MeshOption = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 3000,
    host: Annotated[str, typer.Option("--host", help="Whom to listen to. Default: this machine only.")] = "127.0.0.1",
    format: FormatOption = "text",  # noqa: A002
) -> None:
    """Open the mesh in Dagster's user interface; Ctrl-C ends it."""
    from storymesh.cli.dagster_ui import serve_dagster
    from storymesh.cli.output.console import echo
    from storymesh.mesh.mesh import load_mesh

    serve_dagster(load_mesh(mesh_root(mesh)), host, port, announce=_announce_json if format == "json" else echo)


def _announce_json(words: str) -> None:

    echo_result({"message": words})
