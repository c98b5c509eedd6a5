"""The rows that a product is drafted from, wherever a person says they are: a file, a table of a DuckDB file, a model
of the domain's dbt project."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.engine.engine import Engine, TableNotFound
from storymesh.errors import EngineFailed, SourceUnreadable, WrongUsage, suggest_name
from storymesh.product.dbt_files import data_folders
from storymesh.product.dbt_profile import domain_database_path
from storymesh.product.dbt_project import DbtAccess, prepare_dbt, run_dbt
from storymesh.product.sources.arrow_columns import plain_columns
from storymesh.product.sources.open import open_raw_rows
from storymesh.scaffold.names import plain_name

if TYPE_CHECKING:
    import pyarrow as pa

DATABASES = (".duckdb", ".ddb", ".db")
_SERVERS = ("postgres:", "postgresql:", "mysql:", "jdbc:", "sqlserver:", "snowflake:")


@dataclass(frozen=True)
class DomainProject:
    """Where a domain's dbt project is, and what its dbt may have."""

    domain: str
    folder: Path
    store: Path
    access: DbtAccess


@dataclass(frozen=True)
class RawRows:
    """Rows without a contract. `name` is what they are called; `file` is the file that a product reads them from, None:
    the dbt model of that name."""

    name: str
    file: Path | None
    reader: "pa.RecordBatchReader"


def open_rows(engine: Engine, origin: str, table: str | None, project: DomainProject, scratch: Path) -> RawRows:
    """Return the rows at `origin`: the path of a file, of a DuckDB file with a `table`, or the name of a dbt model.

    The rows of a table are copied into a Parquet file in the folder `scratch`. Raises WrongUsage, SourceUnreadable.
    """
    path = Path(origin).expanduser()
    if origin.lower().startswith(_SERVERS):
        words = "a table of a server is not read yet"
        raise WrongUsage(words, "export it, as with psql: \\copy my_table to 'my_table.csv' csv header")
    if path.suffix.lower() in DATABASES:
        file = _copied_table(engine, path, table, scratch)
        return RawRows(file.stem, file, open_raw_rows(file, engine))
    if table is not None:
        raise WrongUsage("--table is for a DuckDB file", f"its name ends with {', '.join(DATABASES)}")
    model = _dbt_model(origin, project.folder)
    if model is not None:
        return RawRows(model, None, _open_model(engine, model, project))
    if not path.exists():
        near = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise WrongUsage(f"there is no file {origin}", suggest_name(path.name, near))
    return RawRows(path.name.partition(".")[0] or path.name, path, open_raw_rows(path, engine))


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
    if not (folder / "dbt_project.yml").is_file():
        return None
    name = Path(origin).name.removesuffix(".sql")
    found = (path for path in folder.rglob(f"{name}.sql") if "target" not in path.relative_to(folder).parts)
    return name if name.replace("_", "").isalnum() and next(found, None) is not None else None


def _open_model(engine: Engine, model: str, project: DomainProject) -> "pa.RecordBatchReader":
    """Return the rows of a dbt model, which is built first where it is not there."""

    def unreadable(problem: str, hint: str = "") -> SourceUnreadable:
        return SourceUnreadable(f"the dbt model '{model}' of '{project.domain}': {problem}", hint)

    access = project.access
    database = domain_database_path(project.domain, project.folder, project.store, unconfined=access.unconfined)
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
