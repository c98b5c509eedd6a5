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
    for name, one in expected.items():
        same(told[name], one)
    if "precedents" not in problem.mesh.case:
        return
    remembered = precedents(expected, problem.mesh.case["precedents"], problem.ranks, problem.periods)
    assert {name for name, one in told.items() if one.precedents is not None} == remembered.keys()
    for name, answer in remembered.items():
        if answer["enough"]:
            event("enough precedents")
        assert plain(told[name].precedents) == plain(answer), name


@PROFILE
@given(memories())
def test_many_cases_remember_what_the_oracle_does(problem: Problem) -> None:
    told, expected = told_by(problem)
    remembered = precedents(expected, problem.mesh.case["precedents"], problem.ranks, problem.periods)
    assert {name: plain(one.precedents) for name, one in told.items() if one.precedents} == plain(remembered)


def same(told: Told, one: Expected) -> None:
    for role in one.hindsight:
        assert properties(told.hindsight[role]) == one.hindsight[role], (one.id, role, "hindsight")
        assert properties(told.question[role]) == one.question[role], (one.id, role, "question")
    assert (told.dropped, told.question_dropped, told.status) == (one.dropped, one.question_dropped, one.status), one.id
    assert properties(told.facts) == one.facts, one.id
    assert properties(told.question_facts) == one.question_facts, one.id
    assert plain(told.outcome) == plain(one.outcome), one.id
    assert told.known == one.known, one.id


def properties(value: Any) -> Any:
    """Without what the engine carries for itself."""
    if isinstance(value, list):
        return [properties(one) for one in value]
    if isinstance(value, dict):
        return {name: properties(one) for name, one in value.items() if not name.startswith("_")}
    return value


def plain(value: Any, name: str = "") -> Any:
    """Scores as exact numbers, whatever type bears them; means to 12 digits."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {key: plain(one, key) for key, one in value.items() if not key.startswith("_")}
    if name == "score" and value is not None:
        return exact(value).normalize()
    return round(value, 12) if name == "mean_score" else value
