"""The failures of Spark, of Java and of the way to them, in words for people, with what to do.

There are three kinds: Spark is not there, a cluster did not do its part, and everything else, which is a fault of the
query and so of ours.
"""

import os
import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from storymesh.engine.engine import ClusterFailed, EngineUnreachable
from storymesh.errors import EngineFailed, OutOfMemory, StorymeshError
from storymesh.redaction import redact

HINT = "see docs/how-to/scale-out.md"
JAVAS = range(17, 24)  # on which Spark 4.0 runs; it is tested with 17 and 21, and 24 lacks what it calls
MAX_WORDS = 300

_LEAST_MEMORY = "INVALID_DRIVER_MEMORY|INVALID_EXECUTOR_MEMORY"
# What is said by whoever stands at an address, or on the way to it -> what to do.
_AT_ADDRESS = (
    (
        r"UNAUTHENTICATED|PERMISSION_DENIED",
        "have a variable of the environment give the token that it wants: remote: 'sc://host:443/;token=${NAME}'",
    ),
    (
        r"WRONG_VERSION_NUMBER",
        "this port is not encrypted, as `use_ssl=true` and a token ask for: write another port, or leave them out",
    ),
    (r"CERTIFICATE_VERIFY_FAILED", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH names a file of the authorities to trust"),
    (r"HTTP/2|http1", "it is no Spark Connect server, which has the port 15002 unless another was chosen"),
    (r"INVALID_CONNECT_URL|invalid literal for int", "an address is sc://host:port/;name=value"),
    (r"Domain name not found|address lookup failed|resolv", "look for the name of the host in mesh.yaml"),
    (r"Connection refused", "start the server, or write the port at which it listens: 15002 unless another was chosen"),
)
_OF_MASTER = (
    (_LEAST_MEMORY, "give it 512m or more, in the settings of mesh.yaml"),
    (r"stopped SparkContext|All masters are unresponsive", "look whether the master runs, and at this address"),
)
_SHARED = "the server and all workers have to see the folder of the mesh under the same path"
# What tasks say -> what it comes of, and what to do.
_OF_MEMORY = (
    r"OutOfMemoryError|UNABLE_TO_ACQUIRE_MEMORY|(?:exceeding|beyond) .{0,40}memory limits|OOMKilled|"
    r"(?:exit(?:ed)? (?:with )?(?:code|status):?) (?:52|137)\b"
)
_OF_CLUSTER = (
    (
        r"No space left on device|Disk quota exceeded|File too large",
        "a disk is full",
        "make room where the mesh lies and, on each worker, where spark.local.dir does; then run again",
    ),
    (
        r"FileNotFoundException|FILE_NOT_EXIST|PATH_NOT_FOUND",
        "it does not see a file of the mesh",
        _SHARED,
    ),
    (
        r"Permission denied|AccessControlException|Mkdirs failed to create",
        "it may not read or write in the folder of the mesh",
        "let the user as whom the workers run read and write there",
    ),
    (
        r"ExecutorLostFailure|Checkpoint block|FetchFailed|MetadataFetchFailed|CHECKPOINT_RDD_BLOCK_ID_NOT_FOUND",
        "it lost workers while they had work",
        "run again: what is whole stays, and the step is made anew",
    ),
)
# A server that has begun anew, or has ended what it does not know to be in use.
_ENDED = r"INVALID_HANDLE|SESSION_CLOSED|SESSION_NOT_FOUND|SparkContext was shut down|stopped SparkContext"


def is_gone(error: BaseException) -> bool:
    """Return True for an error that says that Spark no longer answers."""
    from py4j.protocol import Py4JNetworkError

    text = str(error)
    return isinstance(error, ConnectionError | Py4JNetworkError) or bool(re.search(f"RETRIES_EXCEEDED|{_ENDED}", text))


def start_failure(where: str, error: BaseException, *, here: bool) -> StorymeshError:
    """Return why Spark cannot be opened at a place; `here`: in a Java that this process starts."""
    from py4j.protocol import Py4JNetworkError

    text, words = str(error), first_line(error)
    if not here:
        hint = next((hint for pattern, hint in _AT_ADDRESS if re.search(pattern, f"{text} {words}")), HINT)
        return EngineUnreachable(f"Spark at {where} cannot be reached: {words}", hint)
    if fault := _java_fault():
        return EngineUnreachable(
            f"Spark at {where} does not start: {fault}", "install Java 17, or let JAVA_HOME name it"
        )
    if "JAVA_GATEWAY_EXITED" in text or isinstance(error, ConnectionError | Py4JNetworkError):
        hint = f"what Java said stands in the log of the run, or on the terminal; {HINT}"
        return EngineUnreachable(f"Spark at {where} does not start: its Java ended at once", hint)
    hint = next((hint for pattern, hint in _OF_MASTER if re.search(pattern, text)), HINT)
    return EngineUnreachable(f"Spark at {where} does not start: {words}", hint)


def query_failure(error: BaseException, during: str, secret: str | None) -> Exception:
    """Return what the port raises for an error of a query: of a cluster with what to do, of ours as EngineFailed."""
    from py4j.protocol import Py4JNetworkError

    text, words = str(error), first_line(error)
    if secret is not None:
        words = words.replace(secret, "…")
    if isinstance(error, ConnectionError | Py4JNetworkError):
        words = f"its Java has ended ({words})"
    if re.search(_OF_MEMORY, text):
        hint = "give Spark more: spark.executor.memory, or more and smaller partitions"
        return OutOfMemory(f"Spark ran out of memory{during}: {words}", hint)
    if is_gone(error):
        return EngineUnreachable(f"Spark failed{during}: {words}", f"run again when it answers; {HINT}")
    for pattern, cause, hint in _OF_CLUSTER:
        if re.search(pattern, text):
            return ClusterFailed(f"Spark failed{during}, since {cause}: {words}", f"{hint}; {HINT}")
    return EngineFailed(f"Spark failed{during}: {words} ({HINT})")


def unshared_folder(folder: Path, seen: int, written: int) -> ClusterFailed:
    """Return what is raised where this machine does not see all rows that workers wrote."""
    words = f"of {written:,} rows that Spark wrote into {folder}, this machine sees {seen:,}"
    return ClusterFailed(words, f"{_SHARED}; {HINT}")


def first_line(error: BaseException) -> str:
    """Return the first line of an error of Spark or of Java, without tokens and without the value that it quotes."""
    text = str(error)
    if "RETRIES_EXCEEDED" in text and (reason := getattr(error.__cause__, "details", None)) is not None:
        text = f"no answer: {reason()}"
    elif "RPC that terminated with" in text and (said := re.search(r'details = "(.*)"', text)):
        text = said[1]
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    # Java says first where Python called it, and then what went wrong.
    line = lines[1] if lines[0].startswith("An error occurred while calling") and len(lines) > 1 else lines[0]
    if line.endswith(":") and (
        causes := re.findall(r"Caused by: (.+)", f"{text}\n{error.__cause__ or error.__context__}")
    ):
        line = causes[-1]
    line = re.sub(r"^(?:: )?(?:\([\w.$]+\) )?(?:(?:[a-z]\w*\.)+[\w$]+(?:Exception|Error): )*", "", line)
    line = re.sub(r"[Tt]he value .* of the type", "a value of the type", line)
    return redact(re.sub(r"token=[^;\s]+", "token=…", line))[:MAX_WORDS]


def _java_fault() -> str | None:
    """Return what is wrong with the Java that pyspark starts; None: nothing that we see."""
    home = os.environ.get("JAVA_HOME")
    program = shutil.which("java", path=os.path.join(home, "bin") if home else None)  # noqa: PTH118
    if program is None:
        return f"there is no Java below JAVA_HOME, which is {home}" if home else "there is no Java on this machine"
    with suppress(OSError, subprocess.SubprocessError):
        said = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=30, check=False).stderr
        if found := re.search(r'version "(?:1\.)?(\d+)', said):
            version = int(found[1])
            return None if version in JAVAS else f"{program} is Java {version}, on which Spark 4.0 does not run"
    return f"{program} does not run"
