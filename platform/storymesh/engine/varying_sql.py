"""SQL, or a template of it, that may give something else for the same rows."""

import re

# The clock, chance, what counts on, and what a model or the database held before.
_VARYING = re.compile(
    r"\b(now|today|age|random|setseed|uuid|uuidv4|uuidv7|gen_random_uuid|nextval|currval|txid_current|statement"
    r"|get_current_time|get_current_timestamp|transaction_timestamp|current_localtime|current_localtimestamp)\s*\("
    r"|\b(current_date|current_time|current_timestamp|localtime|localtimestamp|tablesample|run_query|run_started_at"
    r"|invocation_id|modules)\b|\busing\s+sample\b|\{[{%][^}]*\bthis\b",
    re.IGNORECASE,
)


def varies(sql: str) -> bool:
    """Return True if the result may hang on more than the rows that are read."""
    return _VARYING.search(sql) is not None
