"""Values with their origins: what the interpreter with provenance hands through a template."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from storymesh.location import Location

OriginPath = tuple[str | int, ...]
OriginPaths = frozenset[OriginPath]
NOWHERE: OriginPaths = frozenset()
COUNTED = "#"  # the last step to what is only counted
HIDDEN = "~"  # the last step to what is only printed as its pseudonym


@dataclass(frozen=True)
class TextSpan:
    """A stretch of a text: characters `begin` to `end`. `expression` is what printed it, as it is written at `at`; None
    for text of the template. `value` is what was printed, `origins` where it comes from, as steps from a name:
    `("disruption", 0, "title")`. `deciding` are the paths that decided, in this expression, what was printed."""

    begin: int
    end: int
    at: Location
    expression: str | None = None
    value: Any = None
    origins: OriginPaths = NOWHERE
    deciding: OriginPaths = NOWHERE


class TracedValue:
    """A value, the paths that it comes from, and those that decided that it is this one. A list holds traced items; a
    row its bare properties, which are traced when they are read."""

    __slots__ = ("deciding", "origins", "recorder", "value")

    def __init__(self, value: Any, origins: OriginPaths, deciding: OriginPaths, recorder: "TraceRecorder") -> None:
        self.value = value
        self.origins = origins
        self.deciding = deciding
        self.recorder = recorder

    def __bool__(self) -> bool:
        self.recorder.deciding |= self.origins | self.deciding
        return bool(self.value)


def bare(value: Any) -> Any:
    """Return the value itself, and of a list its items."""
    if isinstance(value, TracedValue):
        return bare(value.value)
    return [bare(item) for item in value] if isinstance(value, list) else value


class Printed(NamedTuple):
    """What was printed last: where it is written, and from which values it comes."""

    at: Location
    expression: str | None
    value: Any
    origins: OriginPaths
    deciding: OriginPaths


class TraceRecorder:
    """What is noted while one text is made: what was printed last, and what was asked to be true for it."""

    def __init__(self) -> None:
        self.deciding: OriginPaths = NOWHERE
        self.printed: Printed | None = None

    def traced(self, value: Any, path: OriginPath, deciding: OriginPaths = NOWHERE) -> TracedValue:
        """Return a value that stands at a path."""
        if isinstance(value, list):
            value = [self.traced(item, (*path, index), deciding) for index, item in enumerate(value)]
        return TracedValue(value, frozenset({path}), deciding, self)

    def joined(self, value: Any, origins: OriginPaths, deciding: OriginPaths) -> TracedValue:
        """Return a value that comes from these paths as well."""
        if isinstance(value, TracedValue):
            return TracedValue(value.value, value.origins | origins, value.deciding | deciding, self)
        return TracedValue(value, origins, deciding, self)

    def take_span(self, begin: int, length: int) -> TextSpan:
        """Return the span of the text that was printed last."""
        assert self.printed is not None, "every part of a text is marked"
        return TextSpan(begin, begin + length, *self.printed)


def origins_of(values: Iterable[Any]) -> OriginPaths:
    """Return the origins of some values; of lists those of their items."""
    found: set[OriginPath] = set()
    for value in values:
        if isinstance(value, TracedValue):
            if isinstance(value.value, list) and value.value:
                found |= origins_of(value.value)
            else:
                found |= value.origins
        elif isinstance(value, list):
            found |= origins_of(value)
    return frozenset(found)


def deciding_of(values: Iterable[Any]) -> OriginPaths:
    """Return the paths that decided some values."""
    found: set[OriginPath] = set()
    for value in values:
        if isinstance(value, TracedValue):
            found |= value.deciding
            value = value.value
        if isinstance(value, list):
            found |= deciding_of(value)
    return frozenset(found)
