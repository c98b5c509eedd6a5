"""Where the splits of a release may not show the same world, it says so."""

import json
from typing import Any

import pytest

from storymesh.release.manifest import ReleaseManifest
from storymesh.release.split_balance import balance_warnings, split_balances


def manifest(drops: dict[str, int], **splits: tuple[int, ...]) -> ReleaseManifest:
    names = ("cases", "judged", "worked", "kept", "kept_judged", "kept_worked")
    counts = {split: dict(zip(names, numbers, strict=True)) for split, numbers in splits.items()}
    content: dict[str, Any] = {
        "narrative": "loans",
        "version": "1.0.0-r1",
        "digest": "0" * 64,
        "narrative_version": "1.0.0",
        "fingerprint": "0" * 64,
        "cast": {},
        "configs": {"advice": {split: numbers[3] for split, numbers in splits.items()}},
        "drops": {"case": drops, "advice": {}},
        "splits": counts,
        "digests": {"configs": {"advice": "0" * 64}, "drops": "0" * 64},
        "certificate": {},
    }
    return ReleaseManifest.model_validate_json(json.dumps(content))


def test_an_embargo_that_keeps_only_short_bad_loans_is_told() -> None:
    found = manifest(
        {"embargo": 1_500},
        train=(1_000, 900, 690, 800, 800, 616),
        validation=(1_000, 900, 640, 100, 100, 4),
        test=(400, 300, 51, 400, 300, 51),
    )
    rates, dropped = balance_warnings(found)
    assert rates.startswith(
        "what worked differs between splits: 77% of 800 in train, 4% of 100 in validation, 17% of 300"
    )
    assert "Between train and validation, train and test, validation and test that is more than chance" in rates
    assert "level 0.01 over 3 comparisons" in rates
    assert dropped == (
        "900 of the 1,000 cases in the period of validation fall to embargo: "
        "of all that were judged there 71% worked, of the kept 4%"
    )


@pytest.mark.parametrize(
    ("train", "test", "told"),
    [
        ((60, 100), (55, 100), False),
        ((600, 1000), (500, 1000), True),
        ((3, 3), (0, 2), False),
        ((0, 50), (0, 60), False),
        ((50, 50), (60, 60), False),
        ((0, 0), (9, 10), False),
        ((40, 40), (0, 40), True),
    ],
)
def test_rates_that_chance_explains_are_not(train: tuple[int, int], test: tuple[int, int], told: bool) -> None:
    splits = {name: (n, n, worked, n, n, worked) for name, (worked, n) in (("train", train), ("test", test))}
    assert bool(balance_warnings(manifest({}, **splits))) is told


def test_several_splits_give_chance_several_occasions() -> None:
    two = {"train": (500, 500, 250, 500, 500, 250), "test": (500, 500, 293, 500, 500, 293)}
    assert balance_warnings(manifest({}, **two))
    three = two | {"validation": (500, 500, 270, 500, 500, 270)}
    assert not balance_warnings(manifest({}, **three))


def test_a_step_that_drops_most_cases_is_told() -> None:
    splits = {"train": (10, 0, 0, 10, 0, 0)}
    assert balance_warnings(manifest({"ship: none": 9, "forgotten": 1}, **splits)) == ()
    most = balance_warnings(manifest({"ship: none": 13, "forgotten": 1}, **splits))
    assert most == ("'ship: none' drops 13 of 24 cases",)


def test_an_older_release_that_counts_no_splits_has_no_balance() -> None:
    assert split_balances(manifest({})) == ()
    assert balance_warnings(manifest({"embargo": 3})) == ()


def test_many_small_reasons_that_drop_most_cases_are_told_together() -> None:
    splits = {"train": (10, 0, 0, 10, 0, 0)}
    (told,) = balance_warnings(manifest({"ship: none": 8, "ship: several": 7}, **splits))
    assert told == "in all 15 of 25 cases drop: 'ship: none' 8, 'ship: several' 7"


def test_a_config_that_drops_almost_all_or_lacks_a_split_is_told() -> None:
    splits = {"train": (20, 0, 0, 20, 0, 0), "validation": (9, 0, 0, 9, 0, 0)}
    plain = manifest({}, **splits)
    assert balance_warnings(plain) == ()
    few = plain.model_copy(
        update={"configs": {"advice": {"train": 3}}, "drops": {"case": {}, "advice": {"too few": 26}}}
    )
    assert balance_warnings(few) == (
        "'advice' tells 3 of 29 cases, the others drop: 'too few' 26",
        "'advice' has no record in validation, in which 9 cases were kept",
    )
    more = few.model_copy(update={"drops": {"case": {}, "advice": {"too few": 16}}})
    assert balance_warnings(more) == ("'advice' has no record in validation, in which 9 cases were kept",)
    bound = plain.model_copy(
        update={"configs": {"advice": {"train": 3, "validation": 0}}, "drops": {"case": {}, "advice": {"rare": 17}}}
    )
    assert balance_warnings(bound)[0] == "'advice' tells 3 of 20 cases, the others drop: 'rare' 17", "85 % is told"
    asked = plain.model_copy(
        update={"configs": {**plain.configs, "eval": {"test": 3}}, "drops": {"case": {}, "eval": {"too few": 90}}}
    )
    assert balance_warnings(asked) == (), "of questions few are wanted"
    none = plain.model_copy(update={"configs": {"advice": {}, "eval": {"test": 1}}})
    assert balance_warnings(none) == (), "a config without any record is told by `run` itself"
