"""Tables of a DuckDB file, which the engine reads in a process of its own that sees this file alone."""

from typing import TYPE_CHECKING

from storymesh.engine.engine import Engine, TableNotFound
from storymesh.errors import EngineFailed, suggest_name
from storymesh.federation.access import ChooseColumns, ServerAccess
from storymesh.federation.file_times import version_of_database
from storymesh.federation.relation import Relation

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa


class DuckDBTable:
    """A table or a query of a DuckDB file."""

    def __init__(self, relation: Relation, access: ServerAccess, engine: Engine | None) -> None:
        self._relation = relation
        self._engine = engine
        self._path = access.path(relation.server, relation.server.required("database"))

    def open_rows(self, choose: ChooseColumns) -> "pa.RecordBatchReader":
        """Return the rows of the chosen columns, a batch at a time. Raises SourceUnreadable."""
        import pyarrow as pa

        relation, engine = self._relation, self._engine
        assert engine is not None, "rows are asked for with an engine"
        if not self._path.is_file():
            raise relation.unreadable("there is no such file", "write the path from the domain's folder")
        schema, _, name = (relation.table or "").rpartition(".")
        try:
            reader = engine.stream_database_table(
                self._path,
                name,
                self._path.parent,
                choose,
                schema=schema or relation.server.field("schema"),
                query=relation.query,
            )
        except TableNotFound as error:
            raise relation.unreadable("there is no such table", suggest_name(name, error.tables)) from None
        except EngineFailed as error:
            raise relation.unreadable(str(error), "is somebody writing to it?") from None

        def batches() -> "Iterator[pa.RecordBatch]":
            try:
                yield from reader
            except EngineFailed as error:
                raise relation.unreadable(str(error)) from None

        return pa.RecordBatchReader.from_batches(reader.schema, batches())

    def version(self, changed_at: str | None) -> str | None:
        """Return what the file is known by."""
        return version_of_database(self._path, (".wal",))
