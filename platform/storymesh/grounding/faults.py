"""A fault of a retelling, in words that can be sent back to the model."""

from dataclasses import dataclass
from typing import Literal

FaultKind = Literal["piece", "word", "place", "negation", "omission", "text"]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong: `words` are those that it is about, `because` says it for whoever wrote them."""

    kind: FaultKind
    words: str
    because: str
