"""The budget holds whatever the server bills up to its caps; what a run will cost is told before it is run."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from storymesh.errors import NarratorFailed
from storymesh.grounding.check import Grounding
from storymesh.grounding.pieces import GroundingSource
from storymesh.llm.budget import Usage
from storymesh.llm.response_cache import ResponseCache
from storymesh.llm.retry import RetryPolicy
from storymesh.rewriting.estimate import CostEstimate, estimate_cost
from storymesh.rewriting.rewriter import GroundingCheck, RewriteTask
from tests.support.model_server import Call, Hang, Raw, Server, Status
from tests.support.narrator_bench import Bench, check_word_for_word, task

Benches = Callable[[str], Bench]
FIFTY = [task(number) for number in range(50)]
PRICE = {"input": "2.50", "output": "10"}


def billing(read: int, written: int) -> Callable[[Call], Raw]:
    return lambda call: Raw(call.prompt, usage=(read, written))


@pytest.mark.parametrize("concurrency", [1, 16])
def test_a_budget_of_tokens_is_never_passed(bench: Benches, concurrency: int) -> None:
    with Server(billing(30, 1000), delay=0.02) as server:
        run = bench(server.url)
        settings = {"parameters": {"max_tokens": 1000}, "budget": {"tokens": 20_000}}
        retellings = run.rewrite(FIFTY, **settings, concurrency=concurrency)
        usage = run.usage.input_tokens + run.usage.output_tokens
        assert usage == 1030 * len(server.calls) <= 20_000
        # Not stopped for fear of it either: what is left is less than the worst case of one more call.
        assert 20_000 - usage < 1600
        accepted_so_far = [r for r in retellings.values() if r.text]
        assert len(retellings) == 50
        assert len(accepted_so_far) == len(server.calls) > 0
        assert {r.reason for r in retellings.values() if not r.text} == {"budget"}


def test_a_budget_of_money_is_never_passed_and_what_is_stored_costs_none_of_it(bench: Benches) -> None:
    with Server(billing(200, 100)) as server:
        run = bench(server.url)
        settings = {"parameters": {"max_tokens": 100}, "price": PRICE, "budget": {"usd": "0.01"}}
        each = (200 * Decimal("2.50") + 100 * 10) / 1_000_000
        before = 0
        for _ in range(20):
            retellings = run.rewrite(FIFTY, **settings)
            assert run.usage.usd == each * run.usage.calls <= Decimal("0.01")
            assert sum(r.text is not None for r in retellings.values()) == len(server.calls) > before - 1
            if len(server.calls) == 50:
                break
            assert len(server.calls) > before
            before = len(server.calls)
        assert len(server.calls) == 50


def test_a_call_that_broke_off_counts_at_its_worst(bench: Benches) -> None:
    with Server(lambda call: Hang()) as server:
        run = bench(server.url)
        patient = RetryPolicy(tries=50, costly=50, questions=50, first=0.001, longest=0.001)
        retellings = run.rewrite(
            FIFTY[:5], patient, timeout=0.2, parameters={"max_tokens": 1000}, budget={"tokens": 6200}, concurrency=1
        )
        assert {r.reason for r in retellings.values()} == {"budget"}
        server.wait_for_calls(3)
        assert len(server.calls) == run.usage.lost == 3


def test_a_refused_call_costs_nothing(bench: Benches) -> None:
    with Server(lambda call: Status(500) if call.number % 2 else call.prompt) as server:
        run = bench(server.url)
        patient = RetryPolicy(tries=50, first=0.001, longest=0.001)
        run.rewrite(FIFTY[:5], patient, parameters={"max_tokens": 100}, budget={"tokens": 3000}, concurrency=1)
        assert run.usage.accepted == 5


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"budget": {"tokens": 10}}, "max_tokens"),
        ({"budget": {"usd": 1}, "parameters": {"max_tokens": 9}}, "price"),
        (
            {
                "budget": {"usd": 1},
                "parameters": {"max_tokens": 9},
                "price": PRICE,
                "judge": {"model": "openai:j", "prompt": "j.jinja"},
            },
            "price of openai:j",
        ),
    ],
)
def test_a_budget_that_cannot_be_held_is_refused_before_any_call(
    bench: Benches, settings: dict[str, object], words: str
) -> None:
    with Server(lambda call: call.prompt) as server:
        run = bench(server.url)
        with pytest.raises(NarratorFailed, match=words):
            run.rewrite(FIFTY, **settings)
        with ResponseCache(run.store) as answers, pytest.raises(NarratorFailed, match=words):
            estimate_cost(FIFTY, run.narrator(**settings), answers)
        assert server.calls == []


def dry(
    run: Bench, tasks: list[RewriteTask], ground: GroundingCheck = check_word_for_word, **settings: object
) -> CostEstimate:
    with ResponseCache(run.store) as answers:
        return estimate_cost(
            tasks, run.narrator(**settings), answers, ground=ground, feedback=lambda grounding: "Wrong."
        )


def accept_all(answer: str, _: GroundingSource) -> Grounding:
    return Grounding((), 1, answer)


def test_an_estimate_calls_nobody_and_counts_what_is_paid(bench: Benches) -> None:
    priced = {"price": PRICE, "parameters": {"max_tokens": 300}}
    with Server(lambda call: call.prompt) as server:
        run = bench(server.url)
        first = dry(run, FIFTY, **priced)
        assert server.calls == []
        assert (first.records, first.calls, first.reused) == (50, 50, 0)
        assert first.usd is not None and first.worst_usd is not None and 0 < first.usd < first.worst_usd
        run.rewrite(FIFTY[:20], **priced)
        run.usage = Usage()
        rest = dry(run, [*FIFTY, task("copy", FIFTY[49].source.story)], **priced)
        assert (rest.records, rest.calls, rest.reused) == (51, 30, 21)
        run.rewrite(FIFTY, **priced)
        assert dry(run, FIFTY, **priced) == CostEstimate(50, 0, 50, 0, 0, Decimal(0), Decimal(0))


def test_an_estimate_follows_what_was_refused(bench: Benches) -> None:
    with Server(lambda call: "99 days") as server:
        run = bench(server.url)
        run.rewrite(FIFTY[:5], attempts=1)
        assert (dry(run, FIFTY[:5], attempts=1).calls, dry(run, FIFTY[:5], attempts=3).calls) == (0, 5)
        assert dry(run, FIFTY[:5], accept_all, attempts=3).calls == 0
        assert len(server.calls) == 5


def test_the_worst_case_of_an_estimate_is_not_passed_by_the_run(bench: Benches) -> None:
    with Server(
        lambda call: Raw("99 days", usage=(sum(len(m["content"]) for m in call.body["messages"]), 40))
    ) as server:
        run = bench(server.url)
        settings = {"price": PRICE, "parameters": {"max_tokens": 40}, "attempts": 3}
        worst = dry(run, FIFTY[:5], **settings).worst_usd
        run.rewrite(FIFTY[:5], **settings)
        assert run.usage.usd is not None and worst is not None and run.usage.usd <= worst
        assert dry(run, FIFTY[:5], price=PRICE).worst_usd is None  # nothing caps an answer
