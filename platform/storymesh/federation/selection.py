"""Which rows of a table are wanted: those of some keys, and of some time. Who cannot select gives more, never less."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from storymesh.federation.access import ChooseColumns

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.dataset as ds


@dataclass(frozen=True)
class TimeBounds:
    """Rows whose column, the one at `place` among the chosen ones, lies between two moments of UTC, both inclusive.

    `or_null`: a null is between them too.
    """

    place: int
    start: datetime | None
    end: datetime | None
    or_null: bool = False


@dataclass(frozen=True)
class KeySet:
    """Rows whose columns, those at `places` among the chosen ones, are among `values`: different rows without nulls."""

    places: tuple[int, ...]
    values: "pa.Table"

    def sample(self, count: int) -> "KeySet":
        """Return at most so many of the keys, from all over."""
        rows = self.values.num_rows
        return (
            self if rows <= count else KeySet(self.places, self.values.take([n * rows // count for n in range(count)]))
        )


@dataclass(frozen=True)
class RowSelection:
    """All of these have to hold of a row; nothing: every row is wanted."""

    bounds: tuple[TimeBounds, ...] = ()
    keys: tuple[KeySet, ...] = ()


EVERY_ROW = RowSelection()


@dataclass(frozen=True)
class TransferEstimate:
    """How many rows and bytes would come, and how many bytes would go in for that."""

    rows: int
    bytes: int
    sent: int = 0


@runtime_checkable
class SelectiveTable(Protocol):
    """A table of a server that gives some of its rows. `moved` counts the bytes of them that have come;
    `sends_keys`: keys of a selection go to the server, already for an estimate."""

    moved: int
    sends_keys: bool

    def open_selected(self, choose: ChooseColumns, selection: RowSelection) -> "pa.RecordBatchReader":
        """Return at least the selected rows of the chosen columns, of one state of the table. Raises as `open_rows`."""
        ...

    def estimate(self, choose: ChooseColumns, ways: Mapping[str, RowSelection]) -> dict[str, TransferEstimate]:
        """Return what each way would move, of those that differ here, without reading a row."""
        ...


def dataset_filter(schema: "pa.Schema", names: Sequence[str], selection: RowSelection) -> "pc.Expression | None":
    """Return the selection as Arrow has it for columns whose types it can compare; None: every row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts: list[pc.Expression] = []
    for bounds in selection.bounds:
        kind, column = schema.field(names[bounds.place]).type, pc.field(names[bounds.place])
        if not (pa.types.is_timestamp(kind) or pa.types.is_date32(kind)):
            continue
        found = [column >= _moment(bounds.start, kind)] if bounds.start is not None else []
        found += [column <= _moment(bounds.end, kind)] if bounds.end is not None else []
        for part in found:
            parts.append(part | column.is_null() if bounds.or_null else part)
    for keys in selection.keys:
        for place, values in zip(keys.places, keys.values.columns, strict=True):
            kind = schema.field(names[place]).type
            if _comparable(kind, values.type):
                parts.append(pc.field(names[place]).isin(values.combine_chunks().cast(kind, safe=False)))
    return None if not parts else _all(parts)


def estimate_dataset(dataset: "ds.Dataset", names: Sequence[str], selection: RowSelection) -> TransferEstimate:
    """Return what of a dataset of Parquet files would be fetched: of the groups of rows that may have selected ones, by
    their statistics, the chunks of the chosen columns."""
    wanted, rows, size = set(names), 0, 0
    for fragment in dataset.get_fragments(filter=dataset_filter(dataset.schema, names, selection)):
        groups = fragment.split_by_row_group(filter=dataset_filter(dataset.schema, names, selection))
        metadata = fragment.metadata
        for group in (info for part in groups for info in part.row_groups):
            rows += group.num_rows
            chunks = (metadata.row_group(group.id).column(place) for place in range(metadata.num_columns))
            size += sum(chunk.total_compressed_size for chunk in chunks if chunk.path_in_schema.split(".")[0] in wanted)
    return TransferEstimate(rows, size)


def _all(parts: "list[pc.Expression]") -> "pc.Expression":
    first, *others = parts
    for part in others:
        first = first & part
    return first


def _moment(moment: datetime, kind: "pa.DataType") -> "pa.Scalar":
    import pyarrow as pa

    if pa.types.is_date32(kind):
        return pa.scalar(moment.date(), kind)
    return (
        pa.scalar(moment, pa.timestamp("us")).cast(pa.timestamp("us", kind.tz))
        if kind.tz
        else pa.scalar(moment, pa.timestamp("us"))
    )


def _comparable(kind: "pa.DataType", other: "pa.DataType") -> bool:
    import pyarrow as pa

    texts = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    whole = pa.types.is_int64(kind) and pa.types.is_integer(other)
    return bool(whole or (texts and pa.types.is_string(other)))
