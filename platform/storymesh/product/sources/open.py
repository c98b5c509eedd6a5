"""The kinds of sources that products can have, and opening the rows of one."""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.contract.definition import Contract
from storymesh.engine.engine import Engine
from storymesh.errors import SourceUnreadable, StorymeshError
from storymesh.federation.access import ServerAccess
from storymesh.input_file import InputFileRefused, open_input
from storymesh.product.dbt_model_server import ModelServer
from storymesh.product.dbt_state import models_digest
from storymesh.product.definition import Product
from storymesh.product.sources.bounds import ContentRefused
from storymesh.product.sources.csv import CSV
from storymesh.product.sources.dbt_model import open_dbt_model, open_served_model
from storymesh.product.sources.json_lines import JSON_LINES
from storymesh.product.sources.options import Format, SourceOptions
from storymesh.product.sources.parquet import PARQUET
from storymesh.product.sources.row_cache import RowCache
from storymesh.product.sources.server_table import open_server_rows, server_version
from storymesh.product.sources.source import RowPlaces, SourceFile, SourceFormat
from storymesh.product.sources.source_paths import file_problem, is_pattern, matching_files, name_inside, source_problem
from storymesh.product.sources.xlsx import XLSX, sheet_rows

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS: Mapping[Format, SourceFormat] = {"csv": CSV, "parquet": PARQUET, "jsonl": JSON_LINES, "xlsx": XLSX}


def open_product_rows(
    product: Product,
    contract: Contract,
    folder: Path,
    database: Path | ModelServer,
    engine: Engine,
    allowed: Collection[Path] | None = (),
    manifest: Mapping[str, Any] | None = None,
    servers: ServerAccess | None = None,
    kept: RowCache | None = None,
) -> "pa.RecordBatchReader":
    """Return the rows of `product`, a batch at a time.

    They are in its `source`, a path relative to the domain's `folder` or a pattern of such; or in the table of a server
    of its contract, which `servers` may be, with what is `kept` of it; or else in the table or view of its name in the
    `database` of the domain's
    dbt project (a DuckDB file, where a view reads what is `allowed`, None being everything; or a server), as dbt's
    `manifest` names it.
    Raises SourceUnreadable, here or while rows are read, and for a server that does not answer ResourceUnavailable.
    """
    if product.layout.server is not None:
        return open_server_rows(
            product,
            contract,
            servers or ServerAccess(folder),
            engine,
            partial(_open_files, product, contract, engine),
            kept,
        )
    if product.source is None and isinstance(database, ModelServer):
        return open_served_model(product, contract, database, servers or ServerAccess(folder), manifest)
    if product.source is None:
        assert isinstance(database, Path)
        return open_dbt_model(product, contract, folder, database, engine, allowed, manifest)
    if problem := source_problem(product, folder):
        raise SourceUnreadable(f"{product.source_location}: source '{product.source}': {problem[0]}", problem[1])
    sources = _source_files(product, contract, folder)
    return _chain_rows(sources, [_format_of(source.path, product.layout, folder) for source in sources], engine)


def _open_files(
    product: Product, contract: Contract, engine: Engine, paths: Sequence[Path], options: SourceOptions
) -> "pa.RecordBatchReader":
    """Return the rows of files that are those of the product, wherever they lie on this machine."""
    sources = []
    for path in paths:
        label = f"{product.source_location}: {path.name}"
        if problem := file_problem(path, path.parent, options):
            raise SourceUnreadable(f"{label}: {problem[0]}", problem[1])
        sources.append(SourceFile(path, path.parent, label, contract, options))
    return _chain_rows(sources, [_format_of(path, options, path.parent) for path in paths], engine)


def product_row_places(product: Product, contract: Contract, folder: Path) -> RowPlaces | None:
    """Return where the rows stand that `open_product_rows` gives of the same arguments; None for those of no file."""
    if product.source is None:
        return None
    sources = _source_files(product, contract, folder)
    return RowPlaces(
        [(source, _format_of(source.path, product.layout, folder).record_lines) for source in sources], folder
    )


def open_raw_rows(path: Path, options: SourceOptions, engine: Engine) -> "pa.RecordBatchReader":
    """Return the rows of a file that no contract describes, a batch at a time: every column that has a name.

    Where `options` name a pattern, the rows are those of its files in the folder of `path`. Raises SourceUnreadable,
    here or while rows are read.
    """
    folder = path.parent.resolve()
    paths = raw_files(path)
    for file in paths:
        if problem := file_problem(file, folder, options):
            raise SourceUnreadable(f"{file.name}: {problem[0]}", problem[1])
    sources = [SourceFile(file, folder, file.name, None, options) for file in paths]
    return _chain_rows(sources, [_format_of(file, options, folder) for file in paths], engine)


def raw_format(path: Path, options: SourceOptions) -> Format | None:
    """Return the format of a file, or of the first that a pattern means; None where nothing says it."""
    paths = raw_files(path)
    return options.format_of(name_inside(paths[0], options, paths[0].parent)) if paths else None


def raw_content(path: Path, options: SourceOptions, size: int) -> bytes:
    """Return the first bytes of a file of text, or of the first that a pattern means, decompressed.

    Raises SourceUnreadable.
    """
    paths = raw_files(path)
    if not paths:
        raise SourceUnreadable(f"{path.name}: no file has a name of this pattern", f"looked in {path.parent}")
    source = SourceFile(paths[0], paths[0].parent, paths[0].name, None, options)
    with source.open() as file:
        try:
            return file.read(size)
        except ContentRefused as error:
            raise source.refused(error) from None


def raw_sheet_rows(path: Path, options: SourceOptions, count: int) -> list[list[object]]:
    """Return the values of the cells of the first rows of a sheet, or of the first workbook that a pattern means.

    Raises SourceUnreadable.
    """
    paths = raw_files(path)
    if not paths:
        raise SourceUnreadable(f"{path.name}: no file has a name of this pattern", f"looked in {path.parent}")
    return sheet_rows(SourceFile(paths[0], paths[0].parent, paths[0].name, None, options), count)


def raw_files(path: Path) -> list[Path]:
    """Return the file at a path, or the files that it means as a pattern, by name."""
    path = path.parent.resolve() / path.name
    return matching_files(path.parent, path.name) if is_pattern(path.name) else [path.resolve()]


def _source_files(product: Product, contract: Contract, folder: Path) -> list[SourceFile]:
    assert product.source is not None
    paths = matching_files(folder, product.source)
    several = len(paths) > 1 or not (folder / product.source).is_file()
    return [
        SourceFile(path, folder, _label(product, path, folder if several else None), contract, product.layout)
        for path in paths
    ]


def _label(product: Product, path: Path, folder: Path | None) -> str:
    file = f", {path.relative_to(folder).as_posix()}" if folder is not None else ""
    return f"{product.source_location}: source '{product.source}'{file}"


def _chain_rows(
    sources: Sequence[SourceFile], formats: Sequence[SourceFormat], engine: Engine
) -> "pa.RecordBatchReader":
    """Return the rows of one file after another.

    The columns of every file are looked at first, so that one that lacks some is known before a row is read.
    """
    import pyarrow as pa

    pairs = list(zip(sources, formats, strict=True))
    if len(pairs) == 1:
        return formats[0].open_rows(sources[0], engine)
    schemas = [file_format.open_rows(source, engine).schema for source, file_format in pairs]
    # A contract takes its columns from each file in its own order and by its own spelling.
    orders = [
        range(len(schema)) if source.contract is not None else _same_names(source, schema, sources[0], schemas[0])
        for source, schema in zip(sources, schemas, strict=True)
    ]
    schema = _common_schema(sources, schemas, orders)

    def batches() -> "Iterator[pa.RecordBatch]":
        for (source, file_format), order in zip(pairs, orders, strict=True):
            for batch in file_format.open_rows(source, engine):
                columns = [batch.column(place).cast(kind) for place, kind in zip(order, schema.types, strict=True)]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _same_names(source: SourceFile, schema: "pa.Schema", first: SourceFile, wanted: "pa.Schema") -> list[int]:
    """Return the places of the columns of the first file. Raises SourceUnreadable where there are others."""
    lacking = [name for name in wanted.names if name not in schema.names]
    beside = [name for name in schema.names if name not in wanted.names]
    if lacking or beside:
        parts = [
            f"{word} {', '.join(found[:3])}" for word, found in (("lacks", lacking), ("has also", beside)) if found
        ]
        words = f"its columns are not those of {first.path.name}: it {' and '.join(parts)}"
        raise source.unreadable(words, "files of one product have the same columns")
    return [schema.names.index(name) for name in wanted.names]


def _common_schema(
    sources: Sequence[SourceFile], schemas: "Sequence[pa.Schema]", orders: Sequence[Sequence[int]]
) -> "pa.Schema":
    """Return the types that hold the values of all files, which may be of several types. Raises SourceUnreadable."""
    import pyarrow as pa

    fields = list(schemas[0])
    for source, schema, order in zip(sources, schemas, orders, strict=True):
        for index, place in enumerate(order):
            field, other = fields[index], schema.field(place).with_name(fields[index].name)
            try:
                merged = pa.unify_schemas([pa.schema([field]), pa.schema([other])], promote_options="permissive")
            except (pa.ArrowInvalid, pa.ArrowTypeError):
                words = f"its column '{other.name}' is {other.type}, and {field.type} in other files"
                raise source.unreadable(words, "files of one product have columns of the same types") from None
            fields[index] = merged.field(0).with_metadata(field.metadata or other.metadata)
    return pa.schema(fields)


def source_digest(
    product: Product,
    contract: Contract,
    folder: Path,
    database: Path | ModelServer,
    allowed: Collection[Path] | None = (),
    manifest: Mapping[str, Any] | None = None,
    servers: ServerAccess | None = None,
) -> str | None:
    """Return a digest of the bytes that `open_product_rows` of the same arguments reads the rows from; of a server, of
    what its rows are known by.

    None where the same bytes may give other rows, or cannot be read.
    """
    if product.layout.server is not None:
        try:
            version = server_version(product, contract, servers or ServerAccess(folder))
        except StorymeshError:
            return None  # whoever reads the rows says what is wrong
        return version and hashlib.sha256(version.encode()).hexdigest()
    if product.source is None:
        return models_digest(database, allowed, manifest) if isinstance(database, Path) else None
    digests = hashlib.sha256()
    try:
        for path in matching_files(folder, product.source):
            with open_input(path, folder) as file:
                name = path.relative_to(folder).as_posix()
                digests.update(f"{name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    except (InputFileRefused, OSError, ValueError):
        return None
    return digests.hexdigest()


def _format_of(path: Path, options: SourceOptions, folder: Path) -> SourceFormat:
    found = options.format_of(name_inside(path, options, folder))
    assert found is not None, "a file without a format is refused before"
    return FORMATS[found]
