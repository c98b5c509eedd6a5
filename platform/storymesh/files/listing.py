"""What files there are, before any is opened: names, and tokens that change with the content.

A pattern has `*` and `?` within one name, `[…]` for one of several characters, and `**` for any number of folders. None
of them means a name that begins with a dot, as in a shell.
"""

import errno
import hashlib
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote_from_bytes

from storymesh.errors import StorymeshError

if TYPE_CHECKING:
    from s3fs import S3FileSystem

OUTSIDE, NO_FILE = "leads out of the domain", "no regular file"
_COARSE_NS, _FINE_NS = 2 * 10**9, 10**8
_MASK = 2**256 - 1


class FileEntry(NamedTuple):
    """A file of a listing. `uri` names it; `path` says where it is where that is no text, or another place.

    `token` is what changes with the content (None: that cannot be told); `modified` is when the storage got the file,
    in microseconds since 1970, UTC. `fault` says why the file is not opened.
    """

    uri: str
    token: str | None
    size: int
    modified: int | None
    path: bytes | None = None
    fault: str | None = None


class FilesUnreachable(StorymeshError):
    """A place of files that cannot be listed: nothing is said of the files there."""


def listing_digest(entries: Iterable[FileEntry]) -> str | None:
    """Return a digest of a listing, in any order; None where a token does not tell whether its file has changed."""
    total = 0
    for uri, token, size, modified, _, fault in entries:
        if token is None:
            return None
        line = f"{uri}\0{token}\0{size}\0{modified}\0{fault}".encode()
        total += int.from_bytes(hashlib.blake2b(line, digest_size=32).digest(), "big")
    return f"{total & _MASK:064x}"


def pattern_regex(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of the paths that a pattern means."""
    parts: list[str] = []
    names = pattern.split("/")
    for number, name in enumerate(names):
        last = number == len(names) - 1
        if name == "**":
            parts.append(r"(?:(?!\.)[^/]+/)*(?!\.)[^/]+" if last else r"(?:(?!\.)[^/]+/)*")
        else:
            parts.append(_name_regex(name) + ("" if last else "/"))
    return re.compile("".join(parts), re.DOTALL)


def _name_regex(name: str) -> str:
    parts = [r"(?!\.)" if name[:1] in ("*", "?", "[") else ""]
    position = 0
    while position < len(name):
        letter = name[position]
        position += 1
        end = name.find("]", position + 1) if letter == "[" else -1
        if letter == "*":
            parts.append("[^/]*")
        elif letter == "?":
            parts.append("[^/]")
        elif end > 0:
            inside = name[position:end].replace("\\", r"\\").replace("[", r"\[").replace("]", r"\]")
            parts.append(f"[^{inside[1:]}/]" if inside.startswith("!") else f"[{inside}]")
            position = end + 1
        else:
            parts.append(re.escape(letter))
    return "".join(parts)


def literal_folder(pattern: str) -> str:
    """Return the folders of a pattern before the first that is no plain name, with a `/` at their end."""
    plain: list[str] = []
    for name in pattern.split("/")[:-1]:
        if re.search(r"[*?\[]", name):
            break
        plain.append(f"{name}/")
    return "".join(plain)


def list_folder(root: Path, patterns: Sequence[str]) -> Iterator[FileEntry]:
    """Yield the files below `root` that patterns mean, relative to it, each once for every pattern that means it.

    Raises FilesUnreachable where a folder cannot be listed: files that are not seen are not gone.
    """
    home = os.path.realpath(root)
    for pattern in patterns:
        matches = pattern_regex(pattern).fullmatch
        below = literal_folder(pattern)
        start = f"{home}/{below}"
        if not _is_inside(start, home):
            raise FilesUnreachable(
                f"the folder '{below}' leads out of {root}", "put the files into the domain's folder"
            )
        deep = "**" in pattern.split("/")
        depth = pattern.count("/")
        yield from _walk(home, start, below, matches, depth if not deep else None)


def _is_inside(path: str, home: str) -> bool:
    """Return True if a path leads to a folder, which is an absolute one without links, or below it."""
    return Path(os.path.realpath(path)).is_relative_to(home)


def _walk(home: str, start: str, below: str, matches: Any, depth: int | None) -> Iterator[FileEntry]:
    folders = [(start, below)]
    while folders:
        folder, prefix = folders.pop()
        try:
            scan = os.scandir(folder)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FilesUnreachable(f"there is no folder {prefix or '.'}", f"looked for {folder}") from error
        except OSError as error:
            words = f"the folder {prefix or '.'} cannot be listed: {(error.strerror or str(error)).lower()}"
            raise FilesUnreachable(words, f"who runs storymesh has to be able to read {folder}") from error
        with scan:
            for item in scan:
                name = prefix + item.name
                if item.is_dir(follow_symlinks=False):
                    if not item.name.startswith(".") and (depth is None or name.count("/") < depth):
                        folders.append((item.path, f"{name}/"))
                elif matches(name) is not None:
                    yield _entry(item, name, home)


def _entry(item: "os.DirEntry[str]", name: str, home: str) -> FileEntry:
    uri, path = _readable(name)
    try:
        link = item.is_symlink()
        state = item.stat(follow_symlinks=False)
        if link:
            if not _is_inside(item.path, home):
                return FileEntry(uri, _token(state), state.st_size, None, path, OUTSIDE)
            state = item.stat()
    except OSError as error:
        fault = "a link that leads nowhere" if error.errno in (errno.ENOENT, errno.ELOOP) else "no access"
        return FileEntry(uri, "", 0, None, path, fault)
    modified = state.st_mtime_ns // 1000
    if not stat.S_ISREG(state.st_mode):
        return FileEntry(uri, _token(state), 0, modified, path, NO_FILE)
    return FileEntry(uri, None if _is_fresh(state.st_mtime_ns) else _token(state), state.st_size, modified, path)


def _token(state: os.stat_result) -> str:
    return f"{state.st_size}-{state.st_mtime_ns}"


def _is_fresh(modified_ns: int) -> bool:
    """Return True for a file that may change again and keep its time: clocks of file systems have a grain."""
    grain = _FINE_NS if modified_ns % 10**9 else _COARSE_NS
    return 0 <= time.time_ns() - modified_ns < grain


def _readable(name: str) -> tuple[str, bytes | None]:
    """Return a name as text. Bytes that are none are written as %FF, and then the name's own bytes are returned too."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raw = os.fsencode(name)
        return quote_from_bytes(raw, safe="/ !#$&'()*+,;=@[]^_`{|}~"), raw
    return name, None


def list_bucket(filesystem: "S3FileSystem", bucket: str, patterns: Sequence[str]) -> Iterator[FileEntry]:
    """Yield the objects of a bucket that patterns mean, a page of the listing at a time.

    Raises FilesUnreachable where the bucket cannot be listed.
    """
    for pattern in patterns:
        matches = pattern_regex(pattern).fullmatch
        request: dict[str, Any] = {"Bucket": bucket, "Prefix": literal_folder(pattern)}
        while True:
            try:
                page = filesystem.call_s3("list_objects_v2", **request)
            except Exception as error:  # of botocore, of its transport, of the system
                words = f"s3://{bucket} cannot be listed: {' '.join(str(error).split())[:200]}"
                raise FilesUnreachable(words, "see the address, and AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_S3") from None
            for found in page.get("Contents", ()):
                key = found["Key"]
                if matches(key) is not None:
                    modified = int(found["LastModified"].timestamp() * 10**6)
                    token = f"{found['ETag'].strip(chr(34))}-{found['Size']}"
                    yield FileEntry(f"s3://{bucket}/{key}", token, found["Size"], modified)
            if not page.get("IsTruncated"):
                break
            request["ContinuationToken"] = page["NextContinuationToken"]
