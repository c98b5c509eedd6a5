"""One release with questions, for all tests of this folder that only read it."""

import pytest

from storymesh.dataset.build import Build
from storymesh.release.catalog import Release
from tests.support.evaluation_mesh import evaluation_build
from tests.support.small_release import released


@pytest.fixture(scope="session")
def evaluated_build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return evaluation_build(tmp_path_factory.mktemp("evaluation"))


@pytest.fixture(scope="session")
def release(evaluated_build: Build) -> Release:
    return released(evaluated_build)
