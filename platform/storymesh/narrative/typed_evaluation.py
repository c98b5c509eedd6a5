"""The evaluation of a narrative, typed: its strata are expressions in the question's view, over values that can equal
another."""

from collections.abc import Mapping
from dataclasses import dataclass

from storymesh.case.scopes import Formula, TypedCase
from storymesh.errors import DefinitionErrors, Finding
from storymesh.language.parse import parse_expression
from storymesh.language.typecheck.templates import check_expression
from storymesh.language.types import Boolean, Integer, Text
from storymesh.narrative.definition import Narrative


@dataclass(frozen=True)
class TypedEvaluation:
    """What is drawn and asked: `each` cases of each combination of the `strata`, in so many `wordings`, with `abstain`
    as many again where precedents are too few. `labels` are those of the actions, `least` says how often an option must
    have been tried to be best."""

    strata: tuple[Formula, ...]
    each: int
    wordings: int
    abstain: bool
    labels: Mapping[str, str]
    least: int


def type_evaluation(narrative: Narrative, views: TypedCase, findings: list[Finding]) -> TypedEvaluation | None:
    """Return the evaluation typed, None where the narrative cannot have one; report what is wrong to `findings`."""
    written, precedents = narrative.evaluation, narrative.case.precedents
    assert written is not None
    split = narrative.dataset.split
    if split is None:
        message = "`evaluation` asks about cases of the test, and the dataset has no split"
        findings.append(Finding(narrative.at("evaluation"), "no-split", message, "add `split` under `dataset`"))
    if split is None or precedents is None or not views.outcome:
        return None
    action = views.outcome["action"].checked.value.type
    labels = dict(action.labels) if isinstance(action, Text) else {}
    strata = tuple(
        formula
        for index, text in enumerate(written.strata)
        if (formula := _stratum(narrative, views, index, text, findings)) is not None
    )
    return TypedEvaluation(strata, written.each, written.wordings, written.tasks.abstain, labels, precedents.min)


def _stratum(narrative: Narrative, views: TypedCase, index: int, text: str, findings: list[Finding]) -> Formula | None:
    location = narrative.at("evaluation", "strata", index)
    try:
        checked = check_expression(parse_expression(text, location), views.scopes["question"])
    except DefinitionErrors as error:
        findings.extend(error.findings)
        return None
    value = checked.value
    if not isinstance(value.type, Text | Integer | Boolean):
        message = f"a stratum wants a text, a whole number, or true and false, '{text}' is {value.type}"
        findings.append(Finding(location, "wrong-type", message, "take a property that few values stand for"))
        return None
    if value.classification == "restricted" and not value.pseudonym:
        message = f"'{text}' reads what is restricted, and every question names its stratum"
        findings.append(Finding(location, "restricted", message, "take another property, or pseudonymise this one"))
        return None
    given = {path for read in checked.reads for path in views.base_paths(read)}
    if hidden := next((views.unprintable[path] for path in sorted(given) if path in views.unprintable), None):
        findings.append(Finding(location, hidden.rule, hidden.words, "take what the question may print"))
        return None
    return Formula(f"stratum_{index}", checked)
