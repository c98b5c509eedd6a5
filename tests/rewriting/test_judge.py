"""A judge scores what the check has let in: it lets nothing in itself, and keeps out only what it is told to."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from storymesh.llm.response_cache import ResponseCache
from storymesh.rewriting.rewriter import RewriteTask
from tests.support.model_server import Call, Outcome, Raw, Server, Status
from tests.support.narrator_bench import Bench, task

Benches = Callable[[str], Bench]
JUDGE = {"model": "openai:judge", "prompt": "judge.jinja"}


def judged_task(name: object) -> RewriteTask:
    return replace(task(name), judge=(("system", "Score it."),))


def server_with(score: Callable[[Call], Outcome]) -> Server:
    return Server(lambda call: score(call) if call.body["model"] == "judge" else call.prompt)


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        (Raw('{"score": 0.25}'), 0.25),
        (Raw("0.75"), 0.75),
        (Raw('{"score": 7}'), None),
        (Raw('{"score": "NaN"}'), None),
        (Raw("excellent"), None),
        (Raw(""), None),
        (Status(500), None),
    ],
    ids=str,
)
def test_a_score_is_added_and_decides_nothing(bench: Benches, answer: Outcome, score: float | None) -> None:
    with server_with(lambda call: answer) as server:
        run = bench(server.url)
        retelling = run.rewrite([judged_task(1)], judge={**JUDGE, "base_url": server.url})["retold/1"]
        assert (retelling.text, retelling.judged) == ("story of 1.", score)


def test_a_judge_is_paid_once_shown_data_as_data_and_noted(bench: Benches) -> None:
    with server_with(lambda call: Raw('{"score": 0.5}')) as server:
        run = bench(server.url)
        judge = {**JUDGE, "base_url": server.url}
        tasks = [judged_task(number) for number in range(5)]
        first = run.rewrite(tasks, judge=judge)
        assert run.rewrite(tasks, judge=judge) == first
        assert len(server.calls) == 10
        shown = next(call.prompt for call in server.calls if call.body["model"] == "judge")
        assert shown.count("<record-data") - 1 == shown.count("</record-data>") - 1 == 2  # and once in the rule
        with ResponseCache(run.store) as answers:
            assert answers.to_parquet(run.store.with_suffix(".parquet")) == 10


def test_a_refused_retelling_is_not_judged(bench: Benches) -> None:
    with Server(lambda call: "99 days") as server:
        run = bench(server.url)
        retelling = run.rewrite([judged_task(1)], judge={**JUDGE, "base_url": server.url}, attempts=1)["retold/1"]
        assert (retelling.text, retelling.judged) == (None, None)
        assert len(server.calls) == 1


def test_a_judge_with_a_threshold_is_a_gate_and_is_paid_once(bench: Benches) -> None:
    scores = iter(['{"score": 0.2}', '{"score": 0.9}'])

    def answer(call: Call) -> Outcome:
        told = f"story of 1. Told in {len(call.body['messages'])}."
        return Raw(next(scores)) if call.body["model"] == "judge" else told

    with Server(answer) as server:
        run = bench(server.url)
        judge = {**JUDGE, "base_url": server.url, "accept": 0.5}
        (told,) = run.rewrite([judged_task(1)], judge=judge).values()
        assert (told.text is not None, told.attempts, told.judged) == (True, 2, 0.9)
        assert "judge: 0.2, wanted 0.5" in server.calls[2].prompt
        assert run.rewrite([judged_task(1)], judge=judge) == {"retold/1": told}
        assert len(server.calls) == 4


def comparison(added: str = "", faithful: str = "true") -> Raw:
    return Raw(f'{{"added": [{added}], "faithful": {faithful}}}')


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (comparison(), None),
        (Raw('[THINK]{"added": ["x"], "faithful": false}?[/THINK]{"added": [], "faithful": true}'), None),
        (comparison('"of 1", "by\\n  rail"', "false"), "judge: the story does not say “of 1”; “by rail”"),
        (comparison('"of 1"'), "judge: the story does not say “of 1”"),
        (comparison(faithful="false"), "judge: the story does not say this"),
        (Raw('{"added": "", "faithful": true}'), "judge: no verdict"),
        (Raw('{"added": [], "faithful": "yes"}'), "judge: no verdict"),
        (Raw('{"faithful": true}'), "judge: no verdict"),
        (Raw("It is faithful."), "judge: no verdict"),
        (Raw(""), "judge: no verdict"),
        (Status(500), "judge: no verdict"),
    ],
    ids=str,
)
def test_a_judge_without_a_prompt_lets_in_only_what_it_clears(
    bench: Benches, answer: Outcome, reason: str | None
) -> None:
    with server_with(lambda call: answer) as server:
        run = bench(server.url)
        judge = {"model": "openai:judge", "base_url": server.url}
        (told,) = run.rewrite([task(1)], judge=judge, attempts=1).values()
        assert told.reason == reason
        assert told.text == ("story of 1." if reason is None else None)
        asked = next(call for call in server.calls if call.body["model"] == "judge")
        assert asked.prompt.count("story of 1.") == 2  # the story, and the retelling
        assert run.rewrite([task(1)], judge=judge, attempts=1) == {"retold/1": told}


def test_a_score_is_not_asked_for_without_a_prompt(bench: Benches) -> None:
    with pytest.raises(ValueError, match="`accept` is the least score"):
        bench("http://127.0.0.1:1").narrator(judge={"model": "openai:judge", "accept": 0.5})


def test_a_judge_that_gives_no_score_keeps_out_where_it_is_a_gate(bench: Benches) -> None:
    with server_with(lambda call: Raw("excellent")) as server:
        judge = {**JUDGE, "base_url": server.url, "accept": 0.5}
        (told,) = bench(server.url).rewrite([judged_task(1)], judge=judge, attempts=1).values()
    assert (told.text, told.reason) == (None, "judge: no score, wanted 0.5")
