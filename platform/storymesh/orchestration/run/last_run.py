"""A note of the last run that went through: what it made, under which definitions, and as what Dagster remembers it."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from storymesh.atomic_write import write_atomically
from storymesh.mesh.mesh import Mesh
from storymesh.narrative.definition import Narrative
from storymesh.orchestration.assets.states import code_version
from storymesh.orchestration.instance import dagster_home, is_running
from storymesh.orchestration.sqlite_history import latest_run


class LastRun(BaseModel):
    """A run without any failure. `narratives` are those that it made, with the version of their definition; `whole`:
    it made all of the mesh; `upstream`: what they are built on too."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    whole: bool
    upstream: bool
    narratives: Mapping[str, str]


def begin_run(mesh: Mesh) -> None:
    """Forget the last run: what this one leaves behind is not known before it has ended."""
    _path(mesh).unlink(missing_ok=True)


def note_run(mesh: Mesh, run_id: str, narratives: Iterable[Narrative], *, upstream: bool) -> None:
    """Note a run that has gone through; no `narratives`: the whole mesh."""
    chosen = tuple(narratives)
    versions = {narrative.id: code_version(mesh, narrative) for narrative in chosen or mesh.narratives.values()}
    note = LastRun(run_id=run_id, whole=not chosen, upstream=upstream, narratives=versions)
    write_atomically(_path(mesh), note.model_dump_json())


def find_last_run(mesh: Mesh, narratives: Iterable[Narrative], *, upstream: bool) -> str | None:
    """Return the id of the last run if it made all that is asked for, as the files define it now, and Dagster remembers
    it as the last one and none that goes on or was abandoned."""
    try:
        note = LastRun.model_validate_json(_path(mesh).read_bytes())
    except (OSError, ValidationError):
        return None
    chosen, home = tuple(narratives), dagster_home(mesh)
    if not note.whole and (not chosen or upstream > note.upstream):
        return None
    for narrative in chosen or mesh.narratives.values():
        if note.narratives.get(narrative.id) != code_version(mesh, narrative):
            return None
    if is_running(home) or latest_run(home) != (note.run_id, "SUCCESS"):
        return None
    return note.run_id


def _path(mesh: Mesh) -> Path:
    return mesh.store / "last_run.json"
