"""The pages of narratives and their releases, with sample stories that are traced like those of a report."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storymesh.errors import StorymeshError
from storymesh.mesh.mesh import Mesh
from storymesh.narrative.definition import Narrative
from storymesh.release.catalog import Release
from storymesh.release.description import internal_paths
from storymesh.release.layout import record_files
from storymesh.release.report.render import sample_stories
from storymesh.release.report.stories import Story

if TYPE_CHECKING:
    import pyarrow as pa

STORIES = 4  # of a config
MAX_CONFIGS = 12  # with stories
MAX_RELEASES = 20  # of a narrative with a page of their own, the latest


@dataclass(frozen=True)
class NarrativeView:
    """All that the page of a narrative shows. `releases` are the latest, the last one first, `earlier` how many others
    there are; `stories` are of the last one; `internal` is what it prints that is not public; `problem` says why there
    are no stories, or why their values do not lead back."""

    narrative: Narrative
    releases: tuple[Release, ...]
    earlier: int
    stories: Mapping[str, tuple[Story, ...]]
    traced: bool
    internal: tuple[str, ...]
    problem: str


def view_narrative(
    mesh: Mesh, narrative: Narrative, releases: list[Release], colors: Mapping[str, int], *, public: bool
) -> NarrativeView:
    """Return what the page of a narrative shows. `public`: no story that prints what is not public."""
    latest = releases[-1] if releases else None
    stories: dict[str, tuple[Story, ...]] = {}
    internal: tuple[str, ...] = ()
    traced, problem = False, ""
    if latest is not None:
        try:
            internal = tuple(_internal(mesh, latest))
            if mesh.residency.keeps_records(narrative.id):
                there = mesh.residency.home_of(narrative.id)
                problem = f"They are kept at {there}, of which only what is declared leaves: none is shown here."
            elif public and internal:
                problem = "They print values that are not public, so none of them is shown here."
            else:
                stories, traced, problem = _stories(mesh, latest, colors)
        except StorymeshError as error:
            problem = f"They cannot be read: {error}"
    shown = tuple(releases[::-1][:MAX_RELEASES])
    return NarrativeView(narrative, shown, len(releases) - len(shown), stories, traced, internal, problem)


def _internal(mesh: Mesh, release: Release) -> list[str]:
    from storymesh.release.definition_snapshot import read_definition_snapshot

    typed = read_definition_snapshot(release, mesh.contracts)
    return internal_paths(typed.narrative, typed.contracts, _schemas(release))


def _schemas(release: Release) -> "dict[str, pa.Schema]":
    import pyarrow.parquet as pq

    files = {config: next(iter(record_files(release.path, config).values()), None) for config in release.configs}
    return {config: pq.read_schema(found[0]) for config, found in files.items() if found}


def _stories(mesh: Mesh, release: Release, colors: Mapping[str, int]) -> tuple[dict[str, tuple[Story, ...]], bool, str]:
    """Return stories of each config; whether their values lead to their rows, and if not, why."""
    from storymesh.provenance.trace import Tracer
    from storymesh.release.definition_snapshot import open_released_build
    from storymesh.release.folder import files_of, require_sound_files

    require_sound_files(release)
    tracer, problem = None, ""
    with ExitStack() as stack:
        try:
            build = open_released_build(release, mesh.warehouse, mesh.open_engine, mesh.contracts)
            tracer = stack.enter_context(Tracer(build))
        except StorymeshError as error:
            problem = f"Their values do not lead back to rows: {error}"
        engine = stack.enter_context(mesh.open_engine(only=files_of(release)))
        files = {config: record_files(release.path, config) for config in list(release.configs)[:MAX_CONFIGS]}
        stories = sample_stories(engine, files, tracer, colors, STORIES)
    return stories, tracer is not None, problem
