"""What may be done to the rows without changing what a case is: order, the future, strangers, later knowledge."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from storymesh.errors import DefinitionErrors
from tests.support.random_meshes import FEW, Problem, memories, problems
from tests.support.small_mesh import Product, Row, SmallMesh, Told, tell, typed

FAR = datetime(2031, 1, 1)
Mesh = SmallMesh


def told_by(problem: Problem, mesh: Mesh | None = None) -> dict[str, Told]:
    return tell(mesh or problem.mesh, problem.ranks, problem.periods)


def sound(problem: Problem) -> None:
    try:
        typed(problem.mesh)
    except DefinitionErrors:
        assume(False)


def with_rows(mesh: Mesh, rows: Mapping[str, list[Row]]) -> Mesh:
    return replace(mesh, rows={**mesh.rows, **rows})


def asked(told: Told, *, facts: bool = True) -> Any:
    """What a question can print of a case."""
    remembered = told.precedents if facts else without_facts(told.precedents)
    return told.question, told.question_dropped, told.question_facts, remembered


def without_facts(value: Any) -> Any:
    if isinstance(value, list):
        return [without_facts(item) for item in value]
    if isinstance(value, dict):
        return {name: without_facts(item) for name, item in value.items() if name not in ("count", "step")}
    return value


@FEW
@given(st.one_of(problems(), memories()), st.integers(0, 99))
def test_the_order_of_rows(problem: Problem, seed: int) -> None:
    sound(problem)
    random = Random(seed)
    shuffled = {name: random.sample(list(rows), len(rows)) for name, rows in problem.mesh.rows.items()}
    assert told_by(problem, with_rows(problem.mesh, shuffled)) == told_by(problem)


@FEW
@given(problems(), st.integers(0, 99))
def test_rows_of_the_future(problem: Problem, seed: int) -> None:
    """A later row of a role that an outcome reads may change what was done, so these stay as they are."""
    sound(problem)
    random = Random(seed)
    mesh = problem.mesh
    outcome = {role for item in problem.meaning.outcome.values() for role, _ in item.reads}
    outcome |= {role for fact in problem.meaning.facts.values() if fact.row_of for role in [fact.row_of]}
    kept = {mesh.cast[role].name for role in outcome}
    kept |= {mesh.cast[path.split(".")[0]].name for role in outcome for path in _read_by(mesh, role)}
    more: dict[str, list[Row]] = {}
    for name, rows in mesh.rows.items():
        product = next(item for item in mesh.cast.values() if item.name == name)
        if product.event in (None, "told") or name in kept:
            continue
        later = [_moved(product, random.choice(rows), place) for place in range(3)] if rows else []
        more[name] = [*rows, *later]
    told, after = told_by(problem), told_by(problem, with_rows(mesh, more))
    for name, item in told.items():
        assert asked(after[name], facts=False) == asked(item, facts=False), name


def _read_by(mesh: Mesh, role: str) -> list[str]:
    on = mesh.case["links"].get(role, {}).get("on", {}).values()
    return [*on, *(path for other in on for path in _read_by(mesh, other.split(".")[0]))]


def _moved(product: Product, row: Row, place: int) -> Row:
    """The row again, with a key of its own and all its moments far ahead; what joins and matches it stays."""
    assert product.event is not None
    moved = dict(row) | {"id": f"later{place}"}
    for column in (product.event, product.end, "told"):
        if column:
            moment = FAR + timedelta(days=place)
            moved[column] = moment.date() if product.columns[column] == "date" else moment
    return moved | ({"u": None} if "u" in row else {})


@FEW
@given(problems())
def test_a_role_that_nobody_reads(problem: Problem) -> None:
    sound(problem)
    stranger = Product("stranger", {"id": "string", "k": "string", "seen": "timestamp"}, event="seen")
    mesh = problem.mesh
    links = {**mesh.case["links"], "stranger": {"on": {"k": "a.k"}, "expect": "any"}}
    rows = [{"id": f"s{place}", "k": "x", "seen": FAR - timedelta(days=3650 - place)} for place in range(4)]
    grown = Mesh({**mesh.cast, "stranger": stranger}, {**mesh.case, "links": links}, {**mesh.rows, "stranger": rows})
    told = told_by(problem)
    for name, item in told_by(problem, grown).items():
        for view in (item.hindsight, item.question):
            view.pop("stranger")  # type: ignore[attr-defined]
        assert item == told[name], name


@FEW
@given(st.one_of(problems(), memories()), st.integers(0, 99))
def test_values_that_are_known_only_later(problem: Problem, seed: int) -> None:
    sound(problem)
    random = Random(seed)
    mesh = problem.mesh
    moments = sorted(_moment(row["began"]) for row in mesh.rows["a"])
    cut = random.choice(moments)
    changed: dict[str, list[Row]] = {}
    for name, rows in mesh.rows.items():
        product = next(item for item in mesh.cast.values() if item.name == name)
        late = [column for column in ("act", "x", "good") if product.known_of.get(column) == "told"]
        donors = list(rows)
        changed[name] = [
            row | {column: random.choice(donors)[column] for column in late}
            if row["told"] is None or row["told"] > cut
            else row
            for row in rows
        ]
    told, after = told_by(problem), told_by(problem, with_rows(mesh, changed))
    for row in mesh.rows["a"]:
        name = mesh.cast["a"].text_of(row)
        if _moment(row["began"]) <= cut:
            assert asked(after[name]) == asked(told[name]), name


def _moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
