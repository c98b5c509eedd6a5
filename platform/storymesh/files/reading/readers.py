"""The reader of each kind, with what it needs: known without importing it, so that a mesh can be checked anywhere."""

import hashlib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from storymesh.errors import StorymeshError
from storymesh.files.reading.passages import FileContent
from storymesh.files.reading.reading import Kind
from storymesh.input_file import file_digest

Options = Mapping[str, Any]


class ReaderMissing(StorymeshError):
    """A reader whose packages or model are not on this machine. Everything else works without it."""


@dataclass(frozen=True)
class Reader:
    """A module of this package that has `open_reader(options)` and `REVISION`, raised when it gives something else.

    `packages` is what it needs beside the base, which `extra` brings; `aids` what it uses where `uses(options)` says so
    and the package is there.
    """

    module: str
    options: Mapping[str, type | tuple[type, ...]]
    packages: tuple[str, ...] = ()
    extra: str = ""
    recognisers: tuple[str, ...] = ()
    recogniser_extra: str = ""


_OCR: Final = ("rapidocr", "onnxruntime")
READERS: Final[Mapping[Kind, Reader]] = {
    "mail": Reader("mail", {}),
    "text": Reader("text", {}),
    "html": Reader("html", {}),
    "pdf": Reader("pdf", {"ocr": bool}, ("pypdfium2",), "files", _OCR, "ocr"),
    "office": Reader("office", {}, ("python-docx", "python-pptx", "openpyxl"), "files"),
    "image": Reader("image", {"ocr": bool}, ("pillow",), "files", _OCR, "ocr"),
    "audio": Reader("audio", {"model": str, "language": str}, ("faster-whisper",), "speech"),
}


@dataclass(frozen=True)
class ReaderVersion:
    """Which reader reads a kind: readings of equal content by an equal reader, version and `options` are equal."""

    reader: str
    version: str


def reader_version(kind: Kind, options: Options | None = None) -> ReaderVersion:
    """Return which reader would read this kind with these options here. Raises ReaderMissing where none would."""
    reader, given = READERS[kind], dict(options or {})
    _require_options(kind, reader, given)
    found = {name: _installed(name) for name in reader.packages}
    if missing := [name for name, number in found.items() if number is None]:
        raise _missing(kind, missing, reader.extra)
    if reader.recognisers and recognises(kind, given):
        found |= {name: _installed(name) for name in reader.recognisers}
    if kind == "audio":
        found["model"] = _model_digest(given.get("model"))
    words = [f"{name} {number}" for name, number in found.items()]
    revision = importlib.import_module(f"{__package__}.{reader.module}").REVISION
    return ReaderVersion(reader.module, ", ".join([str(revision), *words]))


def recognises(kind: Kind, options: Options) -> bool:
    """Return True if text in pictures is recognised: where `ocr: true` asks for it, and by itself on scanned pages.

    Raises ReaderMissing where it is asked for and cannot be done.
    """
    reader, asked = READERS[kind], options.get("ocr")
    if asked is False or (asked is None and kind != "pdf"):
        return False
    missing = [name for name in reader.recognisers if _installed(name) is None]
    if missing and asked:
        raise _missing(kind, missing, reader.recogniser_extra)
    return not missing


def load_reader(kind: Kind, options: Options) -> Callable[[bytes], FileContent]:
    """Return the function that reads this kind; its libraries and models are loaded then."""
    module = importlib.import_module(f"{__package__}.{READERS[kind].module}")
    opened: Callable[[bytes], FileContent] = module.open_reader({**options, "ocr": recognises(kind, options)})
    return opened


def _require_options(kind: Kind, reader: Reader, given: Options) -> None:
    for name, value in given.items():
        if name not in reader.options:
            known = ", ".join(sorted(reader.options)) or "none"
            raise ReaderMissing(f"the reader of {kind} has no option '{name}'", f"its options: {known}")
        if not isinstance(value, reader.options[name]):
            raise ReaderMissing(f"option {name} of the reader of {kind} cannot be {value!r}")


def _missing(kind: Kind, packages: list[str], extra: str) -> ReaderMissing:
    words = (
        f"to read {kind}, {' and '.join(packages)} {'is' if len(packages) == 1 else 'are'} needed, not installed here"
    )
    return ReaderMissing(words, f"pip install 'storymesh[{extra}]'")


@cache
def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _model_digest(path: str | None) -> str:
    """Return what tells one model of speech from another: the content of its files, wherever they are."""
    if not path:
        raise ReaderMissing(
            "to read audio, a model of speech is needed",
            "model: names the folder of one for faster-whisper; none is downloaded",
        )
    folder = Path(path)
    if not (folder / "model.bin").is_file():
        raise ReaderMissing(
            f"{path} is no folder of a model for faster-whisper", "it has model.bin, config.json, tokenizer.json"
        )
    files = sorted(file for file in folder.iterdir() if file.is_file())
    return _digest_of(tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files))


@cache
def _digest_of(files: tuple[tuple[Path, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for path, size, _ in files:
        digest.update(f"{path.name} {size} {file_digest(path)}\n".encode())
    return digest.hexdigest()[:16]
