"""What dbt says of a project that it refuses or cannot build, for people.

As findings: dbt names file and line within its words, if at all. As words: without values of rows, and with the line of
a CSV that the database does not find.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from storymesh.engine.open import unsniffable_file, without_values
from storymesh.errors import Finding
from storymesh.location import Location
from storymesh.product.dbt_files import PROJECT_FILE
from storymesh.product.dbt_syntax import RULE
from storymesh.product.sources.csv import csv_fault
from storymesh.product.sources.options import SourceOptions
from storymesh.product.sources.source import SourceFile
from storymesh.redaction import hide_values

_FILE = re.compile(r"[\w./-]+\.(?:sql|ya?ml|md|csv|py)\b")
_NODE = re.compile(r"\b(?:model|snapshot|seed|test)\.\w+\.(\w+)")
_LINE = re.compile(r"\bline (\d+)\b")
_NAMED = re.compile(r"^(\w+ Error) in \w+ \S+ \(\S+\)\s+")  # whoever prints it has named the model and its file
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


def explain_dbt_error(message: str, folder: Path) -> str:
    """Return what dbt says of a model of the domain's `folder`, on a line: without values of rows."""
    words = hide_values_of_rows(" ".join(message.split()))
    words = _NAMED.sub(r"\1: ", words)
    file = unsniffable_file(message)
    if file is None:
        return words
    options = SourceOptions(file=file, header=False)  # whoever looks for a line does not care for its names
    fault = csv_fault(SourceFile(folder / file, folder, file, None, options))
    return f"{words.partition(file)[0]}{fault}" if fault is not None else words


def hide_values_of_rows(words: str) -> str:
    """Return what dbt says without the values that its database quotes."""
    return hide_values(without_values(words))


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
