"""Where something stands in a file that a person wrote: every finding and every definition carries one."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Location:
    """A place in a text file. `path` is relative to the mesh root, with `/`; `line` and `column` count from 1."""

    path: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"
