"""Selections of a table's rows by keys, time and a condition. A source that cannot apply one returns more rows, never
fewer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from storymesh.contract.conditions import COMPARISONS
from storymesh.federation.access import ChooseColumns
from storymesh.federation.request import (
    ColumnComparison,
    ColumnIsNull,
    ColumnMembership,
    Condition,
    Conjunction,
    Disjunction,
    Negation,
)

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    from storymesh.federation.source_rules import SourceAudit, SourceRules


@dataclass(frozen=True)
class TimeBounds:
    """Rows whose column, the one at `place` among the chosen ones, lies between two moments of UTC, both inclusive.

    `or_null`: a null is between them too.
    """

    place: int
    start: datetime | None
    end: datetime | None
    or_null: bool = False


BATCH_ROWS = 50_000
_SPAN_BYTES = 2 * len('"2024-01-01T00:00:00.000000",')
KeyForm = Literal["raw", "hashed text", "hashed number"]
"""How a key is there: as it is, or as the keyed hash of what the contract calls a text or a whole number."""


@dataclass(frozen=True)
class KeySet:
    """Rows whose columns, those at `places` among the chosen ones, are among `values`: different rows without nulls.

    `forms` says how the values of each column are there. Of hashed ones a row is wanted whose own value has that hash,
    made with `secret`.
    """

    places: tuple[int, ...]
    values: "pa.Table"
    forms: tuple[KeyForm, ...]
    secret: bytes = field(default=b"", repr=False)

    @property
    def hashed(self) -> bool:
        """True if some of the values are hashes."""
        return any(form != "raw" for form in self.forms)

    def sample(self, count: int) -> "KeySet":
        """Return at most so many of the keys, from all over."""
        rows = self.values.num_rows
        if rows <= count:
            return self
        return replace(self, values=self.values.take([n * rows // count for n in range(count)]))


@dataclass(frozen=True)
class KeyTimes:
    """Rows of the `keys`, each at a time of its own: `values` has the columns of keys, and of the same row the `start`
    and `end`, moments of UTC and both inclusive, between which the column at `place` lies."""

    keys: KeySet
    place: int
    values: "pa.Table"

    def of_keys(self, keys: KeySet) -> "KeyTimes":
        """Return those of some of the keys."""
        names = keys.values.column_names
        return KeyTimes(keys, self.place, self.values.join(keys.values, keys=names, join_type="left semi"))


@dataclass(frozen=True)
class RowCondition:
    """Rows of which a condition holds. Its columns stand at `places` among the chosen ones."""

    condition: Condition
    places: Mapping[str, int]

    def names(self, chosen: Sequence[str]) -> dict[str, str]:
        """Return what each of its columns is called among the chosen ones."""
        return {column: chosen[place] for column, place in self.places.items()}


@dataclass(frozen=True)
class RowSelection:
    """The conjunction of conditions on a row; without any, every row is selected."""

    bounds: tuple[TimeBounds, ...] = ()
    keys: tuple[KeySet, ...] = ()
    times: KeyTimes | None = None
    where: RowCondition | None = None

    @property
    def sent_bytes(self) -> int:
        """About how many bytes go in with a statement that selects by it."""
        sent: int = sum(keys.values.nbytes for keys in self.keys)
        if self.times is not None:
            names = self.times.keys.values.column_names
            sent += self.times.values.select(names).nbytes + _SPAN_BYTES * self.times.values.num_rows
        return sent


EVERY_ROW = RowSelection()


@dataclass(frozen=True)
class TransferEstimate:
    """How many rows and bytes would come, and how many bytes would go in for that. `doubt` says, in words, why it may
    be far off and what to do; empty: it rests on what the source knows of its rows."""

    rows: int
    bytes: int
    sent: int = 0
    doubt: str = ""


@runtime_checkable
class SelectiveTable(Protocol):
    """A table of a server that gives some of its rows. `moved` counts the bytes of them that have come;
    `sends_keys`: keys of a selection go to the server, already for an estimate."""

    moved: int = 0
    sends_keys: bool = False

    def open_rows(self, choose: ChooseColumns) -> "pa.RecordBatchReader":
        """Return the rows of the chosen columns, a batch at a time. Raises SourceUnreadable, ResourceUnavailable."""
        return self.open_selected(choose, EVERY_ROW)

    def open_selected(self, choose: ChooseColumns, selection: RowSelection) -> "pa.RecordBatchReader":
        """Return at least the selected rows of the chosen columns, of one state of the table. Raises as `open_rows`."""
        ...

    def estimate(self, choose: ChooseColumns, ways: Mapping[str, RowSelection]) -> dict[str, TransferEstimate]:
        """Estimate what each way would move, of those that differ here, without reading a row."""
        ...


@runtime_checkable
class RuledTable(Protocol):
    """A table of a server that holds the rules of a contract where it is."""

    def open_audited(
        self, choose: ChooseColumns, selection: RowSelection, rules: "SourceRules"
    ) -> "tuple[pa.RecordBatchReader, SourceAudit]":
        """Return the selected rows of the chosen columns that break none of the rules, and what these say of all rows:
        of one state of the table. Raises as `open_rows`, and AuditRefused for what would not be published."""
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
        for place, values, form in zip(keys.places, keys.values.columns, keys.forms, strict=True):
            kind = schema.field(names[place]).type
            if form == "raw" and _comparable(kind, values.type):
                parts.append(pc.field(names[place]).isin(values.combine_chunks().cast(kind, safe=False)))
    if selection.where is not None:
        part = _condition_filter(selection.where.condition, schema, selection.where.names(names))
        parts += [part] if part is not None else []
    return reduce(and_, parts) if parts else None


def _condition_filter(condition: Condition, schema: "pa.Schema", names: Mapping[str, str]) -> "pc.Expression | None":
    """Return a condition as Arrow has it, or one that holds of more rows; None where that is all of them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    match condition:
        case Conjunction(conditions=inner):
            found = [_condition_filter(part, schema, names) for part in inner]
            known = [part for part in found if part is not None]
            return reduce(and_, known) if known else None
        case Disjunction(conditions=inner):
            found = [_condition_filter(part, schema, names) for part in inner]
            known = [part for part in found if part is not None]
            return reduce(or_, known) if len(known) == len(found) else None
        case Negation(condition=ColumnIsNull(column=column)):
            return pc.field(names[column]).is_valid()
        case ColumnIsNull(column=column):
            return pc.field(names[column]).is_null()
        case ColumnComparison(column=column) | ColumnMembership(column=column):
            values = condition.values if isinstance(condition, ColumnMembership) else (condition.value,)
            kind = schema.field(names[column]).type
            if not all(_compares_as(kind, value) for value in values):
                return None
            one = pc.field(names[column])
            if isinstance(condition, ColumnMembership):
                return one.isin(pa.array(values, kind))
            return COMPARISONS[condition.operator](one, pa.scalar(values[0], kind))
        case _:
            return None


def _compares_as(kind: "pa.DataType", value: object) -> bool:
    """Return True if values of an Arrow type compare with a value as the contract's do."""
    import pyarrow as pa

    if isinstance(value, bool):
        return bool(pa.types.is_boolean(kind))
    if isinstance(value, int):
        return bool(pa.types.is_signed_integer(kind)) and abs(value) < 1 << (kind.bit_width - 1)
    return isinstance(value, str) and bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def scan_dataset(dataset: "ds.Dataset", names: Sequence[str], selection: RowSelection) -> "ds.Scanner":
    """Return what reads the selected rows of a dataset: one file at a time, and the next one being fetched."""
    selected = dataset_filter(dataset.schema, names, selection)
    return dataset.scanner(
        columns=list(names), filter=selected, batch_size=BATCH_ROWS, batch_readahead=4, fragment_readahead=1
    )


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
