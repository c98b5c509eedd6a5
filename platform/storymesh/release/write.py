"""Writing a release: records become an immutable, numbered folder that `datasets.load_dataset` reads as it is.

A release is made in a hidden folder beside its future place, and one rename makes it visible. So a process that is
killed leaves nothing that looks like a release, and the next one removes what it left. What assembles and describes it
is imported, with ibis, where there is a release to make.
"""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.atomic_write import sync_folder, sync_tree
from storymesh.engine.engine import Engine
from storymesh.file_lock import hold_lock
from storymesh.garbage_collection import raised_gc_threshold
from storymesh.narrative.evaluation_definition import EVALUATION_CONFIG
from storymesh.release.catalog import Release, list_releases, read_release
from storymesh.release.description import ReleaseDescription
from storymesh.release.layout import (
    ANSWERS_FOLDER,
    CARD,
    CROISSANT,
    MANIFEST,
    RELEASE_FOLDER,
    REPORT,
    all_record_files,
    hash_files,
    record_files,
)
from storymesh.release.manifest import Predecessor, manifest_json
from storymesh.release.observer import ObserveStep, unobserved
from storymesh.release.release_state import ReleaseState
from storymesh.release.signature import sign_release, signing_key

if TYPE_CHECKING:
    from storymesh.dataset.build import Build
    from storymesh.release.evaluation_document import EvaluationDocument
    from storymesh.release.report.render import OpenTracer

STAGING_PREFIX = ".cutting-"
_LOCK = ".lock"


@raised_gc_threshold()
def write_release(
    build: "Build",
    *,
    shard_rows: int | None = None,
    open_tracer: "OpenTracer | None" = None,
    succeeds: Predecessor | None = None,
) -> Release:
    """Write the next release of the build's narrative, or return the one of the same version and digest, unchanged.

    A file holds at most `shard_rows` records (None: as the narrative says). With `open_tracer`, `report.html` shows
    where every value of its stories comes from. `succeeds` is the release that it takes the place of, for its lock and
    card. Raises ReleaseRefused when no record is left, when a case is neither recorded nor dropped, or when the
    certificate is not all zero. Processes that write the same narrative wait for each other.
    """
    signer = signing_key()
    folder = build.releases / build.narrative.id
    folder.mkdir(parents=True, exist_ok=True)
    with hold_lock(folder / _LOCK):
        for abandoned in folder.glob(f"{STAGING_PREFIX}*"):
            shutil.rmtree(abandoned)
        state = ReleaseState(build)
        if (unchanged := state.find_unchanged()) is not None:
            return replace(unchanged, unchanged=True)
        from storymesh.release.assemble import ReleaseAssembly

        staged = folder / f"{STAGING_PREFIX}{os.getpid()}"
        version = f"{build.narrative.version}-r{1 + _last_number(folder, build.narrative.version)}"
        try:
            with build.open_engine() as engine:
                description = ReleaseAssembly(build, engine, staged, version, shard_rows).write_files()
                for release in list_releases(build.releases, build.narrative.id):
                    same_version = release.version.rpartition("-r")[0] == build.narrative.version
                    if same_version and release.digest == description.manifest.digest:
                        state.record(release)
                        return replace(release, unchanged=True)
                _write_documents(staged, build, engine, description.succeeding(succeeds), open_tracer)
                if signer is not None:
                    sign_release(staged, signer)
            sync_tree(staged)
            staged.rename(folder / version)
            sync_folder(folder)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        release = read_release(folder / version)
        state.record(release)
    return release


@raised_gc_threshold()
def write_release_again(
    build: "Build",
    folder: Path,
    version: str,
    *,
    open_tracer: "OpenTracer | None" = None,
    succeeds: Predecessor | None = None,
    observe: ObserveStep = unobserved,
) -> Release:
    """Write the build's release as `version` into the new folder `folder`, whatever other releases there are.

    It is not signed. Each step runs in the context of `observe`. Raises ReleaseRefused as `write_release` does.
    """
    from storymesh.release.assemble import ReleaseAssembly

    with build.open_engine() as engine:
        description = ReleaseAssembly(build, engine, folder, version, None, observe).write_files()
        _write_documents(folder, build, engine, description.succeeding(succeeds), open_tracer, observe)
    sync_tree(folder)
    return read_release(folder)


def _write_documents(
    staged: Path,
    build: "Build",
    engine: Engine,
    description: ReleaseDescription,
    open_tracer: "OpenTracer | None",
    observe: ObserveStep = unobserved,
) -> None:
    """Write what describes the release, and last the manifest, which lists every other file with its SHA-256."""
    from storymesh.release.card import render_card
    from storymesh.release.croissant import render_croissant
    from storymesh.release.report import render_report

    for config, record in build.narrative.records.items():
        if record.narrator is not None and build.files.answers(config).is_file():
            (staged / ANSWERS_FOLDER).mkdir(exist_ok=True)
            shutil.copyfile(build.files.answers(config), staged / ANSWERS_FOLDER / f"{config}.parquet")
    files = {config: record_files(staged, config) for config in build.narrative.records}
    if build.narrative.evaluation is not None:
        with observe("evaluation"):
            description = replace(description, evaluation=_write_evaluation(staged, build, engine))
    with observe("card"):
        (staged / CARD).write_text(render_card(description), encoding="utf-8")
        (staged / CROISSANT).write_text(render_croissant(description, staged, files), encoding="utf-8")
    with observe("report page"):
        report = render_report(description, build, engine, files, open_tracer)
        (staged / REPORT).write_text(report, encoding="utf-8")
    files_of_release = hash_files(staged)
    sizes = {name: (staged / name).stat().st_size for name in files_of_release}
    manifest = description.manifest.model_copy(update={"files": files_of_release, "sizes": sizes})
    (staged / MANIFEST).write_text(manifest_json(manifest), encoding="utf-8")


def _write_evaluation(staged: Path, build: "Build", engine: Engine) -> "EvaluationDocument | None":
    """Write what needs no model answers to the questions of the release, and the questions as tasks of a harness.
    Returns the former; None where no question is left."""
    from storymesh.dataset.evaluation_cases import trained_actions
    from storymesh.dataset.tables import cases_with_precedents
    from storymesh.release.evaluation_document import (
        describe_evaluation,
        write_evaluation_document,
        write_harness_tasks,
    )

    evaluation = build.typed.records[EVALUATION_CONFIG].evaluation
    files = all_record_files(staged, EVALUATION_CONFIG)
    assert evaluation is not None
    if not files:
        return None
    table = engine.fetch_rows(trained_actions(cases_with_precedents(build, engine), build.typed, evaluation))
    cases = engine.fetch_table(engine.read_parquet(files).order_by("id"))
    document = describe_evaluation(cases, evaluation.labels, table)
    write_evaluation_document(document, staged)
    write_harness_tasks(staged, build.narrative.name, cases)
    return document


def _last_number(folder: Path, version: str) -> int:
    """Return the highest number in use for the version, whether or not its release is whole."""
    matches = (RELEASE_FOLDER.fullmatch(path.name) for path in folder.iterdir())
    return max((int(match["number"]) for match in matches if match and match["narrative"] == version), default=0)
