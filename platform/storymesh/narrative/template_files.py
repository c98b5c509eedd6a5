"""The template files of a narrative: those beside `narrative.yaml`, and their variants in folders of their own."""

import re
from pathlib import Path
from typing import Annotated

from storymesh.case.definition import pattern_check
from storymesh.document import path_in_mesh, refusal_finding
from storymesh.errors import Finding
from storymesh.input_file import InputFileRefused, read_input
from storymesh.location import Location

MAX_TEMPLATE = 1024 * 1024  # bytes, of which the language takes fewer characters
MAX_TEMPLATES = 1_000
VARIANTS_FOLDER = "variants"
Template = Annotated[
    str, pattern_check(re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]*\.jinja$"), "a template beside narrative.yaml")
]
_PATTERNS = ("*.jinja", f"{VARIANTS_FOLDER}/*/*.jinja", f"{VARIANTS_FOLDER}/*/*/*.jinja")


def read_templates(folder: Path, root: Path, findings: list[Finding]) -> dict[str, str]:
    """Return path in the folder -> text of a narrative's templates and of their variants. No link leads out of it."""
    templates: dict[str, str] = {}
    for path in (path for pattern in _PATTERNS for path in sorted(folder.glob(pattern))):
        if path.name.startswith(".#"):
            continue  # Emacs marks a file that is being edited by a link of this name that leads nowhere
        if len(templates) == MAX_TEMPLATES:
            message = f"the folder has more than {MAX_TEMPLATES:,} templates"
            findings.append(Finding(Location(path_in_mesh(folder, root)), "too-large", message, "split the narrative"))
            break
        content = b""
        try:
            content = read_input(path, folder, MAX_TEMPLATE)
            templates[path.relative_to(folder).as_posix()] = content.decode("utf-8-sig")
        except InputFileRefused as error:
            findings.append(refusal_finding(error, root))
        except UnicodeDecodeError as error:
            location = Location(path_in_mesh(path, root), content[: error.start].count(b"\n") + 1)
            findings.append(Finding(location, "unreadable", "the file is not UTF-8 text", "save it as UTF-8"))
    return templates
