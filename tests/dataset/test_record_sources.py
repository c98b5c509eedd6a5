"""The rows of one product behind a record: each once and in order, whichever roles they have in it."""

import ibis
import pytest

from storymesh.dataset.record_sources import _product_sources
from storymesh.engine.open import open_engine

ROWS = [
    {"n": 0, "one": None, "other": None, "some": [], "more": []},
    {"n": 1, "one": "b", "other": "a", "some": ["c", "a"], "more": ["d"]},
    {"n": 2, "one": "a", "other": "a", "some": ["a"], "more": ["a"]},
    {"n": 3, "one": "e", "other": None, "some": ["Z", "é", "z"], "more": ["z", "Z"]},
    {"n": 4, "one": None, "other": "", "some": [""], "more": []},
]
KINDS = {"n": "int64", "one": "string", "other": "string", "some": "array<string>", "more": "array<string>"}
ROLES = [["one"], ["some"], ["one", "other"], ["one", "some"], ["some", "more"], ["one", "other", "some", "more"]]


@pytest.mark.parametrize("distinct", [True, False])
def test_each_row_stands_once_and_in_order(distinct: bool) -> None:
    table = ibis.memtable(ROWS, schema=KINDS)
    version = ibis.literal("fleet.trucks"), ibis.literal("v1")
    found = {
        "-".join(roles): _product_sources(version, [table[role] for role in roles], distinct=distinct)
        for roles in ROLES
    }
    with open_engine() as engine:
        rows = engine.fetch_rows(table.select("n", **found).order_by("n"))
    for roles in ROLES:
        for given, row in zip(ROWS, rows, strict=True):
            values = [given[role] for role in roles]
            keys = {
                key for value in values for key in (value if isinstance(value, list) else [value]) if key is not None
            }
            wanted = [{"product": "fleet.trucks", "version": "v1", "key": key} for key in sorted(keys)]
            assert row["-".join(roles)] == wanted, (roles, given)
