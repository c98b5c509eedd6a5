"""One domain's data breaks its contract: what happens to its rows, its readers, its checks and the other domains."""

from pathlib import Path

import pytest

from tests.support.whole_mesh import Preloaded, Ran, locks, products, quarantined, red_checks, rows_of

TRUCKS = "domains/fleet/sources/trucks.csv"
REPAIRS = "domains/road/sources/repairs.jsonl"


def append(path: Path, *lines: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


@pytest.fixture
def before(plain_files: Ran) -> dict[str, list[str]]:
    assert plain_files.code == 0, plain_files.output
    return products(plain_files.mesh)


def test_a_break_of_one_domain(before: dict[str, list[str]], plain_copy: Path, preloaded: Preloaded) -> None:
    """Over the limit nothing of the domain's product is published, while the other domain goes on; below it, the row is
    quarantined and everything goes on."""
    good = (plain_copy / TRUCKS).read_text(encoding="utf-8")
    append(plain_copy / TRUCKS, *[f",box,D1,Nobody {n}" for n in range(4)])
    repair = '{"repair_id": "R179", "breakdown_id": "B179", "decided_at": "2024-10-05T00:00:00", "remedy": "tow"}'
    append(plain_copy / REPAIRS, repair)
    ran = preloaded.run("run", mesh=plain_copy)
    assert ran.code == 1
    assert ran.line("fleet.trucks").endswith("refused")
    [refusal] = [line for line in ran.output.splitlines() if "'fleet.trucks': 4 of 28 rows break the contract" in line]
    assert refusal.startswith("✗ fleet.trucks "), "it is said once, when it happens"
    assert ran.line("fleet.depots").endswith("unchanged")
    assert ran.line("road.repairs").endswith("new")
    assert "left out" in ran.line("roadside")
    assert "fleet.trucks" in ran.line("roadside")

    assert len(quarantined(plain_copy, "fleet.trucks")) == 4
    assert {check.partition("_")[0] for check in red_checks(plain_copy)} == {
        "fleet/trucks: truck",
        "fleet/trucks: published",
    }
    now = products(plain_copy)
    assert now["fleet.trucks"] == before["fleet.trucks"]
    assert len(rows_of(plain_copy, "fleet.trucks")) == 24, "readers still see the last good snapshot"
    assert (len(now["road.repairs"]), len(rows_of(plain_copy, "road.repairs"))) == (2, 172)
    assert [lock["version"] for lock in locks(plain_copy, "roadside")] == ["1.0.0-r1"]

    (plain_copy / TRUCKS).write_text(good + ",box,D1,Nobody\n", encoding="utf-8")
    ran = preloaded.run("run", mesh=plain_copy)
    assert ran.code == 0, ran.output
    assert ran.line("fleet.trucks").startswith("fleet.trucks 24 1 ")
    (row,) = quarantined(plain_copy, "fleet.trucks")
    assert (row["truck_id"], row["driver"]) == (None, "Nobody")
    assert row["reasons"]
    assert all("truck_id" in reason for reason in row["reasons"])
    assert {check.partition("_")[0] for check in red_checks(plain_copy)} == {"fleet/trucks: truck"}
    assert products(plain_copy) == now, "the rows that are good are the snapshot that was there"
    assert None not in {item["truck_id"] for item in rows_of(plain_copy, "fleet.trucks")}
    first, second = locks(plain_copy, "roadside")
    assert second["version"] == "1.0.0-r2"
    assert second["cast"]["truck"] == first["cast"]["truck"]
    assert second["cast"]["repair"]["product_version"] == now["road.repairs"][-1]
