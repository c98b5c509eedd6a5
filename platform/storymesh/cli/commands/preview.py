"""`storymesh preview`: some records of a narrative, printed and not released."""

import sys
from dataclasses import replace
from typing import Annotated

import typer

from storymesh.cli.options import FormatOption, MeshOption, NarrativeArgument, mesh_root
from storymesh.cli.output.console import echo, echo_text
from storymesh.cli.output.json_document import echo_result


def preview(
    narrative: NarrativeArgument,
    config: Annotated[str | None, typer.Argument(metavar="CONFIG", help="One of its records. Default: all.")] = None,
    mesh: MeshOption = None,
    case: Annotated[str | None, typer.Option("--case", metavar="ID", help="The case to tell.")] = None,
    sample: Annotated[int, typer.Option("--sample", metavar="N", min=1, help="How many cases.")] = 1,
    variant: Annotated[
        str | None, typer.Option("--variant", metavar="NAME", help="Tell it by this one, such as 03, or original.")
    ] = None,
    format: FormatOption = "text",  # noqa: A002
) -> None:
    """Print the records of some cases, without a release.

    They are made from the products as they are published. On a terminal, values are marked.
    """
    from storymesh.cli.output.console import console_on
    from storymesh.cli.output.record import format_record, mark_record
    from storymesh.dataset.preview import preview_records
    from storymesh.mesh.mesh import load_mesh
    from storymesh.mesh.snapshot_pinning import pin_build
    from storymesh.narrative.typed_variant import tell_by_variant
    from storymesh.provenance.trace import Tracer

    loaded = load_mesh(mesh_root(mesh))
    build = pin_build(loaded, loaded.narrative(narrative))
    if variant is not None:
        build = replace(build, typed=tell_by_variant(build.typed, variant))
    if format == "json":
        echo_result(
            {name: preview_records(build, name, case, sample) for name in ([config] if config else build.configs)}
        )
        return
    console = console_on(sys.stdout)
    for name in [config] if config else build.configs:
        records = preview_records(build, name, case, sample)
        if not records:
            hint = f"storymesh explain {narrative} says how many cases there are, and --drops why one is not told"
            echo(f"{name}: there is no case to tell ({hint})", err=True)
            continue
        if console.is_terminal:
            with Tracer(build) as tracer:
                traced = {
                    rendered.case_id: rendered
                    for rendered in tracer.render_cases(name, [record["case_id"] for record in records])
                }
            for record in records:
                console.print(mark_record(record, traced[record["case_id"]]), soft_wrap=True)
        else:
            for record in records:
                echo_text(format_record(record))
