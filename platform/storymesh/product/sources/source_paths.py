"""Which files the source of a product means, and why one of them cannot be read: known before any row is."""

import re
from pathlib import Path

from storymesh.document import suggest_file
from storymesh.input_file import InputFileRefused, open_input, require_input
from storymesh.product.definition import Product
from storymesh.product.sources.bounds import (
    COMPRESSED,
    ContentRefused,
    ContentTooLarge,
    archive_member,
    require_bounded,
)
from storymesh.product.sources.options import SourceOptions, format_suffixes

MAX_FILES = 10_000
_PATTERN = re.compile(r"[*?\[]")


def is_pattern(source: str) -> bool:
    """Return True for a source that may mean several files."""
    return _PATTERN.search(source) is not None


def matching_files(folder: Path, source: str) -> list[Path]:
    """Return the files below a folder that a source means, by their paths: the one of this very name, or those of a
    pattern, which are files."""
    literal = folder / source
    if not is_pattern(source) or literal.is_file():
        return [literal]
    return sorted(path for path in folder.glob(source) if path.is_file())


def source_problem(product: Product, folder: Path) -> tuple[str, str] | None:
    """Return message and hint when the source of `product`, relative to the domain's `folder`, cannot be read."""
    source = product.source or ""
    try:
        paths = matching_files(folder, source)
    except (OSError, ValueError, NotImplementedError) as error:
        return f"this is no pattern of files: {error}", "for instance sources/orders-*.csv"
    if not paths:
        return "no file has a name of this pattern", f"looked in {folder}"
    if len(paths) > MAX_FILES:
        return f"{len(paths):,} files have a name of this pattern, at most {MAX_FILES:,} are read", "put them together"
    for path in paths:
        if problem := file_problem(path, folder, product.layout):
            beside = path.relative_to(folder).as_posix()
            return problem if beside == source else (f"{beside}: {problem[0]}", problem[1])
    return None


def file_problem(path: Path, folder: Path, options: SourceOptions) -> tuple[str, str] | None:
    """Return message and hint when the file at a path, of the domain's `folder`, cannot be read."""
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            return "the file leads out of the domain's folder", "a domain reads its own files: put it into sources/"
        if path.is_dir():
            return "this is a folder, a file is wanted", ""
        if not path.exists():
            siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
            if not siblings:
                return "there is no such file, nor its folder", f"looked for {path}"
            return "there is no such file", suggest_file(path.name, siblings)
        require_input(path, folder)
        require_bounded(path)
    except InputFileRefused as error:
        return f"the file {error.reason}", error.hint
    except ContentTooLarge as error:
        return f"the file {error}", error.hint
    except RuntimeError:
        return "the file is a link that leads back to itself", "put the file itself there"
    except (OSError, ValueError) as error:
        return f"this is no path of a file: {error}", "for instance sources/ports.csv"
    if options.format_of(name_inside(path, options, folder)) is None:
        suffix = "".join(path.suffixes[-2:] if path.suffix.lower() in COMPRESSED else path.suffixes[-1:])
        said = f"{{file: {path.name}, format: csv}}"
        hint = f"use {', '.join(format_suffixes())}, say its format as in {said}, or a dbt model"
        return f"a file '{suffix}' cannot be read", hint
    return None


def name_inside(path: Path, options: SourceOptions, folder: Path) -> str:
    """Return a name that says the format: of an archive whose own name does not, that of the file inside."""
    if path.suffix.lower() != ".zip" or options.format_of(path.name) is not None:
        return path.name
    try:
        with open_input(path, folder) as file:
            return archive_member(file, options.member).filename
    except (InputFileRefused, ContentRefused):
        return f"{path.name}.csv"  # whoever opens it says what is wrong
