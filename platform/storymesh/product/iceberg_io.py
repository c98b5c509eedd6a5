"""Iceberg's access to files whose paths are relative to a domain's folder.

Iceberg's metadata names every file in full, so a mesh that is moved would lose its tables. PyIceberg imports this class
by its name (`py-io-impl`), so it has a module that nothing else needs to import.
"""

from pathlib import PurePosixPath
from urllib.parse import urlparse

from pyiceberg.io import InputFile, OutputFile
from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO

from storymesh.product.iceberg_internals import rename_file


class RelativeFileIO(PyArrowFileIO):
    """File access that resolves paths without scheme or leading slash against the property `storymesh.folder`."""

    def new_input(self, location: str) -> PyArrowFile:
        return rename_file(super().new_input(self._resolve(location)), location)

    def new_output(self, location: str) -> PyArrowFile:
        return rename_file(super().new_output(self._resolve(location)), location)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        super().delete(self._resolve(location if isinstance(location, str) else location.location))

    def _resolve(self, location: str) -> str:
        if urlparse(location).scheme or PurePosixPath(location).is_absolute():
            return location
        return str(PurePosixPath(self.properties["storymesh.folder"]) / location)
