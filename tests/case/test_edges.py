"""What DESIGN fixes about a link's edges, as tables: bounds, nulls, ends, days, drops, and whose rows are whose."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from tests.support.small_mesh import Product, Row, SmallMesh, Told, tell

MOMENTS = {"id": "string", "at": "timestamp", "over": "timestamp", "k": "string", "day": "date", "ref": "string"}
ANCHOR = Product("calls", MOMENTS, event="at", end="over", required=("at",))
EVENTS = Product("events", {"id": "string", "began": "timestamp", "k": "string", "v": "integer"}, event="began")
SPANS = Product(
    "spans", {"id": "string", "began": "timestamp", "ended": "timestamp", "k": "string"}, event="began", end="ended"
)
AT = datetime(2024, 3, 10, 12)
TICK = timedelta(microseconds=1)


def call(name: str = "c", at: datetime = AT, **values: Any) -> Row:
    return {"id": name, "at": at, "over": None, "k": "x", "day": at.date(), "ref": None} | values


def event(name: str, began: Any, k: str | None = "x", v: int = 1) -> Row:
    return {"id": name, "began": began, "k": k, "v": v}


def mesh(product: Product, link: dict[str, Any], rows: list[Row], calls: list[Row] | None = None) -> SmallMesh:
    case = {"anchor": "call", "at": "call.at", "closes": "call.over", "links": {"met": link}}
    return SmallMesh({"call": ANCHOR, "met": product}, case, {"calls": calls or [call()], product.name: rows})


def only(told: dict[str, Told]) -> Told:
    (item,) = told.values()
    return item


def ids(rows: Any) -> Any:
    if isinstance(rows, list):
        return [row["id"] for row in rows]
    return rows and rows["id"]


def own(row: Any) -> Any:
    """Without what the engine carries for itself."""
    return row and {name: value for name, value in row.items() if not name.startswith("_")}


@pytest.mark.parametrize(
    ("after", "before", "offset", "linked"),
    [
        ("-1d", "2d", timedelta(days=-1), True),
        ("-1d", "2d", timedelta(days=-1) - TICK, False),
        ("-1d", "2d", timedelta(days=2), True),
        ("-1d", "2d", timedelta(days=2) + TICK, False),
        ("0d", "0d", timedelta(0), True),
        ("0d", "0d", TICK, False),
        ("-3d", "-1d", timedelta(days=-1), True),
        ("-3d", "-1d", timedelta(days=-1) + TICK, False),
        ("1h", "36h", timedelta(hours=1), True),
        ("1h", "36h", timedelta(minutes=59), False),
    ],
)
def test_within_takes_both_its_bounds_in(after: str, before: str, offset: timedelta, linked: bool) -> None:
    link = {"on": {"k": "call.k"}, "within": {"after": after, "before": before}, "expect": "any"}
    told = only(tell(mesh(EVENTS, link, [event("e", AT + offset)])))
    assert ids(told.hindsight["met"]) == (["e"] if linked else [])
    assert ids(told.question["met"]) == (["e"] if linked and offset <= timedelta(0) else [])


@pytest.mark.parametrize(
    ("began", "ended", "slack", "linked"),
    [
        (AT, AT, "0d", True),
        (AT + TICK, None, "0d", False),
        (AT - timedelta(days=9), None, "0d", True),
        (AT - timedelta(days=9), AT, "0d", True),
        (AT - timedelta(days=9), AT - TICK, "0d", False),
        (AT - timedelta(days=9), AT - timedelta(days=2), "2d", True),
        (AT - timedelta(days=9), AT - timedelta(days=2) - TICK, "2d", False),
        (AT + timedelta(days=2), None, "2d", True),
        (AT + timedelta(days=2) + TICK, None, "2d", False),
        (None, None, "2d", False),
        (None, AT, "2d", False),
    ],
)
def test_overlaps_widens_both_ends_and_an_end_that_is_null_is_open(
    began: datetime | None, ended: datetime | None, slack: str, linked: bool
) -> None:
    row = {"id": "s", "began": began, "ended": ended, "k": "x"}
    link = {"on": {"k": "call.k"}, "overlaps": {"slack": slack}, "expect": "optional"}
    told = only(tell(mesh(SPANS, link, [row])))
    assert ids(told.hindsight["met"]) == ("s" if linked else None)
    assert ids(told.question["met"]) == ("s" if linked and began and began <= AT else None)


def test_an_end_that_has_not_come_is_null_in_the_question() -> None:
    row = {"id": "s", "began": AT - timedelta(days=1), "ended": AT + TICK, "k": "x"}
    told = only(tell(mesh(SPANS, {"on": {"k": "call.k"}, "overlaps": {}, "expect": "one"}, [row])))
    assert told.hindsight["met"]["ended"] == AT + TICK
    assert told.question["met"]["ended"] is None


def test_an_end_that_was_reported_late_is_open_for_the_question_only() -> None:
    late = Product(
        "spans", {**SPANS.columns, "told": "timestamp"}, event="began", end="ended", known_of={"ended": "told"}
    )
    row = {"id": "s", "began": AT - timedelta(days=3), "ended": AT - timedelta(days=1), "k": "x"}
    link = {"on": {"k": "call.k"}, "overlaps": {}, "expect": "one"}
    told = only(tell(mesh(late, link, [row | {"told": AT + timedelta(days=1)}])))
    assert (told.dropped, told.question_dropped) == ("met: none", None)
    assert ids(told.question["met"]) == "s" and told.question["met"]["ended"] is None
    told = only(tell(mesh(late, link, [row | {"told": AT}])))
    assert (told.dropped, told.question_dropped) == ("met: none", "met: none")


@pytest.mark.parametrize(
    ("moments", "latest"),
    [
        ({"a": AT - TICK, "b": AT, "c": AT + TICK}, "b"),
        ({"a": AT, "b": AT}, "b"),
        ({"b": AT, "a": AT}, "b"),
        ({"a": AT + TICK}, None),
        ({"a": None}, None),
    ],
)
def test_as_of_takes_the_latest_and_of_one_moment_the_last_key(
    moments: dict[str, datetime | None], latest: str | None
) -> None:
    rows = [event(name, began) for name, began in moments.items()]
    told = only(tell(mesh(EVENTS, {"on": {"k": "call.k"}, "as_of": {}, "expect": "optional"}, rows)))
    assert ids(told.hindsight["met"]) == ids(told.question["met"]) == latest


def test_null_keys_equal_nothing() -> None:
    rows = [event("e", AT, None), event("f", AT, "x")]
    told = tell(mesh(EVENTS, {"on": {"k": "call.k"}, "expect": "any"}, rows, [call("c", k=None), call("d")]))
    assert {name: ids(item.hindsight["met"]) for name, item in told.items()} == {"c": [], "d": ["f"]}


def test_a_date_is_its_midnight_in_keys_and_in_time() -> None:
    dated = Product("events", {**EVENTS.columns, "began": "date", "stamp": "timestamp"}, event="began")
    rows = [
        event("before", date(2024, 3, 9)) | {"stamp": datetime(2024, 3, 10)},
        event("same", date(2024, 3, 10)) | {"stamp": datetime(2024, 3, 10) + TICK},
    ]
    midnight = [call("c", datetime(2024, 3, 10)), call("d", datetime(2024, 3, 10) - TICK)]
    told = tell(mesh(dated, {"as_of": {}, "on": {"k": "call.k"}, "expect": "optional"}, rows, midnight))
    assert {name: ids(item.question["met"]) for name, item in told.items()} == {"c": "same", "d": "before"}
    told = tell(mesh(dated, {"on": {"stamp": "call.day"}, "expect": "any"}, rows, midnight))
    assert {name: ids(item.hindsight["met"]) for name, item in told.items()} == {"c": ["before"], "d": []}


def test_clocks_that_go_forward_move_no_bound() -> None:
    """On 31 March 2024 most of Europe went without the hour from 1:00 UTC; all times here are UTC."""
    at = datetime(2024, 3, 31, 12)
    link = {"on": {"k": "call.k"}, "within": {"after": "-1d", "before": "0d"}, "expect": "any"}
    rows = [event("in", at - timedelta(days=1)), event("out", at - timedelta(days=1) - TICK)]
    assert ids(only(tell(mesh(EVENTS, link, rows, [call(at=at)]))).hindsight["met"]) == ["in"]


def test_the_anchor_row_is_never_linked_to_its_own_case() -> None:
    link = {"on": {"k": "call.k"}, "within": {"after": "-1d", "before": "1d"}, "expect": "any"}
    calls = [call("a"), call("b", AT + TICK), call("c", AT - TICK)]
    told = tell(mesh(ANCHOR, link, calls, calls))
    assert {name: ids(item.hindsight["met"]) for name, item in told.items()} == {
        "a": ["c", "b"],
        "b": ["c", "a"],
        "c": ["a", "b"],
    }
    assert {name: ids(item.question["met"]) for name, item in told.items()} == {"a": ["c"], "b": ["c", "a"], "c": []}


PAST, FUTURE = AT - timedelta(hours=1), AT + timedelta(hours=1)
EITHER, BEFORE = {"after": "-1d", "before": "1d"}, {"after": "-1d", "before": "0d"}


@pytest.mark.parametrize(
    ("expect", "within", "moments", "dropped", "question_dropped"),
    [
        ("one", EITHER, [], "met: none", None),
        ("one", EITHER, [FUTURE], None, None),
        ("one", EITHER, [PAST, FUTURE], "met: several", None),
        ("one", EITHER, [PAST, PAST], "met: several", "met: several"),
        ("one", BEFORE, [], "met: none", "met: none"),
        ("one", BEFORE, [PAST], None, None),
        ("one", BEFORE, [PAST, PAST], "met: several", "met: several"),
        ("optional", EITHER, [], None, None),
        ("optional", EITHER, [PAST, FUTURE], "met: several", None),
        ("optional", BEFORE, [PAST, PAST], "met: several", "met: several"),
        ("some", EITHER, [], "met: none", None),
        ("some", EITHER, [FUTURE], None, None),
        ("some", BEFORE, [], "met: none", "met: none"),
        ("some", BEFORE, [PAST, PAST], None, None),
        ("any", EITHER, [], None, None),
    ],
)
def test_a_case_drops_with_its_reason_and_no_question_by_its_future(
    expect: str, within: dict[str, str], moments: list[datetime], dropped: str | None, question_dropped: str | None
) -> None:
    rows = [event(f"e{place}", began) for place, began in enumerate(moments)]
    told = only(tell(mesh(EVENTS, {"on": {"k": "call.k"}, "within": within, "expect": expect}, rows)))
    assert (told.dropped, told.question_dropped) == (dropped, question_dropped)
    known = [row["id"] for row in rows if row["began"] <= AT]
    single = expect in ("one", "optional")
    assert ids(told.question["met"]) == ((known[0] if len(known) == 1 else None) if single else known)


def test_what_is_linked_through_hindsight_is_no_question_s() -> None:
    plain = Product("plain", {"id": "string", "k": "string", "ref": "string"})
    cast = {"call": ANCHOR, "plain": plain, "met": EVENTS}
    links = {
        "plain": {"on": {"k": "call.k"}, "expect": "any"},
        "met": {"on": {"k": "plain.ref"}, "as_of": {}, "expect": "one"},
    }
    case = {"anchor": "call", "at": "call.at", "links": links}
    rows = {"calls": [call()], "plain": [{"id": "p", "k": "x", "ref": "y"}], "events": [event("e", PAST, "y")]}
    told = only(tell(SmallMesh(cast, case, rows)))
    assert ids(told.hindsight["met"]) == "e"
    assert (told.question["plain"], told.question["met"], told.question_dropped) == ([], None, None)


def test_what_is_linked_by_the_closing_is_no_question_s() -> None:
    link = {"on": {"began": "call.over"}, "expect": "any"}
    told = only(tell(mesh(EVENTS, link, [event("e", PAST)], [call(over=PAST)])))
    assert (ids(told.hindsight["met"]), told.question["met"]) == (["e"], [])


def test_a_row_that_was_recorded_late_is_not_in_the_question_before() -> None:
    late = Product("events", {**EVENTS.columns, "told": "timestamp"}, event="began", known="told")
    rows = [
        event("e", PAST - TICK) | {"told": PAST},
        event("f", PAST) | {"told": FUTURE},
        event("g", PAST) | {"told": None},
    ]
    link = {"on": {"k": "call.k"}, "expect": "any"}
    told = only(tell(mesh(late, link, rows)))
    assert (ids(told.hindsight["met"]), ids(told.question["met"])) == (["e", "f", "g"], ["e"])
    told = only(tell(mesh(late, link | {"as_of": {}, "expect": "one"}, rows)))
    assert (ids(told.hindsight["met"]), ids(told.question["met"])) == ("g", "e"), "each view has its own latest row"


def test_a_future_parent_takes_no_child_from_the_question() -> None:
    cast = {"call": ANCHOR, "parent": EVENTS, "met": Product("notes", EVENTS.columns, event="began")}
    links = {
        "parent": {"on": {"k": "call.k"}, "expect": "any"},
        "met": {"on": {"v": "parent.v"}, "as_of": {}, "expect": "optional"},
    }
    case = {"anchor": "call", "at": "call.at", "links": links}
    parents = [event("now", PAST, v=1), event("then", FUTURE, v=2)]
    notes = [event("old", PAST - TICK, v=1), event("new", PAST, v=2)]
    told = only(tell(SmallMesh(cast, case, {"calls": [call()], "events": parents, "notes": notes})))
    assert (ids(told.hindsight["met"]), ids(told.question["met"])) == ("new", "old")


def test_roles_and_properties_may_be_named_as_the_engine_names_its_own() -> None:
    names = ["at", "case_id", "known", "row", "place", "later", "asked", "items"]
    product = Product("odd", {"id": "string", **dict.fromkeys(names, "string")}, timeless=True)
    row = {"id": "o", **{name: name[0] for name in names}} | {"at": "x"}
    roles = ["status", "at", "known", "closes", "question", "outcome_", "split"]
    links = {
        role: {"on": {"at": "call.k"}, "expect": expect}
        for role, expect in zip(roles, ["any", "one"] * 4, strict=False)
    }
    links["last"] = {"on": {"items": "status.items", "known": "at.known"}, "expect": "any"}
    cast = {"call": ANCHOR, **dict.fromkeys([*roles, "last"], product)}
    case = {"anchor": "call", "at": "call.at", "closes": "call.over", "links": links}
    told = only(tell(SmallMesh(cast, case, {"calls": [call()], "odd": [row]})))
    assert [ids(told.question[role]) for role in [*roles, "last"]] == [["o"], "o", ["o"], "o", ["o"], "o", ["o"], ["o"]]
    assert told.status == "open"


def test_a_role_that_meets_several_tells_no_outcome() -> None:
    base = mesh(
        EVENTS, {"on": {"k": "call.k"}, "expect": "one"}, [event("e", PAST), event("f", FUTURE)], [call(over=AT)]
    )
    outcome = {"action": "met.k", "score": "met.v", "worked": "true"}
    told = only(tell(SmallMesh(base.cast, {**base.case, "outcome": outcome}, base.rows)))
    assert (told.dropped, told.question_dropped, told.status, told.outcome) == ("met: several", None, "unjudged", None)


@pytest.mark.parametrize(
    ("opened", "told", "question"),
    [
        (AT + TICK, AT, None),
        (AT, AT, {"id": "p", "opened": AT, "v": 1, "told": AT}),
        (AT, AT + TICK, {"id": "p", "opened": AT, "v": None, "told": None}),
        (None, AT, None),
    ],
)
def test_a_row_found_by_its_key_is_seen_once_it_is_known(
    opened: datetime | None, told: datetime, question: Row | None
) -> None:
    columns = {"id": "string", "opened": "timestamp", "v": "integer", "told": "timestamp"}
    port = Product("ports", columns, event="opened", known_of={"v": "told"})
    row = {"id": "p", "opened": opened, "v": 1, "told": told}
    found = only(tell(mesh(port, {"on": {"id": "call.ref"}, "expect": "optional"}, [row], [call(ref="p")])))
    assert own(found.hindsight["met"]) == row
    assert own(found.question["met"]) == question


def test_a_row_that_is_not_there_is_null_in_both_views() -> None:
    columns = {"id": "string", "v": "integer", "told": "timestamp"}
    for port in (
        Product("ports", columns, timeless=True),
        Product("ports", columns, timeless=True, known_of={"v": "told"}),
        Product("ports", columns, event="told"),
    ):
        found = only(tell(mesh(port, {"on": {"id": "call.ref"}, "expect": "optional"}, [], [call(ref="p")])))
        assert (found.hindsight["met"], found.question["met"]) == (None, None)
