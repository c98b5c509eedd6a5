"""The tests' own server and narrators, which pytest's import mode does not find."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from narrator_bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Callable[[str], Bench]:
    return lambda url: Bench(tmp_path / "answers.sqlite", {"base_url": url, "timeout": 5})
