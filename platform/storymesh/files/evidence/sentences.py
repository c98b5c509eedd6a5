"""Where the sentences and paragraphs of a text begin and end."""

import re
from bisect import bisect_right
from dataclasses import dataclass

_SHORT = 50  # signs of a line that nobody has wrapped
_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*|\f")
_SENTENCE = re.compile(r"[.!?…][\"'”’)\]]*\s+(?=[\"'“‘(\[]*[^\W\d_a-zß-öø-ÿ])|[。！？]\s*")
_LINE = re.compile(r"\n(?!\n)")
_BEGINS_ANEW = re.compile(r"[ \t]*(?:[-*•–·] |\d{1,3}[.)]\s|[^\n]*\t|\w[\w ./#-]{0,30}:)")
_CAPITAL = re.compile(r"[^\W\d_a-zß-öø-ÿ]")
_ABBREVIATED = re.compile(
    r"\b(?:approx|ca|no|nr|mr|mrs|dr|st|vs|etc|e\.g|i\.e|z\.B|bzw|inkl|[A-Za-z])\.\s+$", re.IGNORECASE
)


@dataclass(frozen=True)
class TextSpans:
    """The places at which sentences and paragraphs begin, ascending, and the length of the text."""

    sentences: tuple[int, ...]
    paragraphs: tuple[int, ...]
    length: int

    def sentence(self, at: int) -> tuple[int, int]:
        """Return begin and end of the sentence at a place."""
        return self._around(self.sentences, at)

    def paragraph(self, at: int) -> tuple[int, int]:
        """Return begin and end of the paragraph at a place."""
        return self._around(self.paragraphs, at)

    def _around(self, begins: tuple[int, ...], at: int) -> tuple[int, int]:
        index = bisect_right(begins, at)
        return begins[index - 1], begins[index] if index < len(begins) else self.length


def text_spans(text: str) -> TextSpans:
    """Return the sentences and paragraphs of a text as it was read."""
    paragraphs = [0, *(match.end() for match in _PARAGRAPH.finditer(text))]
    sentences = set(paragraphs)
    for match in _SENTENCE.finditer(text):
        if not (match[0][0] == "." and _ABBREVIATED.search(text[max(0, match.start() - 10) : match.end()])):
            sentences.add(match.end())
    sentences.update(match.end() for match in _LINE.finditer(text) if _ends_at(text, match.start()))
    return TextSpans(tuple(sorted(sentences)), tuple(paragraphs), len(text))


def _ends_at(text: str, at: int) -> bool:
    """Return True if a line end is the end of a sentence: behind and before a row of a table, before a point of a list
    or a named field, and behind a short line where a capital follows."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    short = len(line) <= _SHORT and _CAPITAL.match(text, at + 1)
    return bool("\t" in line or short or _BEGINS_ANEW.match(text, at + 1))
