"""`storymesh check`, as people and machines call it: exact lines, exit codes, and how little it loads."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT

MESHES = [ROOT, ROOT / "tests/meshes/suez_2021", ROOT / "tests/meshes/health_supply"]
HEAVY = (
    *("dagster", "dagster_dbt", "datasets", "great_expectations", "dbt", "pandas", "pyspark", "langchain"),
    *("ibis", "numpy", "pyarrow", "pyiceberg", "sqlglot", "asyncio"),
    *("storymesh.files.collection", "storymesh.federation.request", "storymesh.llm.chat_model"),
    *("storymesh.mesh.in_place", "storymesh.product.publish", "storymesh.product.sources.open"),
)  # DuckDB alone, which parses the SQL of rules, takes a thirtieth of a second
Edit = Callable[[str, str, str], None]
Command = Callable[..., Any]
Check = Callable[[Path], tuple[int, list[str]]]


@pytest.fixture
def check(storymesh: Command) -> Check:
    """`check(mesh)`: the exit code and the lines that it prints."""

    def lines_of(root: Path) -> tuple[int, list[str]]:
        done = storymesh(ROOT, "check", "--mesh", str(root))
        return done.code, done.out.splitlines()

    return lines_of


@pytest.mark.parametrize("root", MESHES, ids=lambda root: root.name)
def test_the_meshes_of_this_project_have_no_findings(check: Check, root: Path) -> None:
    assert check(root) == (0, [])


def test_a_sound_mesh_says_so(storymesh: Command, harbour: Path) -> None:
    done = storymesh(harbour, "check")
    assert (done.code, done.out, done.err) == (0, "", "2 domains, 2 products, 1 narrative: no findings\n")


def test_the_mesh_is_found_from_any_folder_in_it(storymesh: Command, harbour: Path) -> None:
    assert storymesh(harbour / "narratives" / "late_repairs", "check").code == 0


BROKEN = [
    pytest.param(
        "domains/fleet/domain.yaml",
        "title: Fleet office",
        "titel: Fleet office",
        "domains/fleet/domain.yaml:2:1: error[unknown-field]: unknown field 'titel' (did you mean 'title'?)",
        id="a field that is not there",
    ),
    pytest.param(
        "domains/fleet/domain.yaml",
        "title: Fleet office",
        "title: Fleet office\ntitle: Again",
        "domains/fleet/domain.yaml:3:1: error[duplicate-key]: the key 'title' stands twice, first on line 2"
        " (keep one of the two)",
        id="a key that stands twice",
    ),
    pytest.param(
        "domains/fleet/domain.yaml",
        "title: Fleet office",
        "title: [Fleet",
        "domains/fleet/domain.yaml:3:6: error[yaml]: not YAML: expected ',' or ']', but got ':'"
        " (the [ of line 2, column 8 is not closed before)",
        id="not YAML",
    ),
    pytest.param(
        "narratives/late_repairs/narrative.yaml",
        "boat: fleet.boats@1",
        "boat: fleet.boots@1",
        "narratives/late_repairs/narrative.yaml:11:9: error[unknown-name]: nobody publishes the product 'fleet.boots'"
        " (did you mean 'fleet.boats'?)",
        id="a product that nobody publishes",
    ),
    pytest.param(
        "narratives/late_repairs/narrative.yaml",
        "boat: fleet.boats@1",
        "boat: fleet.boats@2",
        "narratives/late_repairs/narrative.yaml:11:9: error[wrong-version]: 'fleet.boats' is at version 1.0.0, the"
        " cast wants major version 2 (follow the contract's change)",
        id="another version of a contract",
    ),
    pytest.param(
        "workspace.yaml",
        "domains/yard/definitions.py",
        "domains/yerd/definitions.py",
        "workspace.yaml:2:3: error[not-listed]: domains/yard/definitions.py is not listed, so Dagster does not load it"
        " (- python_file: {relative_path: domains/yard/definitions.py, working_directory: ., location_name: yard})",
        id="a location that is not listed",
    ),
    pytest.param(
        "workspace.yaml",
        "domains/yard/definitions.py",
        "domains/fleet/definitions.py",
        "workspace.yaml:3:5: error[duplicate-location]: domains/fleet/definitions.py is loaded twice (keep one)",
        id="a location that is listed twice",
    ),
    pytest.param(
        "domains/fleet/products/boats.odps.yaml",
        "customProperties:\n  - {property: source, value: sources/boats.csv}\n",
        "",
        "domains/fleet/products/boats.odps.yaml:1:1: error[no-rows]: nothing makes the rows of 'fleet.boats': it names"
        " no source, and fleet has no dbt project (add customProperties: [{property: source, value: sources/<file>}],"
        " or a model, domains/fleet/models/boats.sql)",
        id="a product that nothing makes",
    ),
]


@pytest.mark.parametrize(("path", "old", "new", "line"), BROKEN)
def test_broken_file_is_found_at_its_line(
    check: Check, harbour: Path, edit: Edit, path: str, old: str, new: str, line: str
) -> None:
    edit(path, old, new)
    code, lines = check(harbour)
    assert code == 1
    assert line in lines


def test_locations_that_a_server_loads_are_listed_by_their_names(check: Check, harbour: Path) -> None:
    servers = [f"  - grpc_server: {{host: {name}, port: 4000, location_name: {name}}}\n" for name in ("fleet", "yard")]
    workspace = harbour / "workspace.yaml"
    workspace.write_text("load_from:\n" + "".join(servers), encoding="utf-8")
    code, lines = check(harbour)
    assert code == 1 and [
        line.split(" is not listed")[0].split(": ")[-1] for line in lines if "not-listed" in line
    ] == ["narratives/definitions.py"]
    workspace.write_text("load_from:\n" + servers[0] + "  - grpc_server: {host: rest, port: 4000}\n", encoding="utf-8")
    assert check(harbour)[0] == 0, "what that one loads only those know who started it"


def test_missing_definitions_file_is_found(check: Check, harbour: Path) -> None:
    (harbour / "domains/yard/definitions.py").unlink()
    code, lines = check(harbour)
    assert code == 1
    assert lines[0].startswith(
        "domains/yard/definitions.py:1:1: error[missing-file]: this folder has no definitions.py"
    )


def test_a_narrative_may_not_take_the_name_of_a_domain(check: Check, harbour: Path, edit: Edit) -> None:
    edit("narratives/late_repairs/narrative.yaml", "id: late-repairs", "id: fleet")
    (harbour / "narratives/late_repairs").rename(harbour / "narratives/fleet")
    code, lines = check(harbour)
    assert code == 1
    assert "narratives/fleet/narrative.yaml:3:5: error[duplicate-id]" in lines[0]


def test_a_template_is_checked_before_any_data_exists(check: Check, harbour: Path, edit: Edit) -> None:
    edit("narratives/late_repairs/ask.md.jinja", "boat.boat", "boat.skipper")
    edit("narratives/late_repairs/report.md.jinja", "boat.length", "boat.lenght")
    code, lines = check(harbour)
    assert code == 1
    assert any(line.startswith("narratives/late_repairs/ask.md.jinja:1:") for line in lines), lines
    assert any(line.startswith("narratives/late_repairs/report.md.jinja:1:") and "length" in line for line in lines)


def test_machines_get_json(storymesh: Command, harbour: Path, edit: Edit) -> None:
    edit("domains/fleet/domain.yaml", "title:", "titel:")
    done = storymesh(harbour, "check", "--format", "json")
    assert done.code == 1
    found = json.loads(done.out)
    assert {
        "path": "domains/fleet/domain.yaml",
        "line": 2,
        "column": 1,
        "severity": "error",
        "rule": "unknown-field",
        "words": "unknown field 'titel'",
        "hint": "did you mean 'title'?",
    } in found


def test_wrong_usage_has_a_code_of_its_own(storymesh: Command, tmp_path: Path) -> None:
    for words in (["chek"], ["check", "--format", "xml"], ["check", "--mesh", str(tmp_path)], ["check", "--what"]):
        done = storymesh(ROOT, *words)
        assert (done.code, done.out) == (2, ""), words
        assert done.err


def test_check_in_a_process_of_its_own_is_quick_because_it_loads_nothing_heavy(harbour: Path) -> None:
    (harbour / "domains/fleet/domain.yaml").write_text("id: fleet\n", encoding="utf-8")
    program = (
        "import sys; from storymesh.cli import main\n"
        "try: main()\n"
        f"finally: print('loaded', sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    for root, code in ((ROOT, 0), (harbour, 1)):
        command = [sys.executable, "-c", program, "check"]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300, check=False)
        assert (done.returncode, done.stdout.splitlines()[-1]) == (code, "loaded []"), done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_nothing_phones_home_unless_asked() -> None:
    program = "import storymesh, os, json; print(json.dumps(dict(os.environ)))"
    quiet = {"PATH": ""}
    done = subprocess.run([sys.executable, "-c", program], env=quiet, capture_output=True, text=True, check=True)
    environment = json.loads(done.stdout)
    for name in ("DAGSTER_DISABLE_TELEMETRY", "DO_NOT_TRACK", "HF_HUB_DISABLE_TELEMETRY"):
        assert environment[name] in ("1", "yes")
    for name in ("DBT_SEND_ANONYMOUS_USAGE_STATS", "GX_ANALYTICS_ENABLED"):
        assert environment[name] == "false"
    asked = {**quiet, "GX_ANALYTICS_ENABLED": "true"}
    done = subprocess.run([sys.executable, "-c", program], env=asked, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["GX_ANALYTICS_ENABLED"] == "true"


def test_a_file_that_cannot_be_read_hides_nothing_else(check: Check, harbour: Path, edit: Edit) -> None:
    """What is built on it is left out, and nothing is said that only follows from it."""
    edit("domains/fleet/domain.yaml", "title: Fleet office", "titel: Fleet office")
    edit("contracts/yard/repairs.odcs.yaml", "kind: DataContract", "kind: Contract")
    other = harbour / "domains/office"
    (other / "products").mkdir(parents=True)
    (other / "domain.yaml").write_text("id: office\ntitle: Office\nowner: o\n", encoding="utf-8")
    (other / "products/staff.odps.yaml").write_text(
        "apiVersion: v1.0.0\nkind: DataProduct\nid: office.staff\nstatus: active\n", encoding="utf-8"
    )
    code, lines = check(harbour)
    found = [(line.split(":")[0], line.split("[")[1].split("]")[0]) for line in lines]
    assert code == 1
    assert sorted(found) == [
        ("contracts/yard/repairs.odcs.yaml", "wrong-value"),
        ("domains/fleet/domain.yaml", "missing-field"),
        ("domains/fleet/domain.yaml", "unknown-field"),
        ("domains/office/definitions.py", "missing-file"),
        ("domains/office/products/staff.odps.yaml", "missing-contract"),
        ("domains/office/products/staff.odps.yaml", "no-rows"),
        ("workspace.yaml", "not-listed"),
    ]


def test_templates_are_checked_though_a_link_leads_nowhere(check: Check, harbour: Path, edit: Edit) -> None:
    edit("narratives/late_repairs/report.md.jinja", "boat.length", "boat.lenght")
    edit("domains/yard/products/repairs.odps.yaml", "contractId: yard.repairs", "contractId: yard.repair")
    code, lines = check(harbour)
    assert code == 1
    assert any("lenght" in line for line in lines), lines
    assert any("yard.repair'" in line for line in lines), lines


def test_findings_for_a_change_on_github(
    storymesh: Command, harbour: Path, edit: Edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit("domains/fleet/domain.yaml", "title: Fleet office", "titel: Fleet office")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(harbour.parent))
    done = storymesh(harbour, "check", "--format", "github")
    assert done.code == 1
    assert (
        "::error file=harbour/domains/fleet/domain.yaml,line=2,col=1,title=unknown-field::"
        "unknown field 'titel' (did you mean 'title'?)"
    ) in done.out.splitlines()
    assert done.err == "2 domains, 2 products, 1 narrative: 2 errors\n"


def test_findings_as_sarif(storymesh: Command, harbour: Path, edit: Edit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    edit("domains/fleet/domain.yaml", "title: Fleet office", "titel: Fleet office")
    log = json.loads(storymesh(harbour, "check", "--format", "sarif").out)
    (run,) = log["runs"]
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == {"unknown-field", "missing-field"}
    result = next(result for result in run["results"] if result["ruleId"] == "unknown-field")
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "domains/fleet/domain.yaml"
    assert place["region"] == {"startLine": 2, "startColumn": 1}
    assert result["level"] == "error"
