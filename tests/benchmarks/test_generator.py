"""The generator of the reference mesh: what is committed is what it makes, with every quirk that dbt must clean."""

import csv
import gzip
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

BUDGET = 2 * 1024 * 1024


def generate(out: Path, *options: str) -> Path:
    command = [sys.executable, str(ROOT / "benchmarks" / "generate.py"), "--out", str(out), *options]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return out


def contents(mesh: Path) -> dict[str, bytes]:
    """Every source by its path; packed files are unpacked, because the packing may differ between builds of zlib."""
    return {
        str(path.relative_to(mesh)): gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for path in sorted(mesh.glob("domains/*/sources/**/*"))
        if path.is_file()
    }


def rows(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def events(mesh: Path) -> Iterator[dict[str, str | None]]:
    for path in sorted(mesh.glob("domains/shipping/sources/events/*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            yield from map(json.loads, file)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("small")
    return generate(out, "--delays", "1500", "--seed", "11", "--mesh", "--truth", str(out / "truth.csv"))


def test_committed_sources_are_what_the_defaults_make(tmp_path: Path) -> None:
    made, committed = contents(generate(tmp_path)), contents(ROOT)
    assert made.keys() == committed.keys()
    assert [name for name in made if made[name] != committed[name]] == []


def test_committed_sources_stay_small() -> None:
    assert sum(path.stat().st_size for path in ROOT.glob("domains/*/sources/**/*") if path.is_file()) < BUDGET


def test_same_seed_and_size_give_the_same_bytes_and_another_seed_does_not(small: Path, tmp_path: Path) -> None:
    same = generate(tmp_path / "same", "--delays", "1500", "--seed", "11")
    other = generate(tmp_path / "other", "--delays", "1500", "--seed", "12")
    assert contents(same) == contents(small)
    assert contents(other) != contents(small)


def test_a_whole_mesh_is_written_without_leftovers_of_builds(small: Path) -> None:
    for name in ("shipping", "canal", "resolutions"):
        assert (small / "domains" / name / "dbt_project.yml").is_file()
        assert (small / "domains" / name / "definitions.py").is_file()
        assert list((small / "contracts" / name).glob("*.odcs.yaml"))
    assert not list(small.rglob("*.duckdb*"))
    assert not (small / ".generator").exists()


def test_shipments_look_like_an_export_of_the_hamburg_desk(small: Path) -> None:
    bookings = rows(small / "domains/shipping/sources/shipments.csv", ";")
    assert all(len(booking["booked_local"]) == len("31.12.2021 14:05") for booking in bookings)
    assert any("," in booking["value_usd"] and "." in booking["value_usd"] for booking in bookings)
    assert any(booking["cargo"] != booking["cargo"].strip() for booking in bookings), "stray blanks"
    assert len({booking["cargo"].strip().lower() for booking in bookings}) == 5
    assert len({booking["cargo"].strip() for booking in bookings}) > 5, "inconsistent case"
    assert max(Counter(tuple(booking.values()) for booking in bookings).values()) == 2, "exact duplicates"


def test_a_few_shipments_break_their_contract_and_far_less_than_the_limit() -> None:
    bookings = rows(ROOT / "domains/shipping/sources/shipments.csv", ";")
    bad = [row for row in bookings if not row["booking_no"] or row["boxes"] == "0" or len(row["to"].strip()) != 5]
    assert 3 <= len(bad) <= 10
    assert len(bad) < 0.1 * len(bookings)


def test_renamed_vessels_keep_their_number_and_sail_under_both_names() -> None:
    renames = rows(ROOT / "domains/shipping/sources/vessel_renames.csv", ";")
    names: dict[str, set[str]] = {}
    for booking in rows(ROOT / "domains/shipping/sources/shipments.csv", ";"):
        names.setdefault(booking["imo"], set()).add(booking["vessel"].strip().upper())
    assert len(renames) >= 8
    for rename in renames:
        assert names[rename["imo"]] == {rename["old_name"].upper(), rename["new_name"].upper()}


def test_imo_numbers_have_the_right_check_digit() -> None:
    for imo in {booking["imo"] for booking in rows(ROOT / "domains/shipping/sources/shipments.csv", ";")}:
        weighted = sum(int(digit) * factor for digit, factor in zip(imo[:6], range(7, 1, -1), strict=True))
        assert weighted % 10 == int(imo[6]), imo


def test_events_are_planned_estimated_actual_doubled_late_and_retracted(small: Path) -> None:
    messages = list(events(small))
    classifiers = {str(m["eventClassifierCode"]).upper() for m in messages if m["eventClassifierCode"]}
    assert classifiers == {"PLN", "EST", "ACT"}
    identifiers = Counter(m["eventID"] for m in messages)
    assert 2 in identifiers.values(), "duplicates"
    retracted = {m["retractedEventID"] for m in messages if m["retractedEventID"]}
    assert retracted and retracted <= identifiers.keys()
    created = [str(m["eventCreatedDateTime"]) for m in messages]
    assert created != sorted(created), "late messages"


def test_some_delays_stay_open_and_some_shipments_are_late_twice(small: Path) -> None:
    retracted = {m["retractedEventID"] for m in events(small) if m["retractedEventID"]}
    late: set[tuple[str | None, str]] = set()
    arrived: set[tuple[str | None, str]] = set()
    for message in events(small):
        if message["eventID"] in retracted or not message["UNLocationCode"]:
            continue
        place = (message["shipmentReference"], message["UNLocationCode"].strip())
        if message["delayReasonCode"]:
            late.add(place)
        elif (message["eventClassifierCode"] or "").upper() == "ACT":
            arrived.add(place)
    assert len(late) == 1500
    assert 0.01 < len(late - arrived) / len(late) < 0.15
    assert 2 in Counter(shipment for shipment, _ in late).values()


def test_resolutions_look_like_the_log_of_the_panama_desk(small: Path) -> None:
    log = rows(small / "domains/resolutions/sources/resolutions.csv")
    assert all(row["decided_local"].endswith((" AM", " PM")) for row in log)
    assert any(row["cost_usd"] == "" for row in log), "not settled yet"
    assert all((row["cost_usd"] == "") == (row["settled_local"] == "") for row in log)
    assert 2 in Counter(row["resolution_no"] for row in log).values(), "exact duplicates"


def test_the_truth_tells_a_better_and_a_worse_action_for_each_case(small: Path) -> None:
    truth = rows(small / "truth.csv")
    assert len(truth) == 1500
    assert all(int(row["percent_taken"]) <= int(row["percent_best"]) for row in truth)
    assert any(row["disruption_id"] == "SUEZ-2021-EVER-GIVEN" for row in truth)
    assert any(row["disruption_id"] == "" for row in truth)
    assert all(row["waterway"] == "suez" for row in truth if row["disruption_id"].startswith("SUEZ-"))


@pytest.mark.parametrize("delays", ["1", "2", "30"])
def test_very_small_meshes_work(tmp_path: Path, delays: str) -> None:
    generate(tmp_path, "--delays", delays)
    assert rows(tmp_path / "domains/shipping/sources/shipments.csv", ";")
