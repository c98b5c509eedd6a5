"""The cases of a release as an object-centric event log, for those who mine processes: OCEL 2.0 in its JSON format.

Every row that a kept case has is an object, and so is the case. Every moment of a row that its contract names
(eventTime, endTime, and what knownAt points at) is an event, which bears the values that became known then. A case
points at its rows by their roles; an event at its row, and at the cases that have it.

The log is told in hindsight. What is restricted is not in it, what the narrative pseudonymises stands as its pseudonym,
and a case of a row that is to be forgotten is left out, whatever the release was cut with.

Source: https://www.ocel-standard.org/specification/formats/json/
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from storymesh.atomic_write import staged_file
from storymesh.case.link import KEY, key_text
from storymesh.case.visibility import visible_rows
from storymesh.contract.types import quoted
from storymesh.dataset.build import Build
from storymesh.dataset.erasure_list import read_erasure_list
from storymesh.dataset.stages import write_cases
from storymesh.dataset.tables import product_rows
from storymesh.engine import dialect
from storymesh.engine.engine import Engine
from storymesh.engine.open import open_engine
from storymesh.errors import OutOfMemory, WrongUsage
from storymesh.language.compile.expressions import pseudonym
from storymesh.language.types import (
    Array,
    Boolean,
    Date,
    Decimal,
    Field,
    Float,
    Integer,
    Struct,
    Text,
    Timestamp,
    Type,
)
from storymesh.lifecycle.rebuild import pinned
from storymesh.product.warehouse import Warehouse
from storymesh.release.manifest import Release

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from storymesh.contract.definition import Contract

CASE = "case"  # the object type of cases; a product's has a dot in it
ROW = "row"  # how an event calls the row that it happened to
ALWAYS = "TIMESTAMP '1970-01-01'"  # when OCEL has values that were never anything else
ROW_BYTES = 4_000  # what a case takes while its relationships are gathered, at most, by measurement
BLOCK = 2**20
_EMPTY = "[]::STRUCT(objectId VARCHAR, qualifier VARCHAR)[]"


@dataclass(frozen=True)
class Log:
    """What stands in the file now. `dropped`: reason -> count of the cases that hindsight does not have."""

    release: Release
    path: Path
    cases: int
    objects: int
    events: int
    dropped: Mapping[str, int]


def write_ocel(release: Release, warehouse: Warehouse, into: Path) -> Log:
    """Write the event log of a release to the new file `into`, whole or not at all, from the products in `warehouse`.

    Raises WrongUsage when `into` is taken or its folder is not there, NotPublished when a snapshot of the release has
    expired, OutOfMemory.
    """
    import duckdb

    if into.exists():
        raise WrongUsage(f"{into} is there already", "name another file")
    if not into.parent.is_dir():
        raise WrongUsage(f"{into.parent} is no folder", "make it, or name another file")
    build = pinned(release, warehouse)
    if (listed := read_erasure_list(warehouse.folder)) is not None:
        build = replace(build, erased=listed.of_products({one.product for one in build.snapshots.values()}))
    write_cases(build)
    piece = into.with_name(f".{into.name}.piece.{os.getpid()}")
    try:
        with open_engine() as engine, staged_file(into) as whole, whole.open("wb") as file:
            writing = _Writing(build, engine)
            file.write(json.dumps(writing.types(), ensure_ascii=False, indent=1).rstrip("}\n").encode())
            try:
                objects = _write_array(engine, "objects", writing.objects(), file, piece)
                events = _write_array(engine, "events", writing.events(), file, piece)
            except duckdb.OutOfMemoryException as error:
                words = f"the engine ran out of memory while it wrote {into}; it may use {engine.memory / 1e9:.1f} GB"
                raise OutOfMemory(words, "give STORYMESH_MEMORY more, or STORYMESH_THREADS fewer") from error
            file.write(b"\n}\n")
            cases, dropped = writing.counted()
    finally:
        piece.unlink(missing_ok=True)
    return Log(release, into, cases, objects, events, dropped)


def _write_array(engine: Engine, name: str, queries: Iterable[str], file: BinaryIO, piece: Path) -> int:
    """Write the rows of some queries as one member of the log, an array; returns how many there were. The engine writes
    each query to `piece`, a row a line, from where it is copied block by block."""
    written = 0
    file.write(f',\n "{name}": ['.encode())
    for query in queries:
        copied = f"COPY ({query} ORDER BY id) TO '{_sql(str(piece))}' (FORMAT json)"
        (count,) = engine.connection.con.execute(copied).fetchall()[0]
        if not count:
            continue
        file.write(b",\n" if written else b"\n")
        left = piece.stat().st_size - 1  # without the end of the last line
        with piece.open("rb") as rows:
            while block := rows.read(min(BLOCK, left)):
                left -= len(block)
                file.write(block.replace(b"\n", b",\n"))  # no line ends within a row: JSON escapes those of texts
        written += count
    file.write(b"\n ]")
    return written


class _Attribute(NamedTuple):
    """A property of a product that may be told: its OCEL type, and the moment that says when it became known."""

    name: str
    kind: str
    sql: str
    known: str | None


class _Product:
    """One product of the cast: which of its properties may be told, and how; `roles` are those it plays, `replaced` the
    properties that stand as their pseudonyms."""

    def __init__(
        self, build: Build, contract: "Contract", roles: tuple[str, ...], replaced: frozenset[tuple[str, str]]
    ) -> None:
        self.build, self.contract, self.roles = build, contract, roles
        self.replaced = frozenset(column for product, column in replaced if product == contract.id)

    @property
    def id(self) -> str:
        return self.contract.id

    def told(self, column: str) -> bool:
        """Whether the property may leave the mesh as it is, or as its pseudonym."""
        item = self.contract.properties[column]
        return column in self.replaced or not _restricted(item.field)

    @cached_property
    def attributes(self) -> tuple[_Attribute, ...]:
        found = []
        for name, item in self.contract.properties.items():
            if not self.told(name):
                continue
            kind, sql = _value(Text() if name in self.replaced else item.type, _column(name))
            known = self.contract.known_at_of(name)
            found.append(_Attribute(name, kind, sql, known if known and self._moment(known) else None))
        return tuple(found)

    @cached_property
    def moments(self) -> tuple[str, ...]:
        """The properties that say when something happened to a row, in the order in which the contract has them."""
        named = {self.contract.event_time, self.contract.end_time, *(one.known for one in self.attributes)}
        return tuple(name for name in self.contract.properties if name in named and self._moment(name))

    def _moment(self, column: str) -> bool:
        return column not in self.replaced and self.told(column)

    def of_event(self, moment: str) -> tuple[_Attribute, ...]:
        """What became known then, without the moment itself."""
        return tuple(one for one in self.attributes if one.known == moment and one.name != moment)

    def rows(self, table: "ir.Table") -> "ir.Table":
        """The product's rows as they may be told, each property as `a_`, and `_key`."""
        key = self.build.pseudonym_key

        def column(name: str) -> "ir.Value":
            return pseudonym(table[name], key) if name in self.replaced else table[name]

        told = {f"a_{one.name}": column(one.name) for one in self.attributes}
        return table.select(**told, **{KEY: key_text([column(name) for name in self.contract.key])})

    def keys(self, table: "ir.Table", role: str) -> "ir.Table":
        """What a role's rows are called in the cases (`of_role`), and here (`_key`)."""
        names, key = self.contract.key, self.build.pseudonym_key

        def text(replaced: frozenset[str]) -> "ir.StringValue":
            return key_text([pseudonym(table[name], key) if name in replaced else table[name] for name in names])

        own = frozenset(path[1] for path in self.build.typed.pseudonymised if path[0] == role)
        return table.select(of_role=text(own), **{KEY: text(self.replaced)})


class _Writing:
    """The log of one build on one engine: the table `pairs` says which row is in which case, as what."""

    def __init__(self, build: Build, engine: Engine) -> None:
        self.build, self.engine = build, engine
        cast = build.typed.cast
        by_product: dict[str, list[str]] = {}
        for name, role in cast.roles.items():
            by_product.setdefault(role.contract.id, []).append(name)
        replaced = _replaced(build)
        self.products = [
            _Product(build, cast.roles[roles[0]].contract, tuple(roles), replaced) for roles in by_product.values()
        ]
        # Without the personal data that was found in the free text that the narrative reads.
        tables = product_rows(build, engine, [one.roles[0] for one in self.products])
        self.tables = {one.id: tables[one.roles[0]] for one in self.products}
        every = engine.read_parquet(build.files.cases)
        self.cases = every.filter(every["dropped"].isnull())
        engine.connection.raw_sql(f"CREATE TEMP TABLE pairs AS {' UNION ALL '.join(self._pairs())}")

    def _pairs(self) -> Iterator[str]:
        """case_id, role, product and key of every row of every kept case."""
        import ibis

        cast = self.build.typed.cast
        seen = visible_rows(self.cases, cast, "hindsight")
        for product in self.products:
            for name in product.roles:
                rows = seen[name]
                if rows.type().is_array():
                    keys = dialect.map_items(rows, lambda row: row[KEY])
                    theirs = self.cases.select("case_id", of_role=keys.unnest())
                else:
                    theirs = self.cases.select("case_id", of_role=rows[KEY])
                    theirs = theirs.filter(theirs["of_role"].notnull())
                named = theirs.inner_join(product.keys(self.tables[product.id], name), "of_role")
                yield self.engine.compile_sql(
                    named.select("case_id", role=ibis.literal(name), product=ibis.literal(product.id), key=named[KEY])
                )

    def counted(self) -> tuple[int, dict[str, int]]:
        every = self.engine.read_parquet(self.build.files.cases)
        counts = every.group_by("dropped").agg(rows=every.count()).order_by("dropped")
        found = {row["dropped"]: row["rows"] for row in self.engine.fetch_rows(counts)}
        return found.pop(None, 0), found

    def types(self) -> dict[str, Any]:
        """What OCEL says of types: their names and attributes."""
        events = [
            {"name": f"{one.id} {moment}", "attributes": _declared(one.of_event(moment))}
            for one in self.products
            for moment in one.moments
        ]
        objects = [{"name": one.id, "attributes": _declared(one.attributes)} for one in self.products]
        cases = {"name": CASE, "attributes": [{"name": name, "type": kind} for name, kind, _, _ in self._of_case()]}
        return {"objectTypes": [cases, *objects], "eventTypes": events}

    def objects(self) -> Iterator[str]:
        """Queries of id, type, attributes and relationships of cases and rows."""
        for part in self._parts(self.build.snapshots[self.build.typed.cast.anchor.name].rows):
            yield self._cases(part)
        for product in self.products:
            for part in self._parts(self.build.snapshots[product.roles[0]].rows):
                yield self._rows(product, part)

    def events(self) -> Iterator[str]:
        """Queries of id, type, time, attributes and relationships of every moment of every row."""
        for product in self.products:
            for moment in product.moments:
                for part in self._parts(self.build.snapshots[product.roles[0]].rows):
                    yield self._event(product, moment, part)

    def _parts(self, rows: int) -> Iterator[str]:
        """Conditions on what `{}` stands for that part so many rows as the memory asks: lists are gathered there and
        never spilled."""
        count = 1 + rows * ROW_BYTES // self.engine.memory
        yield from (f"hash({{}}) % {count} = {number}" for number in range(count))

    def _of_case(self) -> Iterator[tuple[str, str, str, str]]:
        """Name, OCEL type, value and moment of what a case is besides its rows."""
        closed = 'coalesce(closes, "at")'
        yield "status", "string", "to_json(status)", closed
        yield "split", "string", "to_json(split)", '"at"'
        for name, formula in self.build.typed.case.outcome.items():
            value = formula.checked.value
            if value.classification != "restricted" or value.pseudonym:
                kind, sql = _value(value.type if name != "score" else Float(), f"outcome.{quoted(name)}")
                yield name, kind, sql, closed

    def _cases(self, part: str) -> str:
        splits = self.engine.read_parquet(self.build.files.splits).select(of="case_id", split="split")
        own = ("case_id", "at", "closes", "status", *(["outcome"] if self.build.typed.case.outcome else []))
        cases = self.cases.select(*own).left_join(splits, self.cases["case_id"] == splits["of"]).drop("of")
        attributes = _listed((name, value, moment) for name, _, value, moment in self._of_case())
        row = "{'objectId': product || '/' || key, 'qualifier': role}"
        return f"""
            SELECT '{CASE}/' || case_id AS id, '{CASE}' AS type, {attributes} AS attributes,
                   coalesce(linked, {_EMPTY}) AS relationships
            FROM ({self.engine.compile_sql(cases)}) LEFT JOIN
                (SELECT case_id AS of_case, list({row} ORDER BY role, product, key) AS linked
                 FROM pairs WHERE {part.format("case_id")} GROUP BY case_id) ON of_case = case_id
            WHERE {part.format("case_id")}"""

    def _rows(self, product: _Product, part: str) -> str:
        attributes = _listed((one.name, one.sql, self._known(product, one)) for one in product.attributes)
        return f"""
            SELECT '{_sql(product.id)}/' || {KEY} AS id, '{_sql(product.id)}' AS type, {attributes} AS attributes,
                   {_EMPTY} AS relationships
            FROM ({self._told(product, part)})"""

    def _known(self, product: _Product, one: _Attribute) -> str:
        named = [name for name in (one.known, product.contract.event_time) if name in product.moments]
        return f"coalesce({', '.join([*(_moment(_column(name)) for name in dict.fromkeys(named)), ALWAYS])})"

    def _event(self, product: _Product, moment: str, part: str) -> str:
        name, at = _sql(f"{product.id} {moment}"), _moment(_column(moment))
        attributes = _listed((one.name, one.sql, None) for one in product.of_event(moment))
        row = f"{{'objectId': '{_sql(product.id)}/' || {KEY}, 'qualifier': '{ROW}'}}"
        case = f"{{'objectId': '{CASE}/' || case_id, 'qualifier': role}}"
        return f"""
            SELECT '{name}/' || {KEY} AS id, '{name}' AS type, {_iso(at)} AS time, {attributes} AS attributes,
                   list_concat([{row}], cases) AS relationships
            FROM ({self._told(product, part)}) JOIN
                (SELECT key, list({case} ORDER BY case_id, role) AS cases
                 FROM pairs WHERE product = '{_sql(product.id)}' AND {part.format("key")} GROUP BY key) ON key = {KEY}
            WHERE {_column(moment)} IS NOT NULL"""

    def _told(self, product: _Product, part: str) -> str:
        """The rows of a product that some kept case has, or a part of them."""
        rows = self.engine.compile_sql(product.rows(self.tables[product.id]))
        had = f"SELECT key FROM pairs WHERE product = '{_sql(product.id)}' AND {part.format('key')}"
        return f"SELECT * FROM ({rows}) WHERE {KEY} IN ({had})"


def _replaced(build: Build) -> frozenset[tuple[str, str]]:
    """Product and property of all that stands as its pseudonym: what the narrative replaces in any role, and what joins
    with that, for it has the same values. Templates need not print those, a log has every property."""
    cast = build.typed.cast
    found = {(cast.roles[path[0]].contract.id, path[1]) for path in build.typed.pseudonymised if path[0] in cast.roles}
    joins = [
        {(role.contract.id, join.column), (cast.roles[join.other].contract.id, join.other_column)}
        for role in cast.roles.values()
        for join in role.joins
    ]
    while more := {one for pair in joins if pair & found for one in pair - found}:
        found |= more
    return frozenset(found)


def _declared(attributes: tuple[_Attribute, ...]) -> list[dict[str, str]]:
    return [{"name": one.name, "type": one.kind} for one in attributes]


def _listed(attributes: "Iterable[tuple[str, str, str | None]]") -> str:
    """SQL of a list of name, value and, where there is one, time, of the values that are not null."""
    some = []
    for name, value, moment in attributes:
        time = f", 'time': {_iso(moment)}" if moment else ""
        some.append(f"{{'name': '{_sql(name)}', 'value': {value}{time}}}")
    if not some:
        return "[]::STRUCT(name VARCHAR, value JSON)[]"
    return f"list_filter([{', '.join(some)}], lambda x: x.value IS NOT NULL)"


def _value(kind: Type, column: str) -> tuple[str, str]:
    """A type of the contract as OCEL's, and SQL that gives such a value as JSON; null where there is none."""
    match kind:
        case Text():
            return "string", _unless_null(column, column)
        case Integer():
            return "integer", _unless_null(column, column)
        case Decimal() | Float():
            return "float", f"CASE WHEN isfinite({column}::DOUBLE) THEN to_json({column}::DOUBLE) END"
        case Boolean():
            return "boolean", _unless_null(column, column)
        case Date() | Timestamp():
            return "time", _unless_null(column, _iso(_moment(column)))
        case _:  # OCEL has no lists and no structs: as the JSON that they are
            return "string", _unless_null(column, f"to_json({column})::VARCHAR")


def _unless_null(column: str, value: str) -> str:
    return f"CASE WHEN {column} IS NOT NULL THEN to_json({value}) END"


def _column(name: str) -> str:
    return quoted(f"a_{name}")


def _moment(column: str) -> str:
    return f"{column}::TIMESTAMP"


def _iso(moment: str) -> str:
    return f"replace(({moment})::VARCHAR, ' ', 'T') || 'Z'"


def _restricted(field: Field) -> bool:
    """Whether the value, or anything in it, is restricted."""
    match field.type:
        case Array(item):
            inside = [item]
        case Struct(fields):
            inside = [one for one in fields.values() if isinstance(one, Field)]
        case _:
            inside = []
    return field.classification == "restricted" or any(map(_restricted, inside))


def _sql(text: str) -> str:
    """A text as it stands between the quotes of SQL."""
    return text.replace("'", "''")
