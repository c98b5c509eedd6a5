"""DuckDB's own words for errors, also as dbt hands them on."""

import re

from storymesh.redaction import HIDDEN

# Errors about a value quote it; those about a query quote names of columns and tables.
_OF_VALUES = re.compile(r"(?:Conversion|Invalid Input|Out of Range|Mismatch Type|Constraint) Error:.*", re.DOTALL)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


def without_values(message: str) -> str:
    """Return the message without the values that it quotes: they may be restricted."""
    return _OF_VALUES.sub(lambda match: _QUOTED.sub(f"'{HIDDEN}'", match[0]), message)
