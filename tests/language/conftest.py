"""The engine that the language is compiled for, as the product opens it."""

from collections.abc import Iterator

import pytest

from storymesh.engine.engine import Engine
from storymesh.engine.open import open_engine


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    with open_engine() as opened:
        yield opened
