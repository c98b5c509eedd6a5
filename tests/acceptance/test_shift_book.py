"""A contract as others write it, from its rows to a release: `tests/meshes/shift_book`."""

import shutil
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from storymesh.mesh.check import check_files
from storymesh.mesh.lookup import contracts_of
from storymesh.mesh.mesh import Mesh, load_mesh
from storymesh.mesh.snapshot_pinning import pin_build
from storymesh.product.publish import Publication, publish
from storymesh.product.sources.open import open_product_rows
from storymesh.product.store import ProductStore
from storymesh.release.catalog import Release
from storymesh.release.definition_snapshot import read_definition_snapshot
from tests.support.paths import MESHES
from tests.support.small_release import released, rows_of

HINT = "describe it there, under `properties` or `items`"
LARGE = 9007199254740993  # 2**53 + 1: no double holds it


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Mesh:
    return load_mesh(Path(shutil.copytree(MESHES / "shift_book", tmp_path_factory.mktemp("mesh") / "shift_book")))


@pytest.fixture(scope="module")
def publications(mesh: Mesh) -> dict[str, Publication]:
    found = {}
    with mesh.open_engine() as engine:
        for product in mesh.products.values():
            contract, store = mesh.contract(product.id), ProductStore(mesh.warehouse, product.domain)
            rows = open_product_rows(product, contract, mesh.domain_folder(product.domain), Path("none"), engine)
            found[product.id] = publish(product, contract, rows, store, engine, "run")
    return found


@pytest.fixture(scope="module")
def release(mesh: Mesh, publications: dict[str, Publication]) -> Release:
    return released(pin_build(mesh, mesh.narrative("late-jobs")))


def test_one_file_has_the_contracts_of_several_products(mesh: Mesh) -> None:
    jobs, crews = mesh.contract("works.jobs"), mesh.contract("works.crews")
    assert (jobs.key, crews.key) == (("job_no", "site"), ("crew_id",))
    assert [(found.columns, found.to_contract) for found in jobs.relationships] == [(("crew_id",), "works.crews")]
    assert [(promise.property, promise.longest) for promise in jobs.freshness] == [
        ("opened_on", "999999 days"),
        ("opened_on", "0.1 seconds"),
    ]
    assert crews.freshness == ()
    assert [port.contract_id for port in mesh.products["works.jobs"].outside] == ["7c8e-shift-book"]


def test_words_of_the_house_are_mapped_and_others_restricted(mesh: Mesh) -> None:
    jobs = mesh.contract("works.jobs").properties
    words = {name: jobs[name].classification for name in ("job_no", "spec", "foreman", "remark")}
    assert words == {"job_no": "public", "spec": "internal", "foreman": "restricted", "remark": "restricted"}
    (warning,) = check_files(mesh.root)
    assert "the classification 'secret plans' is not known, so the value is treated as restricted" in str(warning)


def test_values_are_published_as_they_are_or_not_at_all(mesh: Mesh, publications: dict[str, Publication]) -> None:
    assert {id_: (found.rows_in, found.rows_out) for id_, found in publications.items()} == {
        "works.crews": (2, 2),
        "works.jobs": (9, 3),
    }
    failed = {(check.name, check.properties) for check in publications["works.jobs"].checks if check.failed_rows}
    assert failed == {
        ("type", ("price",)),  # 1.005 has three decimals
        ("range", ("starts",)),  # 22:00
        ("type", ("starts",)),  # 25:00
        ("type", ("spec",)),  # no JSON, and a comma at the end of a list
        ("dimensions", ("place",)),  # one number of two
    }
    late = [check for check in publications["works.jobs"].checks if check.name == "freshness" and not check.passed]
    assert len(late) == 1, "the second promise is broken, and warns"
    snapshot = ProductStore(mesh.warehouse, "works").latest_snapshot("jobs")
    assert snapshot is not None
    rows: list[dict[str, Any]] = ds.dataset(list(snapshot.files), schema=snapshot.schema).to_table().to_pylist()
    (row,) = (row for row in rows if row["job_no"] == LARGE)
    assert row == {
        "job_no": LARGE,
        "site": "north",
        "opened_on": date(2024, 3, 4),
        "starts": "06:30:00",
        "done": "09:15:30.25",
        "spec": '{"depth": 1.50, "kind": "weld"}',
        "parts": '["a", {"b": 2}]',
        "readings": '{"t": 21.5}',
        "place": [1.5, 2.5],
        "price": Decimal("900719925474099.17"),
        "crew_id": "c1",
        "foreman": "Ida Moor",
        "remark": "behind gate 4",
    }


def test_a_story_prints_times_and_json(release: Release) -> None:
    record = rows_of(release, "report")[f"{LARGE}/north"]
    foreman = record["facts"]["job"]["foreman"]
    assert record["text"] == (
        f"Job {LARGE} at north began at 06:30:00 and was done at 09:15:30.25.\n"
        "The crew's shift had begun at 06:00:00.\n"
        'It was specified as {"depth": 1.50, "kind": "weld"} for 900719925474099.17, with ["a", {"b": 2}]; '
        'skills: {"weld":3,"dig":[1,2]}.\n'
        'Readings: {"t": 21.5}.\n'
        "Place: 1.5 / 2.5.\n"
        f"Foreman {foreman}."
    )
    assert foreman.startswith("p-")


def test_a_release_keeps_each_contract_as_it_counts_here(mesh: Mesh, release: Release) -> None:
    kept = read_definition_snapshot(release).contracts
    assert {role: (contract.id, contract.document.value["id"]) for role, contract in kept.items()} == {
        "job": ("works.jobs", "works.jobs"),
        "crew": ("works.crews", "works.crews"),
    }
    assert contracts_of(mesh.root, release) == {contract.id: mesh.contract(contract.id) for contract in kept.values()}
    assert kept["job"].properties["foreman"].classification == "restricted"
    assert kept["job"].properties["spec"].classification == "internal"


def test_a_release_loads_with_its_features(release: Release, tmp_path: Path) -> None:
    import datasets

    rows = datasets.load_dataset(str(release.path), "report", split="train", cache_dir=str(tmp_path))
    assert str(rows.features["facts"]["job"]["starts"]) == str(datasets.Value("string"))
    assert {row["case_id"] for row in rows} == {f"{LARGE}/north", "2/north", "8/south"}


@pytest.mark.parametrize(
    ("template", "place", "words"),
    [
        (
            "{{ job.spec.depth }}",
            "1:13",
            "'job.spec' is JSON text and has no property 'depth' (its contract does not say what is in it: {HINT})",
        ),
        ("{% for part in job.spec %}{% endfor %}", "1:20", "'job.spec' is JSON text, a loop wants a list"),
        ("{{ job.spec | upper }}", "1:15", "'job.spec' is JSON text, `upper` wants a text"),
        ("{{ job.starts | date }}", "1:17", "'job.starts' is a time of day, `date` wants a date or timestamp"),
        (
            "{% if job.starts > job.opened_on %}x{% endif %}",
            "1:7",
            "'job.starts' is a time of day and 'job.opened_on' is a date: `>` cannot compare them",
        ),
    ],
)
def test_times_and_json_are_no_other_types(mesh: Mesh, tmp_path: Path, template: str, place: str, words: str) -> None:
    root = Path(shutil.copytree(mesh.root, tmp_path / "mesh", ignore=shutil.ignore_patterns(".storymesh", "releases")))
    (root / "narratives/late_jobs/report.md.jinja").write_text(template + "\n")
    (finding,) = (finding for finding in check_files(root) if finding.severity == "error")
    assert str(finding) == f"narratives/late_jobs/report.md.jinja:{place}: error[wrong-type]: {words.format(HINT=HINT)}"
