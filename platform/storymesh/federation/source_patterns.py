"""Patterns of RE2 as the regular expressions of PostgreSQL, where both find the same in every text."""

import re
from functools import lru_cache

_TOKEN = re.compile(
    r"""(?P<escape>\\[dDsSwW]) | (?P<literal>\\[^A-Za-z0-9]) | (?P<any>\.)
      | (?P<set>\[\^?(?:[^\\\[\]]|\\[dsw]|\\[^A-Za-z0-9])+\])
      | (?P<repeat>\{(?P<least>[0-9]{1,3})(?:,(?P<most>[0-9]{0,3}))?\}\??)
      | (?P<group>\((?:\?:|(?!\?))|\)) | (?P<other>[\^$|*+?]|[^\\()\[\]{}*+?|^$.])""",
    re.VERBOSE | re.DOTALL,
)
_INSIDE = {"d": "0-9", "s": " \\t\\n\\f\\r", "w": "A-Za-z0-9_"}  # of RE2, which knows no other digits and letters
_MOST_REPEATS = 255


@lru_cache(maxsize=1_000)
def pattern_for_server(pattern: str) -> str | None:
    """Return a pattern as PostgreSQL has it; None where it might find something else there."""
    found, position = [], 0
    while position < len(pattern):
        match = _TOKEN.match(pattern, position)
        if match is None:
            return None
        text = match.group()
        if match["escape"]:
            inside = _INSIDE[text[1].lower()]
            text = f"[^{inside}]" if text[1].isupper() else f"[{inside}]"
        elif match["any"]:
            text = "[^\\n]"
        elif match["set"]:
            text = re.sub(r"\\[dsw]", _inside, text)
        elif match["repeat"] and max(int(match["least"]), int(match["most"] or 0)) > _MOST_REPEATS:
            return None
        found.append(text)
        position = match.end()
    return "".join(found)


def _inside(escape: re.Match[str]) -> str:
    """Return what stands for an escape inside of a set."""
    return _INSIDE[escape.group()[1]]
