"""The outcome of a run: for each product, each narrative, and as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from storymesh.orchestration.run.events import StepFailure

OutcomeState = Literal["new", "unchanged", "in place", "refused", "left out"]


@dataclass(frozen=True)
class ProductOutcome:
    """The outcome of one product. Rows, quarantined rows and version are None where it was not published in this run.

    `quarantined_for` are the reasons of its quarantined rows, each with what was met and what is wanted; `warnings` are
    the rules that only warn and do not hold.
    """

    product: str
    state: OutcomeState
    rows: int | None
    quarantined: int | None
    version: str | None
    reason: str
    quarantined_for: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class NarrativeOutcome:
    """The outcome of one narrative.

    `drops` (what -> reason -> count) and `configs` (config -> split -> rows) are the release's; both are empty where
    it was not released in this run. `warnings` say why its splits may not show the same world.
    """

    narrative: str
    state: OutcomeState
    cases: int | None
    version: str | None
    path: str | None
    configs: Mapping[str, Mapping[str, int]]
    drops: Mapping[str, Mapping[str, int]]
    reason: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunOutcome:
    """The outcome of a run; `failures` by the key of their step in Dagster."""

    run_id: str
    success: bool
    products: tuple[ProductOutcome, ...]
    narratives: tuple[NarrativeOutcome, ...]
    seconds: float
    failures: Mapping[str, StepFailure]
