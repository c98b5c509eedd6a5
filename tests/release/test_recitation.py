"""What an answer says has to be learnable: it stands in the question, or other answers say it too."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest

from storymesh.dataset.build import Build
from storymesh.dataset.stages import write_cases_and_precedents, write_records
from storymesh.release.manifest import RecitationSummary
from storymesh.release.recitation import MIN_ANSWERS, SHARED, answers_of, measure_recitation, recitation_warnings
from tests.support.small_build import LATE_CALLS, build_of
from tests.support.small_mesh import Product

CALLS = 120
ANSWERS = {
    "shown": "Ship {{ call.number }} of {{ call.sea }}.",
    "hidden": "It is ship {{ call.number }}.",
    "common": "The sea is {{ call.sea }}. {{ choose('So it is.', 'Quite.') }}",
    "together": "On {{ call.sea }} it is kind {{ call.kind }}.",
    "apart": "It is {{ call.sea }}. It is kind {{ call.kind }}.",
    "through": "{% set mine = call.number ~ '!' %}{% include 'partial.jinja' %}",
    "mixed": "The sea is {{ call.sea }}.\nShip {{ call.number }}.",
    "part": "It is {{ call.end }}.",
    "seldom": "{% if call.number == '1000' %}Be calm.{% else %}It is {{ call.sea }}.{% endif %}",
    "words": "{{ 'The sea is wide' if call.sea == 'north' else 'It is not' }}.",
}
NARRATIVE = (
    LATE_CALLS
    + """\
  outcome: {action: call.end, score: call.kind, worked: call.kind > 3}
records:
  report: {format: text, text: report.jinja}
"""
)
PRODUCT = Product(
    "calls",
    {"call": "string", "number": "string", "end": "string", "sea": "string", "kind": "integer"}
    | {"at": "timestamp", "over": "timestamp"},
    ("call",),
    "at",
    required=("at", "call", "number", "end", "sea", "kind"),
)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    root = tmp_path_factory.mktemp("recitation")
    folder = root / "narratives" / "late_calls"
    folder.mkdir(parents=True)
    lines = []
    for config, answer in ANSWERS.items():
        asked = "long" if config in ("shown", "part") else "short"
        lines.append(f"  {config}: {{format: messages, user: {asked}.jinja, assistant: {config}.jinja}}\n")
        (folder / f"{config}.jinja").write_text(answer, encoding="utf-8")
    lines.append('  retold: {from: mixed, narrator: {model: "openai:any", prompt: retell.jinja}}\n')
    (folder / "retell.jinja").write_text("Tell it anew.\n\n{{ story }}", encoding="utf-8")
    (folder / "short.jinja").write_text("What is it?", encoding="utf-8")
    (folder / "long.jinja").write_text("What of SHIP {{ call.number }} ({{ call.sea }})?", encoding="utf-8")
    (folder / "partial.jinja").write_text("Ship {{ mine }}", encoding="utf-8")
    first = datetime(2024, 3, 1)
    rows = [
        {"call": f"c{n}", "number": f"1{n:03d}", "end": f"{n:03d}", "sea": ("north", "south")[n % 2], "kind": n % 23}
        | {"at": first + timedelta(days=n), "over": first + timedelta(days=n + 1)}
        for n in range(CALLS)
    ]
    build = build_of(root, NARRATIVE + "".join(lines), "A call.\n", {"call": PRODUCT}, {"call": rows})
    write_cases_and_precedents(build)
    return build


def measured(build: Build, config: str) -> RecitationSummary | None:
    with build.open_engine() as engine:
        return measure_recitation(build, engine, {config: [write_records(build, config).path]}).get(config)


@pytest.mark.parametrize(
    ("config", "reciting", "places"),
    [
        ("shown", 0, []),
        ("hidden", CALLS, ["hidden.jinja:1 {{ call.number }}"]),
        ("common", 0, []),
        ("together", CALLS, ["together.jinja:1 {{ call.kind }}", "together.jinja:1 {{ call.sea }}"]),
        ("through", CALLS, ["partial.jinja:1 {{ mine }}"]),
        ("mixed", CALLS, ["mixed.jinja:2 {{ call.number }}"]),
        ("part", CALLS, ["part.jinja:1 {{ call.end }}"]),
        ("seldom", 0, []),
        ("words", 0, []),
    ],
)
def test_values_that_nobody_can_know_are_recited(build: Build, config: str, reciting: int, places: list[str]) -> None:
    found = measured(build, config)
    assert found is not None
    assert (found.answers, found.reciting, sorted(found.places)) == (CALLS, reciting, places)
    assert found.share == 0 if not reciting else found.share > 0


def test_what_a_sentence_says_is_taken_together(build: Build) -> None:
    apart, together = measured(build, "apart"), measured(build, "together")
    assert apart is not None
    assert together is not None
    assert apart.share < together.share == 1


def test_the_share_is_of_the_characters_of_the_sentences(build: Build) -> None:
    found = measured(build, "mixed")
    assert found is not None
    assert found.characters == CALLS * (len("The sea is north.") + len("Ship 1000."))
    assert found.recited == CALLS * len("Ship 1000.")


def test_of_retold_answers_the_values_of_their_templates_are_measured(build: Build) -> None:
    assert [text.slot.name for text in answers_of(build.typed.records["retold"])] == ["assistant"]
    assert measured(build, "retold") == measured(build, "mixed")


def test_a_story_without_a_question_recites_nothing(build: Build) -> None:
    assert answers_of(build.typed.records["report"]) == []


def test_a_config_that_recites_much_is_warned_of() -> None:
    def summary(answers: int, recited: int) -> Mapping[str, RecitationSummary]:
        places = {"a.jinja:1 {{ x }}": 3}
        return {
            "advice": RecitationSummary(answers=answers, reciting=9, characters=1000, recited=recited, places=places)
        }

    (warning,) = recitation_warnings(summary(MIN_ANSWERS, 590))
    assert warning.startswith("59% of what the answers of 'advice' say")
    assert "a.jinja:1 {{ x }}" in warning
    assert f"fewer than {SHARED} other answers" in warning
    assert list(recitation_warnings(summary(MIN_ANSWERS, 50))) == []
    assert list(recitation_warnings(summary(MIN_ANSWERS - 1, 590))) == []
