"""A stretch of a text with where what stands there comes from."""

from dataclasses import dataclass

from storymesh.location import Location
from storymesh.provenance.origins import Origin


@dataclass(frozen=True)
class TracedSpan:
    """Characters `begin` to `end` of a column's text. `expression`, written at `at`, printed them; it is None for words
    of the template. `origins` say where the value comes from, `because` what decided that it is this one."""

    begin: int
    end: int
    text: str
    at: Location
    expression: str | None = None
    origins: tuple[Origin, ...] = ()
    because: tuple[Origin, ...] = ()
