"""The tokens of a text: words, numbers, codes and marks, found by one regular expression in linear time."""

import re
from typing import NamedTuple


class Token(NamedTuple):
    """A word, number, code or mark; `low` is the word in lower case, straight apostrophes."""

    kind: str
    text: str
    low: str
    begin: int
    end: int


DASHES = frozenset("-–—‑")

TOKEN = re.compile(
    r"(?P<plain>(?!p-[0-9a-f]{12})[a-z]+(?![^\W_]|['’]))"
    r"|(?P<code>\bp-[0-9a-f]{12}\b|\b[A-Z][A-Z0-9]{0,15}(?:[-/_][A-Z0-9]{1,15}){0,6}?[-/_]\d[A-Z0-9]{0,15}(?:[-/_][A-Z0-9]{1,15}){0,6}\b)"
    r"|(?P<iso>\b\d{4}-\d{2}-\d{2}\b)"
    r"|(?P<slashed>\b\d{1,2}[/.]\d{1,2}[/.]\d{4}\b)"
    r"|(?P<clock>\b\d{1,2}:\d{2}(?::\d{2})?\b)"
    r"|(?P<number>\d{1,30}(?:,\d{3}){0,8}(?:\.\d{1,20})?)"
    r"|(?P<word>[^\W\d_]+(?:['’][^\W\d_]+){0,3})"
    r"|(?P<mark>[^\w\s]|\n)"
)


def tokens_of(text: str) -> list[Token]:
    """Return the words, numbers, codes and marks of `text`, in order."""
    tokens = []
    for match in TOKEN.finditer(text):
        text = match.group()
        kind = match.lastgroup or "mark"
        if kind == "plain":
            tokens.append(Token("word", text, text, *match.span()))
            continue
        low = text.lower().replace("’", "'") if kind == "word" else text
        if kind == "word" and low.endswith("'s"):
            low = low[:-2]
        tokens.append(Token(kind, text, low, match.start(), match.end()))
    return tokens


def low_at(tokens: list[Token], at: int) -> str:
    """Return the token in lower case, an empty text outside the tokens."""
    return tokens[at].low if 0 <= at < len(tokens) else ""
