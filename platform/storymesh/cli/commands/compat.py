"""`storymesh compat`: what the contracts of this mesh break of an earlier state."""

from typing import Annotated

import typer

from storymesh.cli.options import FindingsFormatOption, MeshOption, mesh_root
from storymesh.cli.output.console import echo
from storymesh.cli.output.json_document import echo_result
from storymesh.printable import printable_line


def compat(
    against: Annotated[
        str,
        typer.Option("--against", metavar="STATE", help="A commit of git, a release, or the folder of another mesh."),
    ],
    mesh: MeshOption = None,
    format: FindingsFormatOption = "text",  # noqa: A002
) -> None:
    """Say which changes of contracts break whom.

    Every change is classified for readers and publishers. A promise that is broken without a new major version is an
    error; a version that says less than what changed is a warning.
    """
    from storymesh.cli.output.compat import compat_lines
    from storymesh.cli.output.findings import count_findings, findings_as_annotations, findings_as_sarif
    from storymesh.compatibility.compare import compare_mesh
    from storymesh.mesh.check import blocking_findings

    root = mesh_root(mesh)
    found = compare_mesh(root, against)
    findings = list(found.findings)
    match format:
        case "json":
            echo_result(found)
        case "sarif":
            echo_result(findings_as_sarif(findings, root))
        case "github":
            for annotation in findings_as_annotations(findings, root):
                echo(printable_line(annotation))
        case "text":
            for line in compat_lines(found):
                echo(printable_line(line))
    if format in ("text", "github"):
        changed = f"{len(found.contracts)} of {found.compared} contracts changed since {found.against}"
        echo(printable_line(f"{changed}: {count_findings(findings)}"), err=True)
    if blocking_findings(findings):
        raise typer.Exit(1)
