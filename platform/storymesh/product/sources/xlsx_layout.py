"""The parts of a sheet's XML that openpyxl's reader of rows passes over.

It leaves out rows that are out of order, gives all but the first of merged cells as empty, and does not say whether
anything is computed.
"""

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise

_ROW = re.compile(rb"""<(?:\w+:)?row\s(?:[^>]*?\s)?r=["'](\d{1,9})["']""")
_MERGED = re.compile(rb"""<(?:\w+:)?mergeCell\s[^>]*?ref=["']([A-Z]{1,3})(\d{1,9}):([A-Z]{1,3})(\d{1,9})["']""")
_FORMULA = re.compile(rb"<(?:\w+:)?f[\s/>]")


@dataclass(frozen=True)
class MergedCells:
    """The cells of a sheet that a merged cell covers, without its first: column, counted from 0 -> the first rows and
    the last rows of such stretches, both ascending."""

    _stretches: Mapping[int, tuple[list[int], list[int]]]

    def cover(self, row: int, column: int) -> bool:
        """Return True for a covered cell; rows are counted from 1, columns from 0."""
        if column not in self._stretches:
            return False
        firsts, lasts = self._stretches[column]
        index = bisect_right(firsts, row) - 1
        return index >= 0 and row <= lasts[index]


def has_formulas(sheet: bytes) -> bool:
    """Return True if a cell of a sheet is computed."""
    return bool(_FORMULA.search(sheet))


def row_out_of_order(sheet: bytes) -> int | None:
    """Return the number of the first row that does not stand below the one before it."""
    numbers = list(map(int, _ROW.findall(sheet)))
    return next((row for before, row in pairwise(numbers) if row <= before), None)


def merged_cells(sheet: bytes, columns: set[int]) -> MergedCells:
    """Return which cells of `columns`, counted from 0, a merged cell covers."""
    stretches: dict[int, list[tuple[int, int]]] = {}
    for left, top, right, bottom in _MERGED.findall(sheet):
        first, last = _column_index(left), _column_index(right)
        for column in columns:
            if first <= column <= last:
                begin = int(top) + 1 if column == first else int(top)
                stretches.setdefault(column, []).append((begin, int(bottom)))
    return MergedCells({column: _ascending(pairs) for column, pairs in stretches.items()})


def _ascending(pairs: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    pairs = sorted(pairs)
    return [first for first, _ in pairs], list(accumulate((last for _, last in pairs), max))


def _column_index(letters: bytes) -> int:
    from openpyxl.utils import column_index_from_string

    return int(column_index_from_string(letters.decode())) - 1
