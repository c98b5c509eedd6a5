"""Secrets taken out of what is logged: passwords in addresses, and the values of secret environment variables."""

import os
import re

_PASSWORD = re.compile(r"(?<=://)([^\s/@:'\"]*):([^\s/'\"]+)@")
_NAMES = re.compile(
    r"PASSW(OR)?D|SECRET|TOKEN$|API_?KEY|ACCESS_KEY|PRIVATE_KEY|PSEUDONYM_KEY|CREDENTIAL|WEBHOOK|_DSN$",
    re.I,
)
_LEAST = 6  # characters: what is shorter is found in too many words
HIDDEN = "•••"


def redact(text: str) -> str:
    """Return `text` without passwords in addresses and without the values of secret environment variables."""
    values = {value for name, value in os.environ.items() if _NAMES.search(name) and len(value) >= _LEAST}
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return _PASSWORD.sub(rf"\1:{HIDDEN}@", text)
