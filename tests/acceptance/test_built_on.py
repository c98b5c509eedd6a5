"""A product built on another domain's product, with dbt, where nothing but this machine can be reached: then its
upstream changes, and breaks its contract in one row. In another folder it is killed while dbt works."""

import json
import os
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.paths import TESTS
from tests.support.whole_mesh import (
    LIMIT_S,
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
    storymesh,
)

NO_NETWORK = TESTS / "support/no_network"


@dataclass(frozen=True)
class Twice:
    first: Ran
    second: Ran
    network: list[dict[str, object]]


@pytest.fixture(scope="module")
def built_on(tmp_path_factory: pytest.TempPathFactory, preloaded: Preloaded) -> Twice:
    folder = tmp_path_factory.mktemp("built_on")
    mesh = copied("tests/meshes/built_on", folder / "mesh")
    guard = Path(shutil.copytree(NO_NETWORK, folder / "no_network", ignore=shutil.ignore_patterns("__pycache__")))
    first = storymesh("run", mesh=mesh, PYTHONPATH=f"{guard}:{environment()['PYTHONPATH']}")
    network = [json.loads(line) for line in (guard / "network.jsonl").read_text(encoding="utf-8").splitlines()]
    calls = mesh / "domains/quay/sources/calls.csv"
    text = calls.read_text(encoding="utf-8")
    old = next(line for line in text.splitlines() if line.startswith("C002;"))
    changed = f"{old.rpartition(';')[0]};05.03.2025 00:30"
    broken = ";CATO;04.04.2025 10:00;"
    calls.write_text(text.replace(old, changed) + broken + "\n", encoding="utf-8")
    return Twice(first, preloaded.run("run", mesh=mesh), network)


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
    process = preloaded.start("run", mesh=mesh)
    log, ends = mesh / ".storymesh/desk/dbt/target/dbt.log", time.monotonic() + LIMIT_S
    while not (log.exists() and "✓ quay.calls" in preloaded.output()):
        assert time.monotonic() < ends, f"dbt never began:\n{preloaded.output()}"
        time.sleep(0.02)
    os.kill(process, signal.SIGKILL)  # and not what it has started, as by a person's `kill -9`
    killed = preloaded.ended()
    assert killed.code == -signal.SIGKILL, killed.output
    assert "✓ quay.calls" in killed.output
    assert "desk" not in killed.output
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
