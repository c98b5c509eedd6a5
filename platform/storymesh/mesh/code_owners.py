"""The part of a CODEOWNERS file that follows from the owners of a mesh: who answers for a file reviews its changes.

It stands between two marks; what people write around it stays. Later lines count more than earlier ones.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from storymesh.errors import Finding
from storymesh.input_file import InputFileRefused, read_input
from storymesh.location import Location
from storymesh.mesh.mesh import Mesh
from storymesh.printable import printable_line

BEGIN = "# begin storymesh: written by `storymesh new codeowners`"
END = "# end storymesh"
PLACES = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS")
"""The places where GitHub and GitLab look for the file, from the top of the repository."""
_MAX_BYTES = 3 * 2**20
_OWNER = re.compile(r"@[\w.-]+(/[\w.-]+)*|[^\s@#]+@[^\s@#]+\.[^\s@#]+")
_SECTION = re.compile(rf"^{re.escape(BEGIN)}$.*?^{re.escape(END)}$\n?", re.MULTILINE | re.DOTALL)


def code_owners_file(root: Path) -> Path:
    """Return the CODEOWNERS file of the repository of the mesh at `root`: the one there is, or where it would be."""
    top = next((folder for folder in (root, *root.parents) if os.path.lexists(folder / ".git")), root)
    there = (top / place for place in PLACES if (top / place).is_file())
    return next(there, top / "CODEOWNERS")


def with_code_owners(mesh: Mesh, text: str, top: Path) -> str:
    """Return the text of a CODEOWNERS file at `top` with the owners of the mesh in its own part."""
    lines = "\n".join(_lines(mesh, top))
    section = f"{BEGIN}\n{lines}\n{END}\n"
    if _SECTION.search(text):
        return _SECTION.sub(lambda _: section, text, count=1)
    return f"{text.rstrip()}\n\n{section}" if text.strip() else section


def top_of(file: Path) -> Path:
    """Return the top of the repository that a CODEOWNERS file is for."""
    return file.parent.parent if file.parent.name in (".github", "docs", ".gitlab") else file.parent


def code_owners_findings(mesh: Mesh) -> Iterator[Finding]:
    """Yield a warning where the mesh's part of a CODEOWNERS file says otherwise than its owners; none without one."""
    file = code_owners_file(mesh.root)
    try:
        text = read_input(file, top_of(file), _MAX_BYTES).decode("utf-8", "replace")
    except (InputFileRefused, OSError):
        return
    found = _SECTION.search(text)
    if found is None or with_code_owners(mesh, text, top_of(file)) == text:
        return
    path = Path(os.path.relpath(file, mesh.root)).as_posix()
    location = Location(path, text.count("\n", 0, found.start()) + 1)
    message = "the owners here are not those of the domains, products and narratives"
    yield Finding(location, "stale-owners", message, "storymesh new codeowners writes them", "warning")


def _lines(mesh: Mesh, top: Path) -> Iterator[str]:
    prefix = Path(os.path.relpath(mesh.root, top)).as_posix()
    folder = "" if prefix == "." else f"/{prefix}".replace(" ", "\\ ")
    for name, domain in mesh.domains.items():
        yield _line(f"{folder}/domains/{name}/", domain.owner)
        yield _line(f"{folder}/contracts/{name}/", domain.owner)
        for product in mesh.products_of(name):
            if product.owner not in (None, domain.owner):
                yield _line(f"{folder}/{product.document.path}", product.owner)
            contract = mesh.contracts.get(product.id)
            if contract is not None and contract.owner not in (None, domain.owner):
                yield _line(f"{folder}/{contract.document.path}", contract.owner)
    for narrative in mesh.narratives.values():
        yield _line(f"{folder}/{narrative.folder}/", narrative.owner)


def _line(path: str, owner: str | None) -> str:
    if owner is not None and _OWNER.fullmatch(owner):
        return f"{path} {owner}"
    return printable_line(f"# {path} is of '{owner}', who is neither an address nor a @name")
