"""What dbt says of a project that it refuses, as findings: dbt names file and line within its words, if at all."""

import re
from collections.abc import Iterable
from pathlib import Path

from storymesh.errors import Finding
from storymesh.location import Location
from storymesh.product.dbt_files import PROJECT_FILE
from storymesh.product.dbt_syntax import RULE

_FILE = re.compile(r"[\w./-]+\.(?:sql|ya?ml|md|csv|py)\b")
_NODE = re.compile(r"\b(?:model|snapshot|seed|test)\.\w+\.(\w+)")
_LINE = re.compile(r"\bline (\d+)\b")
_NOISE = re.compile(r"^Encountered an error: *|-{10,}|Raw Error: *|Error encountered in \S+$")


def refusal_findings(errors: Iterable[str], domain: str, root: Path) -> list[Finding]:
    """Return a finding for each error of dbt, in the domain's file that it names."""
    folder = root / "domains" / domain
    found = set()
    for error in errors:
        names = [*_FILE.findall(error), *(f"{node}.sql" for node in _NODE.findall(error))]
        path = next(filter(None, (_own_file(folder, name) for name in names)), None)
        line = _LINE.search(error) if path is not None else None
        words = " ".join(_NOISE.sub(" ", error).split())
        name = path or (PROJECT_FILE if (folder / PROJECT_FILE).is_file() else "domain.yaml")
        location = Location(f"domains/{domain}/{name}", int(line[1]) if line else 1)
        found.add(Finding(location, RULE, f"dbt does not take it: {words}"))
    return sorted(found)


def _own_file(folder: Path, name: str) -> str | None:
    """Return the path in the domain's folder of a file that dbt names by its path, or by the end of that."""
    if Path(name).name == PROJECT_FILE:
        return PROJECT_FILE if (folder / PROJECT_FILE).is_file() else None
    if Path(name).is_absolute() or ".." in Path(name).parts:
        return None
    if (folder / name).is_file():
        return name
    found = [path for path in folder.rglob(name) if path.is_file()]
    return found[0].relative_to(folder).as_posix() if len(found) == 1 else None
