"""Tables of a catalog that was lost, found again by the metadata files that lie beside their data.

Without this, a catalog that is missing looks like a product that was never published: its table would be made again,
and the files of all earlier snapshots, which no snapshot names any more, would be removed.
"""

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from storymesh.errors import StorymeshError

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.io import FileIO
    from pyiceberg.table import Table

_NAME = re.compile(r".*/metadata/(?P<number>\d+)-[0-9a-f-]+(\.gz)?\.metadata\.json")


def is_metadata(path: str) -> bool:
    """Return True for the path of a table's metadata file."""
    return _NAME.fullmatch(path) is not None


def register_lost_table(catalog: "SqlCatalog", identifier: tuple[str, str], io: "FileIO", files: list[str]) -> "Table":
    """Register the table at the newest of its metadata `files` whose snapshots are whole, and return it.

    Raises StorymeshError when none is.
    """
    from pyiceberg.exceptions import NamespaceAlreadyExistsError, TableAlreadyExistsError

    location = _newest_whole(io, files)
    if location is None:
        words = f"the catalog has lost the table {'.'.join(identifier)}, and no metadata file of it is whole"
        raise StorymeshError(words, "bring the store back from a copy, or move its folder away and publish again")
    with suppress(NamespaceAlreadyExistsError):
        catalog.create_namespace(identifier[0])
    with suppress(TableAlreadyExistsError):  # another process found it too
        catalog.register_table(identifier, location)
    return catalog.load_table(identifier)


def _newest_whole(io: "FileIO", files: list[str]) -> str | None:
    from pyiceberg.serializers import FromInputFile

    found: list[tuple[int, int, str]] = []
    for path in files:
        try:
            metadata = FromInputFile.table_metadata(io.new_input(path))
            # A snapshot without its list of manifests could not be read, and its files would be taken for nobody's.
            if all(io.new_input(snapshot.manifest_list).exists() for snapshot in metadata.snapshots):
                match = _NAME.fullmatch(path)
                found.append((int(match["number"]) if match else -1, metadata.last_updated_ms, path))
        except Exception:  # noqa: S112 - whatever a damaged file makes PyIceberg raise, an older one may be whole
            continue
    return max(found)[2] if found else None
