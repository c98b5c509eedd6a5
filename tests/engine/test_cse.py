"""What a selection computes more than once is computed once, and the rows stay as they are."""

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pytest

from storymesh.engine import dialect
from storymesh.engine.cse import HoistedExpressions, eliminate_common
from storymesh.engine.open import open_engine

STEPS = [{"code": "tow", "cost": 2.5}, {"code": "dig", "cost": None}]
ROWS = [
    {"place": 0, "name": "Ever Given", "hours": 147.4, "steps": STEPS},
    {"place": 1, "name": "", "hours": None, "steps": []},
    {"place": 2, "name": "p-1", "hours": -0.04, "steps": None},
]
SCHEMA = {"place": "int64", "name": "string", "hours": "float64", "steps": "array<struct<code: string, cost: float64>>"}


@pytest.fixture
def table() -> ir.Table:
    return ibis.memtable(ROWS, schema=SCHEMA)


def digest(text: ir.StringValue) -> ir.StringValue:
    return text.hexdigest("md5")


def rows_of(table: ir.Table) -> list[dict[str, object]]:
    with open_engine() as engine:
        return list(engine.fetch_rows(table.order_by("place")))


def sql_of(table: ir.Table) -> str:
    with open_engine() as engine:
        return engine.compile_sql(table).lower()


def different_digests(selection: ir.Table) -> int:
    """Return how many digests of different values a selection asks for, however often it uses each of them."""
    return len(set(selection.op().find(ops.HexDigest)))


def digests_in_sql(selection: ir.Table) -> int:
    """Return how often the SQL of a selection computes a digest."""
    return sql_of(selection).count("md5(")


def repeating(table: ir.Table) -> ir.Table:
    """Expressions that stand twice: in branches, in a lambda, around a lambda, and on each other."""
    once = digest(table["name"])
    twice = digest(dialect.concat_texts([once, once]))

    def step(item: ir.StructValue, place: ir.IntegerValue) -> ir.StringValue:
        code = digest(digest(digest(digest(digest(digest(item["code"]))))))
        chosen = ibis.ifelse(item["cost"].isnull(), code, code.upper())
        return dialect.concat_texts([chosen, digest(twice), place.cast("string")])

    steps = dialect.concat_items(dialect.map_indexed(table["steps"], step))
    return table.select(
        "place",
        first=ibis.ifelse(table["hours"] > 0, once, twice),
        second=twice,
        steps=ibis.ifelse(table["hours"].notnull(), steps, "nothing"),
        again=ibis.ifelse(table["hours"].notnull(), "nothing", steps),
    )


def test_the_rows_stay_as_they_are(table: ir.Table) -> None:
    assert rows_of(eliminate_common(repeating(table))) == rows_of(repeating(table))


def test_what_stands_twice_is_computed_once(table: ir.Table) -> None:
    selection = repeating(table)
    assert digests_in_sql(selection) > different_digests(selection), "without it, digests are computed again"
    assert digests_in_sql(eliminate_common(selection)) == different_digests(selection)


def test_a_list_is_walked_before_a_branch_is_taken(table: ir.Table) -> None:
    sql = sql_of(eliminate_common(repeating(table)))
    assert sql.count("list_apply(") == 2  # what is shared of a step, then its text
    assert "list_apply(" not in sql[: sql.index("from (")]


def test_the_same_selection_gives_the_same_sql(table: ir.Table) -> None:
    assert sql_of(eliminate_common(repeating(table))) == sql_of(eliminate_common(repeating(table)))


def test_one_sharing_stands_on_another(table: ir.Table) -> None:
    codes = dialect.map_indexed(table["steps"], lambda item, place: item["code"].concat(place.cast("string")))
    lower = eliminate_common(table.mutate(codes=codes))
    upper = lower.mutate(more=dialect.map_indexed(lower["codes"], lambda code, place: place + code.length()))
    assert rows_of(eliminate_common(upper).select("place", "more")) == [
        {"place": 0, "more": [4, 5]},
        {"place": 1, "more": []},
        {"place": 2, "more": None},
    ]


FEW = [{"probe": 0, "steps": STEPS}, {"probe": 1, "steps": []}]


def joined(few: ir.Table) -> ir.Table:
    """Six cases, each with the columns of one row of a table of two."""
    cases = ibis.memtable({"place": list(range(6)), "probe": [0, 0, 0, 1, 1, 1], "word": list("uvwxyz")})
    return dialect.materialization_barrier(cases.join(few, "probe"))


def text_of_each(parent: ir.Table) -> ir.Table:
    steps, word = parent["steps"], parent["word"]
    lines = dialect.map_indexed(
        steps,
        lambda step, place: dialect.concat_texts(
            [ibis.literal("- "), digest(step["code"]), place.cast("string"), word, digest(step["code"].upper())]
        ),
    )
    alone = dialect.concat_items(dialect.map_items(steps, lambda step: digest(step["code"].lower())))
    return parent.select(
        "place", lines=dialect.concat_items(lines), alone=alone, count=steps.length(), word=word.upper()
    )


def test_what_reads_the_few_rows_only_is_computed_there() -> None:
    few = ibis.memtable(FEW, schema={"probe": "int64", "steps": SCHEMA["steps"]})
    selection = text_of_each(joined(few))
    apart = HoistedExpressions(selection, ["steps"])
    below = apart.below(few).drop("steps")  # nothing above reads it any more
    above = eliminate_common(apart.above(joined(below)))
    assert rows_of(above) == rows_of(selection)
    sql = sql_of(above)
    assert digests_in_sql(above) == different_digests(selection)
    assert "md5(" not in sql[: sql.index(" join ")]


def test_a_selection_that_reads_none_of_them_stays() -> None:
    few = ibis.memtable(FEW, schema={"probe": "int64", "steps": SCHEMA["steps"]})
    selection = joined(few).select("place", word="word")
    apart = HoistedExpressions(selection, ["steps"])
    assert apart.names == []
    assert rows_of(apart.above(joined(apart.below(few)))) == rows_of(selection)


def test_a_chain_carries_on_only_what_is_read_later(table: ir.Table) -> None:
    """Each step is read by the next one, in a branch, and by a condition that stands at the end with all others."""
    value, last = table["place"], []
    for step in range(30):
        last.append((value + step > 7) & (value - step < 9))
        value = ibis.ifelse(value > step, value + 1, value - 1)
    met = last[0]
    for condition in last[1:]:
        met = met | condition
    chained = table.select(**dialect.name_columns({"place": table["place"], "value": value, "met": met}))
    shared = eliminate_common(chained)
    widths, relation = [], shared.op()
    while isinstance(relation, ops.Project):
        widths.append(len(relation.values))
        relation = relation.parent
    assert len(widths) > 30
    assert max(widths) < 10
    expected = []
    for value in range(3):
        place, met = value, False
        for step in range(30):
            met = met or (value + step > 7 and value - step < 9)
            value = value + 1 if value > step else value - 1
        expected.append({"place": place, "value": value, "met": met})
    assert rows_of(shared) == expected
