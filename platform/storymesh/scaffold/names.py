"""Names of the mesh from what people call their files and columns."""

import re
import unicodedata
from collections.abc import Iterable

_SPLIT = re.compile(r"[^a-z0-9]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_MAX_LENGTH = 60
_LETTERS = str.maketrans({"ß": "ss", "æ": "ae", "ø": "o", "đ": "d", "ł": "l", "ı": "i", "œ": "oe", "þ": "th"})


def plain_name(text: str, otherwise: str) -> str:
    """Return `text` in small letters, digits and `_`, a letter first; `otherwise` where nothing is left of it."""
    apart = _HUMP.sub("_", text)
    plain = unicodedata.normalize("NFKD", apart.lower().translate(_LETTERS))
    name = _SPLIT.sub("_", "".join(letter for letter in plain if not unicodedata.combining(letter)))
    name = name.strip("_")[:_MAX_LENGTH].strip("_")
    if not name:
        return otherwise
    return name if name[0].isalpha() else f"{otherwise}_{name}"


def plain_names(texts: Iterable[str]) -> list[str]:
    """Return a plain name for each text, of which no two are alike."""
    names: list[str] = []
    for number, text in enumerate(texts, 1):
        name = first = plain_name(text, f"column_{number}")
        count = 2
        while name in names:
            name, count = f"{first}_{count}", count + 1
        names.append(name)
    return names


def title_of(name: str) -> str:
    """Return a name as a title: `late_orders` is `Late orders`."""
    words = name.replace("_", " ").replace("-", " ").strip()
    return words[:1].upper() + words[1:]


def singular_of(name: str) -> str:
    """Return a plural name in the singular, as far as its last letters say: `policies` is `policy`."""
    if name.endswith("ies") and len(name) > 4:
        return f"{name[:-3]}y"
    if re.search(r"(s|x|z|ch|sh)es$", name):
        return name[:-2]
    return name[:-1] if re.search(r"[^s]s$", name) and len(name) > 3 else name
