"""The Sparks that a person may name in `mesh.yaml`, for the tests that hold for each."""

from collections.abc import Iterator

import pytest

from storymesh.engine.engine import Engine
from tests.support.spark import ConnectServer, connect_server, local_spark, speaking_to_servers


@pytest.fixture(scope="session")
def server() -> Iterator[ConnectServer]:
    """Spark Connect as it differs most from a Spark in this process: two workers of their own, and ANSI off."""
    with connect_server("local-cluster[2,1,1024]", {"spark.sql.ansi.enabled": "false"}) as running:
        yield running


@pytest.fixture(scope="module", params=["in this process", "server"])
def spark(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Spark in this process, where Spark 4 has ANSI on, and that of `server`."""
    from storymesh.engine.spark.engine import SparkEngine

    if request.param == "in this process":
        with SparkEngine(local_spark()) as engine:
            yield engine
    else:
        running: ConnectServer = request.getfixturevalue("server")
        with speaking_to_servers(), SparkEngine(running.address) as engine:
            yield engine
