"""Variables of the environment in what people write: `${NAME}`, or `${NAME:-otherwise}`.

They are filled in when something is read or written, so that no file holds a secret and `check` needs none.
"""

import os
import re
from collections.abc import Callable

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def fill_variables(text: str, unset: Callable[[str], Exception]) -> str:
    """Return `text` with its variables filled in. Raises what `unset` makes of the name of one that is not set."""

    def value_of(match: re.Match[str]) -> str:
        name, otherwise = match.groups()
        value = os.environ.get(name) or otherwise
        if value is None:
            raise unset(name)
        return value

    return VARIABLE.sub(value_of, text)


def literal_part(text: str) -> str:
    """Return what stands in `text` itself: around its variables, and what they are where they are not set."""
    return VARIABLE.sub(lambda match: match[2] or "", text)


def variable_names(text: str) -> list[str]:
    """Return the names of the variables in `text`."""
    return [match[1] for match in VARIABLE.finditer(text)]


def unset_variables(text: str) -> list[str]:
    """Return the names of the variables in `text` that have neither a value nor another one for that case."""
    needed = (match[1] for match in VARIABLE.finditer(text) if match[2] is None)
    return [name for name in needed if not os.environ.get(name)]
