"""`storymesh explain`: how the cases of a narrative come about, and where the time of its release goes."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from storymesh.cli.options import FormatOption, MeshOption, NarrativeArgument, OutputFormat, mesh_root
from storymesh.cli.output.console import console_on, echo, echo_text, open_table
from storymesh.cli.output.json_document import print_result
from storymesh.errors import WrongUsage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storymesh.dataset.build import Build
    from storymesh.federation.plan import TransferPlan
    from storymesh.mesh.mesh import Mesh

SAMPLE = 5_000  # cases that are profiled where nobody says how many


def explain(
    narrative: NarrativeArgument,
    mesh: MeshOption = None,
    case: Annotated[str | None, typer.Option("--case", metavar="ID", help="All that belongs to one case.")] = None,
    drops: Annotated[bool, typer.Option("--drops", help="The cases that no record tells, and why.")] = False,
    most: Annotated[int, typer.Option("--most", metavar="N", min=1, help="How many drops to list.")] = 50,
    sql: Annotated[bool, typer.Option("--sql", help="The SQL that makes the cases.")] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="How rows that stay on their servers are fetched: ways, estimates, choice.")
    ] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="Where time and memory of a release go: steps, roles, lines of templates.")
    ] = False,
    cases: Annotated[
        int | None,
        typer.Option(
            "--cases", metavar="N", min=0, help=f"How many cases to profile; 0: all. Default: about {SAMPLE:,}."
        ),
    ] = None,
    format: FormatOption = "text",  # noqa: A002
) -> None:
    """Explain how the cases of a narrative come about.

    The cases are made from the products as they are published.
    """
    from storymesh.cli.output.explanation import show_case, show_drops, show_explanation
    from storymesh.mesh.mesh import load_mesh
    from storymesh.mesh.snapshot_pinning import pin_build
    from storymesh.provenance.explain import cases_sql, dropped_cases, explain_case, explain_narrative

    if cases is not None and not profile:
        raise WrongUsage("--cases says how many cases --profile measures", "add --profile, or leave it out")
    if profile and (case is not None or drops or sql):
        raise WrongUsage("--profile measures a whole release", "leave out --case, --drops and --sql")
    if plan and (profile or case is not None or drops or sql):
        raise WrongUsage(
            "--plan is about what is fetched for all cases", "give it without --case, --drops and the like"
        )
    loaded = load_mesh(mesh_root(mesh))
    build = pin_build(loaded, loaded.narrative(narrative))
    if plan:
        _plan(loaded, narrative, format)
    elif profile:
        _profile(build, SAMPLE if cases is None else cases or None, format)
    elif case is not None:
        print_result(explain_case(build, case), format, show_case)
    elif drops:
        print_result(dropped_cases(build, most), format, show_drops)
    elif sql:
        print_result({"sql": cases_sql(build)}, format, lambda found: echo_text(found["sql"]))
    else:
        print_result(explain_narrative(build), format, show_explanation)


def _plan(mesh: "Mesh", narrative: str, format: OutputFormat) -> None:  # noqa: A002
    from storymesh.mesh.in_place import RolesInPlace

    plans = RolesInPlace(mesh, mesh.typed(mesh.narrative(narrative))).read_plans()
    print_result({"fetched": plans}, format, lambda found: show_transfers(found["fetched"]))


def _profile(build: "Build", cases: int | None, format: OutputFormat) -> None:  # noqa: A002
    from storymesh.cli.output.profile import show_profile
    from storymesh.release.profile import profile_release

    if format == "text":
        echo("making a release of some cases, which nobody keeps …", err=True)
    print_result(profile_release(build, cases), format, show_profile)


def show_transfers(plans: "Mapping[str, TransferPlan]") -> None:
    """Print for each role the ways in which its rows can be fetched, which was chosen, and what came."""
    console = console_on(sys.stdout)
    if not plans:
        console.print("every product of the cast is published: nothing is fetched from where it stays")
    for role, plan in plans.items():
        console.print(f"{role}: {plan.product} on {plan.server}, {', '.join(plan.columns)}")
        table = open_table("way", "rows expected", "bytes expected", "bytes in", "")
        for name, way in plan.ways.items():
            table.add_row(name, *map("{:,}".format, way), "chosen" if name == plan.chosen else "")
        if plan.ways:
            console.print(table)
        for note in plan.notes:
            console.print(f"  {note}")
        moved = f", {plan.bytes:,} bytes" if plan.bytes is not None else ""
        keys = f" by {plan.keys:,} keys" if plan.keys else ""
        console.print(f"came ({plan.chosen}{keys}): {plan.rows or 0:,} rows{moved}")
        for reason, count in plan.quarantined.items():
            console.print(f"  quarantined: {reason} ({count:,})")
        for line in plan.source.lines() if plan.source is not None else ():
            console.print(f"  {line}")
        console.print()
