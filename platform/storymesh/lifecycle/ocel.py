"""The cases of a release as an object-centric event log for process mining: OCEL 2.0 in its JSON format.

Every row that a kept case has is an object, and so is the case. Every moment of a row that its contract names
(eventTime, endTime, and what knownAt points at) is an event, which bears the values that became known then. A case
points at its rows by their roles; an event at its row, and at the cases that have it.

The log is written in hindsight. What is restricted is not in it, what the narrative pseudonymises is there as its
pseudonym, and a case of a row on the erasure list is left out, whatever the release was made with.

Source: https://www.ocel-standard.org/specification/formats/json/
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from storymesh.atomic_write import staged_file
from storymesh.case.link import KEY
from storymesh.case.visibility import visible_rows
from storymesh.contract.definition import Contract
from storymesh.dataset.build import Build
from storymesh.dataset.erasure_list import read_erasure_list
from storymesh.dataset.stages import write_cases
from storymesh.dataset.tables import product_rows
from storymesh.engine import dialect
from storymesh.engine.engine import Engine, OpenEngine
from storymesh.errors import WrongUsage
from storymesh.language.types import Float
from storymesh.lifecycle.ocel_values import (
    OcelAttribute,
    ProductObjects,
    attribute_entries,
    fetchable,
    format_moment,
    ocel_type,
)
from storymesh.lifecycle.rebuild import reopen_build
from storymesh.product.warehouse import Warehouse
from storymesh.release.catalog import Release
from storymesh.release.definition_snapshot import NO_CONTRACTS

if TYPE_CHECKING:
    import ibis.expr.types as ir

CASE = "case"  # the object type of cases; a product's has a dot in it
ROW = "row"  # how an event calls the row that it happened to
ROW_BYTES = 4_000  # what a case takes while its relationships are gathered, at most, by measurement

LogEntry = dict[str, Any]  # an object or event of the log, as OCEL writes it


@dataclass(frozen=True)
class EventLog:
    """The counts of an event log. `dropped`: reason -> number of cases that hindsight drops."""

    release: Release
    path: Path
    cases: int
    objects: int
    events: int
    dropped: Mapping[str, int]


def write_event_log(
    release: Release,
    warehouse: Warehouse,
    into: Path,
    open_engine: OpenEngine,
    current: Mapping[str, Contract] = NO_CONTRACTS,
) -> EventLog:
    """Write the event log of a release to the new file `into`, whole or not at all, from the products in `warehouse`.
    What the mesh's contracts, `current`, restrict is not in it, whatever the release keeps.

    Raises WrongUsage when `into` exists or its folder does not, NotPublished when a snapshot of the release has
    expired, OutOfMemory.
    """
    if into.exists():
        raise WrongUsage(f"{into} is there already", "name another file")
    if not into.parent.is_dir():
        raise WrongUsage(f"{into.parent} is no folder", "make it, or name another file")
    build = reopen_build(release, warehouse, open_engine, current)
    if (listed := read_erasure_list(warehouse.folder)) is not None:
        products = {snapshot.product for snapshot in build.snapshots.values()}
        build = replace(build, erased=listed.of_products(products))
    write_cases(build)
    with build.open_engine() as engine, staged_file(into) as staged, staged.open("wb") as file:
        log = _LogContent(build, engine)
        file.write(json.dumps(log.types(), ensure_ascii=False, indent=1).rstrip("}\n").encode())
        objects = _write_array(file, "objects", log.objects())
        events = _write_array(file, "events", log.events())
        file.write(b"\n}\n")
        cases, dropped = log.count_cases()
    return EventLog(release, into, cases, objects, events, dropped)


def _write_array(file: BinaryIO, name: str, entries: Iterable[LogEntry]) -> int:
    """Write the entries as one member of the log, an entry a line; return how many there were."""
    count = 0
    file.write(f',\n "{name}": ['.encode())
    for count, entry in enumerate(entries, 1):
        text = json.dumps(entry, ensure_ascii=False, separators=(",", ":"))
        file.write(b",\n" if count > 1 else b"\n")
        file.write(text.encode())
    file.write(b"\n ]")
    return count


class _LogContent:
    """The log of one build on one engine; the table `pairs` says which row is in which case, as what."""

    def __init__(self, build: Build, engine: Engine) -> None:
        import ibis

        self.build, self.engine = build, engine
        cast = build.typed.cast
        by_product: dict[str, list[str]] = {}
        for name, role in cast.roles.items():
            by_product.setdefault(role.contract.id, []).append(name)
        masked = _masked_properties(build)
        self.products = [
            ProductObjects(build, cast.roles[roles[0]].contract, tuple(roles), masked) for roles in by_product.values()
        ]
        # Without the personal data that was found in the free text that the narrative reads.
        tables = product_rows(build, engine, [product.roles[0] for product in self.products])
        self.tables = {product.id: tables[product.roles[0]] for product in self.products}
        every = engine.read_parquet(build.files.cases)
        self.cases = every.filter(every["dropped"].isnull())
        pairs = list(self._pairs())
        self.pairs = engine.materialize(ibis.union(*pairs))

    def _pairs(self) -> "Iterator[ir.Table]":
        """Yield case_id, role, product and key of every row of every kept case."""
        import ibis

        seen = visible_rows(self.cases, self.build.typed.cast, "hindsight")
        for product in self.products:
            for name in product.roles:
                rows = seen[name]
                if rows.type().is_array():
                    keys = dialect.map_items(rows, lambda row: row[KEY])
                    linked = self.cases.select("case_id", of_role=keys.unnest())
                else:
                    linked = self.cases.select("case_id", of_role=rows[KEY])
                    linked = linked.filter(linked["of_role"].notnull())
                named = linked.inner_join(product.keys(self.tables[product.id], name), "of_role")
                yield named.select("case_id", role=ibis.literal(name), product=ibis.literal(product.id), key=named[KEY])

    def count_cases(self) -> tuple[int, dict[str, int]]:
        """Return how many cases are kept, and how many drop for which reason."""
        every = self.engine.read_parquet(self.build.files.cases)
        counted = every.group_by("dropped").agg(rows=every.count()).order_by("dropped")
        counts = {row["dropped"]: row["rows"] for row in self.engine.fetch_rows(counted)}
        return counts.pop(None, 0), counts

    def types(self) -> dict[str, Any]:
        """Return what OCEL says of types: their names and attributes."""
        events = [
            {"name": f"{product.id} {moment}", "attributes": _declare(product.known_at(moment))}
            for product in self.products
            for moment in product.moments
        ]
        objects = [{"name": product.id, "attributes": _declare(product.attributes)} for product in self.products]
        return {
            "objectTypes": [{"name": CASE, "attributes": _declare(self._case_attributes())}, *objects],
            "eventTypes": events,
        }

    def objects(self) -> Iterator[LogEntry]:
        """Yield the cases and the rows."""
        yield from self._case_objects()
        for product in self.products:
            yield from self._row_objects(product)

    def events(self) -> Iterator[LogEntry]:
        """Yield every moment of every row."""
        for product in self.products:
            for moment in product.moments:
                yield from self._moment_events(product, moment)

    def _parts(self, table: "ir.Table", key: str, rows: int) -> "Iterator[ir.Table]":
        """Yield `table` in as many parts as the memory requires: lists are gathered there and never spilled."""
        count = 1 + rows * ROW_BYTES // self.engine.memory
        for number in range(count):
            yield table.filter(dialect.hash_bucket(table[key], count) == number) if count > 1 else table

    def _case_attributes(self) -> list[OcelAttribute]:
        """Return what a case is besides its rows, each with the column that says when it became known."""
        attributes = [OcelAttribute("status", "string", "closed"), OcelAttribute("split", "string", "at")]
        for name, formula in self.build.typed.case.outcome.items():
            value = formula.checked.value
            if value.classification != "restricted" or value.pseudonym:
                kind = ocel_type(value.type if name != "score" else Float())
                attributes.append(OcelAttribute(name, kind, "closed"))
        return attributes

    def _case_objects(self) -> Iterator[LogEntry]:
        attributes = self._case_attributes()
        splits = self.engine.read_parquet(self.build.files.splits).select(of="case_id", split="split")
        cases = self.cases.left_join(splits, self.cases["case_id"] == splits["of"])
        outcome = {
            f"a_{attribute.name}": fetchable(cases["outcome"][attribute.name], attribute.kind)
            for attribute in attributes[2:]
        }
        cases = cases.select(
            "case_id",
            at=cases["at"].cast("timestamp"),
            closed=cases["closes"].coalesce(cases["at"]).cast("timestamp"),
            a_status="status",
            a_split="split",
            **outcome,
        )
        rows = self.build.snapshots[self.build.typed.cast.anchor.name].rows
        for part in self._parts(cases, "case_id", rows):
            linked = self._gather_pairs("case_id", ("role", "product", "key"), part.select("case_id"))
            joined = part.left_join(linked, part["case_id"] == linked["of"]).drop("of").order_by("case_id")
            for row in self._stream(joined):
                yield {
                    "id": f"{CASE}/{row['case_id']}",
                    "type": CASE,
                    "attributes": attribute_entries(
                        row, [(attribute, row[str(attribute.known)]) for attribute in attributes]
                    ),
                    "relationships": [
                        {"objectId": f"{pair['product']}/{pair['key']}", "qualifier": pair["role"]}
                        for pair in row["linked"] or ()
                    ],
                }

    def _row_objects(self, product: ProductObjects) -> Iterator[LogEntry]:
        for part in self._used_rows(product):
            for row in self._stream(part.order_by(KEY)):
                known = [(attribute, product.known_moment(row, attribute)) for attribute in product.attributes]
                yield {
                    "id": f"{product.id}/{row[KEY]}",
                    "type": product.id,
                    "attributes": attribute_entries(row, known),
                    "relationships": [],
                }

    def _moment_events(self, product: ProductObjects, moment: str) -> Iterator[LogEntry]:
        attributes = product.known_at(moment)
        of_product = self.pairs.filter(self.pairs["product"] == product.id)
        for part in self._used_rows(product):
            happened = part.filter(part[f"a_{moment}"].notnull())
            linked = self._gather_pairs("key", ("case_id", "role"), happened.select(key=KEY), of_product)
            joined = happened.inner_join(linked, happened[KEY] == linked["of"]).drop("of").order_by(KEY)
            for row in self._stream(joined):
                cases = [{"objectId": f"{CASE}/{pair['case_id']}", "qualifier": pair["role"]} for pair in row["linked"]]
                yield {
                    "id": f"{product.id} {moment}/{row[KEY]}",
                    "type": f"{product.id} {moment}",
                    "time": format_moment(row[f"a_{moment}"]),
                    "attributes": attribute_entries(row, [(attribute, None) for attribute in attributes]),
                    "relationships": [{"objectId": f"{product.id}/{row[KEY]}", "qualifier": ROW}, *cases],
                }

    def _used_rows(self, product: ProductObjects) -> "Iterator[ir.Table]":
        """Yield the rows of a product that some kept case has, in parts."""
        rows = product.rows(self.tables[product.id])
        used = self.pairs.filter(self.pairs["product"] == product.id)
        rows = rows.filter(rows[KEY].isin(used["key"]))
        yield from self._parts(rows, KEY, self.build.snapshots[product.roles[0]].rows)

    def _gather_pairs(
        self, by: str, fields: tuple[str, ...], wanted: "ir.Table", pairs: "ir.Table | None" = None
    ) -> "ir.Table":
        """Return `of` (a value of the column `by`) and `linked`, the sorted list of its pairs' `fields`."""
        import ibis

        pairs = (self.pairs if pairs is None else pairs).semi_join(wanted, by)
        listed = pairs.select(of=by, pair=ibis.struct({name: pairs[name] for name in fields}))
        return listed.group_by("of").aggregate(linked=listed["pair"].collect().sort())

    def _stream(self, table: "ir.Table") -> Iterator[dict[str, Any]]:
        for batch in self.engine.stream_batches(table):
            yield from batch.to_pylist()


def _masked_properties(build: Build) -> frozenset[tuple[str, str]]:
    """Return product and property of all that is written as its pseudonym.

    That is what the narrative pseudonymises in any role, and what is joined with it, since it has the same values.
    Templates need not print those; a log has every property.
    """
    cast = build.typed.cast
    masked = {(cast.roles[path[0]].contract.id, path[1]) for path in build.typed.pseudonymised if path[0] in cast.roles}
    joins = [
        {(role.contract.id, join.column), (cast.roles[join.other].contract.id, join.other_column)}
        for role in cast.roles.values()
        for join in role.joins
    ]
    while more := {end for ends in joins if ends & masked for end in ends - masked}:
        masked |= more
    return frozenset(masked)


def _declare(attributes: Iterable[OcelAttribute]) -> list[dict[str, str]]:
    return [{"name": attribute.name, "type": attribute.kind} for attribute in attributes]
