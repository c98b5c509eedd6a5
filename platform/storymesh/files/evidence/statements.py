"""The mood of a sentence: it asserts something, negates it, asks it, or only supposes it."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from storymesh.files.evidence.row_mentions import WORD, Span
from storymesh.lexicon.language import Language

_ENDS_DENIAL = re.compile(r"[;:!?]|\.(?=\s|$)")

_QUESTION = re.compile(r"\?[\"')\s]*$")
_LIST_WORDS = 3  # after a comma as many words at most go on with a list of what is denied
_SHORT = 50  # signs of a line that nobody has wrapped
_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*|\f")
_SENTENCE = re.compile(r"[.!?…][\"'”’)\]]*\s+(?=[\"'“‘(\[]*[^\W\d_a-zß-öø-ÿ])|[。！？]\s*")
_LINE = re.compile(r"\n(?!\n)")
_BEGINS_ANEW = re.compile(r"[ \t]*(?:[-*•–·] |\d{1,3}[.)]\s|[^\n]*\t|\w[\w ./#-]{0,30}:)")
_CAPITAL = re.compile(r"[^\W\d_a-zß-öø-ÿ]")
_ABBREVIATED = re.compile(
    r"\b(?:approx|ca|no|nr|mr|mrs|dr|st|vs|etc|e\.g|i\.e|z\.B|bzw|inkl|[A-Za-z])\.\s+$", re.IGNORECASE
)


class Statements:
    """The statements of one folded text, in a language whose words that deny and suppose are known."""

    def __init__(self, text: str, language: Language, sentence: Callable[[int], Span]) -> None:
        self._text, self._language, self._sentence = text, language, sentence
        self._denials: dict[str, bool] = {}
        phrases = "|".join(sorted(map(re.escape, language.words("instead")), key=len, reverse=True))
        article = rf"(?:{'|'.join(sorted(language.words('determiners')))}) "
        self._instead = re.compile(rf"\b(?:{phrases}) (?:{article})?\S{{0,3}} ?$", re.IGNORECASE)

    def fault(self, place: Span, *, behind: bool, supposed: bool = True) -> str | None:
        """Return why a place is not asserted, None if it is. `behind`: later words may negate it too; without
        `supposed`, a condition that names it counts as asserting it."""
        if self._is_denied(place, behind=behind):
            return "the file denies it"
        if not supposed:
            return None
        begin, end = self._sentence(place[0])
        if not self.asks(place) and self._is_supposed(place, begin, end):
            return "the file only supposes it"
        return None

    def asks(self, place: Span) -> bool:
        """Return True for a place in a question: it may be an offer, and an assertion elsewhere counts for more."""
        return bool(_QUESTION.search(self._text, place[1], self._sentence(place[0])[1]))

    def _is_supposed(self, place: Span, begin: int, end: int) -> bool:
        """Return True for a place in a conditional clause or in the clause that depends on it."""
        before, after = self._text[begin : place[0]], self._text[place[1] : end]
        supposing = self._language.words("supposes")
        if not any(word.casefold() in supposing for word in WORD.findall(self._text, begin, end)):
            return False
        begins = [match.end() for match in _ENDS_DENIAL.finditer(before)]
        lists = self._language.words("lists")
        begins += [
            word.end()
            for word in WORD.finditer(before)
            if self._language.joins(word[0]) and word[0].casefold() not in lists
        ]
        behind = re.split(r"[,;:(!?]|\.(?=\s|$)", after, maxsplit=1)[0]
        joined = next((word.start() for word in WORD.finditer(behind) if self._language.joins(word[0])), len(behind))
        stretch = f"{before[max(begins, default=0) :]} {behind[:joined]}"
        return any(word.casefold() in supposing for word in WORD.findall(stretch))

    def _is_denied(self, place: Span, *, behind: bool) -> bool:
        """Return True if a word negates a place; `behind`: a later word may do so too."""
        begin, end = self._sentence(place[0])
        before, after = self._text[begin : place[0]], self._text[place[1] : end]
        if self._instead.search(before) or any(self._reaches(before[word.end() :]) for word in self._denying(before)):
            return True
        if not behind:
            return False
        cut = _ENDS_DENIAL.search(after)
        reach = after[: cut.start()] if cut else after
        reach = re.split(r",", reach, maxsplit=1)[0]
        language = self._language
        words = list(WORD.finditer(reach))
        joined = next((word.start() for word in words if language.joins(word[0])), len(reach))
        return any(word.start() < joined for word in self._denying(reach))

    def _denying(self, text: str) -> Iterator[re.Match[str]]:
        language = self._language
        for word in WORD.finditer(text):
            key, rest = word[0].casefold(), text[word.end() :]
            if key not in self._denials:
                self._denials[key] = language.weight(key) == "negations"
            numbered = key in language.words("numbered") and re.match(r"\.? ?\d", rest)
            if self._denials[key] and not numbered:
                following = WORD.match(rest.removeprefix(" "))
                if following is None or following[0] not in language.words("only"):
                    yield word

    def _reaches(self, between: str) -> bool:
        """Return True if a negation reaches over some words: not into another statement, but along a list."""
        if _ENDS_DENIAL.search(between):
            return False
        language = self._language
        *_, last = re.split(r",", between)
        if "," in between and len(WORD.findall(last)) > _LIST_WORDS:
            return False
        joining = (word for word in WORD.findall(between) if language.joins(word))
        return all(word.casefold() in language.words("lists") for word in joining)


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
    """Return True if a line end is the end of a sentence: after and before a row of a table, before a point of a list
    or a named field, and after a short line where a capital follows."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    short = len(line) <= _SHORT and _CAPITAL.match(text, at + 1)
    return bool("\t" in line or short or _BEGINS_ANEW.match(text, at + 1))
