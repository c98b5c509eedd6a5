"""The SQL of `QuickCompiler` is that of ibis's own compiler, but for the names of relations."""

import re
from collections.abc import Callable

import ibis
import ibis.expr.types as ir
import pytest
from ibis.backends.sql.compilers.duckdb import DuckDBCompiler

from storymesh.engine import dialect
from storymesh.engine.duckdb.compiler import QuickCompiler

ROWS = ibis.table({"a": "int64", "b": "string", "many": "array<struct<x: int64, y: string>>"}, name="ground")
OTHERS = ibis.table({"a": "int64", "c": "decimal(10, 2)"}, name="others")


def latest(table: ir.Table) -> ir.Table:
    place = ibis.row_number().over(ibis.window(group_by="b", order_by=table["a"].desc()))
    return table.filter(place == 0)


def read_twice(table: ir.Table) -> ir.Table:
    few = table.filter(table["a"] > 1).mutate(d=table["a"] * 2)
    counted = few.group_by("b").agg(count=few.count())
    return few.join(counted, "b").order_by("a").limit(5, offset=2)


def loops(table: ir.Table) -> ir.Table:
    return table.select(
        numbered=dialect.map_indexed(table["many"], lambda row, place: row["x"] * (place + 1)),
        mapped=dialect.map_items(
            dialect.filter_items(table["many"], lambda row: row["x"] > 1),
            lambda row: ibis.ifelse(row["x"] > 2, row, row.nullif(row))["y"],
        ),
    )


@pytest.mark.parametrize(
    "select",
    [
        lambda table: table,
        lambda table: table.select("a", "b", "many"),
        lambda table: table.select("b", "a", "many"),
        lambda table: table.select(twice=table["a"] + table["a"], named=table["b"].name("x")),
        lambda table: table.filter(table["a"] > 1, table["b"].isin([]) | table["b"].isin(["x", "y"])),
        lambda table: table.mutate(y=table["a"], z=table["a"]).drop("b").distinct(),
        lambda table: table.group_by("b").agg(sum=table["a"].sum(), least=table["a"].min(where=table["b"] != "")),
        lambda table: table.left_join(OTHERS, "a").select("b", "c").union(OTHERS.select(b=ibis.null("string"), c="c")),
        lambda table: table.view().join(table, "a").semi_join(OTHERS, "a").anti_join(OTHERS, "a"),
        lambda table: table.select(first=table["b"].first().over(ibis.window(order_by="a"))),
        lambda table: table.fill_null({"b": ""}).drop_null("a").select(found=table["b"].find("x")),
        lambda table: dialect.materialization_barrier(table.mutate(n=table["a"] + 1)),
        latest,
        read_twice,
        loops,
    ],
)
def test_the_sql_is_the_same_but_for_the_names_of_relations(
    monkeypatch: pytest.MonkeyPatch, select: Callable[[ir.Table], ir.Table]
) -> None:
    monkeypatch.setattr(ibis.options.sql, "fuse_selects", False)
    plain, quick = (in_order(compiler.to_sqlglot(select(ROWS)).sql("duckdb")) for compiler in COMPILERS)
    assert quick == plain


COMPILERS = (DuckDBCompiler(), QuickCompiler())


def in_order(sql: str) -> str:
    """Return SQL with its relations numbered in the order in which they are named."""
    names: dict[str, str] = {}
    return re.sub(r'"t\d+"', lambda found: names.setdefault(found[0], f"r{len(names)}"), sql)
