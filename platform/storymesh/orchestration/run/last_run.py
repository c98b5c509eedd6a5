"""A note of the last successful run: what it made, from which definitions, and its id in Dagster."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from storymesh.atomic_write import write_atomically
from storymesh.mesh.mesh import Mesh
from storymesh.orchestration.assets.states import code_version
from storymesh.orchestration.instance import dagster_home, is_running
from storymesh.orchestration.sqlite_history import latest_run


class LastRun(BaseModel):
    """A run without any failure: the products that it made, and the narratives with the version of their definition."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    products: frozenset[str]
    narratives: Mapping[str, str]


def begin_run(mesh: Mesh) -> None:
    """Forget the last run, since this one's result is not known before it has ended."""
    _path(mesh).unlink(missing_ok=True)


def note_run(mesh: Mesh, run_id: str, products: Iterable[str], narratives: Iterable[str]) -> None:
    """Note a run that has gone through, and what it made, by id."""
    versions = {id_: code_version(mesh, mesh.narrative(id_)) for id_ in narratives}
    note = LastRun(run_id=run_id, products=frozenset(products), narratives=versions)
    write_atomically(_path(mesh), note.model_dump_json())


def find_last_run(mesh: Mesh, products: Iterable[str], narratives: Iterable[str]) -> str | None:
    """Return the id of the last run if it made all of this, as the files define it now, and Dagster remembers it as the
    last one and none that goes on or was abandoned."""
    try:
        note = LastRun.model_validate_json(_path(mesh).read_bytes())
    except (OSError, ValidationError):
        return None
    if not note.products.issuperset(products):
        return None
    if any(note.narratives.get(id_) != code_version(mesh, mesh.narrative(id_)) for id_ in narratives):
        return None
    home = dagster_home(mesh)
    if is_running(home) or latest_run(home) != (note.run_id, "SUCCESS"):
        return None
    return note.run_id


def _path(mesh: Mesh) -> Path:
    return mesh.store / "last_run.json"
