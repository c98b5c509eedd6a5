"""A copy of this folder on PYTHONPATH keeps a process and all Python processes that it starts from every address but
this machine's own, and writes down in `network.jsonl` who tried another, and with which settings of telemetry each of
them ended."""

import atexit
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

LOG = Path(__file__).with_name("network.jsonl")
OWN = ("127.", "::1", "localhost", "0.0.0.0")
TELEMETRY = (
    "DAGSTER_DISABLE_TELEMETRY",
    "DBT_SEND_ANONYMOUS_USAGE_STATS",
    "DO_NOT_TRACK",
    "GX_ANALYTICS_ENABLED",
    "HF_HUB_DISABLE_TELEMETRY",
)


def write(**what: Any) -> None:
    with LOG.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"process": sys.argv[:3], **what}) + "\n")


def guard(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if host is not None and not str(host).startswith(OWN) and host != socket.gethostname():
        write(reached=str(host))
        raise OSError(f"no network: {host}")


sys.addaudithook(guard)
atexit.register(lambda: write(telemetry={name: os.environ.get(name) for name in TELEMETRY}))
