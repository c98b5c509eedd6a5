"""`storymesh run`: the whole mesh, or some of its domains, products and narratives."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from storymesh.cli.options import FormatOption, MeshOption, mesh_root
from storymesh.cli.output.console import echo
from storymesh.cli.output.json_document import echo_result
from storymesh.errors import WrongUsage
from storymesh.printable import printable_line

if TYPE_CHECKING:
    from storymesh.errors import Finding
    from storymesh.mesh.mesh import Mesh
    from storymesh.orchestration.run.selection import RunTerm
    from storymesh.product.definition import Product


NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME",
        help="Domains, products (DOMAIN.PRODUCT), narratives with all they are built on, patterns (lending.*) or"
        " tag:TAG; +NAME with what it is built on, NAME+ with what is built on it.",
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="N/ALL",
        help="Only read this part of the files of products, 3/16 say, and publish nothing: for several machines.",
    ),
]


def run(
    names: NamesArgument = None,
    mesh: MeshOption = None,
    select: Annotated[
        list[str] | None, typer.Option("--select", "-s", metavar="NAMES", help="The same, as dbt has it.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option("--exclude", metavar="NAMES", help="Leave these out, named in the same way.")
    ] = None,
    upstream: Annotated[bool, typer.Option("--upstream", help="With all that they are built on.")] = False,
    downstream: Annotated[bool, typer.Option("--downstream", help="With all that is built on them.")] = False,
    only: Annotated[bool, typer.Option("--only", help="The narratives alone, on products as published.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Go through every step also where nothing has changed.")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say how many files would be read, and how many calls paid for.")
    ] = False,
    shard: ShardOption = None,
    format: FormatOption = "text",  # noqa: A002
) -> None:
    """Make every product, case and release that is not there yet."""
    from storymesh.cli.output.findings import count_findings
    from storymesh.engine.open import check_engine_settings
    from storymesh.mesh.check import load_checked
    from storymesh.orchestration.run.selection import read_terms

    check_engine_settings()  # once, before each step meets it
    part, findings = load_checked(mesh_root(mesh))
    loaded, words = part.mesh, [*(names or ()), *(select or ())]
    for finding in findings if format == "text" else ():
        echo(printable_line(str(finding)))
    try:
        terms = read_terms(loaded, words, exclude or (), upstream=upstream, downstream=downstream, only=only)
    except WrongUsage:
        if not part.left_out:
            raise
        terms = None  # it may name what has errors
    if terms is None or (part.left_out and not words):
        _show_nothing_run(loaded, findings, format, named=bool(words))
        raise typer.Exit(1)
    if not loaded.products:
        raise WrongUsage("this mesh has no product", "write domains/<domain>/products/<product>.odps.yaml")
    if part.left_out:
        left_out = ", ".join(sorted(part.left_out))
        echo(printable_line(f"{count_findings(findings)}: left out with what is built on it: {left_out}"), err=True)
    if plan:
        success = _show_plans(loaded, terms, findings, format)
    elif shard is not None:
        success = _read_shards(loaded, terms, findings, format, shard)
    else:
        success = _run(loaded, terms, findings, format, again)
    # Who asks for a part of the mesh is not answerable for the rest.
    if not success or (part.left_out and any(term.downstream for term in terms)):
        raise typer.Exit(1)


def _show_nothing_run(loaded: "Mesh", findings: "list[Finding]", form: str, *, named: bool) -> None:
    """Print that nothing was run, and, where nobody named a part of the mesh, which would run."""
    from storymesh.cli.output.findings import count_findings

    if form == "json":
        echo_result({"findings": findings, "outcome": None})
    sound = [*loaded.domains, *loaded.narratives]
    hint = f"; without errors are {', '.join(sound)}: they run when they are named" if sound and not named else ""
    echo(printable_line(f"{count_findings(findings)}: nothing was run{hint}"), err=True)


def _show_plans(loaded: "Mesh", terms: "list[RunTerm]", findings: "list[Finding]", form: str) -> bool:
    """Print what the products that are made of files would have a run do, and return True."""
    from storymesh.cli.output.files import show_plans
    from storymesh.mesh.file_collections import file_collection

    products = _products_of_files(loaded, terms)
    with loaded.open_engine() as engine:
        plans = [(product.id, file_collection(loaded, product).plan(engine)) for product in products]
    if form == "json":
        echo_result({"findings": findings, "plans": [{"product": name, "plan": found} for name, found in plans]})
    else:
        show_plans(plans)
    return True


def _read_shards(loaded: "Mesh", terms: "list[RunTerm]", findings: "list[Finding]", form: str, written: str) -> bool:
    """Read one shard of the files of the products, print what was done, and return True."""
    from storymesh.cli.output.files import show_shards
    from storymesh.files.shard import parse_shard
    from storymesh.mesh.file_collections import file_collection
    from storymesh.product.publish_files import read_shard

    shard, products = parse_shard(written), _products_of_files(loaded, terms)
    if not products:
        raise WrongUsage("none of these products is made of files", "--shard reads a part of the files of a product")
    loaded.prepare_store()
    with loaded.open_engine() as engine:
        read = [read_shard(product, file_collection(loaded, product), shard, engine) for product in products]
    if form == "json":
        echo_result({"findings": findings, "shards": read})
    else:
        show_shards(read)
    return True


def _products_of_files(loaded: "Mesh", terms: "list[RunTerm]") -> "list[Product]":
    """Return the products among those of a run that are made of files."""
    from functools import cache

    from storymesh.files.definition_path import is_files_source
    from storymesh.mesh.dbt_manifest import find_dbt_manifest, has_dbt_project
    from storymesh.orchestration.run.selection import resolve_terms

    find_manifest = cache(lambda domain: find_dbt_manifest(loaded, domain) if has_dbt_project(loaded, domain) else None)
    products = [loaded.product(name) for name in resolve_terms(loaded, terms, find_manifest).products]
    return [product for product in products if is_files_source(product.source)]


def _run(loaded: "Mesh", terms: "list[RunTerm]", findings: "list[Finding]", form: str, again: bool) -> bool:
    """Run, but where a run would find everything as it was, and return True if nothing failed."""
    from storymesh.cli.output.console import console_on
    from storymesh.cli.output.run import show_unchanged
    from storymesh.orchestration.run.unchanged import find_unchanged_run

    unchanged = None if again else find_unchanged_run(loaded, terms)
    if unchanged is None:
        return _execute(loaded, terms, findings, form)
    if form == "json":
        echo_result({"findings": findings, "outcome": unchanged, "log": None})
    else:
        show_unchanged(console_on(sys.stdout), unchanged)
    return True


def _execute(loaded: "Mesh", terms: "list[RunTerm]", findings: "list[Finding]", form: str) -> bool:
    """Run, print what happens and what comes of it, and return True if nothing failed."""
    from storymesh.cli.logs import new_log, relative_to_here
    from storymesh.cli.output.console import terminal_without_libraries
    from storymesh.cli.output.run import RunDisplay, show_outcome
    from storymesh.mesh.dbt_manifest import unparsed_projects
    from storymesh.product.dbt_server import preloaded_dbt, server_address

    log = new_log(loaded, "run")
    with preloaded_dbt(), terminal_without_libraries(log) as console:
        if unparsed_projects(loaded):
            server_address()  # it imports dbt while this process imports Dagster
        from storymesh.orchestration.run.execute import execute_run

        display = RunDisplay(console)
        listener = display.show if form == "text" else _ignore
        try:
            outcome = execute_run(loaded, terms, listener, log)
        finally:
            display.stop()
        if form == "text":
            show_outcome(console, outcome, relative_to_here(log))
    if form == "json":
        echo_result({"findings": findings, "outcome": outcome, "log": relative_to_here(log)})
    return outcome.success


def _ignore(event: object) -> None:
    """Show nothing of a run that goes on."""
