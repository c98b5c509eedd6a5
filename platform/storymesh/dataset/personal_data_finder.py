"""Personal data in texts: e-mail addresses, phone numbers, IBANs, payment cards and known names.

Phone numbers must be valid by the numbering plan of their country (phonenumbers), IBANs and cards by their check digits
(python-stdnum). Names are those that a caller knows, such as the values of restricted properties.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

PersonalDataKind = Literal["e-mail", "phone", "iban", "card", "name"]
KINDS: tuple[PersonalDataKind, ...] = ("e-mail", "phone", "iban", "card", "name")
DETECTION_VERSION = "personal-1"  # changes whenever the finder would decide otherwise about the same text

Match = tuple[int, int, PersonalDataKind]  # begin, end, kind

EMAIL_ADDRESS = re.compile(
    r"[\w.%+'-]*\w(?:\s?(?:\(at\)|\[at\]|\{at\})\s?|@)(?:[\w-]+(?:\.|\s?(?:\(dot\)|\[dot\])\s?))+[^\W\d_]{2,24}",
    re.IGNORECASE,
)
_IBAN = re.compile(r"(?<!\w)[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}(?!\w)")
_CARD = re.compile(r"(?<![\w.,+-])\d(?:[ -]?\d){12,18}(?![\w-])")
# The first digits and the lengths of the networks' numbers: Visa, Mastercard, American Express, Discover, JCB, Diners.
_NETWORK = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|3[47]\d{13}"
    r"|(?:6011|65\d\d|64[4-9]\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|3(?:0[0-5]|[68]\d)\d{11}"
)
_INTERNATIONAL = re.compile(r"(?<![\w+])00(?=[1-9]\d)")
_WORD = re.compile(r"[^\W_]+")
# What the engine preselects texts by: everything that the libraries could recognise, and much that they do not. The
# pattern for numbers without a country code matches most dates and amounts; it is used only if a narrative asks for it.
_POSSIBLE = (
    r"@|[({\[](?i:at)[)}\]]|[+\x{FF0B}]|(?:^|[^\p{N}])00[1-9]|\d(?:[ -]?\d){12}"
    r"|(?:^|[^\p{L}\p{N}_])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11}"
)
_DIALLED = r"|\p{Nd}(?:[^\p{L}\p{Nd}]{0,4}\p{Nd}){5}"
_LONGEST_NAME = 8  # words


@dataclass(frozen=True)
class PersonNames:
    """Names to look for: in lower case word by word, and names of one word as written, since `Ann` is not `ann`."""

    folded: frozenset[tuple[str, ...]] = frozenset()
    single: frozenset[str] = frozenset()

    @classmethod
    def from_values(cls, values: Iterable[str]) -> "PersonNames":
        """Keep the values that can be told from other words: several words, or one capitalised word of at least four
        letters. A value without letters is no name."""
        folded: set[tuple[str, ...]] = set()
        single: set[str] = set()
        for value in values:
            words = _WORD.findall(unicodedata.normalize("NFC", value))
            if len(words) == 1 and len(words[0]) >= 4 and words[0][0].isupper():
                single |= {words[0], words[0].upper()}
            elif 1 < len(words) <= _LONGEST_NAME and sum(map(str.isalpha, value)) >= 3:
                folded.add(tuple(word.lower() for word in words))
        return cls(frozenset(folded), frozenset(single))

    @cached_property
    def lengths(self) -> list[int]:
        """The lengths of the names in words, longest first."""
        return sorted({*map(len, self.folded), *([1] if self.single else [])}, reverse=True)

    def __bool__(self) -> bool:
        return bool(self.folded or self.single)


@dataclass(frozen=True)
class PersonalDataFinder:
    """Finds personal data in texts. `regions` (ISO 3166) are the countries whose phone numbers may lack their code."""

    names: PersonNames = PersonNames()
    regions: tuple[str, ...] = ()

    @property
    def preselection(self) -> str:
        """The pattern (RE2) of every text that may hold personal data other than a name."""
        return _POSSIBLE + (_DIALLED if self.regions else "")

    def find(self, text: str) -> list[Match]:
        """Return the personal data in a text, which is in Unicode's form C: in order, without overlaps."""
        matches: list[Match] = []
        for begin, end, kind in self._candidates(text):
            if all(end <= other[0] or other[1] <= begin for other in matches):
                matches.append((begin, end, kind))
        return sorted(matches)

    def replace(self, text: str, substitutes: Mapping[PersonalDataKind, str]) -> tuple[str, list[PersonalDataKind]]:
        """Return the text with substitutes for its personal data, and the kinds found. Without any, it is unchanged."""
        composed = unicodedata.normalize("NFC", text)
        parts: list[str] = []
        kinds: list[PersonalDataKind] = []
        last = 0
        for begin, end, kind in self.find(composed):
            parts += [composed[last:begin], substitutes[kind]]
            kinds.append(kind)
            last = end
        return ("".join([*parts, composed[last:]]), kinds) if kinds else (text, [])

    def _candidates(self, text: str) -> Iterator[Match]:
        for match in EMAIL_ADDRESS.finditer(text):
            yield match.start(), match.end(), "e-mail"
        yield from _ibans(text)
        yield from _cards(text)
        yield from _phones(text, self.regions)
        yield from self._known_names(text)

    def _known_names(self, text: str) -> Iterator[Match]:
        if not self.names:
            return
        words = list(_WORD.finditer(text))
        for length in self.names.lengths:
            for start in range(len(words) - length + 1):
                run = words[start : start + length]
                known = (
                    run[0][0] in self.names.single
                    if length == 1
                    else tuple(word[0].lower() for word in run) in self.names.folded
                )
                if known:
                    yield run[0].start(), run[-1].end(), "name"


def _ibans(text: str) -> Iterator[Match]:
    from stdnum import iban

    for match in _IBAN.finditer(text):
        # Words that follow look like more of it: take the longest part that ends with a group and is an IBAN.
        gaps = [gap.start() for gap in re.finditer(r"[ -]", match[0])]
        for end in (match.start() + gap for gap in (len(match[0]), *reversed(gaps))):
            if iban.is_valid(text[match.start() : end]):
                yield match.start(), end, "iban"
                break


def _cards(text: str) -> Iterator[Match]:
    from stdnum import luhn

    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        if _NETWORK.fullmatch(digits) and luhn.is_valid(digits):
            yield match.start(), match.end(), "card"


def _phones(text: str, regions: Sequence[str]) -> Iterator[Match]:
    from phonenumbers import Leniency, PhoneNumberMatcher

    # `00` before a country code means `+`; with a space before it, it is as long.
    dialled = _INTERNATIONAL.sub(" +", text)
    for region in (*([None] if re.search("[+\uff0b]", dialled) else []), *regions):
        # Without a country code many dates and amounts are valid numbers: there the grouping must be that of a number.
        leniency = Leniency.VALID if region is None else Leniency.EXACT_GROUPING
        for match in PhoneNumberMatcher(dialled, region, leniency=leniency):
            begin = match.start - (dialled[match.start] == "+" and text[match.start] == "0")
            raw = text[begin : match.end]
            begin += raw.startswith("(") and raw.count("(") > raw.count(")")
            plain_digits = text[begin : match.end].isdigit() and text[begin] != "0"
            if region is not None and plain_digits:
                continue  # more often a key than a phone number
            yield begin, match.end, "phone"
