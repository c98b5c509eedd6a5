"""Late health supplies and the sea near their lanes, out of public data: the figures of tests/meshes/README.md."""

import re

import pytest

from tests.support.whole_mesh import KEY, Ran, every, loaded, locks, quarantined, rows_of, untraced

ROWS = {
    "supply.countries": "43 0",
    "supply.shipments": "10,321 3",
    "supply.late_lines": "1,186 0",
    "maritime.ports": "3,822 0",
    "maritime.incidents": "8,640 0",
    "maritime.coastal_incidents": "7,949 0",
}
CAUSE = re.compile(
    r"\b(because|caus(e[sd]?|ing)|due to|owing to|led to|result(s|ed|ing)?( of| in| from)|reasons?|therefore|blam\w+|"
    r"delayed by|held up by|explain\w*|consequence\w*|responsible)\b",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def stories(health_supply: Ran, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    records = every(loaded(health_supply.mesh, "late-lines", tmp_path_factory.mktemp("cache")), "report")
    return {case_id: record["text"] for case_id, record in records.items()}


def test_every_product_has_the_rows_that_it_should(health_supply: Ran) -> None:
    for product, rows in ROWS.items():
        assert health_supply.line(product).startswith(f"{product} {rows} ")


def test_three_lines_recorded_before_they_were_delivered_are_quarantined(health_supply: Ran) -> None:
    rows = quarantined(health_supply.mesh, "supply.shipments")
    assert {int(row["line_id"]) for row in rows} == {29140, 57447, 72832}
    assert all(row["reasons"] for row in rows)
    assert all(row["recorded_on"] < row["delivered_on"] for row in rows)


def test_the_late_lines_by_mode(health_supply: Ran) -> None:
    modes = [row["shipment_mode"] for row in rows_of(health_supply.mesh, "supply.late_lines")]
    assert {mode: modes.count(mode) for mode in set(modes)} == {
        "air": 587,
        "truck": 455,
        "air_charter": 75,
        "ocean": 65,
        None: 4,
    }


def test_each_case_is_told_or_dropped_for_a_reason(health_supply: Ran) -> None:
    assert "1,186 cases" in health_supply.line("late-lines")
    (lock,) = locks(health_supply.mesh, "late-lines")
    assert lock["configs"] == {"report": {"train": 599, "validation": 184, "test": 364}}
    assert lock["drops"]["case"] == {"embargo": 3 + 36}
    assert 599 + 184 + 364 + 39 == 1_186


def test_the_story_of_line_21276(stories: dict[str, str]) -> None:
    text = stories["21276"]
    assert "53 days late" in text.splitlines()[0]
    assert "- 14 March 2011, 14.6 nautical miles from Bedi:" in text
    assert len(re.findall(r"- 2[56] March 2011, [89]\.1 nautical miles from Kochi", text)) == 2


def test_incidents_stand_beside_lanes_by_sea_only_and_are_never_a_cause(stories: dict[str, str]) -> None:
    by_sea = [text for text in stories.values() if "At sea near the ends of this lane" in text]
    assert len(by_sea) == 65
    assert all("Nothing in the record ties an incident to this line." in text for text in by_sea)
    assert not [met.group() for text in stories.values() if (met := CAUSE.search(text))]


def test_every_value_of_every_record_leads_back(health_supply: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORYMESH_PSEUDONYM_KEY", KEY)
    values, wrong = untraced(health_supply.mesh, "late-lines", queries=100)
    assert not wrong
    assert values > 20_000
