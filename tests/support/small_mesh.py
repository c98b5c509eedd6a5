"""Small products for the tests of cases, and the one way in which these tests ask the engine for what they want."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa

from storymesh.case.definition import Case
from storymesh.case.link import link_cases
from storymesh.case.precedent import add_precedents, find_precedents
from storymesh.case.resolve import Cast, resolve_cast
from storymesh.case.scopes import TypedCase, type_case
from storymesh.case.visibility import add_facts, visible_rows
from storymesh.contract.definition import Contract
from storymesh.contract.read import read_contract
from storymesh.contract.types import arrow_schema
from storymesh.engine.engine import Engine
from storymesh.engine.open import open_engine
from storymesh.location import Location

Row = dict[str, Any]


@dataclass(frozen=True)
class Product:
    """What a contract says, as short as a test wants to write it: `columns` are name -> logical or decimal type."""

    name: str
    columns: Mapping[str, str]
    key: tuple[str, ...] = ("id",)
    event: str | None = None
    end: str | None = None
    timeless: bool = False
    known: str | None = None
    known_of: Mapping[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    unique: tuple[str, ...] = ()
    restricted: tuple[str, ...] = ()
    refers: tuple[tuple[tuple[str, ...], str, tuple[str, ...]], ...] = ()

    def text_of(self, row: Row) -> str:
        """The key of a row as text: the parts of a compound key are escaped as RFC 6901 has it, then joined."""
        parts = [str(row[column]) for column in self.key]
        if len(parts) > 1:
            parts = [part.replace("~", "~0").replace("/", "~1") for part in parts]
        return "/".join(parts)

    @property
    def contract(self) -> Contract:
        return _contract(json.dumps(self._odcs(), sort_keys=True), self.name)

    def _odcs(self) -> dict[str, Any]:
        written = {
            "eventTime": self.event,
            "endTime": self.end,
            "knownAt": self.known,
            "timeless": self.timeless or None,
        }
        relationships = [
            {
                "from": [f"{self.name}.{item}" for item in mine],
                "to": [f"mesh/{other}.odcs.yaml#/schema/{other}/properties/{their}" for their in theirs],
            }
            for mine, other, theirs in self.refers
        ]
        fields: dict[str, Any] = {
            "name": self.name,
            "logicalType": "object",
            "properties": [self._property(name, kind) for name, kind in self.columns.items()],
        }
        if relationships:
            fields["relationships"] = relationships
        if any(value is not None for value in written.values()):
            fields["customProperties"] = [
                {"property": name, "value": value} for name, value in written.items() if value is not None
            ]
        return {
            "apiVersion": "v3.2.0",
            "kind": "DataContract",
            "id": f"mesh.{self.name}",
            "version": "1.0.0",
            "status": "active",
            "schema": [fields],
        }

    def _property(self, name: str, kind: str) -> dict[str, Any]:
        fields: dict[str, Any] = {"name": name, "logicalType": "number" if kind.startswith("decimal") else kind}
        if kind.startswith("decimal"):
            fields["physicalType"] = kind
        if name in self.key:
            fields["primaryKey"] = True
            fields["primaryKeyPosition"] = self.key.index(name) + 1
        if name in self.required:
            fields["required"] = True
        if name in self.restricted:
            fields["classification"] = "restricted"
        if name in self.unique:
            fields["unique"] = True
        if name in self.known_of:
            fields["customProperties"] = [{"property": "knownAt", "value": self.known_of[name]}]
        return fields


@lru_cache(maxsize=4096)
def _contract(text: str, name: str) -> Contract:
    with tempfile.TemporaryDirectory() as root:
        path = Path(root) / "contracts" / "mesh" / f"{name}.odcs.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
        return read_contract(path, Path(root))


@dataclass(frozen=True)
class SmallMesh:
    """The cast (role -> product), the case as narrative.yaml has it, and the rows of each product by its name."""

    cast: Mapping[str, Product]
    case: Mapping[str, Any]
    rows: Mapping[str, Sequence[Row]]


@dataclass(frozen=True)
class Told:
    """What the engine says of one case; `hindsight` and `question` are role -> row, rows or null."""

    hindsight: Mapping[str, Any]
    question: Mapping[str, Any]
    dropped: str | None
    question_dropped: str | None
    status: str
    facts: Mapping[str, Any]
    question_facts: Mapping[str, Any]
    outcome: Mapping[str, Any] | None
    known: Any
    precedents: Mapping[str, Any] | None


_ENGINE: list[Engine] = []


def engine() -> Engine:
    """One DuckDB for all the tests of this folder."""
    if not _ENGINE:
        _ENGINE.append(open_engine(memory="1GB", threads=1))
    return _ENGINE[0]


def typed(mesh: SmallMesh) -> tuple[Case, Cast, TypedCase]:
    """Raises DefinitionErrors as `check` would."""
    case = Case.model_validate(mesh.case)
    contracts = {role: product.contract for role, product in mesh.cast.items()}
    cast = resolve_cast(case, contracts, at)
    return case, cast, type_case(case, cast, at)


def at(*steps: str | int) -> Location:
    return Location("narrative.yaml/" + "/".join(str(step) for step in steps))


def tell(
    mesh: SmallMesh, ranks: Mapping[str, int | None] | None = None, periods: Mapping[str, int] | None = None
) -> dict[str, Told]:
    """case_id -> what the engine says. `ranks` are the places of the cases' splits, `periods` those of the splits in
    whose period they lie; without, all are in the first."""
    case, cast, seen = typed(mesh)
    made: list[ibis.Table] = []

    def stored(table: Any) -> Any:
        made.append(engine().materialize(table))
        return made[-1]

    def given(role: str) -> Any:
        product = mesh.cast[role]
        return pa.Table.from_pylist([dict(row) for row in mesh.rows[product.name]], arrow_schema(product.contract))

    try:
        tables = {role: stored(given(role)) for role in cast.roles}
        columns = {role: frozenset(mesh.cast[role].columns) for role in cast.roles}
        cases = stored(add_facts(link_cases(cast, tables, columns, {}), cast, seen))
        hindsight, question = visible_rows(cases, cast, "hindsight"), visible_rows(cases, cast, "question")
        told = {name: cases[name] for name in ("case_id", "dropped", "question_dropped", "status")}
        told |= {name: cases[name] for name in ("hindsight", "question", "outcome", "known") if name in cases.columns}
        told |= {f"h_{role}": value for role, value in hindsight.items()}
        told |= {f"q_{role}": value for role, value in question.items()}
        rows = engine().fetch_rows(cases.select(**told))
        assert len(rows) == len({row["case_id"] for row in rows})
        remembered = _precedents(case, cases, seen, (ranks, periods), stored, rows)
        return {
            row["case_id"]: Told(
                {role: row[f"h_{role}"] for role in cast.roles},
                {role: row[f"q_{role}"] for role in cast.roles},
                row["dropped"],
                row["question_dropped"],
                row["status"],
                row.get("hindsight") or {},
                row.get("question") or {},
                row.get("outcome"),
                row.get("known"),
                remembered.get(row["case_id"]),
            )
            for row in rows
        }
    finally:
        for table in reversed(made):
            engine().drop(table)


def _precedents(
    case: Case,
    cases: Any,
    seen: TypedCase,
    placed: tuple[Mapping[str, int | None] | None, Mapping[str, int] | None],
    stored: Any,
    rows: Sequence[Row],
) -> dict[str, Any]:
    if case.precedents is None:
        return {}
    ranks, periods = placed
    schema = pa.schema([("ranked", pa.string()), ("rank", pa.int64()), ("period", pa.int64())])
    places = [
        {"ranked": row["case_id"], "rank": ranks.get(row["case_id"]) if ranks is not None else 0}
        | {"period": None if row["question_dropped"] else periods[row["case_id"]] if periods is not None else 0}
        for row in rows
    ]
    ranked = stored(pa.Table.from_pylist(places, schema))
    joined = cases.left_join(ranked, cases["case_id"] == ranked["ranked"]).drop("ranked")
    levels = [[formula.name for formula in level] for level in seen.match]
    alone = placed == (None, None)  # one split, which is in time whatever a day says
    once = engine().compute_once
    probes = stored(find_precedents(joined, case.precedents, levels, list(seen.facts), once, chronological=alone))
    asked = add_precedents(joined, probes).select("case_id", "precedents")
    found = engine().fetch_table(asked.filter(asked["precedents"].notnull()))
    assert len(found) == len(set(found["case_id"].to_pylist()))
    return {row["case_id"]: row["precedents"] for row in found.to_pylist()}
