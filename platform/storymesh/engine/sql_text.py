"""Names and texts as SQL has them: in quotes, and whatever they hold is part of them. And SQL that varies by itself."""

import re

# The clock, chance, what counts on, and what a model or the database held before.
_VARYING = re.compile(
    r"\b(now|today|age|random|setseed|uuid|uuidv4|uuidv7|gen_random_uuid|nextval|currval|txid_current|statement"
    r"|get_current_time|get_current_timestamp|transaction_timestamp|current_localtime|current_localtimestamp)\s*\("
    r"|\b(current_date|current_time|current_timestamp|localtime|localtimestamp|tablesample|run_query|run_started_at"
    r"|invocation_id|modules)\b|\busing\s+sample\b|\{[{%][^}]*\bthis\b",
    re.IGNORECASE,
)


def quote_name(name: str, mark: str = '"') -> str:
    """Return a name as an identifier. `mark` is what stands around it: the standard's, or that of a server."""
    return mark + name.replace(mark, mark * 2) + mark


def quote_text(text: str) -> str:
    """Return a text as a literal, for whoever reads a backslash in it as one."""
    return quote_name(text, "'")


def varies(sql: str) -> bool:
    """Return True if the result may depend on more than the rows that are read."""
    return _VARYING.search(sql) is not None
