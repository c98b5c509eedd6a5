"""What a PostgreSQL, and a Parquet file, give for a selection: never less than it says, whatever the types there."""

import random
import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from storymesh.case.selection import select_anchor_rows, type_selection
from storymesh.case.source_condition import source_condition
from storymesh.engine.open import open_engine
from storymesh.federation.keyed_hash import hashed_value
from storymesh.federation.postgres_estimate import SelectedColumns, estimate_ways
from storymesh.federation.postgres_selection import selection_sql
from storymesh.federation.selection import KeySet, KeyTimes, RowCondition, RowSelection, dataset_filter
from storymesh.mesh.mesh import load_mesh
from storymesh.narrative.typed import TypedNarrative
from tests.support.paths import ROOT

PROPERTIES = """\
      - {name: kind, logicalType: string, required: true, enum: [{value: a}, {value: b}, {value: "c'd"}]}
      - {name: note, logicalType: string}
      - {name: size, logicalType: integer}
      - {name: price, logicalType: number, physicalType: "decimal(12,2)", required: true}
      - {name: share, logicalType: number, physicalType: double, required: true}
      - {name: late, logicalType: boolean}
"""
COLUMNS = {"application_id": "text", "kind": "varchar(5)", "note": "text", "size": "numeric", "price": "numeric(12,2)",
           "share": "float8", "late": "boolean"}  # fmt: skip
SECRET = b"a secret of tests"
KEYS = {"t": "text", "v": "varchar(9)", "c": "char(9)", "u": "uuid", "n": "bigint", "s": "smallint"}


@pytest.fixture(scope="module")
def cursor(server: dict[str, str]) -> Iterator[Any]:
    import psycopg2

    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password", "PGDATABASE": "dbname"}
    connection = psycopg2.connect(**{names[name]: value for name, value in server.items() if name in names})
    with closing(connection), connection.cursor() as found:
        yield found


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> TypedNarrative:
    """A narrative whose anchor has columns of every type."""
    root = Path(shutil.copytree(ROOT / "tests/federation/guarded_mesh", tmp_path_factory.mktemp("where") / "mesh"))
    with (root / "contracts/credit/applications.odcs.yaml").open("a", encoding="utf-8") as contract:
        contract.write(PROPERTIES.replace("}\n", ", classification: public}\n"))
    mesh = load_mesh(root)
    return mesh.typed(mesh.narrative("credit-aml"))


def oids(cursor: Any, table: str) -> dict[str, int]:
    cursor.execute(f"select * from {table} limit 0")
    return {column.name: column.type_code for column in cursor.description}


def ids(cursor: Any, table: str, where: list[str]) -> set[str]:
    cursor.execute(f"select * from {table} where {' and '.join(where) or 'true'}")
    return {row[0] for row in cursor.fetchall()}


def rows(draw: random.Random, count: int) -> pa.Table:
    prices = [Decimal(draw.randint(-300, 300)) / 100 for _ in range(count)]
    return pa.table(
        {
            "application_id": [f"A{number}" for number in range(count)],
            "kind": [draw.choice(["a", "b", "c'd"]) for _ in range(count)],
            "note": [draw.choice([None, "", "x", "it's", "\\"]) for _ in range(count)],
            "size": pa.array([draw.choice([None, -1, 0, 1, 2**60]) for _ in range(count)], pa.int64()),
            "price": pa.array(prices, pa.decimal128(12, 2)),
            "share": [draw.choice([0.1, 0.5, 1e300]) for _ in range(count)],
            "late": pa.array([draw.choice([None, True, False]) for _ in range(count)], pa.bool_()),
        }
    )


def condition(draw: random.Random, depth: int = 3) -> str:
    """Return a condition that somebody might write as `where`."""
    if depth and draw.random() < 0.7:
        one, other = condition(draw, depth - 1), condition(draw, depth - 1)
        return draw.choice([f"({one} and {other})", f"({one} or {other})", f"not ({one})"])
    compared = draw.choice(["==", "!=", "<", "<=", ">", ">="])
    price = draw.choice(["-1", "0.5", "2", "-2.99", "0.005"])
    return draw.choice(
        [
            f"application.price {compared} {price}",
            f"{price} {compared} application.price",
            f"(application.size is not none and application.size {compared} {draw.choice(['0', '1', '-1', '2.5'])})",
            "application.size is none",
            "application.note is not none",
            "application.late",
            'application.kind == "a"',
            '"c\'d" != application.kind',
            'application.kind in ["a", "c\'d"]',
            'application.kind not in ["b"]',
            'application.note is not none and application.note == "it\'s"',
            'application.note is not none and application.note != "x"',
            f"application.share {compared} 0.1",
            "application.price * 2 > application.share",
            "application.kind | length > 1",
        ]
    )


def test_what_is_pushed_of_where_never_loses_a_case(cursor: Any, typed: TypedNarrative, tmp_path: Path) -> None:
    draw = random.Random(11)
    table = rows(draw, 60)
    pq.write_table(table, tmp_path / "rows.parquet")
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    cursor.execute(f"create temp table anchors ({columns})")
    marks = ", ".join(["%s"] * len(COLUMNS))
    cursor.executemany(f"insert into anchors values ({marks})", [tuple(row.values()) for row in table.to_pylist()])
    types, names = oids(cursor, "anchors"), list(COLUMNS)
    dataset = ds.dataset(tmp_path / "rows.parquet")
    every, pushed, exact = set(table["application_id"].to_pylist()), 0, 0
    with open_engine() as engine:
        anchors = engine.read_parquet([str(tmp_path / "rows.parquet")])
        for text in (condition(draw) for _ in range(250)):
            case = typed.narrative.case.model_copy(update={"where": text})
            checked = type_selection(case, typed.cast, typed.narrative.at)
            assert checked is not None
            held = engine.fetch_table(select_anchor_rows(anchors, checked, "application"))["application_id"]
            wanted = set(held.to_pylist())
            found = source_condition(checked.tree, typed.cast.anchor)
            if found is None:
                continue
            where = RowCondition(found.condition, {column: names.index(column) for column in found.columns})
            selection = RowSelection(where=where)
            there = ids(cursor, "anchors", selection_sql(selection, names, types))
            assert wanted <= there, text
            assert wanted == there or not found.whole, text
            kept = dataset.to_table(filter=dataset_filter(dataset.schema, names, selection))["application_id"]
            assert wanted <= set(kept.to_pylist()), text
            pushed, exact = pushed + (there != every), exact + found.whole
    assert pushed > 120 and exact > 80


def test_rows_are_found_by_the_hashes_of_their_keys(cursor: Any) -> None:
    values = {"t": "CZ'1\\", "v": "é|", "c": "ab", "u": "0b8c6a52-7d5e-4a5e-9a53-0a1de2d3c4b5", "n": -7, "s": 12}
    others = {"t": "cz'1\\", "v": "é", "c": "abc", "u": "1b8c6a52-7d5e-4a5e-9a53-0a1de2d3c4b5", "n": 7, "s": 1}
    columns = ", ".join(f"{name} {kind}" for name, kind in KEYS.items())
    cursor.execute(f"create temp table keyed (id text, {columns})")
    marks = ", ".join(["%s"] * (len(KEYS) + 1))
    for name, row in (("hit", values), ("miss", others), ("null", dict.fromkeys(KEYS))):
        cursor.execute(f"insert into keyed values ({marks})", (name, *row.values()))
    types = oids(cursor, "keyed")
    for place, (name, value) in enumerate(values.items()):
        form = "hashed number" if isinstance(value, int) else "hashed text"
        hashes = pa.table({"k0": [hashed_value(value, SECRET), hashed_value("nobody", SECRET)]})
        selection = RowSelection(keys=(KeySet((place,), hashes, (form,), SECRET),))
        assert ids(cursor, "keyed", selection_sql(selection, list(KEYS), types)) == {"hit"}, name
        assert SECRET.decode() not in repr(selection)
    # A number that the server has as a text may be written in other ways: it is not selected by its hash.
    selection = RowSelection(keys=(KeySet((0,), pa.table({"k0": ["x"]}), ("hashed number",), SECRET),))
    assert selection_sql(selection, list(KEYS), types) == []


def test_rows_are_found_by_keys_each_at_its_times(cursor: Any) -> None:
    draw, begin = random.Random(5), datetime(2024, 1, 1)

    def moment() -> datetime:
        return begin + timedelta(hours=draw.randint(0, 200), microseconds=draw.choice([0, 0, 1]))

    cursor.execute('create temp table events (id int, a text, b bigint, at timestamp, day date, "storymesh" text)')
    there = [(n, draw.choice("xyz'"), draw.randint(0, 2), moment(), moment().date(), "k") for n in range(200)]
    cursor.executemany("insert into events values (%s, %s, %s, %s, %s, %s)", there)
    types, names = oids(cursor, "events"), ["id", "a", "b", "at", "day"]
    sent = [(draw.choice("xyz'?"), draw.randint(0, 3), moment(), moment()) for _ in range(12)]
    columns = zip(*((a, b, min(one, other), max(one, other)) for a, b, one, other in sent), strict=True)
    values = pa.table(dict(zip(("k0", "k1", "start", "end"), map(list, columns), strict=True)))
    keys = KeySet((1, 2), values.select(["k0", "k1"]).group_by(["k0", "k1"]).aggregate([]), ("raw", "raw"))
    for place, column in ((3, 3), (4, 4)):
        selection = RowSelection(times=KeyTimes(keys, place, values))
        spans = [tuple(row.values()) for row in values.to_pylist()]
        wanted = {
            row[0]
            for row in there
            for a, b, start, end in spans
            if (row[1], row[2]) == (a, b) and start <= datetime.fromisoformat(row[column].isoformat()) <= end
        }
        assert wanted and ids(cursor, "events", selection_sql(selection, names, types)) == wanted


@pytest.mark.parametrize("analysed", [False, True])
def test_what_a_selection_moves_is_expected_within_a_factor_of_two(cursor: Any, analysed: bool) -> None:
    cursor.execute("drop table if exists moved")
    cursor.execute(
        "create temp table moved as select 'M' || g as id, 'K' || g % 500 as k, g % 1000 as n,"
        " timestamp '2024-01-01' + g % 977 * interval '1 day' as at from generate_series(1, 20000) g;"
        " create index on moved (k)"
    )
    if analysed:
        cursor.execute("analyze moved")
    names, types = ["id", "k", "n", "at"], oids(cursor, "moved")
    raw = pa.table({"k0": [f"K{number}" for number in range(50)]})
    hashed = pa.table({"k0": [hashed_value(f"K{number}", SECRET) for number in range(50)]})
    spans = {"start": [datetime(2024, 1, 1)] * 50, "end": [datetime(2024, 5, 1)] * 50}
    keys, shown = KeySet((1,), raw, ("raw",)), KeySet((1,), hashed, ("hashed text",), SECRET)
    ways = {
        "all rows": RowSelection(),
        "keys": RowSelection(keys=(keys,)),
        "times": RowSelection(keys=(keys,), times=KeyTimes(keys, 3, pa.table({"k0": raw["k0"], **spans}))),
        "hashed": RowSelection(keys=(shown,)),
        "hashed at times": RowSelection(
            keys=(shown,), times=KeyTimes(shown, 3, pa.table({"k0": hashed["k0"], **spans}))
        ),
    }
    found = estimate_ways(cursor, SelectedColumns("moved", names, types, names, "moved"), ways)
    for way, selection in ways.items():
        count = len(ids(cursor, "moved", selection_sql(selection, names, types)))
        assert count / 2 <= found[way].rows <= count * 2, way
        assert ("run ANALYZE" in found[way].doubt) is not analysed
