"""A product built on another domain's product, with dbt, where nothing but this machine can be reached: then its
upstream changes, and breaks its contract in one row. In another folder it is killed while dbt works."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.paths import TESTS
from tests.support.whole_mesh import (
    Preloaded,
    Ran,
    copied,
    environment,
    every,
    loaded,
    locks,
    products,
    quarantined,
    red_checks,
    run_killed,
    storymesh,
)

NO_NETWORK = TESTS / "support/no_network"


@dataclass(frozen=True)
class Twice:
    first: Ran
    second: Ran
    network: list[dict[str, object]]


@pytest.fixture(scope="module")
def built_on(tmp_path_factory: pytest.TempPathFactory) -> Twice:
    folder = tmp_path_factory.mktemp("built_on")
    mesh = copied("tests/meshes/built_on", folder / "mesh")
    log = folder / "network.jsonl"
    (mesh / "mesh.yaml").write_text("dbt: {env: [NETWORK_LOG]}\n", encoding="utf-8")  # so that dbt is watched too
    guarded = {"NETWORK_LOG": str(log), "PYTHONPATH": f"{NO_NETWORK}:{environment()['PYTHONPATH']}"}
    first = storymesh("run", mesh=mesh, **guarded)
    calls = mesh / "domains/quay/sources/calls.csv"
    text = calls.read_text(encoding="utf-8")
    old = next(line for line in text.splitlines() if line.startswith("C002;"))
    changed = f"{old.rpartition(';')[0]};05.03.2025 00:30"
    broken = ";CATO;04.04.2025 10:00;"
    calls.write_text(text.replace(old, changed) + broken + "\n", encoding="utf-8")
    second = storymesh("run", mesh=mesh, **guarded)
    return Twice(first, second, [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()])


def test_a_product_is_built_on_the_product_of_another_domain(built_on: Twice) -> None:
    assert built_on.first.code == 0, built_on.first.output
    assert built_on.first.line("quay.calls").startswith("quay.calls 30 0 ")
    assert built_on.first.line("desk.late_calls").startswith("desk.late_calls 12 0 ")


def test_a_change_upstream_reaches_the_next_release(built_on: Twice, tmp_path: Path) -> None:
    assert built_on.second.code == 0, built_on.second.output
    mesh = built_on.second.mesh
    assert {product: len(versions) for product, versions in products(mesh).items()} == {
        "quay.calls": 2,
        "desk.late_calls": 2,
    }
    assert [lock["version"] for lock in locks(mesh, "late-calls")] == ["1.0.0-r1", "1.0.0-r2"]
    before = every(loaded(mesh, "late-calls", tmp_path / "1"), "report")
    after = every(loaded(mesh, "late-calls", tmp_path / "2", "1.0.0-r2"), "report")
    assert set(before) == set(after)
    assert [case for case in before if before[case]["text"] != after[case]["text"]] == ["C002"]
    assert "2 hours 20 minutes late" in before["C002"]["text"]
    assert "3 hours late" in after["C002"]["text"]


def test_a_null_key_upstream_is_quarantined_there(built_on: Twice) -> None:
    mesh = built_on.second.mesh
    assert built_on.second.line("quay.calls").startswith("quay.calls 30 1 ")
    assert [(row["call_id"], row["ship"]) for row in quarantined(mesh, "quay.calls")] == [(None, "CATO")]
    assert {check.partition("_")[0] for check in red_checks(mesh)} == {"quay/calls: call"}


def test_a_kill_while_dbt_works_and_another_folder_change_nothing(
    built_on: Twice, tmp_path: Path, preloaded: Preloaded
) -> None:
    mesh = copied("tests/meshes/built_on", tmp_path / "another folder")
    parsed = ".storymesh/dagster/parse"  # what dbt read of the same files; reading them again takes long
    shutil.copytree(built_on.second.mesh / parsed, mesh / parsed, symlinks=True)
    message = run_killed(mesh, "✓ quay.calls", 1.0)
    assert "desk.late_calls" not in message
    ran = preloaded.run("run", mesh=mesh)
    assert ran.code == 0, ran.output
    assert products(mesh) == {name: versions[:1] for name, versions in products(built_on.second.mesh).items()}
    (lock,), (first, _) = locks(mesh, "late-calls"), locks(built_on.second.mesh, "late-calls")
    same = ("version", "digest", "configs", "drops")
    assert {name: lock[name] for name in same} == {name: first[name] for name in same}


def test_nothing_was_reached_and_no_telemetry_is_on(built_on: Twice) -> None:
    assert not [item for item in built_on.network if "reached" in item]
    ended = [item for item in built_on.network if "telemetry" in item]
    assert any("dbt" in " ".join(map(str, item["process"])) for item in ended), "dbt was watched too"  # type: ignore[arg-type]
    assert {json.dumps(item["telemetry"], sort_keys=True) for item in ended} == {
        json.dumps(
            {
                "DAGSTER_DISABLE_TELEMETRY": "yes",
                "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
                "DO_NOT_TRACK": "1",
                "GX_ANALYTICS_ENABLED": "false",
                "HF_HUB_DISABLE_TELEMETRY": "1",
            }
        )
    }
    assert "enabled: false" in (built_on.first.mesh / ".storymesh/dagster/dagster.yaml").read_text(encoding="utf-8")
