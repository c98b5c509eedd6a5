"""What `storymesh show` says of a product: rows, types and shares of nulls, and why rows were refused."""

from typing import Any

from storymesh.contract.value_forms import PLAIN
from storymesh.engine.open import open_engine
from storymesh.product.sample import sample_product, sample_quarantine
from tests.product.conftest import Desk, a_row, good_rows

RESTRICTED = "      - {name: who, logicalType: string, classification: restricted}\n"


def with_person(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row | {"who": None if index == 0 else f"Ann {index}"} for index, row in enumerate(rows)]


def test_a_version_has_types_nulls_and_rows_without_restricted_values(desk: Desk) -> None:
    desk.properties = RESTRICTED
    first = desk.publish(with_person(good_rows(4)))
    desk.publish(with_person(good_rows(2)))
    with open_engine() as engine:
        sample = sample_product(engine, desk.store, desk.contract(), None, 2)
        assert first.snapshot is not None
        earlier = sample_product(engine, desk.store, desk.contract(), first.snapshot.version[:8], 9)
    assert (sample.snapshot.rows, earlier.snapshot.rows) == (2, 4)
    assert {column.name: (column.type, column.null_share) for column in sample.columns}["who"] == ("text", 0.5)
    assert [row["who"] for row in earlier.sample] == [None, *["(restricted)"] * 3]
    assert [row["id"] for row in sample.sample] == ["d0", "d1"]


def test_a_refused_row_says_what_was_met_and_what_was_wanted(desk: Desk) -> None:
    desk.properties = RESTRICTED.replace("restricted}", "restricted, enum: [{value: Ann}]}")
    bad = a_row(4, hours="soon", code="X", who="Bob Ray")
    desk.publish([row | {"who": "Ann"} for row in good_rows(4)] + [bad])
    with open_engine() as engine:
        refused = sample_quarantine(engine, desk.store, desk.contract(), PLAIN, 5)
    assert refused is not None
    (row,) = refused.sample
    assert (refused.rows, row.key) == (1, {"id": "d4"})
    assert {rule.reason: (rule.met, rule.wanted) for rule in row.broken} == {
        "type: hours": ({"hours": "soon"}, "hours is integer"),
        "enum: code": ({"code": "X"}, "code is one of W, C"),
        "enum: who": ({"who": "(restricted)"}, "who is one of Ann"),
    }


def test_where_nothing_was_refused_there_is_nothing(desk: Desk) -> None:
    desk.publish(good_rows(2))
    with open_engine() as engine:
        assert sample_quarantine(engine, desk.store, desk.contract(), PLAIN, 5) is None
