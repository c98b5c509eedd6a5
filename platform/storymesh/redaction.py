"""Redaction of logs: passwords in addresses, the values of secret environment variables, and row values that a database
quotes."""

import os
import re

_PASSWORD = re.compile(r"(?<=://)([^\s/@:'\"]*):([^\s/'\"]+)@")
_TOKEN = re.compile(r"(?<=://)[^\s/@:'\"]{16,}(?=@)")  # a user of this length is a token
_QUERY = re.compile(
    r"(?<=[?&;])([\w.-]*(?:token|secret|passw(?:or)?d|api[_-]?key|signature|sig)=)(?!\$\{\w+\})[^&;\s'\"]+", re.I
)
_NAMES = re.compile(
    r"PASSW(OR)?D|PASSPHRASE|_(PASS|PWD|PAT|SAS|DSN)$|SECRET|TOKEN|API_?KEY|CREDENTIAL|CONNECTION_?STRING|CONN_?STR|"
    r"(ACCESS|ACCOUNT|STORAGE|PRIVATE|PSEUDONYM|NARRATOR|SIGNING|SHARED|MASTER|ENCRYPTION)_?KEY|WEBHOOK|COOKIE",
    re.I,
)
_PLACES = re.compile(r"_(FILE|PATH|DIR)$", re.I)  # of a secret; what to do about it has to name it
_MIN_LENGTH = 6  # characters: what is shorter is found in too many words
HIDDEN = "•••"

# Errors of PostgreSQL and MySQL about a value quote it after a colon, an equals sign or `value`; names do not.
_VALUES = (
    (re.compile(r"(?<=: )(?<!bindings: )\"[^\n]*\""), f'"{HIDDEN}"'),
    (re.compile(r"(?<=\bvalue )\"[^\n\"]*\"(?= is out of range)"), f'"{HIDDEN}"'),
    (re.compile(r"(?<=\)=)\([^\n]*?\)(?= (?:already exists|is |conflicts))"), f"({HIDDEN})"),
    (re.compile(r"(?<=Failing row contains )\([^\n]*\)"), f"({HIDDEN})"),
    (re.compile(r"(?i)((?:\bvalue|\bentry):? )'[^\n]*'(?= for (?:column|key|function) )"), rf"\1'{HIDDEN}'"),
    (re.compile(rf"(?i)((?:\bvalue|\bentry):? )'(?!{HIDDEN}')[^\n]*'"), rf"\1'{HIDDEN}'"),
    (re.compile(r"(?i)(\bout of range in )'[^\n]*'"), rf"\1'{HIDDEN}'"),
)


def is_secret_name(variable: str) -> bool:
    """Return True for the name of an environment variable whose value is a secret by its name."""
    return bool(_NAMES.search(variable)) and not _PLACES.search(variable)


def redact(text: str) -> str:
    """Return `text` without passwords in addresses and without the values of secret environment variables."""
    values = {os.environ[name] for name in filter(is_secret_name, os.environ) if len(os.environ[name]) >= _MIN_LENGTH}
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    text = _TOKEN.sub(HIDDEN, _PASSWORD.sub(rf"\1:{HIDDEN}@", text))
    return _QUERY.sub(rf"\1{HIDDEN}", text)


def hide_values(message: str) -> str:
    """Return a database's error without the row values that it quotes, which may be restricted."""
    for pattern, instead in _VALUES:
        message = pattern.sub(instead, message)
    return message
