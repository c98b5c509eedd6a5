"""What steps of this process take: processor seconds of all its threads, and the most memory that it held."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_RESET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_PEAK_ALONE = "5"  # what Linux forgets of a process when this is written to the first of these files


@dataclass(frozen=True)
class StepCost:
    """What one step took. `peak_bytes` is the most memory of the whole process during it, None where the system does
    not say; `rows_in` and `rows_out` are None where a step makes no rows."""

    step: str
    config: str
    cpu_seconds: float
    peak_bytes: int | None
    rows_in: int | None = None
    rows_out: int | None = None


class StepMeter:
    """Measures steps, which do not overlap: `steps` are those that have ended, in their order."""

    def __init__(self) -> None:
        self.steps: list[StepCost] = []

    @contextmanager
    def measure(self, step: str, config: str = "") -> Iterator[None]:
        """Note what is done inside as one step."""
        watched, began = _forget_peak(), time.process_time()
        yield
        taken = time.process_time() - began
        self.steps.append(StepCost(step, config, taken, _peak_bytes() if watched else None))


def _forget_peak() -> bool:
    """Have the system watch the memory from here on. Return False where it does not."""
    try:
        _RESET.write_text(_PEAK_ALONE, encoding="ascii")
    except OSError:
        return False
    return True


def _peak_bytes() -> int | None:
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
