"""`storymesh compat`: what the contracts of this mesh break of an earlier state."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from storymesh.cli.options import FindingsFormatOption, MeshOption, mesh_root
from storymesh.cli.output.console import echo, pluralize
from storymesh.cli.output.json_document import echo_result
from storymesh.printable import printable_line

if TYPE_CHECKING:
    from storymesh.compatibility.compare import AffectedReader, Compatibility, ContractComparison
    from storymesh.contract.change import ContractChange

_READER_EFFECTS = {"major": "breaks readers", "minor": "breaks no reader", "patch": "no row differs"}


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


def compat_lines(found: "Compatibility") -> Iterator[str]:
    """Yield the lines of a comparison."""
    for finding in found.findings:
        yield str(finding)
    for contract in found.contracts:
        yield ""
        yield from _contract_lines(contract)
    if found.added:
        yield ""
        yield f"new: {', '.join(found.added)}"
    for note in found.notes:
        yield f"note: {note}"


def _contract_lines(contract: "ContractComparison") -> Iterator[str]:
    wants = f", asks for {contract.wanted}" if contract.wanted and contract.changes else ""
    kept = f"; version {contract.old_version} is kept as {contract.kept_as}" if contract.kept_as else ""
    yield f"{contract.product} {contract.old_version} -> {contract.new_version or 'gone'}{wants}{kept}"
    for change in contract.changes:
        yield f"  {change.step:<6} {change.words} ({_effect(change)})"
    refused = contract.refused
    if refused is not None and refused.refused:
        yield f"  {refused.refused:,} of the {pluralize(refused.rows, 'published row')} would be refused now"
    for reader in contract.readers:
        yield from _reader_lines(reader)
    if contract.changes and not contract.readers and not contract.kept_as:
        yield "  nobody in this mesh reads what changed"


def _effect(change: "ContractChange") -> str:
    refuses = "; may refuse rows of publishers" if change.refuses else ""
    return f"{_READER_EFFECTS[change.step]}{refuses}"


def _reader_lines(reader: "AffectedReader") -> Iterator[str]:
    if reader.kind == "product":
        yield f"  read by the product {reader.name}, through its input port"
        return
    if not reader.configs:
        yield f"  read by {reader.name}"
    for effect in reader.configs:
        what = "the rows themselves" if effect.properties == ("*",) else ", ".join(effect.properties)
        line = f"  {reader.name}: {effect.config} reads {what}"
        if effect.stories is None:
            yield f"{line}; nothing is released yet"
        elif not effect.stories:
            yield f"{line}; none of the {effect.released:,} stories of {reader.release} changes by it"
        else:
            shown = ", ".join(effect.examples)
            yield (
                f"{line}; {effect.stories:,} of the {effect.released:,} stories of {reader.release} "
                f"{'changes' if effect.stories == 1 else 'change'}, for example {shown}"
            )
