"""Tables of a SQLite file, opened read-only: one state of it, a batch of rows at a time."""

import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING

from storymesh.errors import suggest_name
from storymesh.federation.access import ChooseColumns, ServerAccess
from storymesh.federation.file_times import version_of_database
from storymesh.federation.relation import Relation
from storymesh.federation.row_texts import text_batches
from storymesh.federation.sql import Dialect, quote_name, relation_sql, select_sql

if TYPE_CHECKING:
    import pyarrow as pa

_DIALECT: Dialect = "sqlite"
_BUSY_S = 15.0


class SqliteTable:
    """A table or a query of a SQLite file."""

    def __init__(self, relation: Relation, access: ServerAccess) -> None:
        self._relation = relation
        self._path = access.path(relation.server, relation.server.required("database"))

    def open_rows(self, choose: ChooseColumns) -> "pa.RecordBatchReader":
        """Return the rows of the chosen columns, a batch at a time. Raises SourceUnreadable."""
        import pyarrow as pa

        if not self._path.is_file():
            raise self._relation.unreadable("there is no such file", "write the path from the domain's folder")
        source = relation_sql(self._relation, _DIALECT)
        connection = sqlite3.connect(f"{self._path.resolve().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S,
                                     check_same_thread=False)  # fmt: skip
        try:
            connection.execute("pragma trusted_schema = off")
            described = connection.execute(f"select * from {source} limit 0").description
            names = list(choose([name for name, *_ in described]))
            cursor = connection.execute(select_sql([quote_name(name, _DIALECT) for name in names], source))
        except sqlite3.Error as error:
            hint = self._near_tables(connection) if "no such table" in str(error) else ""
            connection.close()
            raise self._relation.unreadable(str(error), hint) from None
        except BaseException:
            connection.close()
            raise
        schema = pa.schema([(name, pa.string()) for name in names])

        def batches() -> "Iterator[pa.RecordBatch]":
            try:
                yield from text_batches(cursor.fetchmany, schema)
            except sqlite3.Error as error:
                raise self._relation.unreadable(str(error)) from None
            finally:
                connection.close()

        return pa.RecordBatchReader.from_batches(schema, batches())

    def version(self, changed_at: str | None) -> str | None:
        """Return what the file is known by."""
        return version_of_database(self._path, ("-wal", "-journal"))

    @staticmethod
    def _near_tables(connection: sqlite3.Connection) -> str:
        try:
            rows = connection.execute("select name from sqlite_schema where type in ('table', 'view')").fetchall()
        except sqlite3.Error:
            return ""
        return suggest_name("", [name for (name,) in rows])
