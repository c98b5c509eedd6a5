"""One PostgreSQL and one S3 for all tests of this folder, and the environment that leads to them."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `servers`: pytest's import mode lets nobody import it


@pytest.fixture(scope="session")
def server() -> Iterator[dict[str, str]]:
    """PG* of a PostgreSQL."""
    from servers import postgres

    with postgres() as found:
        yield found


@pytest.fixture(scope="session")
def bucket() -> Iterator[dict[str, str]]:
    """AWS_* of an S3 with the bucket `mesh`."""
    from servers import s3

    with s3() as found:
        yield found
