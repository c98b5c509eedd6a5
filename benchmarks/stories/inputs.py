"""What every program is given, and how each says what its stages cost. Imports nothing that a peer may lack."""

import json
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CONFIGS = ("report", "advice", "choice", "verdict")
TEXTS = {
    "report": ("text",),
    "advice": ("messages",),
    "choice": ("prompt", "chosen", "rejected"),
    "verdict": ("prompt", "completion"),
}
ROW_GROUP = 20_480


class Stages:
    """Seconds of each stage, on the wall and of all processors (children that have ended included)."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._found: dict[str, dict[str, float]] = {}

    @contextmanager
    def measured(self, name: str) -> Iterator[None]:
        wall, cpu = time.monotonic(), _cpu()
        yield
        self._found[name] = {"wall": time.monotonic() - wall, "cpu": _cpu() - cpu}

    def write(self) -> None:
        (self._out / "stages.json").write_text(json.dumps(self._found), encoding="utf-8")


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
