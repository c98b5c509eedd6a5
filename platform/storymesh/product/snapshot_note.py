"""A note of the snapshot that a table's readers see, so that it is known without PyIceberg, which takes long to import.

A note is kept beside the tables of a domain. It is believed only where the catalog names the very metadata file that it
was made from, and this file, the list of manifests and the manifests are byte for byte what they were.
"""

import base64
import hashlib
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from storymesh.atomic_write import write_atomically
from storymesh.errors import StorymeshError
from storymesh.input_file import InputFileRefused, open_input
from storymesh.product.catalog_database import require_plain_database
from storymesh.product.store_location import resolve_location

if TYPE_CHECKING:
    import pyarrow as pa

NOTES = "snapshots"  # the folder of the notes, below the domain's


class SnapshotNote(BaseModel):
    """What is noted of a snapshot. `metadata` are the SHA-256 of Iceberg's own files by their path in the domain's
    folder, the metadata file `location` among them; `files` are the data files with their sizes; `arrow_schema` is the
    schema as Arrow serializes it, in base64."""

    model_config = ConfigDict(frozen=True)

    location: str
    metadata: Mapping[str, str]
    version: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
    snapshot_id: int
    contract_version: str
    contract_digest: str
    run_id: str
    rows: int
    published_at: datetime
    extract_of: str = ""
    files: tuple[tuple[str, int], ...]
    arrow_schema: str

    def read_schema(self) -> "pa.Schema":
        """Return the schema of the rows. Raises ValueError where it is none."""
        import pyarrow as pa

        return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(self.arrow_schema)))


def schema_text(schema: "pa.Schema") -> str:
    """Return a schema as a note has it."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def find_note(folder: Path, database: Path, domain: str, product: str) -> SnapshotNote | None:
    """Return the note of the snapshot that readers of the product see, if it holds.

    `folder` is the domain's, `database` the SQLite file of its catalog.
    """
    try:
        note = SnapshotNote.model_validate_json(_path(folder, product).read_bytes())
        if note.location not in note.metadata or note.location != _current_metadata(database, domain, product):
            return None
        return note if hash_metadata(folder, note.metadata) == note.metadata else None
    except (OSError, ValidationError, StorymeshError, InputFileRefused, sqlite3.Error):
        return None


def write_note(folder: Path, product: str, note: SnapshotNote) -> None:
    """Keep a note, where the folder may be written."""
    with suppress(OSError):
        write_atomically(_path(folder, product), note.model_dump_json())


def hash_metadata(folder: Path, paths: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of files of the store, by path. Raises OSError, InputFileRefused or LocationRefused."""
    digests = {}
    for path in paths:
        with open_input(Path(resolve_location(path, folder)), folder) as file:
            digests[path] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def _path(folder: Path, product: str) -> Path:
    return folder / NOTES / f"{product}.json"


def _current_metadata(database: Path, domain: str, product: str) -> str | None:
    """Return the metadata file that the catalog names for the product."""
    require_plain_database(database)
    query = "SELECT metadata_location FROM iceberg_tables WHERE catalog_name = ? AND table_namespace = ?"
    with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True, timeout=60)) as connection:
        found = connection.execute(f"{query} AND table_name = ?", (domain, domain, product)).fetchone()
    return str(found[0]) if found else None
