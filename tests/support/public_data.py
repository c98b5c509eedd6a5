"""Public data and files beside the checkout, which are not committed."""

import os
from pathlib import Path

import pytest

from tests.support.paths import SHARED


def public_data() -> Path:
    """Return the folder of the public data. Where there is none, skip the test that asks, or fail it in CI."""
    return _folder("data")


def public_files() -> Path:
    """Return the folder of files of many kinds, whose `truth.json` says what is in each; otherwise as `public_data`.
    A module may ask, and is skipped as a whole."""
    return _folder("files")


def _folder(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        reason = f"the public {name} are not there: {folder} is missing"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason, allow_module_level=True)
    return folder
