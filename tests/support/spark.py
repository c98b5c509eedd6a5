"""Small Sparks for the tests: one in this process, and servers of Spark Connect in their own. pyspark stands in an
environment of its own, `make spark`."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from storymesh.engine.spark.session import SparkAddress
from tests.support.needs import needs
from tests.support.paths import ROOT
from tests.support.servers import free_port

_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
# Tables are of some rows: what takes time is to plan and compile, not to compute.
SETTINGS = {
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.adaptive.enabled": "false",
    "spark.ui.enabled": "false",
    "spark.driver.memory": "1500m",
    "spark.driver.extraJavaOptions": _JAVA,
    "spark.executor.extraJavaOptions": _JAVA,
    "spark.log.level": "ERROR",
    # To compile to bytecode what runs over ten rows takes longer than to run it.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}
CONNECT_MODE = "SPARK_CONNECT_MODE_ENABLED"  # pyspark's own mark of a process that has spoken to a server
STARTS_S = 180.0


@cache
def pyspark_folder() -> Path:
    """Return the folder of pyspark, which can be imported then. Skip or fail where there is none, as `needs` does."""
    needs("java", package="openjdk-17-jre-headless")
    folder = Path(os.environ.get("SPARK_ENV", ROOT / ".venv-spark"))  # an environment, or a folder of packages
    found = needs(*folder.glob("lib/python3.*/site-packages/pyspark"), folder / "pyspark", how="make spark")
    sys.path.append(str(found.parent))
    return found


def local_spark() -> SparkAddress:
    """Return the address of a Spark in this process."""
    pyspark_folder()
    return SparkAddress(master="local[2]", settings=SETTINGS)


@dataclass(frozen=True)
class ConnectServer:
    """A server of Spark Connect in a process group of its own."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> SparkAddress:
        return SparkAddress(remote=f"sc://127.0.0.1:{self.port}")

    def executors(self) -> list[int]:
        """Return the process ids of the workers' executors, which this process has started."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
                is_executor = b"CoarseGrainedExecutorBackend" in (folder / "cmdline").read_bytes()
                if int(parent) == self.process.pid and is_executor:
                    found.append(int(folder.name))
        return sorted(found)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def connect_server(master: str = "local[2]", settings: Mapping[str, str] | None = None) -> Iterator[ConnectServer]:
    """Run a server that has Spark at `master` until the end, and wait until it answers."""
    spark = pyspark_folder()
    port = free_port()
    given = {**SETTINGS, "spark.connect.grpc.binding.port": str(port), **(settings or {})}
    options = [word for name, value in given.items() for word in ("--conf", f"{name}={value}")]
    program = "org.apache.spark.sql.connect.service.SparkConnectServer"
    command = [str(spark / "bin" / "spark-submit"), "--master", master, *options, "--class", program, "spark-internal"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "PYSPARK_"))}
    with tempfile.TemporaryDirectory(prefix="storymesh-spark-") as folder, (Path(folder) / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        server = ConnectServer(port, process)
        try:
            _wait_for(server, Path(log.name))
            yield server
        finally:
            server.kill()


def _wait_for(server: ConnectServer, log: Path) -> None:
    until = time.monotonic() + STARTS_S
    while time.monotonic() < until and server.process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", server.port), timeout=1):
            return
        time.sleep(0.2)
    pytest.fail(f"Spark Connect did not start:\n{log.read_text(errors='replace')[-3000:]}", pytrace=False)


@contextmanager
def speaking_to_servers() -> Iterator[None]:
    """Let this process go back to a Spark of its own after it has spoken to a server."""
    try:
        yield
    finally:
        os.environ.pop(CONNECT_MODE, None)
