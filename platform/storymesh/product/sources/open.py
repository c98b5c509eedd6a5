"""The kinds of sources that products can have, and opening the rows of one."""

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.contract.definition import Contract
from storymesh.document import suggest_file
from storymesh.engine.engine import Engine
from storymesh.input_file import InputFileRefused, open_input, require_input
from storymesh.product.dbt_state import models_digest
from storymesh.product.definition import Product
from storymesh.product.sources.bounds import OpensTooFar, require_bounded
from storymesh.product.sources.csv import CSV
from storymesh.product.sources.dbt_model import open_dbt_model
from storymesh.product.sources.json_lines import JSON_LINES
from storymesh.product.sources.parquet import PARQUET
from storymesh.product.sources.source import SourceFile
from storymesh.product.sources.xlsx import XLSX

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = (CSV, PARQUET, JSON_LINES, XLSX)
_BY_SUFFIX = {suffix: file_format for file_format in FORMATS for suffix in file_format.suffixes}


def open_product_rows(
    product: Product,
    contract: Contract,
    folder: Path,
    database: Path,
    engine: Engine,
    allowed: Collection[Path] | None = (),
    manifest: Mapping[str, Any] | None = None,
) -> "pa.RecordBatchReader":
    """Return the rows of `product`, a batch at a time.

    They are in its `source`, a path relative to the domain's `folder`, or else in the table or view of its name in the
    DuckDB file `database` of the domain's dbt project, where a view reads what is `allowed` (None: everything), as
    dbt's `manifest` names it. Raises SourceUnreadable, here or while rows are read.
    """
    if product.source is None:
        return open_dbt_model(product, contract, folder, database, engine, allowed, manifest)
    label = f"{product.source_location}: source '{product.source}'"
    source = SourceFile(folder / product.source, folder, label, contract)
    if problem := source_problem(product, folder):
        raise source.unreadable(*problem)
    return _BY_SUFFIX[_suffix_of(source.path)].open_rows(source, engine)


def open_raw_rows(path: Path, engine: Engine) -> "pa.RecordBatchReader":
    """Return the rows of a file that no contract describes, a batch at a time: every column that has a name.

    Raises SourceUnreadable, here or while rows are read.
    """
    path = path.resolve()
    source = SourceFile(path, path.parent, path.name, None)
    if problem := _file_problem(path, path.parent):
        raise source.unreadable(*problem)
    return _BY_SUFFIX[_suffix_of(path)].open_rows(source, engine)


def source_digest(
    product: Product,
    folder: Path,
    database: Path,
    allowed: Collection[Path] | None = (),
    manifest: Mapping[str, Any] | None = None,
) -> str | None:
    """Return a digest of the bytes that `open_product_rows` of the same arguments reads the rows from.

    None where the same bytes may give other rows, or cannot be read.
    """
    if product.source is None:
        return models_digest(database, allowed, manifest)
    try:
        with open_input(folder / product.source, folder) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (InputFileRefused, OSError):
        return None


def source_problem(product: Product, folder: Path) -> tuple[str, str] | None:
    """Return message and hint when the source of `product`, relative to the domain's `folder`, cannot be read."""
    return _file_problem(folder / (product.source or ""), folder)


def _file_problem(path: Path, folder: Path) -> tuple[str, str] | None:
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
    except OpensTooFar as error:
        return f"the file {error}", "split it, or take out what is not data"
    except RuntimeError:
        return "the file is a link that leads back to itself", "put the file itself there"
    except (OSError, ValueError) as error:
        return f"this is no path of a file: {error}", "for instance sources/ports.csv"
    if _suffix_of(path) not in _BY_SUFFIX:
        return f"a file '{_suffix_of(path)}' cannot be read", f"use {', '.join(_BY_SUFFIX)}, or a dbt model"
    return None


def _suffix_of(path: Path) -> str:
    """Return the ending of a file's name in lower case: `.csv`, `.csv.gz`."""
    return "".join(path.suffixes[-2:]).lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
