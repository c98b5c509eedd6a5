"""The commands that people type. Each loads what it needs when it runs, so that `storymesh check` stays quick.

Exit codes: 0 fine, 1 findings or a gate refused, 2 wrong usage, 3 a defect of storymesh itself.
"""

import functools
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from storymesh.errors import Refused, StorymeshError, WrongUsage, nearest

if TYPE_CHECKING:
    from storymesh.mesh.mesh import Mesh

DEFECT = 3
INTERRUPTED = 130  # as shells have it
LOGS_KEPT = 20
Format = Literal["text", "json"]
Command = TypeVar("Command", bound=Callable[..., None])

MeshOption = Annotated[
    Path | None, typer.Option("--mesh", metavar="DIR", help="The mesh root. Default: the one at or above this folder.")
]
FormatOption = Annotated[Format, typer.Option("--format", help="For people, or for machines.")]
ReleaseArgument = Annotated[
    str, typer.Argument(metavar="RELEASE", help="NARRATIVE (its latest), NARRATIVE@X-rN, or the folder of a release.")
]
NarrativeArgument = Annotated[str, typer.Argument(metavar="NARRATIVE", help="The id of a narrative.")]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.callback(
    no_args_is_help=True, epilog="Exit codes: 0 fine, 1 findings or a gate refused, 2 wrong usage, 3 a defect."
)
def storymesh() -> None:
    """A data mesh for training data: contracts, products, cases, stories, releases."""


def main() -> None:
    """The console script."""
    app()


def command(function: Command) -> Command:
    """`function` as a command that fails in words: no traceback for what a person can act on."""

    @functools.wraps(function)
    def guarded(*args: Any, mesh: Path | None = None, **options: Any) -> None:
        try:
            function(*args, mesh=mesh, **options)
        except Refused as refused:
            for finding in refused.findings:
                typer.echo(str(finding))
            raise typer.Exit(refused.exit_code) from None
        except StorymeshError as error:
            typer.echo(f"storymesh: {error.words}", err=True)
            if error.hint:
                typer.echo(f"  {error.hint}", err=True)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            typer.echo("stopped", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if os.environ.get("STORYMESH_DEBUG") == "1":
                raise
            log = _write_traceback(mesh)
            words = " ".join(str(error).split())[:200]
            typer.echo(f"storymesh: an error that it did not expect: {type(error).__name__}: {words}", err=True)
            typer.echo(f"  the traceback stands in {log}; STORYMESH_DEBUG=1 shows it here", err=True)
            raise typer.Exit(DEFECT) from None

    app.command(name=function.__name__.rstrip("_"))(guarded)
    return function


def root_of(mesh: Path | None) -> Path:
    """The root that `--mesh` names, or the one that this folder lies in. Raises WrongUsage."""
    from storymesh.mesh.mesh import find_root

    return find_root(Path.cwd()) if mesh is None else mesh


@command
def check(mesh: MeshOption = None, format: FormatOption = "text") -> None:  # noqa: A002
    """Say what is wrong in the files, without reading any data. Warnings alone give exit code 0."""
    from storymesh.cli.finding import as_json, summary
    from storymesh.mesh import check as checking

    findings = checking.check(root_of(mesh))
    if format == "json":
        typer.echo(as_json(findings))
    else:
        for finding in findings:
            typer.echo(str(finding))
        typer.echo(summary(findings), err=True)
    if checking.errors_of(findings):
        raise typer.Exit(1)


@command
def run(
    narratives: Annotated[
        list[str] | None, typer.Argument(metavar="[NARRATIVE]...", help="Only these, with all they are built on.")
    ] = None,
    mesh: MeshOption = None,
    only: Annotated[bool, typer.Option("--only", help="The narratives alone, on products as published.")] = False,
) -> None:
    """Make every product, case and release that is not there yet."""
    from storymesh.cli.finding import summary
    from storymesh.mesh import check as checking
    from storymesh.mesh.mesh import load_mesh

    findings = checking.check(root_of(mesh))
    for finding in findings:
        typer.echo(str(finding))
    if checking.errors_of(findings):
        typer.echo(f"{summary(findings)}: nothing was run", err=True)
        raise typer.Exit(1)
    loaded = load_mesh(root_of(mesh))
    chosen = [loaded.narrative(name) for name in narratives or ()]
    if only and not chosen:
        raise WrongUsage("--only needs the name of a narrative", nearest("", loaded.narratives))
    if not loaded.products:
        raise WrongUsage("this mesh has no product", "write domains/<domain>/products/<product>.odps.yaml")

    from storymesh.cli.progress import Display, show_outcome, terminal_for_us

    log = new_log(loaded, "run")
    with terminal_for_us(log) as console:
        from storymesh.orchestration.run import run as running

        display = Display(console)
        try:
            outcome = running.run(loaded, chosen, display.tell, log, upstream=not only)
        finally:
            display.stop()
        show_outcome(console, outcome, relative_to_here(log))
    if not outcome.success:
        raise typer.Exit(1)


@command
def preview(
    narrative: NarrativeArgument,
    config: Annotated[str | None, typer.Argument(metavar="[CONFIG]", help="One of its records. Default: all.")] = None,
    mesh: MeshOption = None,
    case: Annotated[str | None, typer.Option("--case", metavar="ID", help="The case to tell.")] = None,
    sample: Annotated[int, typer.Option("--sample", metavar="N", min=1, help="How many cases.")] = 1,
) -> None:
    """Tell cases without releasing them, from the products as they are published; a terminal shows values marked."""
    from storymesh.cli.progress import console_on
    from storymesh.cli.story import marked_story, story
    from storymesh.dataset import build as building
    from storymesh.mesh.mesh import load_mesh
    from storymesh.mesh.snapshot_pinning import pin
    from storymesh.provenance.trace import Tracer

    loaded = load_mesh(root_of(mesh))
    build = pin(loaded, loaded.narrative(narrative))
    console = console_on(sys.stdout)
    for name in [config] if config else build.configs:
        records = building.preview(build, name, case, sample)
        if console.is_terminal:
            with Tracer(build) as tracer:
                told = {one.case_id: one for one in tracer.told(name, [record["case_id"] for record in records])}
            for record in records:
                console.print(marked_story(record, told[record["case_id"]]), soft_wrap=True)
        else:
            for record in records:
                typer.echo(story(record))


@command
def trace(
    named: Annotated[
        list[str],
        typer.Argument(
            metavar="[RELEASE] RECORD",
            help="NARRATIVE, NARRATIVE@X-rN or the folder of a release, and a record: <config>/<case id>.",
        ),
    ],
    mesh: MeshOption = None,
    release: Annotated[
        str | None, typer.Option("--release", metavar="X-rN", help="Which release, as in NARRATIVE@X-rN.")
    ] = None,
    sql: Annotated[bool, typer.Option("--sql", help="Print the queries that count again.")] = False,
    format: FormatOption = "text",  # noqa: A002
) -> None:
    """Lead every value that a released record prints back to product, version, key and property.

    Without a narrative, it is the only one that has such a config; without a version, its latest release.
    """
    from storymesh.cli.trace import show_trace, trace_as_json
    from storymesh.document import relative
    from storymesh.mesh.lookup import named_release
    from storymesh.mesh.mesh import load_mesh
    from storymesh.provenance.trace import trace as led
    from storymesh.release.definition_snapshot import DEFINITION, build_of
    from storymesh.release.manifest import read_lock, read_record, release_of

    loaded = load_mesh(root_of(mesh))
    *releases, wanted = named
    if len(releases) > 1:
        raise WrongUsage("one record at a time", "storymesh trace [RELEASE] RECORD")
    if "/" not in wanted:
        raise WrongUsage(f"'{wanted}' is no record: an id is <config>/<case id>", "storymesh trace [RELEASE] RECORD")
    if not releases:
        found = release_of(loaded.releases, wanted, version=release or "latest")
    elif release is None:
        found = named_release(releases[0], mesh)
    elif "@" in releases[0] or "/" in releases[0]:
        raise WrongUsage(f"'{releases[0]}' says already which release", "leave out --release")
    else:
        found = named_release(f"{releases[0]}@{release}", mesh)
    lock = read_lock(found.path)
    build = build_of(found.path, lock, loaded.store)
    traced = led(build, read_record(found.path, lock, wanted))
    now = loaded.narratives.get(found.narrative)
    moved = (
        now is None
        or now.document.value != build.narrative.document.value
        or now.templates != build.narrative.templates
    )
    folder = f"{relative(found.path, loaded.root)}/{DEFINITION}/" if moved else ""
    if format == "json":
        typer.echo(trace_as_json(traced, found.narrative, found.version, folder))
    else:
        if moved:
            words = f"'{found.narrative}' has changed since {found.version}: the release is told by what it keeps"
            typer.echo(f"{words} under {folder}", err=True)
        show_trace(traced, found.narrative, found.version, folder, sql=sql)
    if traced.mistakes:
        raise typer.Exit(1)


@command
def narrate(
    narrative: NarrativeArgument,
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="A config that a narrator retells.")],
    mesh: MeshOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only how many calls at what cost; calls nobody.")] = False,
    sample: Annotated[int, typer.Option("--sample", metavar="N", min=1, help="How many records to retell.")] = 5,
) -> None:
    """Try a narrator: what retelling a config would cost, and how some of its records come out."""
    from storymesh.cli.narrate import show_estimate, show_retellings
    from storymesh.mesh.mesh import load_mesh
    from storymesh.mesh.snapshot_pinning import pin
    from storymesh.release import rewritten_records as retell

    loaded = load_mesh(root_of(mesh))
    build = pin(loaded, loaded.narrative(narrative))
    if config not in build.configs or not build.typed.records[config].retold:
        retold = [name for name in build.configs if build.typed.records[name].retold]
        hint = nearest(config, retold) if retold else "write one with `from` and `narrator`"
        raise WrongUsage(f"'{build.narrative.id}' has no config '{config}' that is retold", hint)
    if dry_run:
        show_estimate(retell.estimated(build, config))
    else:
        show_retellings(lambda progress: retell.sampled(build, config, sample, progress), sample)


@command
def explain(
    narrative: NarrativeArgument,
    mesh: MeshOption = None,
    case: Annotated[str | None, typer.Option("--case", metavar="ID", help="All that belongs to one case.")] = None,
    drops: Annotated[bool, typer.Option("--drops", help="The cases that no record tells, and why.")] = False,
    most: Annotated[int, typer.Option("--most", metavar="N", min=1, help="How many drops to list.")] = 50,
    sql: Annotated[bool, typer.Option("--sql", help="The SQL that makes the cases.")] = False,
) -> None:
    """Say how the cases of a narrative come about, from the products as they are published."""
    from storymesh.cli.explain import show_case, show_drops, show_explanation
    from storymesh.mesh.mesh import load_mesh
    from storymesh.mesh.snapshot_pinning import pin
    from storymesh.provenance import explain as explaining

    loaded = load_mesh(root_of(mesh))
    build = pin(loaded, loaded.narrative(narrative))
    if case is not None:
        show_case(explaining.one_case(build, case))
    elif drops:
        show_drops(explaining.dropped(build, most))
    elif sql:
        typer.echo(explaining.sql(build))
    else:
        show_explanation(explaining.explain(build))


@command
def scenario(
    narratives: Annotated[list[str] | None, typer.Argument(metavar="[NARRATIVE]...", help="Default: all.")] = None,
    mesh: MeshOption = None,
    accept: Annotated[bool, typer.Option("--accept", help="Write what is told now into the files.")] = False,
) -> None:
    """Tell the given rows of each scenario and compare with what its file expects."""
    from storymesh.dataset import scenario_run as scenarios
    from storymesh.mesh.mesh import load_mesh
    from storymesh.narrative.scenario import read_scenarios
    from storymesh.narrative.typed import type_narrative

    loaded = load_mesh(root_of(mesh))
    passed = failed = 0
    for narrative in [loaded.narrative(name) for name in narratives or loaded.narratives]:
        typed = type_narrative(narrative, loaded.cast_of(narrative))
        for one in read_scenarios(loaded.root / narrative.folder, loaded.root, typed):
            told = scenarios.tell(one, typed)
            differences = told.differences
            if accept:
                scenarios.accept(told)
            typer.echo(f"{'✓' if accept or not differences else '✗'} {narrative.id}: {one.title}")
            for line in () if accept else differences:
                typer.echo(f"  {line}")
            passed, failed = (passed, failed + 1) if differences and not accept else (passed + 1, failed)
    typer.echo(f"{passed} passed, {failed} failed", err=True)
    if failed:
        raise typer.Exit(1)


@command
def releases(
    narrative: Annotated[
        str | None, typer.Argument(metavar="[NARRATIVE]", help="Default: of all. With --verify also a release.")
    ] = None,
    mesh: MeshOption = None,
    verify: Annotated[bool, typer.Option("--verify", help="Compute digests, counts and certificate again.")] = False,
    format: FormatOption = "text",  # noqa: A002
) -> None:
    """List the releases of the mesh, or verify them: NARRATIVE, NARRATIVE@X-rN or the folder of one."""
    from storymesh.cli.listing import releases_as_json, show_releases
    from storymesh.mesh.mesh import load_mesh
    from storymesh.release.manifest import list_releases

    if verify:
        from storymesh.cli.release import verify_all
        from storymesh.mesh.lookup import named_releases

        if not verify_all(named_releases(narrative, mesh), format):
            raise typer.Exit(1)
        return

    loaded = load_mesh(root_of(mesh))
    chosen = loaded.narrative(narrative).id if narrative else None
    found = list_releases(loaded.releases, chosen)
    if format == "json":
        typer.echo(releases_as_json(found, loaded.root))
    elif found:
        show_releases(found)
    else:
        typer.echo("no release yet: storymesh run makes one", err=True)


@command
def diff(
    old: ReleaseArgument,
    new: Annotated[str | None, typer.Argument(metavar="[RELEASE]", help="Default: the one after it.")] = None,
    mesh: MeshOption = None,
    config: Annotated[str | None, typer.Option("--config", metavar="NAME", help="Compare one config alone.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=0, help="How many records a config to show.")] = 3,
    format: FormatOption = "text",  # noqa: A002
) -> None:
    """Say what is different between two releases, record by record, and what made it so."""
    from storymesh.cli.diff import diff_as_json, show_diff
    from storymesh.lifecycle.diff import diff as compare
    from storymesh.mesh.lookup import named_release, next_release

    one = named_release(old, mesh)
    found = compare(one, named_release(new, mesh) if new else next_release(one), limit, config)
    if format == "json":
        typer.echo(diff_as_json(found))
    else:
        show_diff(found)


@command
def pull(
    release: ReleaseArgument,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that does not exist, or is empty.")],
    mesh: MeshOption = None,
) -> None:
    """Copy a release to a folder of its own, verified, whole or not at all."""
    from storymesh.lifecycle.pull import pull as copy
    from storymesh.mesh.lookup import named_release

    found = named_release(release, mesh)
    copied = copy(found, folder)
    state = "copied and verified" if copied else "is there already, verified"
    typer.echo(f"{found.narrative} {found.version} {state}: {folder}")


@command
def push(
    release: ReleaseArgument,
    to: Annotated[str, typer.Option("--to", metavar="ORG/DATASET", help="The dataset on the Hub.")],
    mesh: MeshOption = None,
    public: Annotated[bool, typer.Option("--public", help="For everybody to read. Default: private.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go; ask and send nothing.")] = False,
) -> None:
    """Put a release on the Hugging Face Hub, as one commit with the version as its tag.

    Who is logged in comes from HF_TOKEN or `hf auth login`, the Hub's address from HF_ENDPOINT. A release that prints
    internal values is never pushed to a public dataset.
    """
    from storymesh.cli.release import show_going
    from storymesh.lifecycle import push as pushing
    from storymesh.mesh.lookup import named_release

    what = pushing.going(named_release(release, mesh), to, public=public)
    show_going(what, dry=dry_run)
    if not dry_run:
        address, sent = pushing.push(what)
        typer.echo(f"{address} {'holds it now' if sent else 'has this version already'}: tag {what.release.version}")


@command
def export(
    release: ReleaseArgument,
    to: Annotated[Literal["ocel"], typer.Option("--to", help="The form: ocel is OCEL 2.0, in JSON.")],
    into: Annotated[Path, typer.Option("--into", metavar="FILE", help="A file that does not exist.")],
    mesh: MeshOption = None,
) -> None:
    """Write the cases of a release as an object-centric event log, for those who mine processes.

    It is told in hindsight from the snapshots that the release was cut from: what is restricted is not in it, nor what
    is to be forgotten; what is internal is.
    """
    from storymesh.cli.release import show_log
    from storymesh.lifecycle.ocel import write_ocel
    from storymesh.mesh.lookup import named_release, store_of

    write = {"ocel": write_ocel}[to]
    show_log(write(named_release(release, mesh), store_of(mesh), into))


@command
def rebuild(
    release: ReleaseArgument,
    mesh: MeshOption = None,
    into: Annotated[Path | None, typer.Option("--into", metavar="DIR", help="Write it to this new folder.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=0, help="How many differences a config.")] = 3,
) -> None:
    """Make a release again from its lock, and confirm its digest or say what differs. Changes no release."""
    from storymesh.cli.diff import show_diff
    from storymesh.lifecycle.rebuild import rebuild as again
    from storymesh.mesh.lookup import named_release, store_of

    found = again(named_release(release, mesh), store_of(mesh), into, limit)
    name = f"{found.release.narrative} {found.release.version}"
    if found.difference is None:
        typer.echo(f"{name}: made again from its lock, the same digest {found.digest[:12]}")
        if into is not None:
            typer.echo(f"written to {into}")
        return
    typer.echo(f"{name}: made again from its lock, another digest: {found.digest[:12]}", err=True)
    show_diff(found.difference)
    raise typer.Exit(1)


@command
def forget(
    product: Annotated[str, typer.Option("--product", metavar="PRODUCT", help="The product that the row is of.")],
    key: Annotated[str, typer.Option("--key", metavar="KEY", help="The row's key, as `sources` of records write it.")],
    mesh: MeshOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without this it is shown and nothing changes.")] = False,
    remove_old: Annotated[
        bool, typer.Option("--remove-old", help="Remove the releases that used the row, when their successors stand.")
    ] = False,
) -> None:
    """Follow a row through every release, and cut successors without the cases that it belongs to."""
    from storymesh.cli.release import show_found, show_succeeded
    from storymesh.lifecycle import erase as forgetting
    from storymesh.mesh.mesh import load_mesh

    loaded = load_mesh(root_of(mesh))
    named = loaded.product(product).id
    found = forgetting.find(named, key, loaded.contract(named), loaded.store, loaded.releases)
    show_found(found, yes=yes)
    if yes:
        for succeeded in forgetting.forget(found, loaded.store):
            show_succeeded(succeeded)
        for old in forgetting.remove(found, loaded.store, loaded.releases) if remove_old else ():
            typer.echo(f"{old.narrative} {old.version} is removed")


@command
def expire(
    products: Annotated[list[str] | None, typer.Argument(metavar="[PRODUCT]...", help="Default: all.")] = None,
    mesh: MeshOption = None,
    pinned: Annotated[
        bool, typer.Option("--pinned", help="Also what releases were cut from: those cannot be made again then.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without this it is shown and nothing changes.")] = False,
) -> None:
    """Remove old versions of products, with their files: those that neither readers see nor a release was cut from."""
    from storymesh.cli.release import show_expiring
    from storymesh.lifecycle import expire as expiring
    from storymesh.mesh.mesh import load_mesh

    loaded = load_mesh(root_of(mesh))
    named = [loaded.product(product).id for product in products or loaded.products]
    found = expiring.find_expiring(named, loaded.store, loaded.releases, pinned=pinned)
    show_expiring(found, yes=yes)
    if yes and any(one.snapshots for one in found):
        builds = expiring.expire(found, loaded.store, loaded.releases)
        typer.echo(f"removed, with {builds} of what narratives had made of products")


@command
def ui(
    mesh: MeshOption = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 3000,
    host: Annotated[str, typer.Option("--host", help="Whom to listen to. Default: this machine only.")] = "127.0.0.1",
) -> None:
    """Open the mesh in Dagster's user interface; Ctrl-C ends it."""
    from storymesh.cli.serve import serve
    from storymesh.mesh.mesh import load_mesh

    code = serve(load_mesh(root_of(mesh)), host, port)
    if code:
        raise typer.Exit(code)


def new_log(mesh: "Mesh", name: str) -> Path:
    """A log file of its own in the mesh's store; the oldest go."""
    folder = mesh.store / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.glob(f"{name}-*.log"))[: -LOGS_KEPT + 1]:
        old.unlink(missing_ok=True)
    return folder / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.log"


def relative_to_here(path: Path) -> str:
    """A path as people can open it from where they are."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _write_traceback(mesh: Path | None) -> Path:
    """The file that the current exception was written to: in the mesh's store, or else in the temporary folder."""
    name = f"error-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.log"
    text = f"{' '.join(sys.argv)}\n{traceback.format_exc()}"
    for folder in (_logs(mesh), Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        except OSError:
            continue
        return folder / name
    return Path(os.devnull)


def _logs(mesh: Path | None) -> Path:
    from storymesh.mesh.mesh import load_mesh

    try:
        return load_mesh(root_of(mesh)).store / "logs"
    except StorymeshError:
        return Path(tempfile.gettempdir())
