"""`storymesh new`: first versions of the files that people write."""

import inspect
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from storymesh import __version__
from storymesh.cli.error_reporting import reporting_errors
from storymesh.cli.options import MeshOption, NarrativeArgument, mesh_root
from storymesh.cli.output.console import echo, pluralize
from storymesh.errors import StorymeshError, WrongUsage
from storymesh.printable import printable, printable_line

if TYPE_CHECKING:
    from storymesh.scaffold.add_product import ProductRequest
    from storymesh.scaffold.narrative import NarrativeDraft
    from storymesh.scaffold.product import ProductDraft

OwnerOption = Annotated[
    str | None, typer.Option("--owner", metavar="WHO", help="Who answers for it. Default: the domain's.")
]

OptionsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        metavar="NAME=VALUE",
        help="What the file looks like where it does not say it: delimiter=tab, dates=%d.%m.%Y; several times.",
    ),
]


def mesh(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is empty or not there.")],
    domain: Annotated[str | None, typer.Option("--domain", metavar="NAME", help="Its first domain.")] = None,
    source: Annotated[
        list[Path] | None, typer.Option("--from", metavar="FILE", help="A file that becomes a product; several times.")
    ] = None,
    empty: Annotated[bool, typer.Option("--empty", help="Without products: neither of files nor an example.")] = False,
    owner: OwnerOption = None,
) -> None:
    """Make a mesh: its folders, one domain, and a product of each file.

    The files are CSV, TSV, JSON lines, Parquet or xlsx. What is guessed of them is printed, and `new product` says more
    of it. Without a file, the mesh has an example that runs: one product of a small CSV, and one narrative. Nothing is
    written over.
    """
    from storymesh.scaffold.add_product import ProductRequest
    from storymesh.scaffold.example import write_example
    from storymesh.scaffold.mesh import domain_files, mesh_files, workspace_text
    from storymesh.scaffold.names import plain_name, title_of

    if folder.exists() and (not folder.is_dir() or any(entry.name != ".git" for entry in folder.iterdir())):
        raise WrongUsage(f"{folder} is there and not empty", "name a new folder; nothing is written over")
    name = plain_name(folder.resolve().name, "mesh")
    domain = domain or ask("The first domain (a team with data of its own)", name)
    owner = owner or ask("Who answers for it", f"{domain}-team@example.com")
    files = mesh_files(title_of(name), workspace_text([domain]), __version__) | domain_files(domain, owner)
    for path in source or ():
        if not path.exists():
            raise WrongUsage(f"there is no file {path}")
    if empty and source:
        raise WrongUsage("--empty and --from exclude each other", "leave one of the two away")
    files.write(folder)
    echo(f"made the mesh {folder} with the domain {domain}")
    for path in source or ():
        try:
            _add_product(folder, ProductRequest(str(path), domain))
        except StorymeshError as error:
            later = f"the mesh is made without it; later: storymesh new product --from {path} --mesh {folder}"
            error.hint = f"{error.hint}; {later}" if error.hint else later
            raise
    if empty:
        echo(f"next: cd {folder} && storymesh new product --from FILE")
    elif not source:
        _echo_paths(write_example(folder, domain))
        echo(f"next: cd {folder} && storymesh check && storymesh run")
    else:
        echo(f"next: cd {folder} && storymesh new narrative && storymesh check && storymesh run")


def domain(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Small letters, digits and _.")],
    mesh: MeshOption = None,
    owner: OwnerOption = None,
) -> None:
    """Make a domain: a team boundary, one folder below domains/."""
    from storymesh.atomic_write import write_atomically
    from storymesh.scaffold.mesh import WORKSPACE, domain_files, workspace_with

    root = mesh_root(mesh)
    owner = owner or ask("Who answers for it", f"{name}-team@example.com")
    files = domain_files(name, owner)
    workspace = workspace_with(root, name)
    files.write(root)
    _echo_paths(files.paths)
    if workspace is not None:
        write_atomically(root / WORKSPACE, workspace)
        echo(f"added {name} to {WORKSPACE}")
    echo(f"next: storymesh new product --domain {name} --from FILE")


def product(
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="FILE|MODEL|ADDRESS",
            help="A csv, tsv, jsonl, xlsx, Parquet or DuckDB file, several of a pattern, a dbt model, postgresql://… or mysql://….",
        ),
    ],
    domain: Annotated[
        str | None, typer.Option("--domain", metavar="NAME", help="Whose it is. Default: the only one.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Default: that of the file.")] = None,
    table: Annotated[
        str | None, typer.Option("--table", metavar="NAME", help="Of a DuckDB file or a database.")
    ] = None,
    options: OptionsOption = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="COLUMN[,COLUMN]", help="What tells the rows apart.")
    ] = None,
    event_time: Annotated[
        str | None, typer.Option("--event-time", metavar="COLUMN", help="When a row became true; `none`: nothing says.")
    ] = None,
    timeless: Annotated[bool, typer.Option("--timeless", help="The rows are true at any time, as of a list.")] = False,
    restricted: Annotated[
        str | None, typer.Option("--restricted", metavar="COLUMN[,COLUMN]", help="What nobody may print.")
    ] = None,
    owner: OwnerOption = None,
    mesh: MeshOption = None,
) -> None:
    """Make a product of the rows of a file, a table or a dbt model, or of files that are read one by one.

    Types, key, required, enums, ranges, the time of a row, what was known when, and personal data are guessed from all
    rows; each guess is printed with its reason and stands at the head of the contract. On a terminal you are asked.
    """
    from storymesh.scaffold.add_files import add_files, means_files
    from storymesh.scaffold.add_product import ProductRequest
    from storymesh.scaffold.product import Answers

    if not options and means_files(source):  # options are of tables
        made = add_files(mesh_root(mesh), source, domain, name, owner)
        echo(f"{made.product}: {made.found:,} files of {made.pattern}, read as {made.kind}")
        _echo_paths(made.files.paths)
        echo("next: storymesh check && storymesh run --plan")
        return
    answers = Answers(_columns(key), event_time, timeless, _columns(restricted) or ())
    request = ProductRequest(source, domain, name, table, answers, owner, tuple(options or ()))
    _add_product(mesh_root(mesh), request)
    echo("next: storymesh check && storymesh run")


def version(
    product: Annotated[str, typer.Argument(metavar="PRODUCT", help="The product that changes: DOMAIN.NAME.")],
    mesh: MeshOption = None,
) -> None:
    """Begin the next major version of a product, and keep the present one beside it.

    Who casts the present version goes on to read it, under another product's name, until its cast says otherwise.
    """
    from storymesh.mesh.mesh import load_mesh
    from storymesh.scaffold.new_version import begin_next_version

    loaded = load_mesh(mesh_root(mesh))
    begun = begin_next_version(loaded, loaded.product(product))
    _echo_paths([*begun.paths])
    for path in begun.changed:
        echo(f"changed {path}: version {begun.version}")
    echo(f"{begun.kept_as} keeps what was promised before")
    echo("next: change the contract, then storymesh check")


def narrative(
    anchor: Annotated[
        str | None,
        typer.Argument(metavar="PRODUCT", help="One case for each of its rows. Default: the likeliest one."),
    ] = None,
    id_: Annotated[str | None, typer.Option("--id", metavar="ID", help="Default: made of the product's name.")] = None,
    license_: Annotated[str | None, typer.Option("--license", metavar="NAME", help="Default: other.")] = None,
    mesh: MeshOption = None,
) -> None:
    """Make a narrative: who appears in a case, how they are linked, and templates.

    Links are guessed from the relationships of the contracts, from keys whose names match and from values that all are
    keys, the outcome from what is known when a case closes, the splits from the times of the rows. The templates print
    every property that they may.
    """
    from storymesh.mesh.mesh import load_mesh
    from storymesh.scaffold.narrative import add_narrative, likely_anchors

    loaded = load_mesh(mesh_root(mesh))
    if anchor is None:
        likely = likely_anchors(loaded)
        if not likely:
            words = "no product can begin a case: it needs a key and an eventTime"
            raise WrongUsage(words, "storymesh new product --from FILE makes one")
        anchor = ask(f"One case for each row of ({', '.join(likely[:8])})", likely[0])
    draft, files = add_narrative(loaded, anchor, id_, license_)
    show_narrative(draft)
    _echo_paths(files.paths)
    echo(f"next: storymesh check && storymesh run {draft.id}")


def scenario(
    narrative: NarrativeArgument,
    case: Annotated[str, typer.Option("--case", metavar="ID", help="The case, as `storymesh preview` names it.")],
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Of the file. Default: the case.")] = None,
    mesh: MeshOption = None,
) -> None:
    """Make a scenario of a real case: its rows, and what is told of it now.

    Restricted values are not written: a word stands in their place. Precedents are other cases, so they are not there.
    """
    from storymesh.mesh.mesh import load_mesh
    from storymesh.scaffold.scenario import add_scenario

    loaded = load_mesh(mesh_root(mesh))
    _echo_paths([add_scenario(loaded, loaded.narrative(narrative), case, name)])
    echo(f"next: storymesh scenario {narrative}")


def codeowners(mesh: MeshOption = None) -> None:
    """Write the owners of domains, products and narratives to the repository's CODEOWNERS.

    They stand in a part of their own; the rest of the file stays. Who is no address and no @name is a comment.
    """
    from storymesh.atomic_write import write_atomically
    from storymesh.mesh.code_owners import code_owners_file, top_of, with_code_owners
    from storymesh.mesh.mesh import load_mesh

    loaded = load_mesh(mesh_root(mesh))
    file = code_owners_file(loaded.root)
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    write_atomically(file, with_code_owners(loaded, text, top_of(file)))
    echo(f"wrote {file}")


def _add_product(root: Path, request: "ProductRequest") -> None:
    from storymesh.scaffold.add_product import add_product

    draft, files = add_product(root, request, ask)
    show_product(draft)
    _echo_paths(files.paths)


def _columns(listed: str | None) -> tuple[str, ...] | None:
    return tuple(name.strip() for name in listed.split(",") if name.strip()) if listed is not None else None


def _echo_paths(paths: list[str]) -> None:
    for path in paths:
        echo(f"wrote {path}")


new = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Make a mesh, a domain, a product or its next version, a narrative or a scenario: first versions of the files"
    " that people write.",
)
for _command in (mesh, domain, product, version, narrative, scenario, codeowners):
    new.command(name=_command.__name__, short_help=(inspect.getdoc(_command) or "").partition("\n")[0])(
        reporting_errors(_command)
    )


def is_interactive() -> bool:
    """Return True where a person reads what is printed and can answer."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty() and not os.environ.get("CI")


def ask(question: str, guess: str) -> str:
    """Return what a person answers, by default `guess`; without a terminal, `guess`."""
    if not is_interactive():
        return guess
    answer: str = typer.prompt(printable(question), default=printable(guess))
    return answer.strip()


def show_product(draft: "ProductDraft") -> None:
    """Print each property with its type and why, then what a person should look at."""
    properties = pluralize(len(draft.columns), "property", "properties")
    echo(printable_line(f"{draft.name}: {pluralize(draft.rows, 'row')}, {properties}"))
    for reason in draft.layout:
        echo(printable_line(f"  the file: {reason}"))
    width = max(len(column.name) for column in draft.columns)
    for column in draft.columns:
        words = f"{column.fields.get('physicalType') or column.logical_type:<13} {'; '.join(draft.reasons_of(column))}"
        echo(printable_line(f"  {column.name:<{width}}  {words}"))
    for note in draft.notes():
        echo(printable_line(f"  look at: {note}"))


def show_narrative(draft: "NarrativeDraft") -> None:
    """Print each role with its link and why, then when a case closes and its outcome, and what to look at."""
    echo(printable_line(f"{draft.id}: one case for each row of {draft.anchor.contract.id}"))
    for role in draft.roles[1:]:
        link = role.link or {}
        on = ", ".join(f"{mine} = {theirs}" for mine, theirs in link.get("on", {}).items())
        echo(printable_line(f"  {role.name}: {role.contract.id} on {on} ({link['expect']}): {role.why}"))
    if draft.closes is not None:
        echo(printable_line(f"  closes: {draft.anchor.name}.{draft.closes}: most becomes known then"))
    if draft.outcome is not None:
        words = f"action {draft.outcome.action}, score {draft.outcome.score}, worked {draft.outcome.worked}"
        echo(printable_line(f"  outcome: {words}"))
    for note in draft.notes:
        echo(printable_line(f"  look at: {note}"))
