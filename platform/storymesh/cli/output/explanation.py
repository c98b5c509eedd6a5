"""A narrative's plan, its drops and one of its cases, as people read them on a terminal."""

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.tree import Tree

from storymesh.cli.output.console import console_on, open_table

if TYPE_CHECKING:
    from storymesh.provenance.explain import CaseExplanation, DroppedCase, NarrativeExplanation
    from storymesh.provenance.link_explanation import LinkExplanation

NUMBERS = frozenset({"rows", "rows expected", "ms", "none", "one", "many"})
INTERNAL = frozenset({"_known", "_key", "_later", "_asked", "_unseen"})
WIDTH = 100
PRINTED_ABOVE = frozenset({"case_id", "at", "closes", "status", "split", "known", "dropped", "question_dropped"})


def show_explanation(plan: "NarrativeExplanation") -> None:
    """Print the cast, the links, the steps of the plan, and how many cases it makes."""
    console = _console()
    closes = f", closes {plan.closes}" if plan.closes else ""
    where = f" where {' '.join(plan.where.split())}" if plan.where else ""
    console.print(f"{plan.narrative}: one case for each row of {plan.anchor}{where}, at {plan.at}{closes}")
    cast = open_table("role", "product", "contract", "snapshot", "rows", right=NUMBERS)
    for member in plan.cast:
        cast.add_row(member.role, member.product, member.contract_version, member.version[:12], f"{member.rows:,}")
    links = open_table("link", "rule", "expect", "a question sees", "none", "one", "many", right=NUMBERS)
    for link in plan.links:
        members = (f"{count:,}" for count in (link.none, link.one, link.many))
        links.add_row(link.role, link.rule, link.expect, link.question, *members)
    steps = open_table("link", "step of the plan", "rows expected", "rows", "ms", right=NUMBERS)
    for step in plan.steps:
        expected = "" if step.estimated is None else f"{step.estimated:,}"
        steps.add_row(step.link, step.words, expected, f"{step.rows:,}", f"{step.seconds * 1000:,.1f}")
    for table in (cast, links, steps):
        console.print(table)
        console.print()
    if plan.precedents is not None:
        console.print(f"precedents: {plan.precedents}")
        console.print()
    for title, counts in (("status", plan.statuses), ("split", plan.splits), ("dropped", plan.drops)):
        listed = ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"
        console.print(f"{title}: {listed}")
    rows = next((member.rows for member in plan.cast if member.role == plan.anchor), plan.cases)
    selected = f", selected from {rows:,} rows of {plan.anchor}" if plan.where else ""
    console.print(f"{plan.cases:,} cases in all{selected}")


def show_drops(drops: "Iterable[DroppedCase]") -> None:
    """Print each dropped case with the reason."""
    table = open_table("case", "why")
    for drop in drops:
        table.add_row(drop.case_id, drop.reason)
    _console().print(table)


def show_case(case: "CaseExplanation") -> None:
    """Print which rows belong to a case, which nearly do and why, and every value with what a question sees of it."""
    console = _console()
    values = case.values
    console.print(f"case {values['case_id']}, at {values['at']}")
    for name in ("closes", "status", "split", "dropped", "question_dropped", "known"):
        if values.get(name) is not None:
            console.print(f"{name.replace('_', ' ')}: {values[name]}")
    for role in case.roles:
        console.print(_link_tree(role))
    tree = Tree("values")
    for name, value in values.items():
        if name not in PRINTED_ABOVE:
            _add(tree, name, value, values["at"])
    console.print(tree)


def _console() -> Console:
    console = console_on(sys.stdout)
    console.width = min(console.width, WIDTH)
    return console


def _link_tree(link: "LinkExplanation") -> Tree:
    tree = Tree(f"{link.role} ({link.product}), expect {link.expect}")
    for row in link.rows:
        branch = tree.add(f"{'✓' if row.linked else '✗'} {row.key}")
        for note in (*row.why, row.question):
            if note:
                branch.add(note)
    if link.more:
        tree.add(f"and {link.more:,} more")
    if link.nothing:
        tree.add(link.nothing)
    return tree


def _add(tree: Tree, name: str, value: Any, at: Any, note: str = "") -> None:
    if isinstance(value, list):
        branch = tree.add(f"{name}: {len(value)}")
        for item in value:
            _add(branch, "-", item, at)
    elif isinstance(value, dict):
        branch = tree.add(f"{name}{_visibility(value, at)}")
        for key, item in value.items():
            if key not in INTERNAL:
                _add(branch, key, item, at, value.get("_unseen", {}).get(key, ""))
    else:
        tree.add(f"{name}: {'—' if value is None else value}{note and f', not in the question: {note}'}")


def _visibility(row: Mapping[str, Any], at: Any) -> str:
    if "_key" not in row:
        return ""
    known = row["_known"]
    later = known is None or known > at
    return f" {row['_key']}, {'not known in the question' if later else 'known in the question'}"
