"""The private parts of PyIceberg that storymesh uses, as they are in 0.12. No other module uses any.

`tests/product/test_iceberg_internals.py` fails when one of them moves.
"""

import io
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.catalog import Catalog
    from pyiceberg.io import FileIO
    from pyiceberg.io.pyarrow import PyArrowFile
    from pyiceberg.schema import Schema
    from pyiceberg.table import Transaction
    from pyiceberg.table.update import TableUpdate
    from pyiceberg.typedef import Properties

    _AnyCatalog = TypeVar("_AnyCatalog", bound=type[Catalog])


def apply_updates(transaction: "Transaction", updates: Iterable["TableUpdate"]) -> None:
    """Add updates to a transaction for which it has no method of its own: schemas and references to snapshots."""
    transaction._apply(tuple(updates))


def schema_without_ids(schema: "pa.Schema") -> "Schema":
    """Return an Arrow schema as an Iceberg schema whose columns have no ids yet."""
    from pyiceberg.io.pyarrow import _pyarrow_to_schema_without_ids

    return cast("Schema", _pyarrow_to_schema_without_ids(schema))


def durable_file(file: "PyArrowFile") -> "PyArrowFile":
    """Return a file to be written on this machine, whose content is on the disk when it is closed.

    A catalog names a file as soon as it is closed; after a power cut it must not be empty.
    """
    from pyiceberg.io.pyarrow import PyArrowFile

    class DurableFile(PyArrowFile):  # type: ignore[misc]
        """A file that waits for the disk when it is closed."""

        def create(self, overwrite: bool = False) -> Any:
            if not overwrite and self.exists():
                raise FileExistsError(f"{self.location} is there already")
            path = Path(self._path)
            path.parent.mkdir(parents=True, exist_ok=True)
            return _SyncedWriter(path.open("wb", buffering=0))

    return DurableFile(file.location, file._path, file._filesystem)


class _SyncedWriter(io.BufferedWriter):
    def close(self) -> None:
        if not self.closed:
            self.flush()
            os.fsync(self.fileno())
        super().close()


def opens_files_with(open_files: "Callable[[Properties], FileIO]") -> "Callable[[_AnyCatalog], _AnyCatalog]":
    """Return a decorator of a catalog's class: `open_files` of the catalog's own properties opens every file, whatever
    the properties of a table say."""

    def decorate(catalog: "_AnyCatalog") -> "_AnyCatalog":
        if not callable(getattr(catalog, "_load_file_io", None)):
            raise ImportError("this PyIceberg opens files in another way: storymesh wants 0.12")

        def load_file_io(self: Any, *_: Any, **__: Any) -> "FileIO":
            return open_files(self.properties)

        catalog._load_file_io = load_file_io
        return catalog

    return decorate


def rename_file(file: "PyArrowFile", location: str) -> "PyArrowFile":
    """Return the open file with the name that Iceberg writes into its metadata."""
    file._location = location
    return file
