"""Files that look like definitions but are not read (wrong folder, wrong suffix, nested too deep), and names that some
systems do not allow.

They are warnings, since a mesh may hold whatever else people keep there.
"""

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from storymesh.errors import Finding
from storymesh.location import Location
from storymesh.narrative.definition import Narrative

MAX_FILES = 50_000
_SKIPPED = frozenset({"target", "dbt_packages", "dbt_modules", "sources", "node_modules", "logs"})
_YAML = re.compile(r".+\.ya?ml", re.IGNORECASE)
# A kind of definition: how its file's name looks, also misspelt, where its files are read, and what that is in words.
_KINDS: Mapping[str, tuple[re.Pattern[str], re.Pattern[str], str]] = {
    "a contract": (
        re.compile(r".+[._-](odcs|ocds|osdc|odsc|docs)(\.\w+)?", re.IGNORECASE),
        re.compile(r"contracts/[^/]+/[^/]+\.odcs\.yaml"),
        "contracts/<domain>/<product>.odcs.yaml",
    ),
    "a product": (
        re.compile(r".+[._-](odps|opds|ospd|odsp|dops)(\.\w+)?", re.IGNORECASE),
        re.compile(r"domains/[^/]+/products/[^/]+\.odps\.yaml"),
        "domains/<domain>/products/<product>.odps.yaml",
    ),
    "a narrative": (
        re.compile(r"narratives?\.(ya?ml|json)", re.IGNORECASE),
        re.compile(r"narratives/[^/]+/narrative\.yaml"),
        "narratives/<narrative>/narrative.yaml",
    ),
    "a domain": (
        re.compile(r"domains?\.(ya?ml|json)", re.IGNORECASE),
        re.compile(r"domains/[^/]+/domain\.yaml"),
        "domains/<domain>/domain.yaml",
    ),
    "the settings": (re.compile(r"mesh\.(yml|json)", re.IGNORECASE), re.compile(r"mesh\.yaml"), "mesh.yaml"),
}
# Folders in which every YAML file is taken for a definition of one kind.
_FOLDERS: Mapping[re.Pattern[str], str] = {
    re.compile(r"contracts(/.+)?"): "a contract",
    re.compile(r"domains/[^/]+/products(/.+)?"): "a product",
}
_TEMPLATE = re.compile(r"narratives/.+\.(jinja2?|jinj|jinga|ninja|j2)", re.IGNORECASE)
_READ_TEMPLATE = re.compile(r"narratives/[^/]+/(variants/[^/]+/([^/]+/)?)?[^/]+\.jinja")
_SCENARIO = re.compile(r"narratives/[^/]+(/scenarios?(/.+)?)?")
_READ_SCENARIO = re.compile(r"narratives/[^/]+/scenarios/[^/]+\.yaml")


_PARTS = ("contracts", "domains", "narratives")
# Folders of the root that people mean for one of the three.
_MISSPELT = re.compile(r"contract|data_?contracts?|domain|narrative|stories|products?", re.IGNORECASE)
# Windows, "Naming Files, Paths, and Namespaces": a device's name, also before a dot.
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])( *\..*)?", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[<>:"|?*\\\x00-\x1f]')
_RULE = "unportable-name"


def misplaced_files(root: Path) -> Iterator[Finding]:
    """Yield a warning for each file that looks like a definition and is read by nobody, and for each folder of a
    narrative that has none."""
    files = list(definition_files(root))
    warned = []
    for path in files:
        if (finding := _misplaced(path)) is not None:
            warned.append(path)
            yield finding
    folders = {
        "/".join(path.split("/")[:2]) for path in files if path.startswith("narratives/") and path.count("/") > 1
    }
    for folder in sorted(folders):
        if os.path.lexists(root / folder / "narrative.yaml") or any(path.startswith(f"{folder}/") for path in warned):
            continue
        message = "this folder has no narrative.yaml, so nobody reads what is in it"
        yield Finding(Location(folder), "not-read", message, "write one: storymesh new narrative", "warning")


def _misplaced(path: str) -> Finding | None:
    folder, _, name = path.rpartition("/")
    if _TEMPLATE.fullmatch(path):
        if _READ_TEMPLATE.fullmatch(path):
            return None
        return _warning(path, "a template", "narratives/<narrative>/<name>.jinja")
    kind = next((kind for kind, (looks, _, _) in _KINDS.items() if looks.fullmatch(name)), None)
    if kind is None and _SCENARIO.fullmatch(folder) and _YAML.fullmatch(name):
        if _READ_SCENARIO.fullmatch(path):
            return None
        return _warning(path, "a scenario", "narratives/<narrative>/scenarios/<name>.yaml")
    if kind is None and _YAML.fullmatch(name):
        kind = next((kind for within, kind in _FOLDERS.items() if within.fullmatch(folder)), None)
    if kind is not None and not _KINDS[kind][1].fullmatch(path):
        return _warning(path, kind, _KINDS[kind][2])
    return None


def _warning(path: str, kind: str, place: str) -> Finding:
    message = f"this file looks like {kind}, and is read by nobody"
    return Finding(Location(path), "not-read", message, f"the place is {place}", "warning")


def definition_files(root: Path) -> Iterator[str]:
    """Yield the paths of the files that people write: those of the root itself, below its three folders, and below
    those whose name is nearly one of theirs."""
    yield from sorted(entry.name for entry in os.scandir(root) if entry.is_file(follow_symlinks=False))
    left = MAX_FILES
    for part in (*_PARTS, *sorted(entry.name for entry in os.scandir(root) if _MISSPELT.fullmatch(entry.name))):
        for folder, folders, names in os.walk(root / part):
            folders[:] = sorted(name for name in folders if not name.startswith((".", "_")) and name not in _SKIPPED)
            left -= len(names)
            if left < 0:
                return
            for name in sorted(names):
                if not name.startswith((".", "#")):
                    yield Path(folder, name).relative_to(root).as_posix()


def unportable_files(paths: Iterable[str]) -> Iterator[Finding]:
    """Yield a warning for each of these paths below the root that another system could not have, or not beside another
    of them: there a mesh with one cannot be checked out, nor a release with one be pulled."""
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
    """Return why another system does not allow a name, None if it does."""
    if _DEVICE.fullmatch(name):
        return "is the name of a device on Windows"
    if _FORBIDDEN.search(name):
        return "has a character that no name on Windows has"
    if name.endswith((".", " ")):
        return "ends with a dot or a space, which Windows cuts off"
    if len(name.encode()) > 255:
        return "is longer than 255 bytes"
    return None
