"""A digest of the software that runs: a result that is kept for later holds only as long as this is the same."""

import hashlib
import importlib.metadata
from functools import cache
from pathlib import Path

_LIBRARIES = ("duckdb", "great-expectations", "ibis-framework", "numpy", "openpyxl", "pandas", "pyarrow", "sqlglot")


@cache
def software_digest() -> str:
    """Return a digest of the files of storymesh and of the versions of the libraries that make rows and records.

    Of the files, not of a version number: nobody has to remember to raise it after a change that gives other rows.
    """
    digest = hashlib.sha256()
    for library in _LIBRARIES:
        digest.update(f"{library} {importlib.metadata.version(library)}\n".encode())
    package = Path(__file__).parents[1]
    for path in sorted(path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(package).as_posix()} {content}\n".encode())
    return digest.hexdigest()
