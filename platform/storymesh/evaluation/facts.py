"""The claims of answers about values and cases: whether facts carry them, and whether cited cases exist and belong."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from storymesh.evaluation.citations import MAX_ANSWER_READ, Citations, without_numbers

MAX_WRONG_CLAIMS = 20  # claims of one answer that are shown
_TOKEN = re.compile(r"[^\W_][\w.,:'’/&-]*[\w%]|[\w%]", re.UNICODE)
_NUMBER = re.compile(r"(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)(?P<percent>%?)")
_LIST_NUMBER = re.compile(r"^\s*\d{1,3}[.)]\s", re.MULTILINE)
PARTS_OF_A_MOMENT = ("year", "month", "day", "hour", "minute")


@dataclass(frozen=True)
class AnswerFacts:
    """The claims of one answer: those that were checked, and `faults` among them by kind; values of the record by path
    that it says or leaves out; cases that it cites, those that exist, were known by then, and belong to the record."""

    claims: int
    faults: Mapping[str, int]
    wrong: tuple[str, ...]
    said: tuple[str, ...]
    left_out: tuple[str, ...]
    cited: int
    exist: int
    known: int
    belong: int
    invented: tuple[str, ...]


def check_answer(
    text: str,
    record: Mapping[str, Any],
    citations: Citations,
    moments: Mapping[str, datetime],
    *,
    asked: str,
    labels: Mapping[str, str],
) -> AnswerFacts:
    """Return what an answer to the question `asked` of `record` says. What is true is what its facts, its context and
    its rates say, whether or not the model could look them up. `moments` are those of the cited cases with a record; a
    case that the facts quote, or that was shown by a number, exists too. `labels` are those of the actions."""
    read = text[:MAX_ANSWER_READ]
    facts = dict(flatten(record["facts"]))
    known = KnownValues(
        [without_numbers(_known_of(record, labels)), asked], (value for values in facts.values() for value in values)
    )
    claims = list(claims_in(without_numbers(read), known))
    unknown = [claim for claim in claims if not claim.holds]
    words = f" {_normalize(read)} "
    told = {path: any(f" {_normalize(str(value))} " in words for value in values) for path, values in facts.items()}
    quoted = {str(value) for path, values in facts.items() if path.endswith("quoted.id") for value in values}
    quoted |= citations.shown
    cited = citations.cases
    moment = record["at"]
    return AnswerFacts(
        claims=len(claims),
        faults=dict(Counter[str](claim.kind for claim in unknown)),
        wrong=tuple(f"{claim.kind}: {claim.words}"[:200] for claim in unknown[:MAX_WRONG_CLAIMS]),
        said=tuple(path for path, there in told.items() if there),
        left_out=tuple(path for path, there in told.items() if not there),
        cited=len(cited),
        exist=sum(case in moments or case in quoted for case in cited),
        known=sum(case in quoted or (case in moments and moments[case] < moment) for case in cited),
        belong=sum(case in quoted for case in cited),
        invented=tuple(case for case in cited if case not in moments and case not in quoted),
    )


def _known_of(record: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """Return the known facts of a case as one text: its context, and the rate of each action in every phrasing."""
    lines = [record["context"] or ""]
    for rate in record["rates"] or ():
        name, share = labels.get(rate["action"], rate["action"]), rate["rate"]
        counts = f"worked {rate['worked']:,} of {rate['tried']:,} times"
        lines.append(f"{name}: {counts} ({share:.0%}), about {share * 10:.0f} times in 10.")
    return "\n".join(line for line in lines if line)


def flatten(value: Any, path: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Yield each path below a value with the values that stand there; null and true or false are left out."""
    found: dict[str, list[Any]] = {}
    _gather(value, path, found)
    yield from found.items()


def _gather(value: Any, path: str, found: dict[str, list[Any]]) -> None:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            _gather(inner, f"{path}.{name}" if path else str(name), found)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for inner in value:
            _gather(inner, path, found)
    elif value is not None and not isinstance(value, bool):
        found.setdefault(path, []).append(value)


def value_counts(answers: Iterable[AnswerFacts]) -> dict[str, dict[str, int]]:
    """Return path -> how many answers say its value (`right`) and leave it out (`left_out`)."""
    counts: dict[str, dict[str, int]] = {}
    for answer in answers:
        for name, paths in (("right", answer.said), ("left_out", answer.left_out)):
            for path in paths:
                counts.setdefault(path, {"right": 0, "left_out": 0})[name] += 1
    return dict(sorted(counts.items()))


def _normalize(text: str) -> str:
    return " ".join(re.findall(r"[\w.%]+", text.lower().replace(",", "")))


@dataclass(frozen=True, slots=True)
class Claim:
    """A number, name or code of an answer, as it is written; `holds` if it is known.

    A number holds if some known number is it as precisely as it is said; a name (a word with a capital inside a
    sentence) or a code (letters with digits) if it stands in what is known. What a sentence says of them is not read.
    """

    kind: Literal["number", "name", "code"]
    words: str
    holds: bool


class KnownValues:
    """The numbers and words of what is known."""

    def __init__(self, texts: Iterable[str], values: Iterable[Any]) -> None:
        plain = list(texts)
        self._numbers: set[Decimal] = set()
        for value in values:
            if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
                self._add(Decimal(str(value)))
            elif isinstance(value, date):
                parts = PARTS_OF_A_MOMENT if isinstance(value, datetime) else PARTS_OF_A_MOMENT[:3]
                self._numbers |= {Decimal(getattr(value, part)) for part in parts}
            else:
                plain.append(str(value))
        self._words: set[str] = set()
        for text in plain:
            for match in _TOKEN.finditer(text):
                self._words |= {word.lower() for word in (match[0], *re.findall(r"[^\W_]+", match[0]))}
            for match in _NUMBER.finditer(text):
                self._add(Decimal(match["digits"].replace(",", "")))

    def _add(self, number: Decimal) -> None:
        if number.is_finite():
            self._numbers |= {abs(number), abs(number) * 100, abs(number) / 100}

    def has_number(self, said: str) -> bool:
        """Return True if a known number equals the one in the answer, to the answer's precision."""
        number = Decimal(said.replace(",", ""))
        half = Decimal(1).scaleb(min(int(number.as_tuple().exponent), 0)) / 2
        return any(abs(known - number) <= half for known in self._numbers)

    def has_word(self, word: str) -> bool:
        """Return True if a word is known, ignoring case."""
        return all(part.lower() in self._words for part in re.findall(r"[^\W_]+", word))


def claims_in(text: str, known: KnownValues) -> Iterator[Claim]:
    """Yield the claims of an answer, in order."""
    read = _LIST_NUMBER.sub(" ", text)
    for match in _TOKEN.finditer(read):
        word = match[0].removesuffix("'s").removesuffix("’s")
        has_letters = re.search(r"[^\W\d_]", word) is not None
        if re.search(r"\d", word) and has_letters:
            yield Claim("code", word, known.has_word(word))
        elif not has_letters:
            numbers = [found["digits"] for found in _NUMBER.finditer(word)]
            yield from (Claim("number", number, known.has_number(number)) for number in numbers)
        elif word[0].isupper() and re.search(r"[\w,;)]\s+$", read[: match.start()]):
            yield Claim("name", word, known.has_word(word))
