"""Tables of a Delta lake, on a disk or in a bucket, each read at one version of it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from storymesh.engine.sql_text import quote_name
from storymesh.federation.access import CONNECT_S, ChooseColumns, ServerAccess
from storymesh.federation.object_store import ObjectStore
from storymesh.federation.relation import Relation
from storymesh.federation.selection import (
    RowSelection,
    SelectiveTable,
    TransferEstimate,
    estimate_dataset,
    scan_dataset,
)

if TYPE_CHECKING:
    import pyarrow as pa


class DeltaLakeTable(SelectiveTable):
    """A Delta table at the version that it has when it is opened."""

    def __init__(self, relation: Relation, access: ServerAccess) -> None:
        self._relation = relation
        self._access = access
        self._store = ObjectStore(relation, access)

    def open_selected(self, choose: ChooseColumns, selection: RowSelection) -> "pa.RecordBatchReader":
        """Return those of the rows that are selected. Raises SourceUnreadable, ResourceUnavailable."""
        import pyarrow as pa

        with self._translated_errors():
            table = self._open()
            names = list(choose([field.name for field in table.schema().fields]))
            reader = self._scan(table, names, selection)

        def batches() -> "Iterator[pa.RecordBatch]":
            with self._translated_errors():
                for batch in reader:
                    self.moved += batch.nbytes
                    yield batch

        return pa.RecordBatchReader.from_batches(reader.schema, batches())

    def estimate(self, choose: ChooseColumns, ways: Mapping[str, RowSelection]) -> dict[str, TransferEstimate]:
        """Estimate what each way would fetch, from the table's log and its files' footers."""
        from deltalake.exceptions import DeltaProtocolError

        with self._translated_errors():
            table = self._open()
            names = list(choose([field.name for field in table.schema().fields]))
            try:
                dataset = table.to_pyarrow_dataset()
            except DeltaProtocolError:
                return {}
            return {way: estimate_dataset(dataset, names, selection) for way, selection in ways.items()}

    def version(self, changed_at: str | None) -> str | None:
        """Return the table's own version of its rows."""
        with self._translated_errors():
            table = self._open()
            return f"{table.metadata().id} {table.version()}"

    def _scan(self, table: Any, names: list[str], selection: RowSelection) -> "pa.RecordBatchReader":
        import pyarrow as pa
        from deltalake import QueryBuilder
        from deltalake.exceptions import DeltaProtocolError

        try:
            dataset = table.to_pyarrow_dataset()
        except DeltaProtocolError:  # deletion vectors and the like, which Delta's own reader knows
            quoted = ", ".join(map(quote_name, names))
            return pa.RecordBatchReader.from_stream(
                QueryBuilder().register("t", table).execute(f"select {quoted} from t")
            )
        return scan_dataset(dataset, names, selection).to_reader()

    def _open(self) -> Any:
        try:
            from deltalake import DeltaTable
        except ImportError:
            raise self._relation.missing_package("deltalake", "delta") from None
        if self._store.is_local:
            return DeltaTable(self._store.path)
        return DeltaTable(f"s3://{self._store.path}", storage_options=self._storage_options())

    def _storage_options(self) -> dict[str, str]:
        store, keys = self._store, self._store.s3_keys
        endpoint = store.endpoint
        options = {
            "connect_timeout": f"{CONNECT_S}s",
            "timeout": f"{self._access.idle_timeout_s:g}s",
            "max_retries": "3",
            "AWS_REGION": store.region or "",
            "AWS_ENDPOINT_URL": endpoint or "",
            "AWS_ALLOW_HTTP": "true" if endpoint and endpoint.startswith("http:") else "",
            "AWS_ACCESS_KEY_ID": keys.get("key_id", ""),
            "AWS_SECRET_ACCESS_KEY": keys.get("secret", ""),
            "AWS_SESSION_TOKEN": keys.get("token", ""),
            "AWS_SKIP_SIGNATURE": "" if keys or store.uses_environment else "true",
        }
        return {name: value for name, value in options.items() if value}

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        import pyarrow as pa

        try:
            yield
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._store.translate(" ".join(str(error).split())) from None
        except Exception as error:
            if type(error).__name__ == "TableNotFoundError":
                raise self._relation.unreadable("there is no Delta table", "look at the location") from None
            if type(error).__module__.partition(".")[0] not in ("deltalake", "_internal"):
                raise
            raise self._store.translate(" ".join(str(error).split())) from None
