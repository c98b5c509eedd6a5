"""The bytes of listed files, from disk or a bucket. A file that cannot be read has a reason, and the others go on."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from storymesh.files.listing import FileEntry, FilesUnreachable, list_bucket, list_folder
from storymesh.files.reading.reading import Refused
from storymesh.input_file import InputFileRefused, open_input

if TYPE_CHECKING:
    from s3fs import S3FileSystem

ANEW = "anew"
"""The token of a file of which nothing that was read before holds any more."""
IN_MEMORY = 4 * 2**20
_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
_FOLDER_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW
_AT_ONCE = 32


@dataclass(frozen=True)
class OpenedFile:
    """The content of a file, as bytes or as the path of a local file, and its SHA-256."""

    sha256: str
    content: bytes | Path


class FilePlace(Protocol):
    """A place with files: it lists them, and opens those that are asked for."""

    def list_files(self) -> Iterator[FileEntry]:
        """Yield every file. Raises FilesUnreachable where that cannot be said."""
        ...

    def open_files(self, entries: Iterable[FileEntry], limit: int) -> Iterator[tuple[FileEntry, OpenedFile | Refused]]:
        """Yield the content of files of at most `limit` bytes, in their order."""
        ...


def content_of(data: bytes) -> OpenedFile:
    """Return bytes with their SHA-256."""
    return OpenedFile(hashlib.sha256(data).hexdigest(), data)


def too_large(size: int, limit: int) -> Refused:
    """Return the refusal of a file beyond the limit of its definition."""
    return Refused("too large", f"{size:,} bytes, and at most {limit:,} are read: limits: {{bytes: …}}")


@dataclass(frozen=True)
class FolderFiles:
    """The files below a domain's folder that patterns mean."""

    root: Path
    patterns: Sequence[str]

    def list_files(self) -> Iterator[FileEntry]:
        """Yield every file. Raises FilesUnreachable."""
        return list_folder(self.root, self.patterns)

    def open_files(self, entries: Iterable[FileEntry], limit: int) -> Iterator[tuple[FileEntry, OpenedFile | Refused]]:
        """Yield the content of files; a large one stays where it is."""
        root = self.root.resolve()
        with _OpenFolder(root) as folder:
            for entry in entries:
                yield entry, self._read(folder, root, entry, limit)

    def _read(self, folder: "_OpenFolder", root: Path, entry: FileEntry, limit: int) -> OpenedFile | Refused:
        name = os.fsdecode(entry.path) if entry.path is not None else entry.uri
        try:
            with folder.open(name) or open_input(root / name, root) as file:
                state = os.fstat(file.fileno())
                if state.st_size > limit:
                    return too_large(state.st_size, limit)
                if state.st_size > IN_MEMORY:
                    return OpenedFile(hashlib.file_digest(file, "sha256").hexdigest(), root / name)
                data = file.read(limit + 1)
                after = os.fstat(file.fileno())
        except (InputFileRefused, OSError) as error:
            return _refusal(root / name, error)
        if (after.st_size, after.st_mtime_ns) != (state.st_size, state.st_mtime_ns) or len(data) != after.st_size:
            return Refused("gone", "the file changed while it was read")
        return content_of(data)


class _OpenFolder:
    """The folder of the last file, opened without following links, and kept open since the next file is often in it
    too."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._name: str | None = None
        self._folder = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder >= 0:
            os.close(self._folder)

    def open(self, name: str) -> BufferedReader | None:
        """Open a regular file; None for a link or anything else."""
        folder, _, last = name.rpartition("/")
        try:
            if folder != self._name:
                self._open_folder(folder)
            descriptor = os.open(last, _OPEN_FLAGS, dir_fd=self._folder)
        except OSError:
            return None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            return None
        return os.fdopen(descriptor, "rb")

    def _open_folder(self, folder: str) -> None:
        self.__exit__()
        self._name, self._folder = None, -1
        within = os.open(self._root, _FOLDER_FLAGS)
        for part in folder.split("/") if folder else ():
            try:
                below = os.open(part, _FOLDER_FLAGS, dir_fd=within)
            finally:
                os.close(within)
            within = below
        self._name, self._folder = folder, within


def _refusal(path: Path, error: Exception) -> Refused:
    if isinstance(error, InputFileRefused) and not path.exists():
        return Refused("gone", "there is no such file any more")
    reason = "gone" if isinstance(error, OSError) and error.errno == errno.ENOENT else "no access"
    words = (
        error.reason if isinstance(error, InputFileRefused) else error.strerror if isinstance(error, OSError) else ""
    )
    return Refused(reason, f"the file {words}")


@dataclass(frozen=True)
class BucketFiles:
    """The objects of an S3 bucket that patterns mean."""

    filesystem: "S3FileSystem"
    bucket: str
    patterns: Sequence[str]

    def list_files(self) -> Iterator[FileEntry]:
        """Yield every object. Raises FilesUnreachable."""
        return list_bucket(self.filesystem, self.bucket, self.patterns)

    def open_files(self, entries: Iterable[FileEntry], limit: int) -> Iterator[tuple[FileEntry, OpenedFile | Refused]]:
        """Yield the content of objects, some fetched at once."""
        waiting = iter(entries)
        while some := list(islice(waiting, _AT_ONCE)):
            small = [entry for entry in some if entry.size <= limit]
            found = self.filesystem.cat([entry.uri for entry in small], on_error="return") if small else {}
            for entry in some:
                key = entry.uri.removeprefix("s3://")
                if entry.size > limit:
                    yield entry, too_large(entry.size, limit)
                elif isinstance(data := found.get(key, found.get(entry.uri)), bytes):
                    yield entry, content_of(data)
                else:
                    yield entry, _bucket_refusal(data)


def _bucket_refusal(error: Any) -> Refused:
    words = " ".join(str(error).split())[:200]
    match error:
        case FileNotFoundError():
            return Refused("gone", words)
        case PermissionError():
            return Refused("no access", words)
        case TimeoutError():
            return Refused("timeout", words)
        case _:
            return Refused("no connection", words)


def open_bucket(bucket: str, patterns: Sequence[str]) -> BucketFiles:
    """Return the objects of a bucket. Raises FilesUnreachable without the extra `s3`.

    The client finds credentials, endpoint and region in the environment: AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_S3.
    """
    try:
        from s3fs import S3FileSystem
    except ModuleNotFoundError:
        raise FilesUnreachable("files in S3 need the extra 's3'", "pip install 'storymesh[s3]'") from None
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    filesystem = S3FileSystem(endpoint_url=endpoint, use_listings_cache=False, skip_instance_cache=True)
    return BucketFiles(filesystem, bucket, patterns)
