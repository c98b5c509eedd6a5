"""The mesh as Dagster assets, checks and jobs: the only place that imports dagster."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from storymesh.orchestration.code_locations import definitions

__all__ = ["definitions"]


def __getattr__(name: str) -> Any:
    """Return `definitions`, and with it import Dagster: whoever asks whether there is anything to do does without."""
    if name != "definitions":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from storymesh.orchestration.code_locations import definitions

    return definitions
