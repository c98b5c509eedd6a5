"""Files of a server, on a disk or in a bucket: Parquet with the columns that are wanted, texts as they are."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.federation.access import ChooseColumns, ServerAccess
from storymesh.federation.file_times import version_of_files
from storymesh.federation.object_store import ObjectStore
from storymesh.federation.relation import Relation
from storymesh.federation.selection import (
    RowSelection,
    SelectiveTable,
    TransferEstimate,
    estimate_dataset,
    scan_dataset,
)

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds
    from pyarrow.fs import FileInfo

MAX_FILES = 100_000
_WILD = re.compile(r"[*?\[]")
_CHANGED = "its files have changed while they were read"


class FilesTable(SelectiveTable):
    """The files of one format at a place."""

    def __init__(self, relation: Relation, access: ServerAccess) -> None:
        self._relation = relation
        self._store = ObjectStore(relation, access)

    @property
    def format(self) -> str:
        """Their format, as the server says, or as their names do."""
        written = self._relation.server.field("format") or Path(self._store.location).suffix.lstrip(".")
        return {"json": "jsonl", "ndjson": "jsonl"}.get(written.lower(), written.lower())

    def open_selected(self, choose: ChooseColumns, selection: RowSelection) -> "pa.RecordBatchReader":
        """Return those of the rows of Parquet files that are selected; folders `day=2024-01-01` are a column.

        Groups of rows that have none, as their statistics say, are not fetched. Raises SourceUnreadable,
        ResourceUnavailable.
        """
        import pyarrow as pa

        if self.format != "parquet":
            raise self._relation.unreadable(
                f"the format {self.format or '?'} is not read", "parquet, csv, json or delta"
            )
        with self._store.translated_errors(), self._refused_if_damaged():
            found = self.list_files()
            dataset = self._dataset(found)
            scanner = scan_dataset(dataset, list(choose(dataset.schema.names)), selection)
        before = _states(found)

        def batches() -> "Iterator[pa.RecordBatch]":
            with self._store.translated_errors():
                with self._refused_if_damaged():
                    for batch in scanner.to_batches():
                        self.moved += batch.nbytes
                        yield batch
                self._require_same(before)

        return pa.RecordBatchReader.from_batches(scanner.projected_schema, batches())

    def estimate(self, choose: ChooseColumns, ways: Mapping[str, RowSelection]) -> dict[str, TransferEstimate]:
        """Estimate what each way would fetch, from the footers of the files."""
        if self.format != "parquet":
            return {}
        with self._store.translated_errors(), self._refused_if_damaged():
            dataset = self._dataset(self.list_files())
            names = list(choose(dataset.schema.names))
            return {way: estimate_dataset(dataset, names, selection) for way, selection in ways.items()}

    def _dataset(self, found: "list[FileInfo]") -> "ds.Dataset":
        import pyarrow.dataset as ds

        paths = [item.path for item in found]
        as_written = ds.ParquetFileFormat(coerce_int96_timestamp_unit="us")
        return ds.dataset(paths, filesystem=self._store.file_system, format=as_written, partitioning="hive")

    def version(self, changed_at: str | None) -> str | None:
        """Return what the files are known by: their sizes and the times of their change."""
        with self._store.translated_errors():
            return version_of_files(_states(self.list_files()))

    def local_copies(self, folder: Path) -> list[Path]:
        """Return the files on this machine: where they are, or fetched into `folder`. Raises SourceUnreadable,
        ResourceUnavailable."""
        with self._store.translated_errors():
            found = self.list_files()
            if self._store.is_local:
                return [Path(item.path) for item in found]
            copies = [self._fetched(item, folder / str(number)) for number, item in enumerate(found)]
            self._require_same(_states(found))
            return copies

    def _fetched(self, item: "FileInfo", folder: Path) -> Path:
        import shutil

        folder.mkdir()
        target = folder / str(item.base_name)
        with self._store.file_system.open_input_stream(item.path, compression=None) as source, target.open("wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)
        return target

    def list_files(self) -> "list[FileInfo]":
        """Return the files at the place, by their paths: the one of this very name, those of the pattern, or those of
        the format in the folder. Raises SourceUnreadable where there is none."""
        import pyarrow.fs as fs

        file_system, path = self._store.file_system, self._store.path
        if _WILD.search(path):
            wanted = re.compile(_as_pattern(path))
            folder = path[: _WILD.search(path).start()].rpartition("/")[0]  # type: ignore[union-attr]
            listed = file_system.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True))
            found = [item for item in listed if item.is_file and wanted.fullmatch(item.path)]
        else:
            (item,) = file_system.get_file_info([path])
            found = [item] if item.is_file else []
            if item.type == fs.FileType.Directory:
                listed = file_system.get_file_info(fs.FileSelector(path, recursive=True))
                found = [item for item in listed if item.is_file and self._is_of_format(item.path[len(path) :])]
        if not found:
            raise self._relation.unreadable("there is no such file", f"looked for {self._store.relation.server.place}")
        if len(found) > MAX_FILES:
            raise self._relation.unreadable(
                f"there are {len(found):,} files, at most {MAX_FILES:,} are read", "name a part"
            )
        return sorted(found, key=lambda item: item.path)

    def _is_of_format(self, path: str) -> bool:
        hidden = any(part.startswith((".", "_")) for part in path.split("/"))  # what writers leave beside their files
        return not hidden and f".{self.format}" in path.rpartition("/")[2].replace(".json", ".jsonl").lower()

    def _require_same(self, before: "list[tuple[str, int | None, float]]") -> None:
        if _states(self.list_files()) != before:
            raise self._relation.unreadable(_CHANGED, "run again when whoever writes them has ended")

    @contextmanager
    def _refused_if_damaged(self) -> Iterator[None]:
        import pyarrow as pa

        try:
            yield
        except FileNotFoundError:
            raise
        except (pa.ArrowException, ValueError) as error:
            raise self._relation.unreadable(
                str(error).splitlines()[0] if str(error) else type(error).__name__
            ) from None


def _states(found: "list[FileInfo]") -> list[tuple[str, int | None, float]]:
    return [(item.path, item.size, (item.mtime_ns or 0) / 1e9) for item in found]


def _as_pattern(path: str) -> str:
    from fsspec.utils import glob_translate

    return str(glob_translate(path))
