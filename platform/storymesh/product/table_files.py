"""The data files of a snapshot, as its manifests list them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

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


@dataclass(frozen=True, eq=False)
class FetchedFiles(Sequence[str]):
    """The local paths of a snapshot's files. Reading one has `fetch` download its file, and asks for its size.

    `paths` are those of Iceberg's metadata, each with the size of its file; `folder` is that of the store.
    """

    fetch: Callable[[str, int], Path]
    folder: Path
    paths: tuple[tuple[str, int], ...]

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...

    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [str(self.fetch(*file)) for file in self.paths[index]]
        return str(self.fetch(*self.paths[index]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FetchedFiles) and (self.folder, self.paths) == (other.folder, other.paths)

    def __hash__(self) -> int:
        return hash(self.paths)
