"""Where nothing has changed no run begins; whatever a run would make, find or tell again lets it begin."""

import dataclasses
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from storymesh.contract.checks import CheckResult
from storymesh.dataset.erasure_list import new_erasure_list, write_erasure_list
from storymesh.errors import WrongUsage
from storymesh.mesh.dbt_manifest import find_dbt_manifest
from storymesh.mesh.mesh import load_mesh
from storymesh.orchestration.assets.keys import MODELS, product_key
from storymesh.orchestration.load_locations import load_code_locations
from storymesh.orchestration.run.execute import _assets_to_make, execute_run
from storymesh.orchestration.run.outcome import RunOutcome
from storymesh.orchestration.run.selection import read_terms, resolve_terms
from storymesh.orchestration.run.unchanged import find_unchanged_run
from storymesh.product import publication_state
from storymesh.product.dbt_server import preloaded_dbt
from tests.support.harbour import make_harbour

DESK = Path(__file__).parent / "desk"
HEAVY = ("dagster", "dbt", "great_expectations", "pandas", "pyiceberg", "sqlalchemy")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The harbour with a domain of dbt models, after a run of everything, and beside it a copy of that state."""
    root = tmp_path_factory.mktemp("unchanged") / "harbour"
    make_harbour(root)
    shutil.copytree(DESK, root, dirs_exist_ok=True)
    (root / "workspace.yaml").unlink()
    with (root / "domains/fleet/sources/boats.csv").open("a", encoding="utf-8") as boats:
        boats.write("boat-x,tug,-1,Skipper\n")  # is quarantined
    contract = root / "contracts/fleet/boats.odcs.yaml"
    fields = contract.read_text(encoding="utf-8")
    limit = "customProperties: [{property: quarantineLimit, value: 0.5}]\n"
    contract.write_text(f"{fields.rstrip()}\n{limit}", encoding="utf-8")
    with preloaded_dbt(), pytest.MonkeyPatch.context() as patch:
        patch.delenv("STORYMESH_PSEUDONYM_KEY", raising=False)
        outcome = execute_run(load_mesh(root), [], lambda event: None, root / "run.log")
    assert outcome.success, outcome.failures
    shutil.copytree(root, root.with_name("before"), symlinks=True)
    return root


@pytest.fixture(scope="module")
def marks(built: Path) -> dict[Path, int]:
    """When each entry of the built mesh was last changed in any way, which nobody can set back."""
    return marks_of(built)


def marks_of(root: Path) -> dict[Path, int]:
    return {path.relative_to(root): path.lstat().st_ctime_ns for path in root.rglob("*")}


@pytest.fixture
def mesh_root(built: Path, marks: dict[Path, int], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The built mesh, to change: it stays where it was built, as dbt's state wants, and is put back afterwards."""
    monkeypatch.delenv("STORYMESH_PSEUDONYM_KEY", raising=False)
    yield built
    put_back(built, built.with_name("before"), marks)


def is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def put_back(root: Path, before: Path, marks: dict[Path, int]) -> None:
    """Make of `root` what `before` is, where something has happened to it since `marks`, which are noted anew."""
    found = marks_of(root)
    for name in sorted(found.keys() - marks.keys(), reverse=True):
        (root / name).rmdir() if is_folder(root / name) else (root / name).unlink()
    changed = [name for name, mark in marks.items() if found.get(name) != mark]
    for name in sorted(changed):
        if is_folder(before / name):
            (root / name).mkdir(exist_ok=True)
        else:
            (root / name).unlink(missing_ok=True)
            shutil.copy2(before / name, root / name, follow_symlinks=False)
    for name in sorted(changed, reverse=True):
        shutil.copystat(before / name, root / name, follow_symlinks=False)
        marks[name] = (root / name).lstat().st_ctime_ns
    clock = root.with_name("clock")  # of the file system, whose moments are long enough for another change
    while clock.touch() or clock.lstat().st_ctime_ns <= max(marks.values()):
        time.sleep(0.001)


def ask(root: Path, *names: str, upstream: bool = True) -> RunOutcome | None:
    mesh = load_mesh(root)
    return find_unchanged_run(mesh, read_terms(mesh, names, only=not upstream))


def test_the_outcome_is_what_a_run_would_tell(mesh_root: Path) -> None:
    found = ask(mesh_root)
    assert found is not None
    mesh = load_mesh(mesh_root)
    told = execute_run(mesh, [], lambda event: None, mesh_root / "run.log")
    assert found.success
    assert found.products == told.products
    assert [product.quarantined for product in found.products if product.product == "fleet.boats"] == [1]
    assert found.narratives == told.narratives
    assert {product.state for product in told.products} == {"unchanged"}
    assert {narrative.state for narrative in told.narratives} == {"unchanged"}


def test_a_run_of_everything_stands_for_a_part_of_it_but_not_the_other_way_round(mesh_root: Path) -> None:
    part = ask(mesh_root, "late-repairs")
    assert part is not None
    assert [product.product for product in part.products] == ["fleet.boats", "yard.repairs"]
    alone = ask(mesh_root, "late-repairs", upstream=False)
    assert alone is not None
    assert not alone.products
    mesh = load_mesh(mesh_root)
    execute_run(mesh, read_terms(mesh, ["late-repairs"], only=True), lambda event: None, mesh_root / "run.log")
    assert ask(mesh_root, "late-repairs", upstream=False) is not None
    assert ask(mesh_root, "late-repairs") is None
    assert ask(mesh_root) is None


SELECTIONS = [
    ["fleet"], ["fleet.boats"], ["fleet.boats+"], ["+yard.repairs"], ["desk.berths"], ["+desk.berths"], ["desk"],
    ["fleet", "desk"], ["*.b*"], ["tag:harbour"], ["late_repairs"], ["+late-repairs+"], ["fl*", "yard"],
]  # fmt: skip


def test_a_selection_is_what_dagsters_graph_makes_of_it(mesh_root: Path) -> None:
    mesh = load_mesh(mesh_root)
    graph = load_code_locations(mesh).resolve_asset_graph()
    for words in SELECTIONS:
        for excluded in ([], ["yard.repairs"], ["+desk"]):
            for options in ({}, {"upstream": True}, {"downstream": True}):
                terms = read_terms(mesh, words, excluded, **options)
                parts = resolve_terms(mesh, terms, lambda domain: find_dbt_manifest(mesh, domain))
                keys = _assets_to_make(mesh, terms).resolve(graph)
                told = {product for product in mesh.products if product_key(product) in keys}
                assert told == set(parts.products), (words, excluded, options)
                assert bool(parts.narratives) == any(key.path[-1] == "release" for key in keys)
                models = {key.path[0] for key in keys if MODELS in key.path}
                assert models == {domain for domain in parts.domains if domain == "desk"}, (words, excluded, options)


def test_a_part_is_run_and_then_found_unchanged(mesh_root: Path) -> None:
    mesh = load_mesh(mesh_root)
    told = execute_run(mesh, read_terms(mesh, ["desk.berths", "fleet"]), lambda event: None, mesh_root / "run.log")
    assert told.success
    assert [product.product for product in told.products] == ["desk.berths", "fleet.boats"]
    assert not told.narratives
    found = ask(mesh_root, "desk.berths", "fleet")
    assert found is not None
    assert found.products == told.products
    assert ask(mesh_root, "yard") is None, "the last run did not look at it"


@pytest.mark.parametrize(
    ("words", "excluded", "message"),
    [
        (["flet"], [], "there is no domain, product or narrative 'flet' (did you mean 'fleet'?)"),
        (["fleet.boat"], [], "'fleet.boat' (did you mean 'fleet.boats'?)"),
        (["late-repair"], [], "(did you mean 'late-repairs'?)"),
        (["x*"], [], "'x*' fits no domain, product or narrative"),
        (["tag:harbor"], [], "no product has the tag 'harbor' (did you mean 'harbour'?)"),
        (["+"], [], "'+' is no selection"),
        (["fleet"], ["fleet"], "nothing is left to run"),
        (["fleet.boats+"], ["fleet+"], "nothing is left to run"),
    ],
)
def test_a_selection_of_nothing_says_so(mesh_root: Path, words: list[str], excluded: list[str], message: str) -> None:
    mesh = load_mesh(mesh_root)
    with pytest.raises(WrongUsage) as refused:
        execute_run(mesh, read_terms(mesh, words, excluded), lambda event: None, mesh_root / "run.log")
    assert message in str(refused.value)


def test_nothing_heavy_is_imported_and_nothing_is_written(mesh_root: Path) -> None:
    before = stored(mesh_root)
    code = (
        "import sys; from storymesh.cli.app import app; app(['run'], standalone_mode=False);"
        f"print('heavy:', *sorted(set({HEAVY}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=mesh_root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "nothing has changed since the last run" in done.stdout
    assert "late-repairs 1.0.0-r1 in releases/late-repairs/1.0.0-r1" in done.stdout
    assert done.stdout.splitlines()[-1] == "heavy:", done.stdout
    assert stored(mesh_root) == before


def stored(root: Path) -> dict[str, tuple[int, int]]:
    files = [path for path in root.rglob("*") if path.is_file() and not path.name.endswith(("-shm", "-wal"))]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def append(text: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)

    return change


def replace(old: str, new: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        assert old in text, text
        path.write_text(text.replace(old, new), encoding="utf-8")

    return change


def damage(path: Path) -> None:
    """Change one byte; size and time stay."""
    content, stat = bytearray(path.read_bytes()), path.stat()
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


EDITS: list[tuple[str, Callable[[Path], object]]] = [
    ("domains/fleet/sources/boats.csv", append("boat-9,tug,19,Skipper\n")),
    ("domains/fleet/sources/boats.csv", Path.unlink),
    ("domains/yard/sources/repairs.parquet", damage),
    ("domains/desk/sources/notes.csv", append("\n")),
    ("domains/desk/sources/more.csv", touch),
    ("domains/desk/models/notes.sql", append("-- another word\n")),
    ("domains/desk/models/models.yml", append("# another word\n")),
    ("domains/desk/dbt_project.yml", append("# another word\n")),
    ("domains/desk/definitions.py", append("more = 1\n")),
    ("narratives/definitions.py", append("more = 1\n")),
    ("contracts/fleet/boats.odcs.yaml", replace("value: 0.5", "value: 0.4")),
    ("narratives/late_repairs/narrative.yaml", replace("title: ", "title: Now ")),
    ("narratives/late_repairs/report.md.jinja", append("And so on.\n")),
    ("mesh.yaml", lambda path: path.write_text("releases: elsewhere\n", encoding="utf-8")),
    ("mesh.yaml", lambda path: path.write_text("dbt: {read: [contracts]}\n", encoding="utf-8")),
    ("mesh.yaml", lambda path: path.write_text("dbt: {unconfined: [desk]}\n", encoding="utf-8")),
    ("mesh.yaml", lambda path: path.write_text("store: elsewhere\n", encoding="utf-8")),
]


@pytest.mark.parametrize(("file", "change"), EDITS)
def test_a_run_begins_after_an_edit(mesh_root: Path, file: str, change: Callable[[Path], object]) -> None:
    change(mesh_root / file)
    assert ask(mesh_root) is None


STORED = [
    "fleet/warehouse/boats/data/*.parquet",
    "fleet/warehouse/boats/metadata/*.avro",
    "fleet/quarantine/boats/*.parquet",
    "fleet/publications/boats.json",
    "desk/dbt/*.duckdb",
    "desk/dbt/built.json",
    "narratives/late_repairs/*/cases.parquet",
    "narratives/late_repairs/*/splits.parquet",
    "narratives/late_repairs/*/precedents.parquet",
    "narratives/late_repairs/*/records/report.parquet",
    "narratives/late_repairs/*/records/advice.drops.parquet",
    "narratives/late_repairs/*/*.sha256",
    "narratives/late_repairs/*/released.json",
    "dagster/storage/late_repairs/cases.key",
    "last_run.json",
    "../releases/late-repairs/1.0.0-r1/release.json",
]


@pytest.mark.parametrize("pattern", STORED)
@pytest.mark.parametrize("change", [damage, Path.unlink])
def test_a_run_begins_where_a_stored_file_is_damaged_or_gone(
    mesh_root: Path, pattern: str, change: Callable[[Path], None]
) -> None:
    files = sorted((mesh_root / ".storymesh").glob(pattern))
    assert files
    for file in files:
        change(file)
    assert ask(mesh_root) is None


def forget_a_repair(root: Path) -> None:
    write_erasure_list(root / ".storymesh", new_erasure_list().with_keys("yard.repairs", ["R001"]))


def begin_another_run(root: Path) -> None:
    with closing(sqlite3.connect(root / ".storymesh/dagster/history/runs.db")) as runs:
        columns = [row[1] for row in runs.execute("PRAGMA table_info(runs)") if row[1] not in ("id", "run_id")]
        names = ", ".join(columns)
        runs.execute(f"INSERT INTO runs (run_id, {names}) SELECT 'other', {names} FROM runs")
        runs.commit()


@pytest.mark.parametrize(
    "change",
    [
        forget_a_repair,
        begin_another_run,
        lambda root: touch(root / ".storymesh/dagster/running/abandoned.lock"),
        lambda root: shutil.rmtree(root / ".storymesh/dagster"),
        lambda root: shutil.rmtree(root / ".storymesh"),
        lambda root: shutil.rmtree(root / "releases"),
        lambda root: shutil.rmtree(root / ".storymesh/narratives"),
    ],
)
def test_a_run_begins_after_what_happened_to_the_mesh(mesh_root: Path, change: Callable[[Path], object]) -> None:
    change(mesh_root)
    assert ask(mesh_root) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STORYMESH_PSEUDONYM_KEY", "a key for tests"),
        ("STORYMESH_SIGNING_KEY_FILE", "/nowhere.pem"),
        ("OPENLINEAGE_URL", "http://localhost:1"),
        ("DAGSTER_HOME", "/nowhere"),
    ],
)
def test_a_run_begins_in_another_environment(
    mesh_root: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert ask(mesh_root) is None


def test_a_run_begins_with_other_software(mesh_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publication_state, "software_digest", lambda: "another")
    assert ask(mesh_root) is None


def test_a_run_begins_where_a_check_that_depends_on_the_moment_turns(
    mesh_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publication_state, "depends_on_moment", lambda check, passed: True)
    monkeypatch.setattr(publication_state, "audit_again", lambda *parts: turn_last(parts[-1]))
    assert ask(mesh_root) is None


def turn_last(results: tuple[CheckResult, ...]) -> tuple[CheckResult, ...]:
    return (*results[:-1], dataclasses.replace(results[-1], passed=not results[-1].passed, severity="warning"))
