"""Secrets taken out of what is logged: passwords in addresses, and the values of secret environment variables."""

import os
import re

_PASSWORD = re.compile(r"(?<=://)([^\s/@:'\"]*):([^\s/'\"]+)@")
_TOKEN = re.compile(r"(?<=://)[^\s/@:'\"]{16,}(?=@)")  # a user of this length is a token
_QUERY = re.compile(r"(?<=[?&;])([\w.-]*(?:token|secret|passw(?:or)?d|api[_-]?key|signature|sig)=)[^&;\s'\"]+", re.I)
_NAMES = re.compile(
    r"PASSW(OR)?D|PASSPHRASE|_(PASS|PWD|PAT|SAS|DSN)$|SECRET|TOKEN|API_?KEY|CREDENTIAL|CONNECTION_?STRING|CONN_?STR|"
    r"(ACCESS|ACCOUNT|STORAGE|PRIVATE|PSEUDONYM|NARRATOR|SIGNING|SHARED|MASTER|ENCRYPTION)_?KEY|WEBHOOK|COOKIE",
    re.I,
)
_PLACES = re.compile(r"_(FILE|PATH|DIR)$", re.I)  # of a secret; what to do about it has to name it
_LEAST = 6  # characters: what is shorter is found in too many words
HIDDEN = "•••"


def is_secret_name(variable: str) -> bool:
    """Return True for the name of an environment variable whose value is a secret by its name."""
    return bool(_NAMES.search(variable)) and not _PLACES.search(variable)


def redact(text: str) -> str:
    """Return `text` without passwords in addresses and without the values of secret environment variables."""
    values = {os.environ[name] for name in filter(is_secret_name, os.environ) if len(os.environ[name]) >= _LEAST}
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    text = _TOKEN.sub(HIDDEN, _PASSWORD.sub(rf"\1:{HIDDEN}@", text))
    return _QUERY.sub(rf"\1{HIDDEN}", text)
