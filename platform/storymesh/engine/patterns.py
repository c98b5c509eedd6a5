"""Regular expressions that somebody else wrote: only those that an engine runs in linear time.

Python's `re` goes back over the text, so that a pattern of twenty characters can keep it busy for years.
"""

from storymesh.engine.open import regex_fault

MAX_CHARACTERS = 4_000
HINT = "patterns are those of RE2, without look-around and back-references: github.com/google/re2/wiki/Syntax"


def pattern_fault(pattern: object) -> str | None:
    """Return why a pattern is not run, as words about it; None: it runs in linear time on every engine."""
    if not isinstance(pattern, str):
        return "it is not a text"
    if len(pattern) > MAX_CHARACTERS:
        return f"it has {len(pattern):,} characters, at most {MAX_CHARACTERS:,} are wanted"
    try:
        pattern.encode()
    except UnicodeEncodeError:
        return "it holds half a character"
    return regex_fault(pattern)
