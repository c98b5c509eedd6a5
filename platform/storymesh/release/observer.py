"""The steps in which a release is written, for whoever wants to know what each of them takes."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

# Gets the name of a step and, where it is for one config, the config; returns the context that the step runs in.
ObserveStep = Callable[..., AbstractContextManager[None]]


def unobserved(*_step: str) -> AbstractContextManager[None]:
    return nullcontext()
