"""Programs of the system that some tests drive. A machine without one skips the test and says what to install; where
`STORYMESH_NO_SKIP=1` promises that all are there, as in continuous integration, it fails instead."""

import os
import shutil
from pathlib import Path

import pytest


def needs(*places: str | Path, package: str = "", how: str = "") -> Path:
    """Return the first of `places` (a program on the PATH, or a file or folder) that is there.

    Skip the test that asks, or fail it, where none is; `package` is the Debian package that brings it, where `how`
    does not say what does.
    """
    for place in places:
        found = shutil.which(place) or (str(place) if Path(place).exists() else None)
        if found is not None:
            return Path(found)
    reason = f"{' or '.join(map(str, places))} is not on this machine: {how or f'apt-get install {package}'}"
    if os.environ.get("STORYMESH_NO_SKIP") == "1":
        pytest.fail(f"{reason} (STORYMESH_NO_SKIP=1 says that it is)", pytrace=False)
    pytest.skip(reason)
