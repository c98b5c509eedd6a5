"""What several tests of strangers' releases start from."""

import shutil
from pathlib import Path

import pytest

from storymesh.mesh.mesh import Mesh
from storymesh.release.catalog import find_release


@pytest.fixture
def folder(roadside: Mesh, tmp_path: Path) -> Path:
    """A copy of a release, as a stranger would send it."""
    found = find_release(roadside.releases, "roadside@1.0.0-r1")
    return Path(shutil.copytree(found.path, tmp_path / "sent"))
