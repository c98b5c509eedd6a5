"""Iceberg's access to the files of one domain's store, and to nothing else.

Iceberg's metadata names every file in full, so a mesh that is moved would lose its tables: in a folder, paths are
relative to the domain's. A catalog and a table may come from a stranger: their properties choose neither the code that
opens files nor the place of any, and a path that leads out of the store is refused. PyIceberg imports `RelativeFileIO`
by its name (`py-io-impl`), so it has a module that nothing else needs to import.
"""

from pathlib import Path
from urllib.parse import urlsplit

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io import InputFile, OutputFile
from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO
from pyiceberg.table import Table
from pyiceberg.typedef import Identifier

from storymesh.product.iceberg_internals import durable_file, opens_files_with, rename_file
from storymesh.product.store_location import LocationRefused, resolve_location

FOLDER, BUCKET = "storymesh.folder", "storymesh.bucket"
OWN_PROPERTIES = frozenset(
    {
        "write.parquet.row-group-limit",
        "write.metadata.previous-versions-max",
        "write.metadata.delete-after-commit.enabled",
        "history.expire.max-snapshot-age-ms",
    }
)


class RelativeFileIO(PyArrowFileIO):
    """File access that resolves paths against the property `storymesh.folder`, and refuses what is not below it, or
    below the address `storymesh.bucket` of a store in a bucket."""

    def new_input(self, location: str) -> PyArrowFile:
        resolved = self._resolve(location)
        # A pipe or a device would never end.
        if (path := Path(resolved)).exists() and not path.is_file():
            raise self._refused(location)
        return rename_file(super().new_input(resolved), location)

    def new_output(self, location: str) -> PyArrowFile:
        resolved = self._resolve(location)
        file = super().new_output(resolved)
        return rename_file(file if urlsplit(resolved).scheme else durable_file(file), location)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        super().delete(self._resolve(location if isinstance(location, str) else location.location))

    def _resolve(self, location: str) -> str:
        """Return the path or address of a file of the store. Raises LocationRefused for any other."""
        return resolve_location(location, Path(self.properties[FOLDER]), self.properties.get(BUCKET))

    def _refused(self, location: str) -> LocationRefused:
        return LocationRefused(location, self.properties.get(BUCKET) or self.properties[FOLDER])


@opens_files_with(RelativeFileIO)
class StoreCatalog(SqlCatalog):
    """A catalog that alone decides how files are opened: what the properties of a table say of that is dropped."""

    def load_table(self, identifier: str | Identifier) -> Table:
        table = super().load_table(identifier)
        kept = {
            name: value
            for name, value in table.metadata.properties.items()
            if name in OWN_PROPERTIES and (value.isdecimal() or value in ("true", "false")) and len(value) < 20
        }
        table.metadata = table.metadata.model_copy(update={"properties": kept})
        return table
