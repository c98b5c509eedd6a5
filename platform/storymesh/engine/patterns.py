"""Regular expressions that somebody else wrote: only those that an engine runs in linear time.

Python's `re` goes back over the text, so that a pattern of twenty characters can keep it busy for years.
"""

import re

from storymesh.engine.open import regex_fault

MAX_CHARACTERS = 4_000
HINT = "patterns are those of RE2, without look-around and back-references: github.com/google/re2/wiki/Syntax"

_ESCAPE = r"\\[dDsSwW.,:;/#@_=&%~<>!\"'|^$*+?()\[\]{}\\-]"
_PLAIN = re.compile(
    rf"""(?: (?: [^\\()\[\]{{}}*+?|^$.] | {_ESCAPE} | \[\^?(?:[^\\\[\]] | {_ESCAPE})+\] | \. )
             (?: [*+?]\?? | \{{[0-9]{{1,3}}(?:,[0-9]{{0,3}})?\}} )?
         | [\^$|] | \((?:\?:)? | \)[*+?]?
         )*""",
    re.VERBOSE,
)


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
    return None if _is_plain(pattern) else regex_fault(pattern)


def _is_plain(pattern: str) -> bool:
    """Return True if a pattern is of what every engine knows, so that none has to be loaded to ask it."""
    # Many counted repetitions grow past what RE2 has room for.
    if pattern.count("{") > 4 or not _PLAIN.fullmatch(pattern):
        return False
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        return False
    return True
