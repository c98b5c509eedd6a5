"""The data files of a snapshot, as its manifests list them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from storymesh.errors import StorymeshError

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot as IcebergSnapshot

DAMAGE_HINT = "bring it back from a copy of the store; if the product still has this content, publish it again"


def data_files(table: "Table", snapshot: "IcebergSnapshot") -> "Iterable[DataFile]":
    """Yield the data files of a snapshot, as Iceberg's metadata has them.

    Raises StorymeshError for a manifest that is missing or damaged, and for delete files: storymesh writes none, and
    their rows would have to be left out.
    """
    from pyiceberg.manifest import DataFileContent

    name = ".".join(table.name())
    try:
        entries = [
            entry
            for manifest in snapshot.manifests(table.io)
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)
        ]
    except (StorymeshError, ConnectionError, PermissionError, MemoryError):
        raise
    except Exception as error:
        words = f"a manifest of {name} is missing or damaged: {' '.join(str(error).split())[:160]}"
        raise StorymeshError(words, DAMAGE_HINT) from error
    for entry in entries:
        if entry.data_file.content != DataFileContent.DATA:
            message = f"the snapshot {snapshot.snapshot_id} of {name} has delete files"
            raise StorymeshError(message, "somebody else wrote to this table: publish the product again")
        yield entry.data_file
