"""The language of a text, among those whose words of denial are known: by its small words, which every sentence has."""

import re

from storymesh.lexicon.language import LANGUAGES, language_of

_WORD = re.compile(r"[^\W\d_]+")
_LOOKED_AT = 2_000  # words
_LEAST = 0.12  # of the words of a text are small ones of its language


def text_language(text: str) -> str | None:
    """Return the code of the language that a text is in, None where it is in none that is known, or in none at all."""
    words = [match[0].lower() for match, _ in zip(_WORD.finditer(text), range(_LOOKED_AT), strict=False)]
    if not words:
        return None
    counts = {code: sum(language_of(code).says_nothing(word) for word in words) for code in LANGUAGES}
    best = max(counts, key=lambda code: counts[code])
    others = max((count for code, count in counts.items() if code != best), default=0)
    return best if counts[best] >= _LEAST * len(words) and counts[best] > others else None
