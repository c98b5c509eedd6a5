"""What every kind of source shares: the raw file that a product names, and the format that reads it.

Values come as the file has them. The cast to the contract's types happens value by value when rows are staged, so that
one bad field quarantines one row instead of refusing the file.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from io import BufferedReader
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from storymesh.contract.definition import Contract, Property
from storymesh.engine.engine import Engine
from storymesh.errors import MAX_COMPARED, SourceUnreadable, suggest_name
from storymesh.input_file import InputFileRefused, open_input
from storymesh.product.sources.bounds import CHANGED, MAX_COLUMNS, ContentRefused, FileState, open_content
from storymesh.product.sources.options import SourceOptions

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

BATCH_ROWS = 50_000
UTF_8 = (None, "utf-8", "utf-8-sig")


@dataclass(frozen=True)
class SourceFile:
    """A raw file below `folder`, and the contract that its rows are for; None: all its columns are read, by its names.

    `label` is how an error calls it, `options` say how it is laid out. All that is read of it is of the state in which
    it was opened first, or SourceUnreadable is raised.
    """

    path: Path
    folder: Path
    label: str
    contract: Contract | None
    options: SourceOptions

    def unreadable(self, message: str, hint: str = "") -> SourceUnreadable:
        """Return an error about this file, which begins with its label."""
        return SourceUnreadable(f"{self.label}: {message}", hint)

    @property
    def properties(self) -> tuple[Property, ...]:
        """The properties of the contract; none where there is no contract."""
        return tuple(self.contract.properties.values()) if self.contract else ()

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open the content of the file: decompressed, and as UTF-8 where its encoding is said.

        Raises SourceUnreadable; reading raises ContentRefused.
        """
        encoding = self.options.encoding
        with self.open_file() as file:
            try:
                content = open_content(file, self.path, None if encoding in UTF_8 else encoding, self.options.member)
            except ContentRefused as error:
                raise self.refused(error) from None
            yield content

    @contextmanager
    def open_file(self) -> Iterator[BufferedReader]:
        """Open the file itself. Raises SourceUnreadable, also at the end where the file is another by then."""
        try:
            file = open_input(self.path, self.folder)
        except InputFileRefused as error:
            raise self.unreadable(f"the file {error.reason}", error.hint) from None
        with file:
            self._require_same(file)
            try:
                yield file
            except Exception:
                self._require_same(file)  # says more than what a reader finds in half a file
                raise
            self._require_same(file)

    def _require_same(self, file: BufferedReader) -> None:
        if FileState.of(file.fileno()) != self._state:
            raise self.unreadable(*CHANGED) from None

    @cached_property
    def _state(self) -> FileState:
        try:
            return FileState.settled(self.path)
        except OSError as error:
            raise self.unreadable(f"the file cannot be read: {error.strerror}") from None

    def refused(self, error: ContentRefused) -> SourceUnreadable:
        """Return the error about content that is not read."""
        return self.unreadable(f"the file {error}", error.hint)

    def choose_columns(self, names: Sequence[str]) -> list[str]:
        """Return `choose_columns` of the file's column `names`; without a contract, all of them that are a name.

        Raises SourceUnreadable, also for two columns of one name.
        """
        if self.contract is not None:
            return choose_columns(names, self.contract, self.unreadable)
        named = [name for name in names if name.strip()]
        if twice := next((name for name, count in Counter(named).items() if count > 1), None):
            raise self.unreadable(f"the column '{twice}' stands twice", "rename one of the two")
        if not named:
            raise self.unreadable("no column has a name", "its first line names the columns")
        return named


@dataclass(frozen=True)
class SourceFormat:
    """A kind of raw file. `open_rows` raises SourceUnreadable, and so may the reader that it returns.

    `record_lines` yields, in pieces, the line of the file on which each of its rows begins, counted from 1.
    """

    open_rows: "Callable[[SourceFile, Engine], pa.RecordBatchReader]"
    record_lines: "Callable[[SourceFile], Iterator[np.ndarray[Any, Any]]]"


def choose_columns(
    names: Sequence[str], contract: Contract, unreadable: Callable[[str, str], SourceUnreadable]
) -> list[str]:
    """Return the columns of a source that are the contract's properties, in the order of the contract.

    A property's column is called as its `physicalName`, or else as itself; a column of the same name comes before the
    one column whose name differs in case. Raises what `unreadable` makes of a message and a hint when a property has no
    column or more than one, or a column is that of two properties.
    """
    if len(names) > MAX_COLUMNS:
        raise unreadable(f"there are {len(names):,} columns, at most {MAX_COLUMNS:,} are read", "leave columns out")
    counts = Counter(names)
    repeated = {name for name, count in counts.items() if count > 1}
    spelt: dict[str, list[str]] = {}
    for column in names:
        spelt.setdefault(column.lower(), []).append(column)
    chosen: list[str] = []
    for name, item in contract.properties.items():
        called = item.column_names
        matches = [[each] * counts[each] for each in called] + [spelt.get(each.lower(), []) for each in called]
        candidates: list[str] = next(filter(None, matches), [])
        if not candidates:
            close = get_close_matches(called[0], names[:MAX_COMPARED], n=1)
            hint = f"there is '{close[0]}'" if close else suggest_name(name, names)
            words = f"there is no column {' or '.join(map(repr, called))}, which {contract.document.path} promises"
            raise unreadable(words, hint)
        if len(candidates) > 1 or candidates[0] in repeated:
            raise unreadable(f"the column '{candidates[0]}' stands twice", "rename one of the two")
        if candidates[0] in chosen:
            other = list(contract.properties)[chosen.index(candidates[0])]
            words = f"the column '{candidates[0]}' is that of the properties '{other}' and '{name}'"
            raise unreadable(words, "give one of them a physicalName of its own")
        chosen.append(candidates[0])
    return chosen


@dataclass(frozen=True)
class RowPlaces:
    """The files of a source in the order of its rows, each with what yields the lines of its rows, below `folder`.

    Files are read once more for it, and only as far as the last row that is asked for: rows that go on need no place.
    """

    files: "Sequence[tuple[SourceFile, Callable[[SourceFile], Iterator[np.ndarray[Any, Any]]]]]"
    folder: Path

    def find(self, rows: "np.ndarray[Any, Any]") -> "tuple[pa.Array, pa.Array]":
        """Return file and line of `rows`, numbers from 0 that ascend; null where a file cannot be read any more."""
        import numpy as np
        import pyarrow as pa

        places, lines = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
        found = start = 0
        for number, (source, record_lines) in enumerate(self.files):
            # What changed since is not worth an error: the row itself is kept.
            with suppress(SourceUnreadable, ContentRefused):
                for piece in record_lines(source):
                    if found == len(rows):
                        break
                    end = int(np.searchsorted(rows, start + len(piece)))
                    places[found:end] = number
                    lines[found:end] = piece[rows[found:end] - start]
                    found, start = end, start + len(piece)
        names = pa.array([source.path.relative_to(self.folder).as_posix() for source, _ in self.files], pa.string())
        known = np.arange(len(rows)) < found
        return names.take(pa.array(places, mask=~known)), pa.array(lines, mask=~known)
