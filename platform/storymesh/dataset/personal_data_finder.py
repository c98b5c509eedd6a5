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

from storymesh.dataset.plain_spelling import plain_text, without_accents
from storymesh.dataset.spelled_out import POSSIBLE, spelled_addresses, spelled_numbers

PersonalDataKind = Literal["e-mail", "phone", "iban", "card", "name"]
KINDS: tuple[PersonalDataKind, ...] = ("e-mail", "phone", "iban", "card", "name")
DETECTION_VERSION = "personal-4"  # changes whenever the finder would decide otherwise about the same text

Match = tuple[int, int, PersonalDataKind]  # begin, end, kind

# How people write the signs of an address for people only: in brackets, where nothing else is meant.
_AT_WORDS = "at|ät|arroba|chiocciola|klammeraffe"
_DOT_WORDS = "dot|punkt|punto|point|ponto"
# An address is looked for from its @ outwards, as far as one may reach (RFC 5321 §4.5.3.1): so the search is linear.
_AT = re.compile(
    rf"[ ]?@[ ]?|[ ]?[(\[{{<][ ]?(?:{_AT_WORDS}|@)[ ]?[)\]}}>][ ]?|&(?:#0*64|#x0*40|commat);|%40",
    re.IGNORECASE,
)
_LOCAL = re.compile(r"[\w.%+'-]{0,63}\w\Z")
_DOT = rf"(?:\.|[ ]?[(\[{{<][ ]?(?:{_DOT_WORDS}|\.)[ ]?[)\]}}>][ ]?|[ ]dot[ ]|[ ]\.[ ]|&(?:#0*46|#x0*2e|period);|%2e)"
_DOMAIN = re.compile(rf"(?:[\w-]{{1,63}}{_DOT}){{1,8}}(?:xn--[a-z0-9-]{{2,59}}|[^\W\d_]{{2,24}})", re.IGNORECASE)
_MAX_LOCAL_LENGTH = 64
_IBAN = re.compile(r"(?<!\w)[A-Za-z]{2}[ ]?\d{2}(?:[ ./_-]{0,2}[A-Za-z0-9]){11,30}(?!\w)")
_CARD = re.compile(r"(?<![\w.,+-])\d(?:[ ./_-]{0,2}\d){12,18}(?![\w-])")
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
    rf"@|&(?i:#0*64|#x0*40|commat);|%40|[({{\[<] ?(?i:{_AT_WORDS}) ?[)}}\]>]|"
    + POSSIBLE
    + r"|[+\x{FF0B}]|(?:^|[^\p{N}])00[1-9]"
    r"|\d(?:[ ./_-]{0,2}\d){12}|(?:^|[^\p{L}\p{N}_])[A-Za-z]{2} ?\d{2}(?:[ ./_-]{0,2}[A-Za-z0-9]){11}"
    # What has a plain spelling that is another: digits of other scripts, wide and mathematical letters, unseen signs.
    r"|[\x{0300}-\x{036F}\x{20D0}-\x{20FF}\x{FE00}-\x{FE0F}\x{115F}\x{1160}\x{2800}\x{3164}\x{FFA0}]"
    # A word of two scripts, of which one looks like the other.
    r"|[A-Za-z][\p{Cyrillic}\p{Greek}]|[\p{Cyrillic}\p{Greek}][A-Za-z]"
    r"|[^\x00-\x7F\P{Nd}]|[\x{FF01}-\x{FF5E}\x{1D400}-\x{1D7FF}\x{FE6B}\x{00A0}\x{2000}-\x{200A}\x{2010}-\x{2015}\x{202F}]|\p{Cf}"
)
_DIALLED = r"|\p{Nd}(?:[^\p{L}\p{Nd}]{0,4}\p{Nd}){5}"
_MAX_NAME_LENGTH = 8  # words


def folded_word(word: str) -> str:
    """Return a word of a name as it is compared: in small letters, without accents."""
    return without_accents(word).lower()


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
            words = _WORD.findall(plain_text(unicodedata.normalize("NFC", value)).text)
            if len(words) == 1 and len(words[0]) >= 4 and words[0][0].isupper():
                single |= {words[0], words[0].upper()}
            elif 1 < len(words) <= _MAX_NAME_LENGTH and sum(map(str.isalpha, value)) >= 3:
                plain = tuple(map(folded_word, words))
                # The family name may stand first, with a comma or without; a code with digits has one order.
                turns = range(len(plain)) if value.replace(" ", "").isalpha() or "," in value else range(1)
                folded |= {plain[turn:] + plain[:turn] for turn in turns}
        return cls(frozenset(folded), frozenset(single))

    @cached_property
    def lengths(self) -> list[int]:
        """The lengths of the names in words, longest first."""
        return sorted({*map(len, self.folded), *([1] if self.single else [])}, reverse=True)

    @cached_property
    def first_words(self) -> frozenset[str]:
        """The words that a name can begin with, in small letters and without accents."""
        return frozenset({*(words[0] for words in self.folded), *map(folded_word, self.single)})

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
        plain = plain_text(text)
        taken = bytearray(len(plain.text))  # which signs stand in a match already
        for begin, end, kind in self._candidates(plain.text):
            if not any(taken[begin:end]):
                taken[begin:end] = b"\1" * (end - begin)
                matches.append((*plain.original(begin, end), kind))
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
        for begin, end in (*email_addresses(text), *spelled_addresses(text)):
            yield begin, end, "e-mail"
        yield from _ibans(text)
        yield from _cards(text)
        yield from _phones(text, self.regions)
        for begin, end in spelled_numbers(text):
            yield begin, end, "phone"
        yield from self._known_names(text)

    def _known_names(self, text: str) -> Iterator[Match]:
        if not self.names:
            return
        words = list(_WORD.finditer(text))
        folded = [folded_word(word[0]) for word in words]
        begins = [place for place, word in enumerate(folded) if word in self.names.first_words]
        for length in self.names.lengths:
            for start in begins:
                run = words[start : start + length]
                known = (
                    run[0][0] in self.names.single
                    if length == 1
                    else tuple(folded[start : start + length]) in self.names.folded
                )
                if known:
                    yield run[0].start(), run[-1].end(), "name"


def email_addresses(text: str) -> Iterator[tuple[int, int]]:
    """Yield where e-mail addresses begin and end in a plain text."""
    last = 0
    for at in _AT.finditer(text):
        if at.start() <= last or not (text[at.start() - 1].isalnum() or text[at.start() - 1] == "_"):
            continue
        before = max(last, at.start() - _MAX_LOCAL_LENGTH)
        if (domain := _DOMAIN.match(text, at.end())) and (local := _LOCAL.search(text[before : at.start()])):
            last = domain.end()
            yield before + local.start(), last


def _ibans(text: str) -> Iterator[Match]:
    from stdnum import iban

    for match in _IBAN.finditer(text):
        # Words that follow look like more of it: take the longest part that ends with a group and is an IBAN.
        gaps = [gap.start() for gap in re.finditer(r"[ ./_-]", match[0])]
        for end in (match.start() + gap for gap in (len(match[0]), *reversed(gaps))):
            if iban.is_valid(re.sub(r"\W|_", "", text[match.start() : end])):
                yield match.start(), end, "iban"
                break


def _cards(text: str) -> Iterator[Match]:
    from stdnum import luhn

    for match in _CARD.finditer(text):
        groups = re.findall(r"\d+", match[0])
        digits = "".join(groups)
        # People write groups of one length or of three to six digits; a point in another place is that of a decimal.
        if len(set(map(len, groups))) > 1 and not all(3 <= len(group) <= 6 for group in groups):
            continue
        if _NETWORK.fullmatch(digits) and luhn.is_valid(digits):
            yield match.start(), match.end(), "card"


def _phones(text: str, regions: Sequence[str]) -> Iterator[Match]:
    from phonenumbers import Leniency, PhoneNumberMatcher

    # `00` before a country code means `+`; with a space before it, it is as long.
    dialled = _INTERNATIONAL.sub(" +", text)
    for region in (*([None] if re.search("[+\uff0b]", dialled) else []), *regions):
        # Without a country code many dates and amounts are valid numbers: there the grouping must be that of a number.
        leniency = Leniency.VALID if region is None else Leniency.EXACT_GROUPING
        for match in PhoneNumberMatcher(dialled, region, leniency=leniency, max_tries=max(65_535, len(text))):
            begin = match.start - (dialled[match.start] == "+" and text[match.start] == "0")
            raw = text[begin : match.end]
            begin += raw.startswith("(") and raw.count("(") > raw.count(")")
            plain_digits = text[begin : match.end].isdigit() and text[begin] != "0"
            if region is not None and plain_digits:
                continue  # more often a key than a phone number
            yield begin, match.end, "phone"
