"""`storymesh check`: the findings of the mesh's files."""

import typer

from storymesh.cli.options import FormatOption, MeshOption, mesh_root
from storymesh.cli.output.console import echo, echo_json
from storymesh.printable import printable_line


def check(mesh: MeshOption = None, format: FormatOption = "text") -> None:  # noqa: A002
    """Say what is wrong in the files, without reading any data.

    Warnings alone give exit code 0.
    """
    from storymesh.cli.output.findings import count_findings, findings_as_json
    from storymesh.mesh.check import blocking_findings, check_files

    findings = check_files(mesh_root(mesh))
    if format == "json":
        echo_json(findings_as_json(findings))
    else:
        for finding in findings:
            echo(printable_line(str(finding)))
        echo(count_findings(findings), err=True)
    if blocking_findings(findings):
        raise typer.Exit(1)
