"""The engine's cases and precedents against the oracle's, on random small meshes."""

from dataclasses import replace
from typing import Any

from hypothesis import assume, event, given

from storymesh.errors import DefinitionErrors
from tests.support.oracle import Expected, exact, precedents
from tests.support.oracle import tell as expect
from tests.support.random_meshes import PROFILE, Problem, memories, problems
from tests.support.small_mesh import Told, tell, typed


def told_by(problem: Problem) -> tuple[dict[str, Told], dict[str, Expected]]:
    try:
        _, _, seen = typed(problem.mesh)
    except DefinitionErrors as refused:
        event(refused.findings[0].rule)
        assume(False)
        raise
    asked = frozenset(seen.facts) - seen.hidden_facts
    meaning = replace(problem.meaning, asked_facts=asked)
    return tell(problem.mesh, problem.ranks, problem.periods), expect(problem.mesh, meaning)


@PROFILE
@given(problems())
def test_cases_and_precedents_are_those_of_the_oracle(problem: Problem) -> None:
    told, expected = told_by(problem)
    assert told.keys() == expected.keys()
    for name, item in expected.items():
        same(told[name], item)
    if "precedents" not in problem.mesh.case:
        return
    remembered = precedents(expected, problem.mesh.case["precedents"], problem.ranks, problem.periods)
    assert {name for name, item in told.items() if item.precedents is not None} == remembered.keys()
    for name, answer in remembered.items():
        if answer["enough"]:
            event("enough precedents")
        assert plain(told[name].precedents) == plain(answer), name


@PROFILE
@given(memories())
def test_many_cases_remember_what_the_oracle_does(problem: Problem) -> None:
    told, expected = told_by(problem)
    remembered = precedents(expected, problem.mesh.case["precedents"], problem.ranks, problem.periods)
    assert {name: plain(item.precedents) for name, item in told.items() if item.precedents} == plain(remembered)


def same(told: Told, item: Expected) -> None:
    for role in item.hindsight:
        assert properties(told.hindsight[role]) == item.hindsight[role], (item.id, role, "hindsight")
        assert properties(told.question[role]) == item.question[role], (item.id, role, "question")
    assert (told.dropped, told.question_dropped, told.status) == (item.dropped, item.question_dropped, item.status), (
        item.id
    )
    assert properties(told.facts) == item.facts, item.id
    assert properties(told.question_facts) == item.question_facts, item.id
    assert plain(told.outcome) == plain(item.outcome), item.id
    assert told.known == item.known, item.id


def properties(value: Any) -> Any:
    """Without what the engine carries for itself."""
    if isinstance(value, list):
        return [properties(item) for item in value]
    if isinstance(value, dict):
        return {name: properties(item) for name, item in value.items() if not name.startswith("_")}
    return value


def plain(value: Any, name: str = "") -> Any:
    """Scores as exact numbers, whatever type bears them; means to 12 digits."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item, key) for key, item in value.items() if not key.startswith("_")}
    if name == "score" and value is not None:
        return exact(value).normalize()
    return round(value, 12) if name == "mean_score" else value
