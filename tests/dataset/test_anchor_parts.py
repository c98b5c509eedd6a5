"""Parts of an anchor: every row is in one of them, whatever its key looks like, and they are about alike."""

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storymesh.dataset.anchor_parts import divide_anchor
from storymesh.engine.engine import Engine
from storymesh.engine.open import open_engine

TEXTS = st.one_of(st.none(), st.text(max_size=3), st.sampled_from(["", "a", "Ä", "ß", "😀", "a\x00"]))
NUMBERS = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(0, 3))


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with open_engine(memory="1GB", threads=1) as item:
        yield item


def parts_of(engine: Engine, table: pa.Table, key: list[str], count: int) -> list[list[int]]:
    rows = engine.materialize(table)
    parts = divide_anchor(engine, rows, key, table.num_rows, count)
    found = [engine.fetch_table(part.rows_of(rows))["number"].to_pylist() for part in parts]
    engine.drop(rows)
    return found


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(1, 5))
def test_every_row_is_in_one_part(engine: Engine, data: st.DataObject, count: int) -> None:
    kind, values = data.draw(
        st.sampled_from([(pa.string(), TEXTS), (pa.int64(), NUMBERS), (pa.float64(), st.floats())])
    )
    keys = data.draw(st.lists(values, max_size=12))
    table = pa.table(
        {
            "first": pa.array(keys, kind),
            "second": pa.array([str(number) for number in range(len(keys))], pa.string()),
            "number": pa.array(range(len(keys)), pa.int64()),
        }
    )
    found = parts_of(engine, table, ["first", "second"], count)
    assert Counter(number for part in found for number in part) == Counter(range(len(keys)))


@pytest.mark.parametrize("lanes", [3, 1_000, 20_000], ids=["few of a value", "some", "all different"])
def test_parts_are_about_alike(engine: Engine, lanes: int) -> None:
    count, rows = 10, 20_000
    table = pa.table(
        {
            "lane": pa.array([f"L{number % lanes:05}" for number in range(rows)]),
            "id": pa.array([f"{number:06}" for number in range(rows)]),
            "number": pa.array(range(rows), pa.int64()),
        }
    )
    found = parts_of(engine, table, ["lane", "id"], count)
    assert count - 2 <= len(found) <= count + 2
    assert sum(map(len, found)) == rows
    assert max(map(len, found)) < 1.6 * rows / count
