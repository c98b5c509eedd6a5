"""`storymesh check`: the findings of the mesh's files."""

from typing import Annotated, Literal

import typer

from storymesh.cli.options import MeshOption, mesh_root
from storymesh.cli.output.console import echo, echo_json
from storymesh.printable import printable_line

FindingsFormat = Literal["text", "json", "github", "sarif"]


def check(
    mesh: MeshOption = None,
    format: Annotated[  # noqa: A002
        FindingsFormat, typer.Option("--format", help="For people, for machines, for a change on GitHub, or as SARIF.")
    ] = "text",
) -> None:
    """Say what is wrong in the files, without reading any data.

    Warnings alone give exit code 0.
    """
    from storymesh.cli.output.findings import (
        count_findings,
        describe_definitions,
        findings_as_annotations,
        findings_as_json,
        findings_as_sarif,
    )
    from storymesh.mesh.check import blocking_findings, check_files, count_definitions

    root = mesh_root(mesh)
    findings = check_files(root)
    match format:
        case "json":
            echo_json(findings_as_json(findings))
        case "sarif":
            echo_json(findings_as_sarif(findings, root))
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
