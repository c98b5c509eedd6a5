"""Iceberg's file access with paths that are relative to a domain's folder in the store.

Iceberg's metadata names every file in full; a mesh that is moved would lose its tables. PyIceberg loads this class by
its name (`py-io-impl`), so it stands in a module that nothing else needs to import.
"""

from pathlib import PurePosixPath
from urllib.parse import urlparse

from pyiceberg.io import InputFile, OutputFile
from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO


class RelativeFileIO(PyArrowFileIO):
    """Resolves a path without scheme or leading slash against the property `storymesh.folder`; others stay."""

    def new_input(self, location: str) -> PyArrowFile:
        return _named(super().new_input(self._resolved(location)), location)

    def new_output(self, location: str) -> PyArrowFile:
        return _named(super().new_output(self._resolved(location)), location)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        super().delete(self._resolved(location if isinstance(location, str) else location.location))

    def _resolved(self, location: str) -> str:
        if urlparse(location).scheme or PurePosixPath(location).is_absolute():
            return location
        return str(PurePosixPath(self.properties["storymesh.folder"]) / location)


def _named(file: PyArrowFile, location: str) -> PyArrowFile:
    """The open file under the name that Iceberg shall write down for it."""
    file._location = location
    return file
