"""Jobs of the whole mesh: everything made again, a release made again from its lock, rows forgotten.

The launchpad says of each what can be set, and what holds when nothing is. A job imports what it does when it runs, so
that the process of the code location does without.
"""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from storymesh.document import path_in_mesh
from storymesh.errors import StorymeshError, WrongUsage
from storymesh.mesh.mesh import Mesh
from storymesh.orchestration.failures import dagster_failures
from storymesh.orchestration.run.events import (
    RunEvent,
    RunListener,
    StepFailure,
    StepRetry,
    StepSkipped,
    StepSuccess,
)
from storymesh.orchestration.run.execute import execute_run
from storymesh.orchestration.run.outcome import RunOutcome
from storymesh.orchestration.run.selection import narrative_term
from storymesh.release.catalog import find_release

if TYPE_CHECKING:
    from storymesh.lifecycle.erase import Erasure, ErasurePlan

FORGET_FILE = "forget.csv"


class RefreshConfig(dg.Config):
    """Which part of the mesh is made again."""

    narratives: list[str] = Field(
        default=[], description="Only these narratives, by id, with all that they are built on. Empty: the whole mesh."
    )
    only: bool = Field(
        default=False, description="The narratives alone, on products as they are published. Wants names above."
    )


class RebuildConfig(dg.Config):
    """Which release is made again from its lock."""

    release: str = Field(description="NARRATIVE (its latest) or NARRATIVE@X-rN, such as canal-exceptions@1.0.0-r3.")
    into: str = Field(
        default="",
        description="A new folder below the mesh root to write it to. Empty: it is compared only, and nothing is kept.",
    )


class ForgetConfig(dg.Config):
    """Which rows are left out of everything from now on."""

    file: str = Field(
        default=FORGET_FILE,
        description="A CSV in the store's folder with the columns product and key, one row for each to forget. Keys are"
        " not typed here, since Dagster keeps what is typed. The file is removed when all is done.",
    )
    really: bool = Field(default=False, description="Do it. Without this it is only counted, and nothing changes.")
    remove_old: bool = Field(
        default=False, description="Remove the releases that used a row, once their successors stand."
    )


def mesh_jobs(mesh: Mesh) -> list[dg.JobDefinition]:
    """Return the jobs of the whole mesh."""
    return [_refresh_job(mesh), _rebuild_job(mesh), _forget_job(mesh)] if mesh.narratives else [_refresh_job(mesh)]


def _refresh_job(mesh: Mesh) -> dg.JobDefinition:
    @dg.op(name="everything", description="Runs the assets of all locations in the mesh's order, as `storymesh run`.")
    def everything(context: dg.OpExecutionContext, config: RefreshConfig) -> None:
        with dagster_failures(context.retry_number):
            if config.only and not config.narratives:
                raise WrongUsage("`only` needs the names of narratives", "write them under `narratives`")
            chosen = [narrative_term(mesh.narrative(name).id, upstream=not config.only) for name in config.narratives]
            log = mesh.store / "logs" / f"run-{context.run_id}.log"
            outcome = execute_run(mesh, chosen, _log_listener(context.log.info), log)
            context.add_output_metadata(_outcome_metadata(outcome, path_in_mesh(log, mesh.root)))
            if not outcome.success:
                failures = "; ".join(f"{failure.step}: {failure.message}" for failure in outcome.failures.values())
                raise StorymeshError(
                    f"some of it was not made: {failures}", "the rest was; run again when it is mended"
                )

    @dg.job(name="refresh_all", description="Every product, case and release of the mesh that is not there yet.")
    def refresh_all() -> None:
        everything()

    return refresh_all


def _rebuild_job(mesh: Mesh) -> dg.JobDefinition:
    @dg.op(name="from_its_lock", description="Makes a release again from its lock, and compares the digest.")
    def from_its_lock(context: dg.OpExecutionContext, config: RebuildConfig) -> None:
        from storymesh.lifecycle.rebuild import rebuild_release

        with dagster_failures(context.retry_number):
            release = find_release(mesh.releases, config.release)
            into = _path_below(mesh.root, config.into) if config.into else None
            found = rebuild_release(release, mesh.warehouse, mesh.open_engine, into, current=mesh.contracts)
            name = f"{release.narrative} {release.version}"
            context.add_output_metadata({"release": name, "digest": found.digest, "same": found.same})
            if not found.same:
                message = f"{name} made again has another digest: {found.digest[:12]}, not {release.digest[:12]}"
                differing = f"storymesh rebuild {release.narrative}@{release.version} says what differs"
                raise StorymeshError(message, found.rule_changes or differing)

    @dg.job(name="rebuild", description="Makes a release again from its lock and confirms its digest.")
    def rebuild() -> None:
        from_its_lock()

    return rebuild


def _forget_job(mesh: Mesh) -> dg.JobDefinition:
    @dg.op(name="rows", description="Follows rows through every release, and cuts successors without their cases.")
    def rows(context: dg.OpExecutionContext, config: ForgetConfig) -> None:
        from storymesh.lifecycle.erase import Erasure

        erasure = Erasure(mesh.warehouse, mesh.releases, mesh.open_engine, mesh.contracts)
        with dagster_failures(context.retry_number):
            file = _path_below(mesh.store, config.file)
            plans = [_plan_erasure(erasure, product, key) for product, key in _rows_to_forget(file, mesh)]
            changed = {release.name: words for plan in plans for release, words in plan.rule_changes}
            for name, words in changed.items():
                context.log.warning(f"{name}: {words}, so its successor differs by more than what is forgotten")
            successors = [done.new.name for done in erasure.erase(plans)] if config.really else []
            removed = [old.name for old in erasure.remove_old(plans)] if config.really and config.remove_old else []
            if config.really:
                file.unlink()
            used = {use.release.path for plan in plans for use in plan.affected}
            counts = {"rows": len(plans), "releases_that_used_them": len(used)}
            context.add_output_metadata({**counts, "successors": ", ".join(successors), "removed": ", ".join(removed)})

    @dg.job(name="forget", description="Leaves rows out of every release from now on; the rows are named in a file.")
    def forget() -> None:
        rows()

    return forget


def _log_listener(log: Callable[[str], object]) -> RunListener:
    """Return a listener that writes the events of a run as lines of a log."""

    def listen(event: RunEvent) -> None:
        match event:
            case StepSuccess(step, rows, unchanged, seconds):
                count = f"{rows:,} rows, " if rows is not None else ""
                log(f"{step}: {count}{'unchanged, ' if unchanged else ''}{seconds:.1f} s")
            case StepFailure(step, message, _):
                log(f"{step} failed: {message}")
            case StepRetry(step, message, seconds):
                log(f"{step}: {message}; again in {seconds:.0f} s")
            case StepSkipped(step):
                log(f"{step}: left out")
            case _:
                pass

    return listen


def _outcome_metadata(outcome: RunOutcome, log: str) -> dict[str, Any]:
    states = [*(product.state for product in outcome.products), *(narrative.state for narrative in outcome.narratives)]
    counts = {state.replace(" ", "_"): states.count(state) for state in dict.fromkeys(states)}
    return {**counts, "run": dg.MetadataValue.dagster_run(outcome.run_id), "log": dg.MetadataValue.path(log)}


def _path_below(folder: Path, name: str) -> Path:
    """Return the path `name` below `folder`. Raises WrongUsage when it leads out of it."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise WrongUsage(f"'{name}' does not lie below {folder}", "name a path below it")
    return path


def _plan_erasure(erasure: "Erasure", product: str, key: str) -> "ErasurePlan":
    """Return what forgetting the row means. An error does not name the key, which Dagster would keep."""
    try:
        return erasure.plan(product, key)
    except WrongUsage:
        message = f"no version of '{product}' has a row with a key that the file names"
        raise WrongUsage(message, "write each as `sources` of a record write it: storymesh forget says which") from None


def _rows_to_forget(file: Path, mesh: Mesh) -> list[tuple[str, str]]:
    """Return product and key of each row in the CSV. Raises WrongUsage, whose message never holds a key."""
    if not file.is_file():
        raise WrongUsage(f"there is no {file}", "write a CSV with the columns product and key")
    with file.open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        if not {"product", "key"} <= set(reader.fieldnames or ()):
            raise WrongUsage(f"{file} has no columns product and key", "they stand in its first line")
        found = [(str(row["product"]), str(row["key"])) for row in reader]
    if not found:
        raise WrongUsage(f"{file} names no row", "one line for each row to forget")
    return [(mesh.product(product).id, key) for product, key in found]
