"""A fault of a retelling, worded so that it can be sent back to the model."""

from dataclasses import dataclass
from typing import Literal

FaultKind = Literal["piece", "word", "place", "negation", "omission", "text"]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of an answer: `words` are those that it is about, `because` tells their author what is wrong."""

    kind: FaultKind
    words: str
    because: str
