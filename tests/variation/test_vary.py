"""Variants by a scripted model: one that obeys, and those that cheat, each refused with words that it can work with."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from storymesh.errors import StorymeshError, WrongUsage
from storymesh.llm.ask import ask_model
from storymesh.llm.asked_model import AskedModel, Budget, Price
from storymesh.llm.budget import BudgetLedger, Usage
from storymesh.llm.response_cache import Messages, ResponseCache
from storymesh.llm.retry import RetryPolicy
from storymesh.variation.prompt import MAX_CHARACTERS, template_in_answer
from storymesh.variation.variation import TemplateVariation, templates_to_vary, vary_template, wanted_numbers
from tests.support.model_server import Call, Raw, Server
from tests.support.small_build import build_of
from tests.support.small_mesh import Product

NARRATIVE = """\
apiVersion: storymesh/v1
kind: Narrative
id: loans
version: 1.0.0
title: Loans
owner: lab
license: cc-by-4.0
cast: {loan: mesh.loans@1}
case: {anchor: loan, at: loan.at}
records:
  report: {format: text, text: report.jinja, variants: true}
"""
LOANS = Product(
    "loans",
    {"loan": "string", "at": "timestamp", "due": "timestamp", "paid": "timestamp", "sum": "integer", "who": "string"},
    ("loan",),
    "at",
    required=("at", "loan", "due", "sum", "who"),
    known_of={"paid": "paid"},
    restricted=("who",),
)
FIRST = datetime(2024, 3, 1)
ROWS = [
    {"loan": f"l{number}", "at": FIRST + timedelta(days=number), "due": FIRST + timedelta(days=number + 30)}
    | {"paid": FIRST + timedelta(days=number + 10) if number % 2 else None, "sum": 100 * number, "who": f"Ada-{number}"}
    for number in range(40)
]
ORIGINAL = (
    "Loan {{ loan.loan }} of {{ loan.who | pseudonym }}, {{ loan.sum | number }} in all, due {{ loan.due | date }}. "
    "{% if loan.paid is not none %}It was repaid on {{ loan.paid | date }}{% else %}It has not been repaid{% endif %}"
    "{{ choose('.', '!') }}\n"
)
OBEYING = (
    "{{ loan.who | pseudonym }} borrowed {{ loan.sum | number }} (loan {{ loan.loan }}), to be given back by "
    "{{ loan.due | date }}: {% if loan.paid is none %}nothing came back{% else %}which was done on "
    "{{ loan.paid | date }}{% endif %}.\n"
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("variation")


@pytest.fixture(scope="module")
def variation(root: Path) -> TemplateVariation:
    build = build_of(root, NARRATIVE, ORIGINAL, {"loan": LOANS}, {"loan": ROWS})
    return TemplateVariation(root, build, "report", "text")


@pytest.fixture
def empty(variation: TemplateVariation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TemplateVariation:
    """The same with a folder of its own."""
    monkeypatch.setattr(variation, "_root", tmp_path)
    monkeypatch.setattr(variation, "folder", tmp_path / variation.typed.narrative.folder / variation.folder_name)
    return variation


def test_other_words_with_the_same_values_are_taken(variation: TemplateVariation) -> None:
    assert variation.faults(OBEYING, 1) == []
    assert variation.faults(OBEYING.replace("{{ loan.due | date }}", "{{ loan.due | date('%Y-%m-%d') }}"), 1) == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("{{ loan.sum | number }}", "some money", "It does not print `loan.sum`"),
        ("{{ loan.sum | number }}", "{{ loan.sum | number(2) }}", "does not print `{{ loan.sum | number }}`"),
        ("nothing came back", "nothing came back in 30 days", "Its words hold `30`"),
        ("borrowed", "borrowed €", "Its words hold `€`"),
        ("borrowed", "{{ '7' }} borrowed", "Its words hold `7`"),
        ("borrowed", "{{ 'a' | replace('a', '7') }} borrowed", "Its words hold `7`"),
        ("borrowed", "borrowed\u200b", "signs that nobody sees"),
        ("by {{ loan.due | date }}", "by {{ loan.due | date('%Y') }}", "In case "),
        ("nothing came back", "nothing came back by {{ loan.at | date }}", "It prints `loan.at`"),
        ("{{ loan.who | pseudonym }}", "{{ loan.who }}", "error[restricted]"),
        ("{% endif %}", "", "error[syntax]"),
        ("borrowed", "{% include 'variants/report/02.jinja' %} borrowed", "there is no template"),
        ("borrowed", "{% macro a() %}x{% endmacro %} borrowed", "error[outside-language]"),
        ("borrowed", "{% if loan.sum > 1000 %}borrowed{% else %}took{% endif %}", "tells apart what the original"),
        ("nothing came back", "which was done on", "It tells in the same words what the original tells apart"),
        (
            "{% if loan.paid is none %}nothing came back{% else %}which was done on {{ loan.paid | date }}{% endif %}",
            "{% if loan.paid is not none and loan.sum > 500 %}done on {{ loan.paid | date }}{% else %}open{% endif %}",
            "it does not print `{{ loan.paid | date }}`",
        ),
        (
            OBEYING[OBEYING.index("by {{") : OBEYING.index("{% endif")],
            "{% if loan.paid is none %}at some time{% else %}on {{ loan.paid | date }} and {{ loan.due | date }}",
            "it does not print `{{ loan.due | date }}`",
        ),
    ],
)
def test_what_says_something_else_is_refused(variation: TemplateVariation, old: str, new: str, words: str) -> None:
    assert old in OBEYING
    faults = variation.faults(OBEYING.replace(old, new), 1)
    assert any(words in fault for fault in faults), faults


@pytest.mark.parametrize(
    ("answer", "template"),
    [
        ("<template>\na\n</template>", "a\n"),
        ("<think>A <template>draft</template>?</think>Sure!\n```\n<template>\n b\n</template>\n```\nDone.", " b\n"),
        ("a", None),
        ("<think>on and on <template> on", None),
        ("<template>one</template> and <template>two", None),
        (None, None),
        ("<template>\n</template>", None),
        (f"<template>{'x' * (MAX_CHARACTERS + 1)}</template>", None),
    ],
)
def test_one_rule_finds_the_template_in_an_answer(answer: str | None, template: str | None) -> None:
    found, fault = template_in_answer(answer)
    assert (found or None) == template
    assert bool(fault) is (template is None)


def test_a_model_is_asked_until_it_obeys_and_paid_once(empty: TemplateVariation, tmp_path: Path) -> None:
    manners = ("borrowed", "took", "asked for")

    def answer(call: Call) -> Raw:
        asked = call.body["messages"][1]["content"]
        number = next(number for number in (1, 2, 3) if f"Write version {number}." in asked)
        right = OBEYING.replace("borrowed", manners[number - 1])
        wrong = right.replace("{{ loan.sum | number }}", "much")
        tries = len(call.body["messages"]) // 2
        return Raw(f"<think>hm</think> Here: <template>\n{wrong if tries < number else right}</template>")

    with Server(answer) as server, ResponseCache(tmp_path / "answers.sqlite") as answers:
        model = AskedModel(model="openai:scripted", base_url=server.url, parameters={"max_tokens": 500})

        def ask(questions: Sequence[Messages]) -> list[str | None]:
            return ask_model(model, questions, answers, RetryPolicy(first=0.01))

        results = vary_template(empty, 3, 4, ask)
        assert [(result.path.name, result.attempts) for result in results if result.path] == [
            ("01.jinja", 1),
            ("02.jinja", 2),
            ("03.jinja", 3),
        ]
        calls = len(server.calls)
        assert calls == 6
        assert "borrowed" in (empty.folder / "01.jinja").read_text(encoding="utf-8")
        assert wanted_numbers(empty, 3) == []
        (empty.folder / "03.jinja").unlink()
        (empty.folder / "02.jinja").unlink()
        again = vary_template(empty, 3, 4, ask)  # as after an interruption: what was answered is there
        assert [result.attempts for result in again] == [2, 3]
        assert len(server.calls) == calls
    refusal = server.calls[-1].body["messages"]
    assert "It does not print `loan.sum`" in refusal[-1]["content"] and len(refusal) == 6


def test_prompts_tell_what_names_mean_and_no_restricted_value(variation: TemplateVariation) -> None:
    (_, rules), (_, told) = variation.messages(1)
    assert ORIGINAL.strip() in told and "loan.sum" in told and "Ada" not in told and "p-" in told
    assert "Write no numbers" in rules
    assert variation.messages(1) != variation.messages(2)


def test_a_number_is_never_written_over(empty: TemplateVariation) -> None:
    assert empty.accept("a", 3).name == "03.jinja"
    assert empty.accept("b", 3).name == "04.jinja"
    assert (empty.folder / "03.jinja").read_text() == "a"
    assert wanted_numbers(empty, 4) == [5, 6]
    assert empty.faults("a", 5) == ["It has the same words as 03.jinja: tell it otherwise."]


def test_no_link_leads_a_variant_out_of_the_narrative(empty: TemplateVariation, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    empty.folder.parent.mkdir(parents=True)
    empty.folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorymeshError, match="leads out of the narrative's folder"):
        empty.accept("a", 1)


def test_a_budget_is_of_all_rounds(empty: TemplateVariation, tmp_path: Path) -> None:
    budget = Budget.model_construct(usd=1, tokens=None)
    price = Price(input=0, output=1_000_000)  # type: ignore[arg-type]
    with Server(lambda call: Raw("no", usage=(1, 1))) as server, ResponseCache(tmp_path / "answers.sqlite") as answers:
        model = AskedModel(
            model="openai:scripted", base_url=server.url, parameters={"max_tokens": 1}, budget=budget, price=price
        )
        usage, ledger = Usage(), BudgetLedger(budget)

        def ask(questions: Sequence[Messages]) -> list[str | None]:
            return ask_model(model, questions, answers, ledger=ledger, usage=usage)

        results = vary_template(empty, 1, 3, ask)
        assert [result.path for result in results] == [None]
        assert len(server.calls) == 1 and usage.calls == 1 and usage.usd == 1


def test_what_cannot_be_varied_is_said(variation: TemplateVariation) -> None:
    typed = variation.typed
    assert templates_to_vary(typed, "report") == ("text",)
    with pytest.raises(WrongUsage, match="no record 'reprot'"):
        templates_to_vary(typed, "reprot")
    with pytest.raises(WrongUsage, match="no template 'user'"):
        templates_to_vary(typed, "report", "user")
    with pytest.raises(WrongUsage, match="'report' is written in 'en'"):
        templates_to_vary(typed, "report", language="de")


def test_a_record_in_another_language_gets_variants_in_that_language(tmp_path: Path) -> None:
    german = NARRATIVE.replace("variants: true", "variants: true, language: de")
    original = "{{ loan.sum | number }} bis zum {{ loan.due | date('long') }}.\n"
    build = build_of(tmp_path, german, original, {"loan": LOANS}, {"loan": ROWS})
    variation = TemplateVariation(tmp_path, build, "report", "text")
    assert templates_to_vary(build.typed, "report", language="de") == ("text",)
    (_, (_, asked)) = variation.messages(1)
    assert "Write in German." in asked
    assert re.search(r"\d\.\d00 bis zum \d+\. (April|Mai) 2024\.", asked), "the texts that it is shown"
    assert variation.faults("Zum {{ loan.due | date('long') }}: {{ loan.sum | number }}.\n", 1) == []
    assert variation.faults("Zum {{ loan.due | date('%-d/%-m') }}: {{ loan.sum | number }}.\n", 1) != []


def test_places_that_no_case_reaches_are_named(tmp_path: Path) -> None:
    rows = [row for row in ROWS if row["paid"] is None]
    build = build_of(tmp_path, NARRATIVE, ORIGINAL, {"loan": LOANS}, {"loan": rows})
    (place,) = TemplateVariation(tmp_path, build, "report", "text").comparison.unreached()
    assert str(place).startswith("narratives/loans/report.jinja:1:")
