"""`storymesh explain`: how the cases of a narrative come about."""

from typing import Annotated

import typer

from storymesh.cli.options import FormatOption, MeshOption, NarrativeArgument, mesh_root
from storymesh.cli.output.console import echo_text


def explain(
    narrative: NarrativeArgument,
    mesh: MeshOption = None,
    case: Annotated[str | None, typer.Option("--case", metavar="ID", help="All that belongs to one case.")] = None,
    drops: Annotated[bool, typer.Option("--drops", help="The cases that no record tells, and why.")] = False,
    most: Annotated[int, typer.Option("--most", metavar="N", min=1, help="How many drops to list.")] = 50,
    sql: Annotated[bool, typer.Option("--sql", help="The SQL that makes the cases.")] = False,
    format: FormatOption = "text",  # noqa: A002
) -> None:
    """Explain how the cases of a narrative come about.

    The cases are made from the products as they are published.
    """
    from storymesh.cli.output.explanation import show_case, show_drops, show_explanation
    from storymesh.cli.output.json_document import echo_result
    from storymesh.mesh.mesh import load_mesh
    from storymesh.mesh.snapshot_pinning import pin_build
    from storymesh.provenance.explain import cases_sql, dropped_cases, explain_case, explain_narrative

    loaded = load_mesh(mesh_root(mesh))
    build = pin_build(loaded, loaded.narrative(narrative))
    if format == "json":
        if case is not None:
            echo_result(explain_case(build, case))
        elif drops:
            echo_result(dropped_cases(build, most))
        else:
            echo_result({"sql": cases_sql(build)} if sql else explain_narrative(build))
    elif case is not None:
        show_case(explain_case(build, case))
    elif drops:
        show_drops(dropped_cases(build, most))
    elif sql:
        echo_text(cases_sql(build))
    else:
        show_explanation(explain_narrative(build))
