"""What operators start for the whole mesh: everything made again, a release made again from its lock, a row forgotten.
Each says in the launchpad what can be set, and what holds when nothing is.
"""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from storymesh.document import path_in_mesh
from storymesh.errors import StorymeshError, WrongUsage
from storymesh.lifecycle import erase as forgetting
from storymesh.lifecycle.rebuild import rebuild as make_again
from storymesh.mesh.mesh import Mesh
from storymesh.orchestration.failures import explained
from storymesh.orchestration.run import run as running
from storymesh.release.manifest import find_release

FORGET_FILE = "forget.csv"


class Everything(dg.Config):
    """What of the mesh is made again."""

    narratives: list[str] = Field(
        default=[], description="Only these narratives, by id, with all that they are built on. Empty: the whole mesh."
    )
    only: bool = Field(
        default=False, description="The narratives alone, on products as they are published. Wants names above."
    )


class Rebuild(dg.Config):
    """Which release is made again from its lock."""

    release: str = Field(description="NARRATIVE (its latest) or NARRATIVE@X-rN, such as canal-exceptions@1.0.0-r3.")
    into: str = Field(
        default="",
        description="A new folder below the mesh root to write it to. Empty: it is compared only, and nothing is kept.",
    )


class Forget(dg.Config):
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
    """The jobs that belong to no single domain."""

    @dg.op(name="everything", description="Runs the assets of all locations in the mesh's order, as `storymesh run`.")
    def everything(context: dg.OpExecutionContext, config: Everything) -> None:
        with explained(context.retry_number):
            if config.only and not config.narratives:
                raise WrongUsage("`only` needs the names of narratives", "write them under `narratives`")
            chosen = [mesh.narrative(name) for name in config.narratives]
            log = mesh.store / "logs" / f"run-{context.run_id}.log"
            outcome = running.run(mesh, chosen, _telling(context.log.info), log, upstream=not config.only)
            context.add_output_metadata(_outcome(outcome, path_in_mesh(log, mesh.root)))
            if not outcome.success:
                broken = "; ".join(f"{one.step}: {one.words}" for one in outcome.failures.values())
                raise StorymeshError(f"some of it was not made: {broken}", "the rest was; run again when it is mended")

    @dg.op(name="from_its_lock", description="Makes a release again from its lock, and compares the digest.")
    def from_its_lock(context: dg.OpExecutionContext, config: Rebuild) -> None:
        with explained(context.retry_number):
            release = find_release(mesh.releases, config.release)
            into = _below(mesh.root, config.into) if config.into else None
            found = make_again(release, mesh.warehouse, into)
            name = f"{release.narrative} {release.version}"
            context.add_output_metadata({"release": name, "digest": found.digest, "same": found.same})
            if not found.same:
                words = f"{name} made again has another digest: {found.digest[:12]}, not {release.digest[:12]}"
                raise StorymeshError(
                    words, f"storymesh rebuild {release.narrative}@{release.version} says what differs"
                )

    @dg.op(name="rows", description="Follows rows through every release, and cuts successors without their cases.")
    def rows(context: dg.OpExecutionContext, config: Forget) -> None:
        with explained(context.retry_number):
            file = _below(mesh.store, config.file)
            every = [_found(mesh, *one) for one in _named_in(file, mesh)]
            cut: list[str] = []
            removed: list[str] = []
            for found in every if config.really else ():
                cut += [f"{one.new.narrative} {one.new.version}" for one in forgetting.forget(found, mesh.warehouse)]
                if config.remove_old:
                    gone = forgetting.remove(found, mesh.store, mesh.releases)
                    removed += [f"{one.narrative} {one.version}" for one in gone]
            if config.really:
                file.unlink()
            used = {one.release.path for found in every for one in found.used}
            counts = {"rows": len(every), "releases_that_used_them": len(used)}
            context.add_output_metadata({**counts, "successors": ", ".join(cut), "removed": ", ".join(removed)})

    @dg.job(name="refresh_all", description="Every product, case and release of the mesh that is not there yet.")
    def refresh_all() -> None:
        everything()

    @dg.job(name="rebuild", description="Makes a release again from its lock and confirms its digest.")
    def rebuild() -> None:
        from_its_lock()

    @dg.job(name="forget", description="Leaves rows out of every release from now on; the rows are named in a file.")
    def forget() -> None:
        rows()

    return [refresh_all, rebuild, forget] if mesh.narratives else [refresh_all]


def _telling(say: Callable[[str], object]) -> running.Tell:
    """What a run tells, as lines of a log."""

    def tell(told: running.Told) -> None:
        match told:
            case running.Finished(step, rows, unchanged, seconds):
                counted = f"{rows:,} rows, " if rows is not None else ""
                say(f"{step}: {counted}{'unchanged, ' if unchanged else ''}{seconds:.1f} s")
            case running.Failed(step, words, _):
                say(f"{step} failed: {words}")
            case running.Again(step, words, seconds):
                say(f"{step}: {words}; again in {seconds:.0f} s")
            case running.LeftOut(step):
                say(f"{step}: left out")
            case _:
                pass

    return tell


def _outcome(outcome: running.Outcome, log: str) -> dict[str, Any]:
    states = [*(one.state for one in outcome.products), *(one.state for one in outcome.narratives)]
    counts = {state.replace(" ", "_"): states.count(state) for state in dict.fromkeys(states)}
    return {**counts, "run": dg.MetadataValue.dagster_run(outcome.run_id), "log": dg.MetadataValue.path(log)}


def _below(folder: Path, name: str) -> Path:
    """The path `name` below `folder`. Raises WrongUsage when it leads out of it."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise WrongUsage(f"'{name}' does not lie below {folder}", "name a path below it")
    return path


def _found(mesh: Mesh, product: str, key: str) -> forgetting.Found:
    """What forgetting the row means. What cannot be found is told without its key, which Dagster would keep."""
    try:
        return forgetting.find(product, key, mesh.contract(product), mesh.warehouse, mesh.releases)
    except WrongUsage:
        words = f"no version of '{product}' has a row with a key that the file names"
        raise WrongUsage(words, "write each as `sources` of a record write it: storymesh forget says which") from None


def _named_in(file: Path, mesh: Mesh) -> list[tuple[str, str]]:
    """Product and key of each row in the CSV. Raises WrongUsage; keys are never among the words."""
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
