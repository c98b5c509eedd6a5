"""Answers that read the outcome of their own case are found wherever they do it, and no other answer is."""

import shutil
from pathlib import Path

import pytest

from storymesh.errors import DefinitionErrors
from tests.narrative.test_typed import CANAL, QUESTION, typed, write

EARLIER = (
    "{% for option in precedents.options %}{{ option.action | label }} {{ option.worked }}"
    "{% for quote in option.quoted %}{% if quote.worked %} {{ quote.id }}{% endif %}{% endfor %}{% endfor %}"
)


@pytest.fixture
def canal(tmp_path: Path) -> Path:
    root = tmp_path / "canal"
    shutil.copytree(CANAL, root)
    write(root, question=QUESTION, answer=EARLIER)
    return root


def foretold(root: Path) -> list[tuple[str, str]]:
    """Where, and what of the outcome, in the order of the files."""
    warnings = [item for item in typed(root, "canal_stories").warnings if item.rule == "foretells"]
    assert all(item.severity == "warning" for item in warnings)
    return [
        (f"{item.location.path.rpartition('/')[2]}:{item.location.line}", item.message.split("'")[3])
        for item in sorted(warnings)
    ]


def with_record(root: Path, record: str) -> Path:
    """The mesh with one more record."""
    path = root / "narratives" / "canal_stories" / "narrative.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("\ndataset:", f"\n  {record}\ndataset:"), encoding="utf-8")
    return root


def test_what_earlier_cases_showed_is_no_foretelling(canal: Path) -> None:
    assert foretold(canal) == []


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("It was to {{ outcome.action | label }}.", "outcome.action"),
        ("{% if outcome.worked %}Good.{% endif %}", "outcome.worked"),
        ("{{ 'Good.' if outcome.worked else 'Bad.' }}", "outcome.worked"),
        ("{% set end = outcome.action %}{{ end | label | upper }}", "outcome.action"),
        ("{% set all = outcome %}{{ all.action }}", "outcome.action"),
        ("{% for end in [outcome.action] %}{{ end }}{% endfor %}", "outcome.action"),
        ("{% for end in [outcome] %}{{ end.action }}{% endfor %}", "outcome.action"),
        ("{{ [outcome] | map(attribute='action') | join(', ') }}", "outcome.action"),
        ("{{ [outcome] | selectattr('worked') | length }}", "outcome.worked"),
        ("{% for end in [outcome] if end.worked %}x{% endfor %}", "outcome.worked"),
        (
            "{% for option in precedents.options if option.action == outcome.action %}x{% endfor %}",
            "outcome.action",
        ),
        (
            "{% for option in precedents.options %}{{ loop.index if outcome.worked else 0 }}{% endfor %}",
            "outcome.worked",
        ),
        ("{{ 'x' if outcome.action == 'WAIT' else 'y' }}", "outcome.action"),
        ("{{ 'x' ~ outcome.action }}", "outcome.action"),
        ("{{ choose('a', outcome.action) }}", "outcome.action"),
        ("{{ delay.remark | default(outcome.action) }}", "outcome.action"),
    ],
)
def test_every_way_to_read_the_own_outcome_is_found(canal: Path, answer: str, found: str) -> None:
    write(canal, answer="Now.\n" + answer)
    places = foretold(canal)
    assert {what for _, what in places} == {found}
    assert len(places) == 1


def test_it_is_found_in_a_partial_where_it_stands(canal: Path) -> None:
    write(canal, answer="{% include 'end.jinja' %}", end="\n\nIt was {{ outcome.action }}.")
    assert foretold(canal) == [("end.jinja:3", "outcome.action")]


def test_it_is_found_in_options_and_completions(canal: Path) -> None:
    write(canal, option="{{ option.action | label }}{{ '!' if outcome.worked else '?' }}")
    with_record(canal, "reply: {format: prompt_completion, prompt: question.jinja, completion: option2.jinja}")
    write(canal, option2="{{ outcome.action }}")
    assert foretold(canal) == [("option.jinja:1", "outcome.worked"), ("option2.jinja:1", "outcome.action")]


def test_hindsight_may_tell_how_it_went(canal: Path) -> None:
    write(canal, report="{% if outcome %}{{ outcome.action }}{{ outcome.worked }}{% endif %}")
    assert foretold(canal) == []


@pytest.mark.parametrize(
    ("where", "answer", "found"),
    [
        ("outcome.worked", "{{ outcome.action }}", []),
        ("outcome.worked and delay.urgent", "{{ outcome.action }}", []),
        ("outcome.worked == true", "{{ outcome.action }}", []),
        ("outcome.worked is true", "{{ outcome.action }}", []),
        ("outcome.worked", "{{ 'fine' if outcome.worked else 'bad' }}", ["outcome.worked"]),
        ("outcome.worked or delay.urgent", "{{ outcome.action }}", ["outcome.action"]),
        ("not outcome.worked", "{{ outcome.action }}", ["outcome.action"]),
        ("outcome.score > 24", "{{ outcome.action }}", ["outcome.action"]),
        ("delay.urgent", "{{ outcome.action }}", ["outcome.action"]),
    ],
)
def test_what_worked_may_be_imitated(canal: Path, where: str, answer: str, found: list[str]) -> None:
    write(canal, imitate=answer)
    with_record(
        canal,
        f'same: {{where: "{where}", format: prompt_completion, prompt: question.jinja, completion: imitate.jinja}}',
    )
    assert [what for _, what in foretold(canal)] == found


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("outcome.wroked", "unknown-name"),
        ("outcome.score", "wrong-type"),
        ("delay.arrived_at is none", "out-of-view"),
        ("delay.urgent and", "syntax"),
    ],
)
def test_a_condition_is_checked_in_its_view(canal: Path, where: str, words: str) -> None:
    with_record(canal, f'some: {{where: "{where}", format: messages, user: question.jinja, assistant: answer.jinja}}')
    with pytest.raises(DefinitionErrors) as caught:
        typed(canal, "canal_stories")
    (finding,) = caught.value.findings
    assert finding.rule == words
    assert finding.location.path.endswith("narrative.yaml")


def test_a_condition_in_hindsight_sees_how_it_went(canal: Path) -> None:
    with_record(
        canal, 'late: {where: "delay.arrived_at is none or recovered_hours > 3", format: text, text: report.jinja}'
    )
    assert typed(canal, "canal_stories").records["late"].conditions
