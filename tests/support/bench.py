"""A narrator bench of a test's own."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.narrator_bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> "Callable[[str], Bench]":
    """`bench(url)`: it narrates against the server there, and stores what it answers in the test's folder."""
    from tests.support.narrator_bench import Bench

    return lambda url: Bench(tmp_path / "answers.sqlite", {"base_url": url, "timeout": 60})
