"""The text of a file as it is put together, each stretch of it with the place where it stands."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from storymesh.files.reading.reading import Attachment, FileRefused, Passage

MAX_CHARACTERS = 20_000_000
MAX_PASSAGES = 1_000_000


@dataclass(frozen=True, slots=True)
class FileContent:
    """What a reader gives of some bytes: `FileReading` without what is known before."""

    text: str
    values: dict[str, Any]
    passages: Sequence[Passage] = ()
    attachments: Sequence[Attachment] = ()


@dataclass
class PassageWriter:
    """A text that grows passage by passage. Raises FileRefused where it grows beyond any bound."""

    passages: list[Passage] = field(default_factory=list)
    _pieces: list[str] = field(default_factory=list)
    _length: int = 0

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def add(self, text: str, **place: Any) -> Passage:
        """Append a text that stands at one place, which is given by the fields of Passage; return its passage."""
        begin = self._length
        self.separate(text)
        passage = Passage(begin, self._length, **place)
        self.passages.append(passage)
        if len(self.passages) > MAX_PASSAGES:
            raise FileRefused("too large when opened", f"it has more than {MAX_PASSAGES:,} passages")
        return passage

    def separate(self, text: str) -> None:
        """Append a text that stands nowhere in the file: what parts two passages."""
        self._pieces.append(text)
        self._length += len(text)
        if self._length > MAX_CHARACTERS:
            raise FileRefused("too large when opened", f"its text has more than {MAX_CHARACTERS:,} characters")

    def begin_block(self, separator: str = "\n\n") -> None:
        """Append a separator where there is some text before."""
        if self._length:
            self.separate(separator)


def place_of(passages: Sequence[Passage], begin: int, end: int) -> Passage | None:
    """Return where in a file a stretch of its text stands, None where no passage is touched.

    Its `begin` and `end` are counted from the passage that it begins in, such as a part of a mail. Of several passages
    of one page, box and seconds are those of all; of several pages the first counts.
    """
    touched = [passage for passage in passages if passage.begin < end and begin < passage.end]
    if not touched:
        return None
    first = touched[0]
    same = [passage for passage in touched if (passage.part, passage.page) == (first.part, first.page)]
    boxes = [passage.box for passage in same if passage.box]
    seconds = [passage.seconds for passage in touched if passage.seconds]
    lefts, tops, rights, bottoms = zip(*boxes, strict=True) if boxes else ((), (), (), ())
    return Passage(
        max(0, begin - first.begin),
        max(0, end - first.begin),
        first.part,
        first.page,
        (min(lefts), min(tops), max(rights), max(bottoms)) if boxes else None,
        (min(begins for begins, _ in seconds), max(ends for _, ends in seconds)) if seconds else None,
        first.cell,
        min((passage.confidence for passage in touched if passage.confidence is not None), default=None),
    )
