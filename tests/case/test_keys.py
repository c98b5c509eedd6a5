"""A key as text: every key has a text of its own, whatever stands in its parts."""

from datetime import datetime
from typing import Any

import ibis
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from storymesh.case.link import key_text
from tests.support.small_mesh import Product, SmallMesh, engine, tell

PART = st.text(alphabet="~/01a", max_size=4) | st.text(max_size=3)
KEYS = st.integers(1, 3).flatmap(lambda parts: st.lists(st.tuples(*[PART] * parts), min_size=2, max_size=60))


def texts(keys: list[tuple[str, ...]]) -> list[str]:
    names = [f"part{place}" for place in range(len(keys[0]))]
    columns: dict[str, Any] = {
        name: pa.array(values) for name, values in zip(names, zip(*keys, strict=True), strict=True)
    }
    table = ibis.memtable(pa.table(columns | {"place": range(len(keys))}))
    told = table.select("place", text=key_text([table[name] for name in names])).order_by("place")
    return list(engine().fetch_table(told)["text"].to_pylist())


@settings(max_examples=30, deadline=None)
@given(KEYS)
@example([("a/b", "c"), ("a", "b/c"), ("a~1b", "c"), ("a~", "1b/c"), ("", "/"), ("/", "")])
def test_two_keys_never_have_one_text(keys: list[tuple[str, ...]]) -> None:
    told = texts(keys)
    assert len(set(zip(told, keys, strict=True))) == len(set(told)) == len(set(keys))


def test_parts_are_escaped_as_in_a_json_pointer_and_a_single_key_is_not() -> None:
    assert texts([("a/b", "~c"), ("~1", "d")]) == ["a~1b/~0c", "~01/d"]
    assert texts([("a/b",), ("~",)]) == ["a/b", "~"]


def test_cases_whose_key_parts_hold_slashes_stay_apart() -> None:
    columns = {"lane": "string", "leg": "string", "number": "integer", "at": "timestamp"}
    anchor = Product("calls", columns, ("lane", "leg", "number"), event="at", required=("at",))
    at = datetime(2024, 3, 10)
    keys = [("a/b", "c"), ("a", "b/c")]
    rows = [{"lane": lane, "leg": leg, "number": 7, "at": at} for lane, leg in keys]
    told = tell(SmallMesh({"call": anchor}, {"anchor": "call", "at": "call.at", "links": {}}, {"calls": rows}))
    assert {name: item.hindsight["call"]["leg"] for name, item in told.items()} == {"a~1b/c/7": "c", "a/b~1c/7": "b/c"}
