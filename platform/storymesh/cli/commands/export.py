"""`storymesh export`: the cases of a release in a form of other tools."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from storymesh.cli.options import FormatOption, MeshOption, ReleaseArgument
from storymesh.cli.output.console import echo, pluralize
from storymesh.cli.output.json_document import print_result

if TYPE_CHECKING:
    from storymesh.lifecycle.ocel import EventLog


def export(
    release: ReleaseArgument,
    to: Annotated[Literal["ocel"], typer.Option("--to", help="The form: ocel is OCEL 2.0, in JSON.")],
    into: Annotated[Path, typer.Option("--into", metavar="FILE", help="A file that does not exist.")],
    mesh: MeshOption = None,
    format: FormatOption = "text",  # noqa: A002
) -> None:
    """Write the cases of a release as an object-centric event log.

    The log is for process mining. It has everything that is known today of the cases, from the snapshots that the
    release was made from: internal values too, but no restricted ones and nothing that is to be forgotten.
    """
    from storymesh.cli.output.contract_changes import show_contract_changes
    from storymesh.engine.open import open_engine
    from storymesh.lifecycle.ocel import write_event_log
    from storymesh.mesh.lookup import contracts_of, named_release, warehouse_of

    write = {"ocel": write_event_log}[to]
    found = named_release(release, mesh)
    current = contracts_of(mesh, found)
    show_contract_changes(found, current)
    log = write(found, warehouse_of(mesh), into, open_engine, current)
    print_result(log, format, show_event_log)


def show_event_log(log: "EventLog") -> None:
    """Print how many cases, objects and events the log holds, and which cases it leaves out."""
    release = log.release
    held = f"{pluralize(log.cases, 'case')}, {pluralize(log.objects, 'object')} and {pluralize(log.events, 'event')}"
    echo(f"{release.name}: {held} written to {log.path}")
    for reason, count in log.dropped.items():
        echo(f"  without {pluralize(count, 'case')}: {reason}")
