"""Names that not every system has: a mesh with one cannot be checked out on Windows, or on a disk that does not tell
capitals from small letters, and a release with one cannot be pulled there.

They are warnings, since nothing is wrong with them where they are.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator

from storymesh.errors import Finding
from storymesh.location import Location
from storymesh.narrative.definition import Narrative

# Windows, "Naming Files, Paths, and Namespaces": a device's name, also before a dot.
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])( *\..*)?", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[<>:"|?*\\\x00-\x1f]')
_RULE = "unportable-name"


def unportable_files(paths: Iterable[str]) -> Iterator[Finding]:
    """Yield a warning for each of these paths below the root that another system could not have, or not beside another
    of them."""
    named: set[str] = set()
    first: dict[str, str] = {}
    for path in paths:
        parts = path.split("/")
        for count, name in enumerate(parts, start=1):
            whole = "/".join(parts[:count])
            if whole in named:
                continue
            named.add(whole)
            if fault := _fault(name):
                yield Finding(Location(path), _RULE, f"'{name}' {fault}", "name it otherwise", "warning")
            other = first.setdefault(unicodedata.normalize("NFC", whole).casefold(), whole)
            if other != whole:
                words = f"'{whole}' and '{other}' are one name where capitals or forms of a letter are not told apart"
                yield Finding(Location(path), _RULE, words, "rename one of the two", "warning")


def unportable_configs(narrative: Narrative) -> Iterator[Finding]:
    """Yield a warning for each config of a narrative whose folder in a release another system could not have."""
    for config in narrative.records:
        if fault := _fault(config):
            words = f"a release has a folder '{config}' for this config, which {fault}"
            yield Finding(narrative.at("records", config), _RULE, words, "name it otherwise", "warning")


def _fault(name: str) -> str | None:
    """Return what another system has against a name, None if nothing."""
    if _DEVICE.fullmatch(name):
        return "is the name of a device on Windows"
    if _FORBIDDEN.search(name):
        return "has a character that no name on Windows has"
    if name.endswith((".", " ")):
        return "ends with a dot or a space, which Windows cuts off"
    if len(name.encode()) > 255:
        return "is longer than 255 bytes"
    return None
