"""What a person reads where Spark is not there or a cluster fails, by what Spark, Java and gRPC said when they did."""

from pathlib import Path

import pytest

from storymesh.engine.engine import ClusterFailed, EngineUnreachable
from storymesh.engine.spark.failures import query_failure, start_failure
from storymesh.errors import EngineFailed, OutOfMemory
from tests.support.spark import pyspark_folder

RPC = """<_InactiveRpcError of RPC that terminated with:
	status = StatusCode.{}
	details = "{}"
	debug_error_string = "…"
>"""
AT_SERVERS = {
    "no token": (
        RPC.format("UNAUTHENTICATED", "No authentication token provided"),
        "cannot be reached: No authentication token provided (have a variable of the environment give the token",
    ),
    "TLS to a port without": (
        RPC.format("UNAVAILABLE", "Tls handshake failed: SSL_ERROR_SSL: error:100000f7: WRONG_VERSION_NUMBER: OK"),
        "(this port is not encrypted, as `use_ssl=true` and a token ask for",
    ),
    "another server": (
        RPC.format("UNAVAILABLE", "Failed parsing HTTP/2 (Trying to connect an http1.x server (HTTP status 400))"),
        "it is no Spark Connect server",
    ),
    "no server": (RPC.format("UNAVAILABLE", "Failed to connect: Connection refused"), "(start the server, or write"),
    "no host": (RPC.format("UNAVAILABLE", "errors resolving a.invalid:15002: Domain name not found"), "(look for the"),
    "no address": (
        "[INVALID_CONNECT_URL] Invalid URL for Spark Connect: The path component '/x' must be empty.",
        "(an address is sc://host:port/;name=value)",
    ),
}
JAVA = "An error occurred while calling None.org.apache.spark.api.java.JavaSparkContext.\n: "
STARTS = {
    "little memory": (
        JAVA + "org.apache.spark.SparkIllegalArgumentException: [INVALID_DRIVER_MEMORY] System memory 209715200 "
        "must be at least 471859200.\n\tat org.apache.spark.memory.UnifiedMemoryManager$.getMaxMemory",
        "does not start: [INVALID_DRIVER_MEMORY] System memory 209715200 must be at least 471859200. (give it 512m",
    ),
    "a master that does not answer": (
        JAVA + "java.lang.IllegalStateException: Cannot call methods on a stopped SparkContext.\n\tat a.b.C",
        "does not start: Cannot call methods on a stopped SparkContext. (look whether the master runs",
    ),
    "Java that ends": (
        "[JAVA_GATEWAY_EXITED] Java gateway process exited before sending its port number.",
        "does not start: its Java ended at once (what Java said stands in the log of the run",
    ),
    "a cause below": (
        """Error while instantiating 'org.apache.spark.sql.internal.SessionStateBuilder':
    at a.b.C
Caused by: java.lang.IllegalArgumentException: spark.sql.shuffle.partitions should be int, but was many""",
        "does not start: spark.sql.shuffle.partitions should be int, but was many (see docs",
    ),
}
ABORTED = "Job aborted due to stage failure: Task 0 in stage 9.0 failed 4 times, most recent failure: Lost task 0.3: "
NESTED = "(java.util.concurrent.ExecutionException) org.apache.spark.SparkException: "
QUERIES = {
    "a worker without memory": (ABORTED + "ExecutorLostFailure (executor 4 exited) Reason: Command exited with code 52",
                                OutOfMemory, "Spark ran out of memory while it wrote x: "),
    "a container without memory": (ABORTED + "Container killed by YARN for exceeding physical memory limits.",
                                   OutOfMemory, "give Spark more"),
    "a lost worker": (ABORTED + "ExecutorLostFailure (executor 4 exited) Reason: worker lost", ClusterFailed,
                      "while it wrote x, since it lost workers while they had work: "),
    "lost rows": (NESTED + "[CHECKPOINT_RDD_BLOCK_ID_NOT_FOUND] Checkpoint block r_1 not found!",
                  ClusterFailed, "had work: [CHECKPOINT_RDD_BLOCK_ID_NOT_FOUND] Checkpoint block"),
    "a full disk": (ABORTED + "java.io.IOException: No space left on device", ClusterFailed, "since a disk is full: "),
    "a folder that is not there": ("[PATH_NOT_FOUND] Path does not exist: file:/mesh/a.parquet. SQLSTATE: 42K03",
                                   ClusterFailed, "since it does not see a file of the mesh: [PATH_NOT_FOUND]"),
    "a folder of somebody else": (ABORTED + "java.io.IOException: Mkdirs failed to create file:/mesh/.spark.1",
                                  ClusterFailed, "since it may not read or write in the folder of the mesh: "),
    "a server that has begun anew": ("[INVALID_HANDLE.SESSION_NOT_FOUND] The handle is invalid. Session not found.",
                                     EngineUnreachable, "run again when it answers"),
    "a query of ours": ("[UNRESOLVED_COLUMN.WITH_SUGGESTION] A column `nope` cannot be resolved.\n'Project ['nope]",
                        EngineFailed, "Spark failed while it wrote x: [UNRESOLVED_COLUMN.WITH_SUGGESTION] A column"),
    "a value": ("[CAST_INVALID_INPUT] The value 'Ann Lee' of the type \"STRING\" cannot be cast", EngineFailed,
                "[CAST_INVALID_INPUT] a value of the type \"STRING\" cannot be cast"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _pyspark() -> None:
    pyspark_folder()


@pytest.mark.parametrize("name", AT_SERVERS)
def test_a_server_that_cannot_be_reached_says_why_and_what_to_do(name: str) -> None:
    said, words = AT_SERVERS[name]
    assert words in str(start_failure("sc://a", RuntimeError(said), here=False))


@pytest.mark.parametrize("name", STARTS)
def test_a_spark_that_does_not_start_says_why_and_what_to_do(name: str) -> None:
    said, words = STARTS[name]
    assert words in str(start_failure("local[2]", RuntimeError(said), here=True))


@pytest.mark.parametrize(
    ("java", "words"),
    [
        ("", "there is no Java below JAVA_HOME"),
        ("echo 'openjdk version \"1.8.0_392\"' >&2", "is Java 8, on which Spark 4.0 does not run (install Java 17"),
        ("echo 'openjdk version \"25\" 2025-09-16' >&2", "is Java 25, on which Spark 4.0 does not run"),
        ("exit 1", "does not run (install Java 17"),
    ],
)
def test_a_java_that_does_not_suit_is_named(
    java: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    if java:
        program.write_text(f"#!/bin/sh\n{java}\n", encoding="utf-8")
        program.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    error = start_failure("local[2]", RuntimeError("[JAVA_GATEWAY_EXITED] Java gateway process exited"), here=True)
    assert words in str(error)


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_that_fails_says_what_failed(name: str) -> None:
    said, kind, words = QUERIES[name]
    found = query_failure(RuntimeError(said), " while it wrote x", "Ann")
    assert type(found) is kind
    assert words in str(found)
