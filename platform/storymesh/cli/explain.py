"""A narrative's plan, its drops and one of its cases, as people read them on a terminal."""

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.tree import Tree

from storymesh.cli.progress import console_on

if TYPE_CHECKING:
    from storymesh.dataset.explain import Drop, Explanation

OWN = frozenset({"_known", "_key", "_later", "_asked"})
ASIDE = frozenset({"case_id", "at", "closes", "status", "split", "known", "dropped", "question_dropped"})


def show_explanation(plan: "Explanation") -> None:
    console = console_on(sys.stdout)
    closes = f", closes {plan.closes}" if plan.closes else ""
    console.print(f"{plan.narrative}: one case for each row of {plan.anchor}, at {plan.at}{closes}", highlight=False)
    cast = _table("role", "product", "contract", "snapshot", "rows")
    for member in plan.cast:
        cast.add_row(member.role, member.product, member.contract_version, member.version[:12], f"{member.rows:,}")
    links = _table("link", "rule", "expect", "a question sees", "none", "one", "many")
    for link in plan.links:
        met = (f"{count:,}" for count in (link.none, link.one, link.many))
        links.add_row(link.role, link.rule, link.expect, link.question, *met)
    console.print(cast, links, sep="\n")
    for words, counts in (("status", plan.statuses), ("split", plan.splits), ("dropped", plan.drops)):
        told = ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"
        console.print(f"{words}: {told}", highlight=False)
    console.print(f"{plan.cases:,} cases in all", highlight=False)


def show_drops(drops: "Iterable[Drop]") -> None:
    table = _table("case", "why")
    for drop in drops:
        table.add_row(drop.case_id, drop.reason)
    console_on(sys.stdout).print(table)


def show_case(case: Mapping[str, Any]) -> None:
    """Every row of a case with the moment from which a question may see it; what it cannot see is marked."""
    console = console_on(sys.stdout)
    tree = Tree(f"case {case['case_id']}, at {case['at']}", highlight=False)
    for name in ("closes", "status", "split", "dropped", "question_dropped", "known"):
        if case.get(name) is not None:
            tree.add(f"{name.replace('_', ' ')}: {case[name]}")
    for name, value in case.items():
        if name not in ASIDE:
            _add(tree, name, value, case["at"])
    console.print(tree)


def _add(tree: Tree, name: str, value: Any, at: Any) -> None:
    if isinstance(value, list):
        branch = tree.add(f"{name}: {len(value)}")
        for item in value:
            _add(branch, "-", item, at)
    elif isinstance(value, dict):
        branch = tree.add(f"{name}{_seen(value, at)}")
        for key, item in value.items():
            if key not in OWN:
                _add(branch, key, item, at)
    else:
        tree.add(f"{name}: {'—' if value is None else value}")


def _seen(row: Mapping[str, Any], at: Any) -> str:
    if "_key" not in row:
        return ""
    known = row["_known"]
    later = known is None or known > at
    return f" {row['_key']}, {'not known in the question' if later else 'known in the question'}"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in ("rows", "none", "one", "many") else "left")
    return table
