"""Which code reads which kind of server: the one place that names them."""

from typing import TYPE_CHECKING, Protocol

from storymesh.federation.access import ChooseColumns, ServerAccess
from storymesh.federation.relation import Relation
from storymesh.federation.server import unread_type

if TYPE_CHECKING:
    import pyarrow as pa


class ServerTable(Protocol):
    """A table of a server, or a query over its tables."""

    def open_rows(self, choose: ChooseColumns) -> "pa.RecordBatchReader":
        """Return the rows of the chosen columns, of one state of the table, a batch at a time.

        Raises SourceUnreadable for what a person has to mend, ResourceUnavailable for a server that does not answer,
        here or while rows are read. Rows that have come are all of them only where the reader ends without an error.
        """
        ...

    def version(self, changed_at: str | None) -> str | None:
        """Return what the rows are known by without reading them: an equal version has equal rows. None: nothing says.

        `changed_at` is the column that says when a row was changed, if there is one.
        """
        ...


def open_server_table(relation: Relation, access: ServerAccess) -> ServerTable:
    """Return what reads a relation. Nothing is connected to before rows or a version are asked for.

    Raises SourceUnreadable for a server of a type that nobody here reads.
    """
    match relation.server.kind:
        case "postgresql":
            from storymesh.federation.postgres import PostgresTable

            return PostgresTable(relation, access)
        case _:
            message, hint = unread_type(relation.server)
            raise relation.unreadable(message, hint)
