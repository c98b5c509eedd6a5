"""`storymesh scenario`: the scenarios of narratives, compared with what their files expect."""

from typing import Annotated

import typer

from storymesh.cli.options import FormatOption, MeshOption, mesh_root
from storymesh.cli.output.console import echo
from storymesh.cli.output.json_document import echo_result


def scenario(
    narratives: Annotated[list[str] | None, typer.Argument(metavar="NARRATIVE", help="Default: all.")] = None,
    mesh: MeshOption = None,
    accept: Annotated[bool, typer.Option("--accept", help="Write what is told now into the files.")] = False,
    format: FormatOption = "text",  # noqa: A002
) -> None:
    """Compare the records of each scenario with what its file expects."""
    from storymesh.dataset.scenario_run import accept_result, run_scenario
    from storymesh.mesh.mesh import load_mesh
    from storymesh.narrative.scenario import read_scenarios

    loaded = load_mesh(mesh_root(mesh))
    passed = failed = 0
    results: list[dict[str, object]] = []
    for narrative in [loaded.narrative(name) for name in narratives or loaded.narratives]:
        typed = loaded.typed(narrative)
        for given in read_scenarios(loaded.root / narrative.folder, loaded.root, typed):
            result = run_scenario(given, typed, loaded.open_engine)
            differences = result.differences
            if accept:
                accept_result(result)
            differences = [] if accept else differences
            results.append({"narrative": narrative.id, "scenario": given.title, "differences": differences})
            if format == "text":
                echo(f"{'✗' if differences else '✓'} {narrative.id}: {given.title}")
                for line in differences:
                    echo(f"  {line}")
            passed, failed = (passed, failed + 1) if differences else (passed + 1, failed)
    if format == "json":
        echo_result(results)
    echo(f"{passed} passed, {failed} failed", err=True)
    if failed:
        raise typer.Exit(1)
