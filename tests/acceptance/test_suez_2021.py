"""The blockage of the Suez Canal in March 2021, out of public data: the figures of tests/meshes/README.md."""

from typing import Any

import pytest

from tests.support.whole_mesh import KEY, Ran, every, loaded, locks, untraced

ROWS = {
    "portwatch.chokepoints": 6,
    "portwatch.daily_transits": 14_988,
    "portwatch.slumps": 11,
    "passageways.dwell_times": 214,
    "passageways.diversions": 48,
    "watch.abnormal_days": 18,
}
SUEZ_DAYS = 17


@pytest.fixture(scope="module")
def records(suez: Ran, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return every(loaded(suez.mesh, "abnormal-passages", tmp_path_factory.mktemp("cache")), "report")


@pytest.fixture(scope="module")
def stories(records: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The story of each case, the newest words first: case id -> text."""
    return {case_id: record["text"] for case_id, record in records.items()}


def story(stories: dict[str, str], title: str) -> str:
    found = [text for text in stories.values() if text.startswith(f"# {title}:")]
    assert len(found) == 1, f"{len(found)} stories begin with '{title}'"
    return found[0]


def test_every_product_has_the_rows_that_it_should(suez: Ran) -> None:
    for product, rows in ROWS.items():
        assert suez.line(product).startswith(f"{product} {rows:,} 0 ")


def test_the_abnormal_days_are_those_of_the_blockage_and_one_more(suez: Ran, stories: dict[str, str]) -> None:
    days = [*(f"{day} March 2021" for day in range(22, 32)), *(f"{day} April 2021" for day in range(1, 8))]
    assert len(days) == SUEZ_DAYS
    for day in days:
        story(stories, f"Suez Canal, {day}")
    story(stories, "Bab el-Mandeb Strait, 13 March 2024")
    assert len(stories) == SUEZ_DAYS + 1
    (lock,) = locks(suez.mesh, "abnormal-passages")
    assert lock["configs"] == {"report": {"train": 17, "validation": 0, "test": 1}}
    assert not any(lock["drops"].values())


def test_ships_of_23_march_stayed_197_hours_instead_of_26(stories: dict[str, str]) -> None:
    text = story(stories, "Suez Canal, 23 March 2021")
    assert "47 ships arrived on Tuesday 23 March 2021" in text
    assert "median dwell time was 196.7 hours (8 days 4 hours)" in text
    assert "Ordinary here are 27.0 hours" in text
    assert "For ships that arrived on 21 March 2021, the last ordinary day before, it was 26.7 hours" in text
    assert "Ships that arrived on 8 April 2021 were the first to pass in ordinary time again." in text


@pytest.mark.parametrize(
    ("day", "ships", "fewer", "usual"),
    [("23", "38 ships", "33%", "57.0"), ("24", "14 ships", "75%", "56.5"), ("25", "2 ships", "96%", "56.5")],
)
def test_traffic_fell(stories: dict[str, str], day: str, ships: str, fewer: str, usual: str) -> None:
    text = story(stories, f"Suez Canal, {day} March 2021")
    assert f"{ships} passed on that day, {fewer} fewer than the usual {usual} a day" in text


def test_each_day_of_the_blockage_tells_the_fall_and_the_48_diverted_ships(stories: dict[str, str]) -> None:
    for day in range(23, 30):
        text = story(stories, f"Suez Canal, {day} March 2021")
        assert "From 23 March to 29 March 2021, 7 days, traffic stayed below three quarters of usual." in text
        assert "It was lowest on 25 March, with 2 ships; 285 transits were missing in all." in text
    for text in stories.values():
        assert ("48 ships are verified to have turned away" in text) == text.startswith("# Suez Canal")


def test_every_record_names_its_sources(suez: Ran, records: dict[str, dict[str, Any]]) -> None:
    (lock,) = locks(suez.mesh, "abnormal-passages")
    versions = {member["product"]: member["product_version"] for member in lock["cast"].values()}
    for record in records.values():
        named: list[dict[str, Any]] = record["sources"]
        assert {(item["product"], item["version"]) for item in named} <= set(versions.items())
        diverted = [item for item in named if item["product"] == "passageways.diversions"]
        assert len(diverted) == (48 if record["text"].startswith("# Suez Canal") else 0)


def test_every_value_of_every_record_leads_back(suez: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORYMESH_PSEUDONYM_KEY", KEY)
    values, wrong = untraced(suez.mesh, "abnormal-passages", queries=100)
    assert not wrong
    assert values > 700
