"""A config, or a split, in which no record is left: it is said, loads as empty, and later releases go on from it."""

from dataclasses import replace
from pathlib import Path

import pytest

from storymesh.engine.open import open_engine
from storymesh.lifecycle.diff import compare_releases
from storymesh.lifecycle.pull import load_config
from storymesh.release.catalog import Release
from storymesh.release.write import write_release
from tests.support.release_builds import Told, make, usual


def without_advice(answer: str = "wait") -> list[Told]:
    return [replace(one, untold={"advice": "unjudged"}, answer=answer) for one in usual()]


@pytest.fixture
def releases(tmp_path: Path) -> tuple[Release, Release]:
    return write_release(make(tmp_path, without_advice())), write_release(make(tmp_path, without_advice("go round")))


@pytest.mark.parametrize("turned", [False, True])
def test_a_config_becomes_empty_or_fills(tmp_path: Path, *, turned: bool) -> None:
    both = write_release(make(tmp_path, usual())), write_release(make(tmp_path, without_advice()))
    found = compare_releases(*(both[::-1] if turned else both), open_engine, 3)
    advice = next(item for item in found.configs if item.config == "advice")
    assert (advice.added, advice.gone) == ((4, 0) if turned else (0, 4))


def test_two_releases_with_an_empty_config_are_compared(releases: tuple[Release, Release]) -> None:
    for limit in (0, 3):
        found = compare_releases(*releases, open_engine, limit)
        advice = next(item for item in found.configs if item.config == "advice")
        assert (advice.added, advice.gone, advice.changed, advice.same) == (0, 0, 0, 0)
        report = next(item for item in found.configs if item.config == "report")
        assert report.changed == 5


@pytest.mark.parametrize("streaming", [False, True])
def test_an_empty_config_and_an_empty_split_load_as_empty(
    releases: tuple[Release, Release], *, streaming: bool
) -> None:
    loaded = load_config(releases[0], "advice", streaming=streaming)
    assert list(loaded["train"]) == []
    assert list(loaded["train"].features) == ["id", "case_id", "messages", "at", "facts", "sources"]
    assert list(load_config(releases[0], "advice", "test", streaming=streaming)) == []
