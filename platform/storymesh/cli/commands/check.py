"""`storymesh check`: the findings of the mesh's files."""

from contextlib import nullcontext
from typing import Annotated

import typer

from storymesh.cli.options import FindingsFormatOption, MeshOption, mesh_root
from storymesh.cli.output.console import echo
from storymesh.cli.output.json_document import echo_result
from storymesh.printable import printable_line


def check(
    mesh: MeshOption = None,
    format: FindingsFormatOption = "text",  # noqa: A002
    dbt: Annotated[
        bool, typer.Option("--dbt", help="Also let dbt parse the projects that have changed, some seconds each.")
    ] = False,
) -> None:
    """Say what is wrong in the files, without reading any data.

    Of a dbt project it says what the text of its files shows, and what dbt last said of the same files.
    Warnings alone give exit code 0.
    """
    from storymesh.cli.output.findings import (
        count_findings,
        describe_definitions,
        findings_as_annotations,
        findings_as_sarif,
    )
    from storymesh.mesh.check import blocking_findings, check_files, count_definitions
    from storymesh.product.dbt_server import preloaded_dbt

    root = mesh_root(mesh)
    with preloaded_dbt() if dbt else nullcontext():
        findings = check_files(root, ask_dbt=dbt)
    match format:
        case "json":
            echo_result(findings)
        case "sarif":
            echo_result(findings_as_sarif(findings, root))
        case "github":
            for annotation in findings_as_annotations(findings, root):
                echo(printable_line(annotation))
        case "text":
            for finding in findings:
                echo(printable_line(str(finding)))
    if format in ("text", "github"):
        echo(f"{describe_definitions(count_definitions(root))}: {count_findings(findings)}", err=True)
    if blocking_findings(findings):
        raise typer.Exit(1)
