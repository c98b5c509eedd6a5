"""The content digest of a relation: equal rows give an equal digest, in any order, on any engine, folder or machine.

**The canonical form of a value** is text, and says by itself where it ends. `n` is null; `t` and `f` are true and
false; every other scalar is a letter, the length in bytes of what follows, `:`, and that text in UTF-8:

    i  integer    its decimal digits                        s  text    as it is; no Unicode normalisation
    e  decimal    its digits without trailing zeros         b  binary  lower-case hexadecimal
    d  double     the shortest digits that round-trip, as Python's `repr` writes them; one zero, one `nan`
    D  date       days since 1970-01-01                     H  time    microseconds since midnight
    T  timestamp  microseconds since 1970-01-01 in UTC, and after a point the nanoseconds, if any

A list is `l`, the count, `:` and its items; a map is `m`, the count, `:` and its entries (key, value) in the byte order
of their canonical form; a struct, and so a row, is `r` and its fields in the byte order of their names.

**The digest** is the root of a hash tree of one level: a leaf is the SHA-256 of a row, the root is the SHA-256 of the
relation's shape (the names and kinds of its columns), the count of rows, and the leaves in sorted order. A row counts
as often as it stands there. The width of a number, the order of columns and how an engine stores a value are not
content; a column's name and kind are.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.engine.duckdb.leaf_spool import LEAF, LeafSpool
from storymesh.engine.duckdb.nested_forms import BATCH, is_faster_by_column, row_digests
from storymesh.engine.sql_text import quote_name, quote_text

if TYPE_CHECKING:
    import duckdb
    import pyarrow
    from duckdb.sqltypes import DuckDBPyType

FORM = "storymesh-relation-1"
_SORTED = 1 << 18  # leaves at once
_BATCH_ROWS = 65_536  # the more rows, the more often a value repeats, which is formatted once
_BATCH_BYTES = 2**24  # of Arrow, about; the formatted values of one batch are in memory

_SIGNED = ("tinyint", "smallint", "integer", "bigint", "hugeint")
_KINDS = {
    "boolean": "boolean",
    **dict.fromkeys(_SIGNED, "integer"),
    **dict.fromkeys((f"u{width}" for width in _SIGNED), "integer"),
    "decimal": "decimal",
    "float": "double",
    "double": "double",
    "varchar": "text",
    "enum": "text",
    "uuid": "text",
    "blob": "binary",
    "date": "date",
    "time": "time",
    "timestamp": "timestamp",
    "timestamp_s": "timestamp",
    "timestamp_ms": "timestamp",
    "timestamp_ns": "timestamp",
    "timestamp with time zone": "timestamp",
    "list": "list",
    "array": "list",
    "map": "map",
    "struct": "struct",
    '"null"': "null",
}


def relation_digest(
    relation: "duckdb.DuckDBPyRelation | pyarrow.RecordBatchReader | pyarrow.Table", folder: Path | None = None
) -> str:
    """Return the digest of `relation`, 64 hexadecimal digits. A reader is read to its end.

    What memory does not hold lies in `folder` meanwhile (None: where the system has such files).

    Raises TypeError for a column of a type that contracts do not have (intervals, unions, bit strings).
    """
    import duckdb

    if not isinstance(relation, duckdb.DuckDBPyRelation):
        with duckdb.connect() as connection:
            return relation_digest(connection.from_arrow(relation), folder)
    fields = dict(zip(relation.columns, relation.types, strict=True))
    shape = _relation_shape(fields)
    names = sorted(fields, key=str.encode)
    nested = [name for name in names if is_faster_by_column(fields[name])]
    if not nested:
        return _root(shape, _leaves(relation, fields))
    formed = [name for name in names if name not in nested]
    forms = [f"{_canonical(quote_name(name), fields[name], 0)} AS {quote_name(name)}" for name in formed]
    digest = BatchDigest(fields, folder, formed)
    for batch in relation.project(", ".join([*forms, *map(quote_name, nested)])).to_arrow_reader(BATCH):
        digest.add(batch)
    return digest.value()


class BatchDigest:
    """The digest of rows that pass by batch by batch, made over Arrow.

    `fields` are the columns with their types, all plain ones (`round_trips_arrow`) but for those in `formed`, which are
    canonical forms already. A batch may have further columns. Rows belong to parts, of which any choice has a digest.
    Leaves that memory does not hold lie in `folder` meanwhile.
    """

    def __init__(self, fields: "Mapping[str, DuckDBPyType]", folder: Path | None, formed: Sequence[str] = ()) -> None:
        self._shape, self._formed = _relation_shape(fields), formed
        self._names = sorted(fields, key=str.encode)
        self._spool = LeafSpool(folder)
        self._pending: list[bytes] = []
        self._count = 0  # of rows whose leaves are pending
        self._parts: dict[str, int] = {}
        self._part = 0

    def add(self, batch: "pyarrow.RecordBatch", part: str = "") -> None:
        number = self._parts.setdefault(part, len(self._parts))
        if self._count >= _SORTED or number != self._part:
            self._insert()
        self._part = number
        self._pending.append(row_digests(batch, self._names, self._formed))
        self._count += batch.num_rows

    def value(self, parts: "Iterable[str] | None" = None) -> str:
        """Return the digest of the rows of `parts`; None: of all rows. Of a part without rows nothing was added."""
        self._insert()
        chosen = None if parts is None else {self._parts[part] for part in parts if part in self._parts}
        return _root(self._shape, self._spool.sorted(chosen))

    def _insert(self) -> None:
        if self._count:
            self._spool.add(b"".join(self._pending), self._part)
        self._pending.clear()
        self._count = 0


@dataclass(frozen=True)
class DuckDBPartDigests:
    """The port's `PartDigests`, computed while the rows pass by; `translated` raises DuckDB's errors as the port's."""

    digest: BatchDigest
    translated: Callable[[], AbstractContextManager[None]]

    def add(self, part: str, rows: "pyarrow.Table") -> None:
        with self.translated():
            size = max(1, min(_BATCH_ROWS, _BATCH_BYTES * len(rows) // max(rows.nbytes, 1)))
            for batch in rows.to_batches(size):
                self.digest.add(batch, part)

    def content_digest(self, parts: Collection[str]) -> str:
        with self.translated():
            return self.digest.value(parts)


def _relation_shape(fields: "Mapping[str, DuckDBPyType]") -> str:
    return "".join(_token(name) + _shape(name, fields[name]) for name in sorted(fields, key=str.encode))


def _root(shape: str, leaves: "Iterable[memoryview]") -> str:
    """Return the digest of rows of a shape, of which `leaves` are the SHA-256, sorted, many at once."""
    tree, count = hashlib.sha256(), 0
    for some in leaves:
        tree.update(some)
        count += some.nbytes // LEAF
    root = "".join(map(_token, (FORM, shape, str(count), tree.hexdigest())))
    return hashlib.sha256(root.encode()).hexdigest()


def _leaves(relation: "duckdb.DuckDBPyRelation", fields: "dict[str, DuckDBPyType]") -> "Iterator[memoryview]":
    """Yield the SHA-256 of every row, sorted, by SQL alone."""
    names = sorted(fields, key=str.encode)
    texts, forms = [], []
    for name in names:
        column = quote_name(name)
        text, form = _text_and_form(column, fields[name])
        texts.append(f"{text} AS {column}")
        forms.append(form)
    # A value's text stands in its form twice; made beforehand, it is made once.
    row = f"concat('r', {', '.join(forms)})"
    leaves = relation.project(", ".join(texts)).project(f"unhex(sha256({row})) AS leaf")
    # Sorting spills to disk where memory ends, which an ordered aggregate does not.
    for batch in leaves.order("leaf").to_arrow_reader(_SORTED):
        yield _contents(batch.column(0))


def _text_and_form(column: str, type_: "DuckDBPyType") -> tuple[str, str]:
    """Return SQL for the prepared column, and the parts of a `concat` that give its canonical form from it."""
    kind = _kind(column, type_)
    if kind in ("null", "boolean", "struct", "list", "map"):
        return column, _canonical(column, type_, 0)
    letter, text = _scalar(kind, column, type_)
    # Of a null `concat` makes nothing. Parts cost less than a branch that joins them.
    return text, f"if({column} IS NULL, 'n', '{letter}'), strlen({column}), if({column} IS NULL, '', ':'), {column}"


def _contents(leaves: "pyarrow.Array") -> memoryview:
    """Return the bytes of all leaves, concatenated without making an object of each."""
    import pyarrow

    contents = leaves.cast(pyarrow.binary(LEAF)).buffers()[1]
    return memoryview(contents)[leaves.offset * LEAF : (leaves.offset + len(leaves)) * LEAF]


def _token(text: str) -> str:
    return f"{len(text.encode())}:{text}"


def _kind(name: str, type_: "DuckDBPyType") -> str:
    # An enumeration's text lists its values, so its id is asked first; the type of nothing has only a text.
    for candidate in (str(type_.id), str(type_).lower()):
        if candidate in _KINDS:
            return _KINDS[candidate]
    raise TypeError(
        f"the column {name!r} is a {type_}, which has no canonical form; cast it to a type that contracts have"
    )


def _children(type_: "DuckDBPyType") -> "dict[str, DuckDBPyType]":
    """Return the parts of a nested type by name, in the byte order of the names; an array's size is no part."""
    from duckdb.sqltypes import DuckDBPyType

    parts = {name: part for name, part in type_.children if isinstance(part, DuckDBPyType)}
    return {name: parts[name] for name in sorted(parts, key=str.encode)}


def _shape(column: str, type_: "DuckDBPyType") -> str:
    """Return the kind of `type_`; of a nested one with the shapes of its parts, and for a struct their names."""
    kind = _kind(column, type_)
    if kind not in ("list", "map", "struct"):
        return kind
    named = _token if kind == "struct" else (lambda name: "")
    return f"{kind}<{','.join(named(name) + _shape(column, part) for name, part in _children(type_).items())}>"


def _canonical(value: str, type_: "DuckDBPyType", depth: int) -> str:
    """Return SQL for the canonical form of the SQL expression `value`; `depth` makes lambda parameters distinct."""
    kind = _kind(value, type_)
    item = f"x{depth}"
    match kind:
        case "null":
            return "'n'"
        case "boolean":
            return f"CASE {value} WHEN true THEN 't' WHEN false THEN 'f' ELSE 'n' END"
        case "struct":
            fields = ", ".join(
                _canonical(f"struct_extract({value}, {quote_text(name)})", part, depth)
                for name, part in _children(type_).items()
            )
            return f"CASE WHEN {value} IS NULL THEN 'n' ELSE concat('r', {fields}) END"
        case "list":
            part = _children(type_)["child"]
            # DuckDB's arrays of a fixed size have no len() and no lambdas.
            values = f"{value}::{part}[]" if str(type_.id) == "array" else value
            items = f"list_transform({values}, lambda {item}: {_canonical(item, part, depth + 1)})"
            return f"coalesce('l' || len({values}) || ':' || array_to_string({items}, ''), 'n')"
        case "map":
            parts = _children(type_)
            key = _canonical(f"{item}.key", parts["key"], depth + 1)
            entry = f"concat({key}, {_canonical(f'{item}.value', parts['value'], depth + 1)})"
            entries = f"list_sort(list_transform(map_entries({value}), lambda {item}: {entry}))"
            return f"coalesce('m' || cardinality({value}) || ':' || array_to_string({entries}, ''), 'n')"
        case _:
            letter, text = _scalar(kind, value, type_)
            return f"CASE WHEN {value} IS NULL THEN 'n' ELSE concat('{letter}', strlen({text}), ':', {text}) END"


def _scalar(kind: str, value: str, type_: "DuckDBPyType") -> tuple[str, str]:
    """Return the letter of a scalar kind, and SQL for its text (null where `value` is null)."""
    match kind:
        case "integer":
            return "i", f"{value}::VARCHAR"
        case "decimal":
            scale = dict(type_.children)["scale"]
            return "e", f"rtrim(rtrim({value}::VARCHAR, '0'), '.')" if scale else f"{value}::VARCHAR"
        case "double":
            number = f"{value}::DOUBLE"
            return "d", f"CASE WHEN {number} = 0 THEN '0.0' WHEN isnan({number}) THEN 'nan' ELSE {number}::VARCHAR END"
        case "text":
            return "s", value if str(type_) == "VARCHAR" else f"{value}::VARCHAR"
        case "binary":
            return "b", f"lower(hex({value}))"
        case "date":
            return "D", f"({value} - DATE '1970-01-01')::VARCHAR"
        case "time":
            return "H", f"epoch_us({value})::VARCHAR"
        case "timestamp" if str(type_) == "TIMESTAMP_NS":
            rest = f"((epoch_ns({value}) % 1000 + 1000) % 1000)"
            micros = f"((epoch_ns({value}) - {rest}) // 1000)::VARCHAR"
            return "T", f"{micros} || CASE WHEN {rest} = 0 THEN '' ELSE '.' || lpad({rest}::VARCHAR, 3, '0') END"
        case "timestamp" if str(type_) == "TIMESTAMP WITH TIME ZONE":
            return "T", f"epoch_us({value})::VARCHAR"
        case "timestamp":
            return "T", f"epoch_us({value}::TIMESTAMP)::VARCHAR"
        case _:  # pragma: no cover - `_kind` gives no other
            raise AssertionError(kind)
