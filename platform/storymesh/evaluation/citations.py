"""The cases that an answer cites: by their ids, or by the numbers that they have in what was shown, such as `[3]`.

Ids are found by their shape (`DLY-004579-1` is letters, digits, digits), so that an invented one is found as well.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_SHAPES = 20
MAX_CITED = 50  # of one answer
MAX_ANSWER_READ = 20_000  # characters of an answer that are read
_WORD = re.compile(r"[^\s,;()\[\]\"'“”]{3,100}")
# `[3]`, `[1, 4]` and `[2-5]`, as papers and models cite.
_NUMBERS = re.compile(r"\[\s*(\d{1,4}(?:\s*[,;–-]\s*\d{1,4}){0,20})\s*\]")
NUMBERED = r"\[\d{1,4}\]"
"""A text that shows numbers to cite by holds this, as a pattern of RE2."""


@dataclass(frozen=True)
class Citations:
    """The cases that an answer cites, each once: by its id, or by its number where no id is known. Those `shown` have a
    number in what the model was shown."""

    cases: tuple[str, ...] = ()
    shown: frozenset[str] = frozenset()


class CaseIds:
    """The shapes of the ids of cases, learned from some of them."""

    def __init__(self, examples: Iterable[str]) -> None:
        shapes = Counter(map(_shape, examples))
        self._shapes = frozenset(shape for shape, _ in shapes.most_common(MAX_SHAPES))

    def cited_in(self, text: str) -> list[str]:
        """Return what looks like the id of a case, each once, in the order of the text. One of nothing
        but digits or letters looks like any number or word, and counts after the word `case` alone."""
        found: dict[str, None] = {}
        for match in _WORD.finditer(text[:MAX_ANSWER_READ]):
            word = match[0].strip(".:!?*`")
            if _shape(word) not in self._shapes:
                continue
            if len(_shape(word)) == 1 and not text[: match.start()].lower().rstrip().endswith("case"):
                continue
            found[word] = None
            if len(found) == MAX_CITED:
                break
        return list(found)


def find_citations(text: str, ids: CaseIds, shown: str, facts: Mapping[str, Any], *, numbered: bool) -> Citations:
    """Return what an answer cites. `shown` is all that the model was shown: only there a number leads to a case.
    `facts` say which case has it. Numbers in brackets are citations only where the cases of the release are
    `numbered`: elsewhere they mean something else."""
    cited = dict.fromkeys(ids.cited_in(text))
    in_view = set()
    if numbered:
        known, ids_by_number = set(numbers_in(shown)), dict(_numbered_cases(facts))
        for number in numbers_in(text[:MAX_ANSWER_READ]):
            case = ids_by_number.get(number, number) if number in known else number
            cited[case] = None
            if number in known:
                in_view.add(case)
    return Citations(tuple(cited)[:MAX_CITED], frozenset(in_view))


def numbers_in(text: str) -> list[str]:
    """Return the numbers in brackets of a text, each once and in a pair of its own: `[2-4]` has three."""
    found: dict[str, None] = {}
    for match in _NUMBERS.finditer(text):
        for part in re.split(r"\s*[,;]\s*", match[1]):
            first, *rest = (int(number) for number in re.split(r"\s*[–-]\s*", part))
            last = rest[-1] if rest else first
            found |= {f"[{number}]": None for number in range(first, min(last, first + MAX_CITED) + 1)}
    return list(found)


def without_numbers(text: str) -> str:
    """Return a text without its citations by number, which are no numbers that it tells."""
    return _NUMBERS.sub(" ", text)


def _numbered_cases(value: Any) -> Iterator[tuple[str, str]]:
    """Yield number and id of each quoted case in facts."""
    if isinstance(value, Mapping):
        number, case = value.get("cited_as"), value.get("id")
        if isinstance(number, str) and isinstance(case, str):
            yield number, case
        for inner in value.values():
            yield from _numbered_cases(inner)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for inner in value:
            yield from _numbered_cases(inner)


def _shape(word: str) -> str:
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "0", word))
