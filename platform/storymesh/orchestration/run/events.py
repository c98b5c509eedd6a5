"""The events of a run, as small values; listeners decide how to show them."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class RunPreparation:
    """Nothing runs yet; the message says what is being done."""

    message: str


@dataclass(frozen=True)
class RunPlan:
    """The run begins; `steps` are the names of what it will do."""

    steps: tuple[str, ...]


@dataclass(frozen=True)
class StepStart:
    """A step begins."""

    step: str


@dataclass(frozen=True)
class StepProgress:
    """The progress of a phase of a step; `rows` is None where nothing is counted."""

    step: str
    phase: str
    rows: int | None


@dataclass(frozen=True)
class StepSuccess:
    """A step is done. `rows` is None where none are counted; `unchanged`: the result was there already."""

    step: str
    rows: int | None
    unchanged: bool
    seconds: float


@dataclass(frozen=True)
class StepRetry:
    """A step failed for a transient reason; it is retried in `seconds`."""

    step: str
    message: str
    seconds: float


@dataclass(frozen=True)
class StepFailure:
    """A step failed. `expected`: the message is written for people, and no traceback is of use."""

    step: str
    message: str
    expected: bool


@dataclass(frozen=True)
class StepSkipped:
    """A step did not run because something that it is built on failed."""

    step: str


RunEvent = RunPreparation | RunPlan | StepStart | StepProgress | StepRetry | StepSuccess | StepFailure | StepSkipped
RunListener = Callable[[RunEvent], None]
