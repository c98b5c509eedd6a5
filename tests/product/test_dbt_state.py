"""A dbt build is left out only where it would read the same files and its database is as it left it."""

from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from storymesh.product.dbt_project import DbtAccess, DbtProject
from storymesh.product.dbt_state import DbtBuildState, models_digest

CONFINED = DbtAccess()
MODEL = {"resource_type": "model", "raw_code": "select * from read_csv('sources/notes.csv')", "config": {}}
MANIFEST: dict[str, Any] = {"nodes": {"model.desk.notes": MODEL}, "macros": {}}


@pytest.fixture
def project(tmp_path: Path) -> DbtProject:
    folder, home = tmp_path / "desk", tmp_path / "store"
    for path, text in (
        (folder / "sources/notes.csv", "boat\n1\n"),
        (folder / "models/notes.sql", "select 1"),
        (home / "desk.duckdb", "tables"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    places = (folder, home / "project", home / "profiles", home / "target", home / "logs", home / "desk.duckdb")
    files = {
        home / "project/dbt_project.yml": "name: desk",
        home / "project/storymesh_sources/sources.yml": "sources: []",
        home / "profiles/profiles.yml": "desk: {}",
    }
    none, parsed = MappingProxyType[str, str]({}), home / "parsed"
    return DbtProject("desk", *places, env=none, home=home, access=CONFINED, files=files, parsed=parsed)


def state(
    project: DbtProject,
    access: DbtAccess = CONFINED,
    manifest: dict[str, Any] = MANIFEST,
    selected: tuple[str, ...] = ("notes",),
) -> DbtBuildState:
    return DbtBuildState(project, access, manifest, selected)


def rewrite(project: DbtProject, path: Path, text: str) -> None:
    assert isinstance(project.files, dict) and path in project.files
    project.files[path] = text


def test_a_build_is_current_until_something_changes(project: DbtProject) -> None:
    assert not state(project).is_current(), "nobody built it"
    state(project).record()
    assert state(project).is_current()
    assert not state(project, selected=("notes", "berths")).is_current()
    state(project).forget()
    assert not state(project).is_current(), "one that has not ended"


@pytest.mark.parametrize(
    "change",
    [
        lambda project: (project.folder / "sources/notes.csv").write_text("boat\n2\n", encoding="utf-8"),
        lambda project: (project.folder / "sources/more.csv").write_text("", encoding="utf-8"),
        lambda project: (project.folder / "models/notes.sql").unlink(),
        lambda project: rewrite(project, project.profiles_dir / "profiles.yml", "desk: {a: 1}"),
        lambda project: rewrite(project, project.project_dir / "storymesh_sources/sources.yml", "new"),
        lambda project: project.database.write_text("other tables", encoding="utf-8"),
        lambda project: project.database.unlink(),
        lambda project: (project.folder / "sources/elsewhere").symlink_to(project.home),
    ],
)
def test_what_changes_a_build_is_noticed(project: DbtProject, change: Callable[[DbtProject], object]) -> None:
    state(project).record()
    change(project)
    assert not state(project).is_current()


def test_files_and_variables_that_the_operator_allows_are_inputs(
    project: DbtProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "public.csv").write_text("a", encoding="utf-8")
    access = DbtAccess(read=(tmp_path / "public.csv",), env=("REGION",))
    monkeypatch.setenv("REGION", "north")
    state(project, access).record()
    assert state(project, access).is_current()
    monkeypatch.setenv("REGION", "south")
    assert not state(project, access).is_current()
    monkeypatch.setenv("REGION", "north")
    (tmp_path / "public.csv").write_text("b", encoding="utf-8")
    assert not state(project, access).is_current()


@pytest.mark.parametrize(
    "changes",
    [
        {"raw_code": "select now() as at"},
        {"raw_code": "select {{ run_started_at }} as at"},
        {"raw_code": "select RANDOM()"},
        {"raw_code": "select current_date - day as days"},
        {"raw_code": "select count(*) from {{ this }}"},
        {"config": {"materialized": "of_their_own"}},
        {"config": {"materialized": "incremental"}},
        {"config": {"post-hook": [{"sql": "insert into log select 1"}]}},
        {"resource_type": "snapshot"},
    ],
)
def test_a_project_that_can_make_something_else_of_the_same_is_always_built(
    project: DbtProject, changes: dict[str, Any]
) -> None:
    varying = {"nodes": {"model.desk.notes": {**MODEL, **changes}}, "macros": {}}
    state(project, manifest=varying).record()
    assert not state(project, manifest=varying).is_current()


def test_words_that_only_look_like_the_clock_do_not_build_again(project: DbtProject) -> None:
    plain = "-- now this is random\nselect age, today, sample, version from {{ ref('notes') }}"
    manifest = {"nodes": {"model.desk.notes": {**MODEL, "raw_code": plain}}, "macros": {}}
    state(project, manifest=manifest).record()
    assert state(project, manifest=manifest).is_current()


def test_macros_of_the_domain_are_looked_at_and_those_of_dbt_are_not(project: DbtProject) -> None:
    for package, current in (("dbt", True), ("desk", False)):
        macros = {"macro": {"package_name": package, "macro_sql": "select current_timestamp"}}
        manifest = {**MANIFEST, "macros": macros}
        state(project, manifest=manifest).record()
        assert state(project, manifest=manifest).is_current() is current


def test_a_domain_that_nothing_confines_is_always_built(project: DbtProject) -> None:
    state(project, DbtAccess(unconfined=True)).record()
    assert not state(project, DbtAccess(unconfined=True)).is_current()


def rows_digest(project: DbtProject, manifest: dict[str, Any] | None = MANIFEST) -> str | None:
    return models_digest(project.database, [project.folder / "sources"], manifest)


@pytest.mark.parametrize(
    "change",
    [
        lambda project: (project.folder / "sources/notes.csv").write_text("boat\n2\n", encoding="utf-8"),
        lambda project: (project.folder / "sources/.hidden.csv").write_text("boat\n", encoding="utf-8"),
        lambda project: project.database.write_text("TABLES", encoding="utf-8"),
        lambda project: project.database.with_name("desk.duckdb.wal").write_text("more", encoding="utf-8"),
    ],
)
def test_rows_of_models_are_those_of_the_database_and_of_the_files_that_views_read(
    project: DbtProject, change: Callable[[DbtProject], object]
) -> None:
    before = rows_digest(project)
    assert before is not None
    assert rows_digest(project) == before
    change(project)
    assert rows_digest(project) not in (None, before)


def test_rows_of_models_that_files_do_not_decide_have_no_digest(project: DbtProject) -> None:
    varying = {"nodes": {"model.desk.notes": {**MODEL, "raw_code": "select now()"}}, "macros": {}}
    assert rows_digest(project, varying) is None
    assert rows_digest(project, None) is None
    assert models_digest(project.database, None, MANIFEST) is None, "it may read any file"
    (project.folder / "sources/elsewhere").symlink_to(project.folder.parent, target_is_directory=True)
    assert rows_digest(project) is None
