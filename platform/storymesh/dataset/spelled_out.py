"""Numbers and e-mail addresses spelled out in words, as in dictation: `zero six, twelve, thirty four`,
`ann dot example at mail dot com`.

A net for accidents: prose has number words too, so that only a run counts which nobody writes that means an amount.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

_UNITS = (
    "zero oh null zéro cero nul",
    "one eins un une uno um een één",
    "two zwei zwo deux dos due dois twee",
    "three drei trois tres tre três drie",
    "four vier quatre cuatro quattro quatro",
    "five fünf cinq cinco cinque vijf",
    "six sechs seis sei zes",
    "seven sieben sept siete sette sete zeven",
    "eight acht huit ocho otto oito",
    "nine neun neuf nueve nove negen",
)
_TEENS = (
    "ten zehn dix diez dieci dez tien",
    "eleven elf onze once undici",
    "twelve zwölf douze doce dodici doze twaalf",
    "thirteen dreizehn treize trece tredici treze dertien",
    "fourteen vierzehn quatorze catorce quattordici catorze veertien",
    "fifteen fünfzehn quinze quince quindici vijftien",
    "sixteen sechzehn seize dieciséis sedici zestien",
    "seventeen siebzehn diecisiete diciassette zeventien",
    "eighteen achtzehn dieciocho diciotto achttien",
    "nineteen neunzehn diecinueve diciannove negentien",
)
_TENS = (
    "twenty zwanzig vingt veinte venti vinte twintig",
    "thirty dreißig trente treinta trenta trinta dertig",
    "forty fourty vierzig quarante cuarenta quaranta quarenta veertig",
    "fifty fünfzig cinquante cincuenta cinquanta cinquenta vijftig",
    "sixty sechzig soixante sesenta sessanta sessenta zestig",
    "seventy siebzig septante setenta settanta zeventig",
    "eighty achtzig huitante octante ochenta ottanta oitenta tachtig",
    "ninety neunzig nonante noventa novanta negentig",
)
_VALUES = {
    word: value
    for words, value in (
        *zip(_UNITS, range(10), strict=True),
        *zip(_TEENS, range(10, 20), strict=True),
        *zip(_TENS, range(20, 100, 10), strict=True),
    )
    for word in words.split()
}
_TIMES = {"double": 2, "triple": 3, "doble": 2, "doppel": 2}
_WORDS = "|".join(sorted((*_VALUES, *_TIMES), key=len, reverse=True))
_GAP = "[ ,.;/-]{1,3}"
_WORD = re.compile(rf"\b(?:{_WORDS})\b", re.IGNORECASE)
_RUN = re.compile(rf"(?:\bplus[ ]{{1,2}})?\b(?:{_WORDS})\b(?:{_GAP}(?:{_WORDS})\b){{3,40}}", re.IGNORECASE)
_MIN_DIGITS = 7  # of a phone number
_MAX_DIGITS = 32

_AT_WORDS = "at|ät|arroba|chiocciola|klammeraffe"
_DOT_WORDS = "dot|punkt|punto|ponto"
_TOP = (
    "com|org|net|edu|gov|info|biz|io|ai|app|dev|me|co|eu|uk|us|ca|au|nz|in|jp|cn|kr|br|mx|ar|cl|za|ng|de|at|ch|fr|be|nl"
    "|es|it|pt|pl|cz|ro|gr|tr|ru|ua|se|no|dk|fi|ie"
)
_SPELLED_AT = re.compile(
    rf"[ ](?:{_AT_WORDS})[ ](?!(?:the|this|that|a)[ ])(?:[\w-]{{1,63}}[ ](?:{_DOT_WORDS})[ ]){{1,4}}(?:{_TOP})\b",
    re.IGNORECASE,
)
_SPELLED_LOCAL = re.compile(
    rf"(?:[\w.+-]{{1,40}}[ ](?:{_DOT_WORDS}|underscore|dash|minus)[ ]){{0,4}}[\w.+-]{{0,63}}\w\Z", re.IGNORECASE
)
# Behind a plain `at`, a name with a dot in it is one of a mailbox: `we met at example.com` is prose.
_PLAIN_AT = re.compile(r"[ ]at[ ](?:[\w-]{1,63}\.){1,4}[A-Za-z]{2,24}\b", re.IGNORECASE)
_PLAIN_LOCAL = re.compile(r"[\w+-]{1,40}(?:[._][\w+-]{1,40}){1,4}\Z")
_MAX_LOCAL_LENGTH = 256

# No classes of Unicode are counted in it: with one, RE2 took ninety times as long.
POSSIBLE = rf"(?i:(?:{_WORDS})(?:{_GAP}(?:{_WORDS})){{3}}| (?:{_AT_WORDS}) \S+(?: (?:{_DOT_WORDS}) |\.))"
"""The pattern (RE2) of every text in which something spelled out may be found."""


def spelled_numbers(text: str) -> Iterator[tuple[int, int]]:
    """Yield where numbers of at least seven digits begin and end that are spelled out in a plain text."""
    for run in _RUN.finditer(text):
        words = [word.lower() for word in _WORD.findall(run[0])]
        digits, single = _digits(words)
        begins_as_number = run[0][:4].lower() == "plus" or _VALUES.get(words[0]) == 0
        if not _MIN_DIGITS <= digits <= _MAX_DIGITS or _counts(words):
            continue
        if begins_as_number or single >= _MIN_DIGITS:
            yield run.start(), run.end()


def spelled_addresses(text: str) -> Iterator[tuple[int, int]]:
    """Yield where e-mail addresses begin and end in a plain text whose @ is a word."""
    for at, local in ((_SPELLED_AT, _SPELLED_LOCAL), (_PLAIN_AT, _PLAIN_LOCAL)):
        for match in at.finditer(text):
            before = max(0, match.start() - _MAX_LOCAL_LENGTH)
            if found := local.search(text[before : match.start()]):
                yield before + found.start(), match.end()


def _digits(words: list[str]) -> tuple[int, int]:
    """Return how many digits words stand for, and how many of them are given one by one."""
    digits = single = 0
    times, tens = 1, False
    for word in words:
        if word in _TIMES:
            times = _TIMES[word]
            continue
        value = _VALUES[word]
        if value < 10 and not (tens and value):
            digits, single = digits + times, single + times
        elif value >= 10:
            digits += 2 * times
        times, tens = 1, value >= 20
    return digits, single


def _counts(words: list[str]) -> bool:
    """Return True for words that count up or down."""
    values = [_VALUES[word] for word in words if word in _VALUES]
    steps = {after - before for before, after in pairwise(values)}
    return steps in ({1}, {-1})
