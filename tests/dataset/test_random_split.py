"""Random splits: components stay whole, cases keep their split, and every leak is found in the files."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storymesh.dataset.split import assign_splits
from storymesh.dataset.stages import write_cases_and_precedents
from storymesh.dataset.tables import cases_with_precedents
from storymesh.engine.open import open_engine
from storymesh.errors import DefinitionErrors
from storymesh.lifecycle.verify import verify_release
from storymesh.mesh.mesh import Mesh, load_mesh
from storymesh.mesh.snapshot_pinning import pin_build
from storymesh.narrative.split_definition import RandomSplit, Split
from storymesh.release.catalog import Release
from storymesh.release.refusal import ReleaseRefused
from storymesh.release.write import write_release
from tests.support.release_builds import Told, make, write
from tests.support.release_meshes import release_all
from tests.support.roadside import keep_two_configs

ENGINE = open_engine()
DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
AT = datetime(2024, 1, 1)
SCHEMA = pa.schema([("case_id", pa.string()), ("at", pa.timestamp("us")), ("together", pa.list_(pa.string()))])
Cases = dict[str, list[str | None] | None]


def assigned(cases: Cases, random: RandomSplit) -> dict[str, tuple[str, str]]:
    """Return case id -> split and component."""
    rows = [{"case_id": name, "at": AT, "together": values} for name, values in cases.items()]
    split = Split(random=random, together=("role.key",))
    splits = ENGINE.fetch_rows(assign_splits(ENGINE, ENGINE.materialize(pa.Table.from_pylist(rows, SCHEMA)), split))
    assert len(splits) == len(cases)
    assert not any(row["dropped"] for row in splits)
    return {row["case_id"]: (row["split"], row["component"]) for row in splits}


def expected_split(component: str, random: RandomSplit) -> str:
    share = int(hashlib.md5(f"{random.seed}:{component}".encode()).hexdigest()[:8], 16) / 2**32
    return "test" if share < random.test else "validation" if share < random.test + random.validation else "train"


HALVES = RandomSplit(validation=0.25, test=0.25, seed=7)
values = st.sampled_from([None, *"abcdefgh"])
problems = st.dictionaries(
    st.integers(0, 30).map(lambda number: f"c{number:02d}"),
    st.one_of(st.none(), st.lists(values, max_size=2)),
    max_size=14,
)


@settings(max_examples=1_000 if DEEP else 15, deadline=None)
@given(problems)
def test_a_component_goes_whole_to_the_split_that_its_name_draws(cases: Cases) -> None:
    found = assigned(cases, HALVES)
    shared = {name: {value for value in values or [] if value is not None} for name, values in cases.items()}
    for name, (split, component) in found.items():
        assert split == expected_split(component, HALVES)
        assert component == f"case.id={name}" if not shared[name] else component <= min(shared[name])
        for other, values in shared.items():
            if values & shared[name]:
                assert found[other] == (split, component)


def test_cases_keep_their_split_when_others_with_their_value_come_or_go() -> None:
    cases: Cases = {f"c{n:03d}": [f"s{n // 3:03d}"] for n in range(90)}
    found = assigned(cases, HALVES)
    more = assigned({**cases, "a": ["s010"], "b": ["s999"], "zz": None}, HALVES)
    fewer = assigned({name: values for name, values in cases.items() if name != "c030"}, HALVES)
    assert {name: more[name] for name in found} == found
    assert {**found, **fewer} == found
    assert {split for split, _ in found.values()} == {"train", "validation", "test"}


def test_another_share_of_validation_keeps_the_test_split_and_another_seed_does_not() -> None:
    cases: Cases = dict.fromkeys((f"c{n:04d}" for n in range(2_000)), None)

    def tested(random: RandomSplit) -> set[str]:
        return {name for name, (split, _) in assigned(cases, random).items() if split == "test"}

    first = tested(RandomSplit(validation=0.1, test=0.2))
    assert 0.16 < len(first) / len(cases) < 0.24
    assert tested(RandomSplit(validation=0.3, test=0.2)) == first
    assert tested(RandomSplit(validation=0.1, test=0.2, seed=1)) != first


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("{random: {validation: 0.1, test: 0.1}, embargo: 2d}", "`random` splits by chance, which has no `embargo`"),
        ("{random: {validation: 0.1, test: 0.1}, test: 2024-01-01}", "which has no `test` beside it"),
        ("{random: {validation: 0.6, test: 0.4}}", "leave nothing to train on"),
        ("{random: {validation: 1.2, test: 0.4}}", "'validation' is 1.2: input should be less than 1"),
        ("{random: {validation: 0.1, tset: 0.4}}", "unknown field 'tset'"),
        ("{validation: 2024-01-01}", "`test` is missing"),
        ("{together: [delay.shipment_id]}", "`validation` and `test` is missing"),
    ],
)
def test_a_split_that_is_defined_twice_or_not_at_all_is_a_finding(tmp_path: Path, split: str, words: str) -> None:
    with pytest.raises(DefinitionErrors) as refused:
        make(tmp_path, [], split=split)
    finding = next(finding for finding in refused.value.findings if words in finding.message)
    assert finding.location.line == 22


# --- releases ---

RANDOM = "{random: {validation: 0.25, test: 0.25, seed: 7}}"


def placed(count: int) -> list[Told]:
    """Return cases in their expected splits, each a component of its own."""
    names = [f"d{n}" for n in range(1, count + 1)]
    return [
        Told(
            name,
            datetime(2023, 5, int(name[1:])),
            expected_split(f"case.id={name}", HALVES),
            component=f"case.id={name}",
        )
        for name in names
    ]


def test_a_release_with_a_random_split_says_so_and_proves_it(tmp_path: Path) -> None:
    release = write_release(make(tmp_path, placed(20), split=RANDOM))
    assert all(release.configs["report"][split] for split in ("train", "validation", "test"))
    page = (release.path / "README.md").read_text()
    assert "about 25% of the cases are `validation`, 25% `test`" in " ".join(page.split())
    assert "| cases in another split than the one drawn for their component | 0 |" in page
    assert "outside the time" not in page


def leaks() -> list[Any]:
    def moved(change: dict[str, Any], other: dict[str, Any] | None = None) -> list[Told]:
        first, second, *rest = placed(20)
        for case, changes in ((first, change), (second, other or {})):
            for name, value in changes.items():
                setattr(case, name, value)
        return [first, second, *rest]

    trained = next(case.name for case in placed(20) if case.split == "train")
    tested = next(case.name for case in placed(20) if case.split == "test")
    validated = next(case.name for case in placed(20) if case.split == "validation")
    elsewhere = "test" if placed(1)[0].split != "test" else "train"
    shared = {"component": "role.key=s"}
    return [
        pytest.param(moved({"split": elsewhere}), {}, "draws: 1", id="drawn for another split"),
        pytest.param(
            moved({**shared, "split": "train"}, {**shared, "split": "test"}), {}, "components: 1", id="torn component"
        ),
        pytest.param(placed(20), {trained: [tested]}, "precedents: 1", id="train quotes test"),
        pytest.param(placed(20), {trained: [validated]}, "precedents: 1", id="train quotes validation"),
        pytest.param(placed(20), {validated: [tested]}, "precedents: 1", id="validation quotes test"),
    ]


@pytest.mark.parametrize(("cases", "quotes", "words"), leaks())
def test_a_leak_is_refused(tmp_path: Path, cases: list[Told], quotes: dict[str, list[str]], words: str) -> None:
    with pytest.raises(ReleaseRefused, match=words):
        write_release(make(tmp_path, cases, quotes=quotes, split=RANDOM))
    assert not list(tmp_path.rglob("release.json"))


def test_an_evaluation_may_quote_what_was_trained_on(tmp_path: Path) -> None:
    cases = placed(20)
    trained = next(case.name for case in cases if case.split == "train")
    tested = next(case.name for case in reversed(cases) if case.split == "test")  # when that was over
    assert write_release(make(tmp_path, cases, quotes={tested: [trained]}, split=RANDOM)).configs["report"]


@pytest.fixture(scope="module")
def mesh_with_split(published_mesh: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Mesh]]:
    """Yield a function that returns the published roadside mesh with the given `split`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORYMESH_PSEUDONYM_KEY", "a key for tests")
        root = Path(shutil.copytree(published_mesh, tmp_path_factory.mktemp("chance") / "mesh"))
        path = keep_two_configs(root)
        lines = path.read_text().splitlines()

        def mesh(split: str) -> Mesh:
            changed = [f"  split: {split}" if line.startswith("  split:") else line for line in lines]
            path.write_text("\n".join(changed) + "\n")
            return load_mesh(root)

        yield mesh


ORDER = ("train", "validation", "test")
THIRDS = "random: {validation: 0.3, test: 0.3, seed: 3}"


def files(release: Release) -> dict[str, Path]:
    return {split: release.path / f"data/advice/{split}-00000-of-00001.parquet" for split in ORDER}


def test_a_record_moved_to_another_split_is_found_in_the_files(mesh_with_split: Callable[[str], Mesh]) -> None:
    release = release_all(mesh_with_split(f"{{{THIRDS}}}"))
    assert not verify_release(release.path, open_engine).differences
    trained, tested = (pq.read_table(files(release)[split]) for split in ("train", "test"))
    write(files(release)["train"], trained.schema, [*trained.to_pylist(), tested.to_pylist()[0]])
    differences = " · ".join(verify_release(release.path, open_engine).differences)
    assert "from the records: 1 ids" in differences
    assert "from the records: 1 draws" in differences


def test_trucks_stay_in_one_split_and_no_case_quotes_a_later_split(mesh_with_split: Callable[[str], Mesh]) -> None:
    mesh = mesh_with_split(f"{{{THIRDS}, together: [truck.truck_id]}}")
    build = pin_build(mesh, mesh.narrative("roadside"))
    write_cases_and_precedents(build)
    with open_engine() as engine:
        cases = cases_with_precedents(build, engine).select("case_id", "split", "truck", "precedents")
        rows = engine.fetch_rows(cases)
    split_of = {row["case_id"]: row["split"] for row in rows}
    trucks: dict[str, set[str]] = {}
    quoted = set()
    for row in rows:
        trucks.setdefault(row["truck"]["truck_id"], set()).add(row["split"])
        for option in row["precedents"]["options"]:
            quoted |= {(split_of[case["id"]], row["split"]) for case in option["quoted"]}
    assert {len(splits) for splits in trucks.values()} == {1}
    assert quoted == {(own, split) for split in ORDER for own in ORDER[: ORDER.index(split) + 1]}
