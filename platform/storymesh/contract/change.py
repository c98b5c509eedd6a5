"""One difference between two versions of a contract, and what it means for those who read and those who publish."""

from dataclasses import dataclass
from typing import Any, Literal

from storymesh.location import Location

Step = Literal["major", "minor", "patch"]
STEPS: tuple[Step, ...] = ("patch", "minor", "major")
"""The steps of a version, the smallest first."""


@dataclass(frozen=True)
class ContractChange:
    """`step` is what the change asks of the contract's version: *major* where something that readers rely on is no
    longer promised, *minor* where something is added or more is promised, *patch* where no row can differ.

    `rule` is the stable name of its kind. `property` is the column that it is about, as the old contract calls it, None
    for a change of the whole; `path` the same with the parts of a nested one. `refuses`: rows that could be published
    may be refused now. `values` are the codes of an enum that it is about; None: any value may be.
    """

    rule: str
    property: str | None
    path: str
    words: str
    step: Step
    refuses: bool
    location: Location
    values: tuple[Any, ...] | None = None


def largest_step(changes: "list[ContractChange] | tuple[ContractChange, ...]") -> Step | None:
    """Return the step that all of the changes together ask for; None where there are none."""
    return max((change.step for change in changes), key=STEPS.index, default=None)
