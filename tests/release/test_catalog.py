"""A release is found by a record's id, or it is said what there is instead."""

from pathlib import Path

import pytest

from storymesh.errors import WrongUsage
from storymesh.release.catalog import find_release_of_record
from storymesh.release.write import write_release
from tests.support.release_builds import make, usual


def test_without_a_release_it_is_said_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="there is no release below") as refused:
        find_release_of_record(tmp_path, "report/1")
    assert refused.value.hint == "storymesh run makes one"


def test_the_nearest_config_is_named(tmp_path: Path) -> None:
    build = make(tmp_path, usual())
    release = write_release(build)
    assert find_release_of_record(build.releases, "report/1").path == release.path
    with pytest.raises(WrongUsage, match="no narratives have released a config 'reprot'") as refused:
        find_release_of_record(build.releases, "reprot/1")
    assert refused.value.hint == "did you mean 'report'?"
