"""What Dagster sees of a mesh: keys, edges across locations, owners, kinds, columns and checks."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from storymesh.errors import DefinitionErrors, WrongUsage
from storymesh.mesh.mesh import load_mesh
from storymesh.orchestration import definitions, load_locations
from storymesh.orchestration.assets.keys import source_key
from storymesh.orchestration.assets.metadata import asset_owners, asset_tags, markdown_table
from storymesh.orchestration.load_locations import load_code_locations

BOATS = dg.AssetKey(["fleet", "boats"])
REPAIRS = dg.AssetKey(["yard", "repairs"])


def graph_of(root: Path, folder: str) -> AssetGraph:
    return definitions(str(root / folder / "definitions.py")).resolve_asset_graph()


def paths(keys: object) -> set[str]:
    return {key.to_user_string() for key in keys}  # type: ignore[attr-defined]


def test_a_domain_brings_its_products_and_their_sources(harbour: Path) -> None:
    graph = graph_of(harbour, "domains/fleet")
    assert paths(graph.materializable_asset_keys) == {"fleet/boats"}
    assert paths(graph.get(BOATS).parent_keys) == {"fleet/sources/boats.csv"}
    assert graph.get(dg.AssetKey(["fleet", "sources", "boats.csv"])).is_external


@pytest.mark.parametrize(
    "source",
    [
        "boats.csv",
        "./boats.csv",
        "sources/all boats.csv",
        "sources/2024/boats.csv",
        "sources/bötur.csv",
        "sources/船.csv",
        'sources/it\'s "so" %*.csv',
    ],
)
def test_a_source_may_have_any_path(source: str, harbour: Path, edit: Callable[[str, str, str], None]) -> None:
    to = harbour / "domains/fleet" / source
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(harbour / "domains/fleet/sources/boats.csv", to)
    edit("domains/fleet/products/boats.odps.yaml", "value: sources/boats.csv", f"value: {json.dumps(source)}")
    (key,) = graph_of(harbour, "domains/fleet").get(BOATS).parent_keys
    assert re.fullmatch(r"fleet/sources/[A-Za-z0-9_.-]+\.csv", key.to_user_string())
    assert key != source_key("fleet", "sources/boats.csv")


def test_each_path_has_a_key_of_its_own() -> None:
    paths = [
        "sources/a b.csv",
        "sources/a_b.csv",
        "sources/a/b.csv",
        "a b.csv",
        "a_b.csv",
        "../a_b.csv",
        "sources/ä.csv",
    ]
    assert len({source_key("fleet", path) for path in paths}) == len(paths)
    assert source_key("fleet", "./sources/a_b.csv") == source_key("fleet", "sources/a_b.csv")


def test_a_product_depends_on_the_products_of_other_domains(harbour: Path) -> None:
    graph = graph_of(harbour, "domains/yard")
    assert paths(graph.get(REPAIRS).parent_keys) == {"yard/sources/repairs.parquet", "fleet/boats"}
    assert graph.get(BOATS).is_external, "another location makes it"


def test_narratives_bring_cases_precedents_records_and_release(harbour: Path) -> None:
    graph = graph_of(harbour, "narratives")
    assert paths(graph.materializable_asset_keys) == {
        "late_repairs/cases",
        "late_repairs/precedents",
        "late_repairs/records/report",
        "late_repairs/records/advice",
        "late_repairs/release",
    }
    assert paths(graph.get(dg.AssetKey(["late_repairs", "cases"])).parent_keys) == {"fleet/boats", "yard/repairs"}
    release = graph.get(dg.AssetKey(["late_repairs", "release"]))
    assert paths(release.parent_keys) == {"late_repairs/records/report", "late_repairs/records/advice"}


def test_without_precedents_there_is_no_asset_for_them(harbour: Path) -> None:
    path = harbour / "narratives/late_repairs/narrative.yaml"
    text = path.read_text(encoding="utf-8")
    begins, ends = text.index("  precedents:"), text.index("records:")
    path.write_text(text[:begins] + text[ends:], encoding="utf-8")
    graph = graph_of(harbour, "narratives")
    assert "late_repairs/precedents" not in paths(graph.materializable_asset_keys)
    assert paths(graph.get(dg.AssetKey(["late_repairs", "records", "report"])).parent_keys) == {"late_repairs/cases"}


def test_all_locations_make_one_graph(harbour: Path) -> None:
    graph = load_code_locations(load_mesh(harbour)).resolve_asset_graph()
    assert not graph.get(BOATS).is_external
    assert len(graph.materializable_asset_keys) == 7


def test_an_asset_says_whose_it_is_and_what_it_holds(harbour: Path) -> None:
    node = graph_of(harbour, "domains/fleet").get(BOATS)
    assert list(node.owners) == ["fleet@example.com"]
    assert node.kinds == {"iceberg", "csv"}
    assert node.group_name == "fleet"
    assert {"harbour", "plain-files"} <= set(node.tags)
    assert "Every boat of the harbour." in (node.description or "")
    assert node.metadata["contract"].value == "contracts/fleet/boats.odcs.yaml"
    schema = node.metadata["dagster/column_schema"]
    columns = {column.name: column for column in schema.columns}
    assert list(columns) == ["boat", "kind", "length", "skipper"]
    assert columns["boat"].description == "The boat's name."
    assert columns["boat"].constraints.unique
    assert not columns["length"].constraints.nullable
    assert dict(columns["length"].tags) == {"classification": "public", "unit": "metres"}
    assert dict(columns["skipper"].tags) == {"classification": "restricted"}
    assert "one of tug, ferry" in columns["kind"].constraints.other


def test_every_rule_of_a_contract_is_a_check_that_blocks_nothing(harbour: Path) -> None:
    graph = graph_of(harbour, "domains/fleet")
    checks = {key.name: graph.get(key) for key in graph.asset_check_keys}
    assert {"boat_primarykey", "kind_enum", "skipper_required", "there_are_boats"} <= set(checks)
    assert not any(check.blocking for check in checks.values())
    assert all(check.description for check in checks.values())


def test_each_location_has_a_job_of_its_own(harbour: Path) -> None:
    def jobs(folder: str) -> set[str]:
        repository = definitions(str(harbour / folder / "definitions.py")).get_repository_def()
        return {name for name in repository.job_names if not name.startswith("__")}

    assert jobs("domains/fleet") == {"refresh_fleet"}
    assert jobs("narratives") == {"release_late_repairs", "refresh_all", "rebuild", "forget"}


def test_definitions_file_elsewhere_is_an_error(harbour: Path) -> None:
    with pytest.raises(WrongUsage, match="neither in the folder of a domain nor in narratives"):
        definitions(str(harbour / "contracts" / "definitions.py"))


def test_a_broken_file_stops_the_location_with_its_finding(harbour: Path) -> None:
    (harbour / "domains/fleet/domain.yaml").write_text("id: fleet\n", encoding="utf-8")
    with pytest.raises(DefinitionErrors, match=r"domains/fleet/domain\.yaml:1:1"):
        definitions(str(harbour / "domains/fleet/definitions.py"))


@pytest.mark.parametrize(
    ("owners", "shown"),
    [
        (("a@example.com", "b"), ["a@example.com"]),
        ((None, "yard-crew"), ["team:yard-crew"]),
        (("team:yard",), ["team:yard"]),
        ((None, ""), []),
    ],
)
def test_an_owner_is_an_address_or_a_team(owners: tuple[str | None, ...], shown: list[str]) -> None:
    assert asset_owners(*owners) == shown


def test_tags_hold_what_dagster_allows() -> None:
    assert asset_tags(["public record", "é", "x" * 80]) == {"public-record": "", "x" * 63: ""}


def test_a_sample_cannot_break_its_table() -> None:
    assert markdown_table(["a"], [["x | y\n<b>"], [None]]) == "| a |\n| --- |\n| x \\| y \\<b\\> |\n|  |"


def test_the_mesh_of_a_run_is_not_read_again_for_its_locations(harbour: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = load_mesh(harbour)
    monkeypatch.setattr(load_locations, "read_mesh", None)
    load_code_locations(mesh)
    monkeypatch.undo()
    assert load_locations.mesh_of_location(mesh.root, "fleet") is not mesh


def test_a_location_does_without_what_only_its_steps_need() -> None:
    heavy = {"ibis", "duckdb", "pandas", "pyarrow", "pyiceberg", "great_expectations", "datasets", "dbt", "dagster_dbt"}
    code = (
        "import sys, storymesh.orchestration.assets.narratives, storymesh.orchestration.mesh_jobs;"
        "print(*(name for name in sys.modules if '.' not in name))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not heavy & {*done.stdout.split()}
