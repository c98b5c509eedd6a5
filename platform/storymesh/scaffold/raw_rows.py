"""The rows that a product is drafted from, wherever a person says they are: a file, a table of a DuckDB file or of a
database, a model of the domain's dbt project."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.engine.engine import Engine, TableNotFound
from storymesh.errors import EngineFailed, SourceUnreadable, WrongUsage, suggest_name
from storymesh.product.dbt_files import data_folders, has_dbt_project
from storymesh.product.dbt_profile import models_place
from storymesh.product.dbt_project import DbtAccess, prepare_dbt, run_dbt
from storymesh.product.sources.arrow_columns import plain_columns
from storymesh.product.sources.open import open_raw_rows, raw_files
from storymesh.product.sources.options import SourceOptions
from storymesh.scaffold.names import plain_name
from storymesh.scaffold.server_table import ServedTable, find_table, is_database

if TYPE_CHECKING:
    import pyarrow as pa

DATABASES = (".duckdb", ".ddb", ".db")
_OTHER_SERVERS = ("jdbc:", "sqlserver:", "snowflake:", "oracle:", "mssql:")


@dataclass(frozen=True)
class DomainProject:
    """Where a domain's dbt project is, and what its dbt may have."""

    domain: str
    folder: Path
    store: Path
    access: DbtAccess


@dataclass(frozen=True)
class RawRows:
    """Rows without a contract. `name` is what they are called; `file` is the file, or the pattern of several, that a
    product reads them from, None: the table `served` by a database, or the dbt model of that name. `open` returns them,
    read by options of their file.

    `key` is the key that a database has for them, `notes` say what a person should know.
    """

    name: str
    file: Path | None
    open: "Callable[[SourceOptions], pa.RecordBatchReader]"
    key: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    served: ServedTable | None = None

    @property
    def is_model(self) -> bool:
        """Return True for the rows of a dbt model."""
        return self.file is None and self.served is None


def find_rows(engine: Engine, origin: str, table: str | None, project: DomainProject, scratch: Path) -> RawRows:
    """Return the rows at `origin`: the path of a file, a pattern of such, a DuckDB file or the address of a database
    with a `table`, or the name of a dbt model.

    The rows of a table in a file are copied into one in the folder `scratch`. Raises WrongUsage, SourceUnreadable.
    """
    path = Path(origin).expanduser()
    if is_database(origin):
        found = find_table(origin, table, project.folder)
        return RawRows(found.name, None, lambda _: found.open_rows(), found.key, found.notes, found)
    if origin.lower().startswith(_OTHER_SERVERS):
        words = "a table of this kind of server is not read"
        raise WrongUsage(
            words, "export it as CSV or Parquet, or name a table of a PostgreSQL: postgresql://HOST/DATABASE"
        )
    if path.suffix.lower() in DATABASES:
        file = _copied_table(engine, path, table, scratch)
        return RawRows(file.stem, file, _reader_of(file, engine))
    if table is not None:
        words = "--table is for a DuckDB file or a database"
        raise WrongUsage(words, f"a file whose name ends with {', '.join(DATABASES)}, or postgresql://HOST/DATABASE")
    model = _dbt_model(origin, project.folder)
    if model is not None:
        return RawRows(model, None, lambda _: _open_model(engine, model, project))
    if not path.exists() and not raw_files(path):
        raise WrongUsage(f"no file has a name like {origin}", f"looked in {path.parent}")
    if not raw_files(path)[0].exists():
        near = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise WrongUsage(f"there is no file {origin}", suggest_name(path.name, near))
    return RawRows(_name_of(path), path, _reader_of(path, engine))


def _name_of(path: Path) -> str:
    """Return what a file is called without its ending, or what a pattern has before its first `*`."""
    found = re.split(r"[.*?\[]", path.name, maxsplit=1)[0].strip("-_ 0123456789") if "*" in path.name else ""
    return found or path.name.partition(".")[0].replace("*", "") or path.parent.name


def _reader_of(path: Path, engine: Engine) -> "Callable[[SourceOptions], pa.RecordBatchReader]":
    return lambda options: open_raw_rows(path, options, engine)


def _all(names: Sequence[str]) -> Sequence[str]:
    return names


def _copied_table(engine: Engine, path: Path, table: str | None, scratch: Path) -> Path:
    """Return a Parquet file with the rows of a table in a DuckDB file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise WrongUsage(f"there is no file {path}")
    database = path.resolve()

    def unreadable(problem: str, hint: str = "") -> SourceUnreadable:
        return SourceUnreadable(f"{path.name}: {problem}", hint)

    try:
        reader = engine.stream_database_table(database, table or "", database.parent, _all, only=())
        rows = plain_columns(reader.schema, reader, unreadable)
        file = scratch / f"{plain_name(table or '', 'table')}.parquet"
        with pq.ParquetWriter(file, rows.schema) as writer:
            for batch in rows:
                writer.write_batch(batch)
    except TableNotFound as error:
        words = f"it has no table '{table}'" if table else "say which table: --table NAME"
        raise WrongUsage(f"{path.name}: {words}", suggest_name(table or "", error.tables)) from None
    except EngineFailed as error:
        raise unreadable(f"it cannot be read: {error}") from None
    except pa.ArrowException as error:
        raise unreadable(f"the table cannot be written as Parquet: {error}") from None
    return file


def _dbt_model(origin: str, folder: Path) -> str | None:
    """Return the name of the model of the dbt project in `folder` that `origin` means, by name or by file."""
    if not has_dbt_project(folder):
        return None
    name = Path(origin).name.removesuffix(".sql")
    found = (path for path in folder.rglob(f"{name}.sql") if "target" not in path.relative_to(folder).parts)
    return name if name.replace("_", "").isalnum() and next(found, None) is not None else None


def _open_model(engine: Engine, model: str, project: DomainProject) -> "pa.RecordBatchReader":
    """Return the rows of a dbt model, which is built first where it is not there."""

    def unreadable(problem: str, hint: str = "") -> SourceUnreadable:
        return SourceUnreadable(f"the dbt model '{model}' of '{project.domain}': {problem}", hint)

    access = project.access
    database = models_place(project.domain, project.folder, project.store, unconfined=access.unconfined)
    if not isinstance(database, Path):
        raise unreadable("it is on a server", "name its table there: --from postgresql://HOST/DATABASE --table NAME")
    prepared = prepare_dbt(project.domain, project.folder, project.store, {}, engine, access)
    run_dbt(prepared, "run")
    allowed = None if access.unconfined else [*data_folders(project.folder.resolve()), prepared.home / "external"]
    try:
        reader = engine.stream_database_table(database, model, project.folder.resolve(), _all, only=allowed)
    except TableNotFound as error:
        raise unreadable("dbt made no table of it", suggest_name(model, error.tables)) from None
    except EngineFailed as error:
        raise unreadable(str(error)) from None
    return plain_columns(reader.schema, reader, unreadable)
