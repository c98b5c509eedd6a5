"""Positions in the files that people write. Every finding and every definition has one."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Location:
    """A position in a text file. `path` is relative to the mesh root, with `/`; `line` and `column` count from 1."""

    path: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"
