"""What was paid for is never asked again, and nothing stale is ever told: counted by a server over HTTP."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from storymesh.grounding.check import Grounding
from storymesh.grounding.pieces import GroundingSource
from storymesh.llm.response_cache import ResponseCache
from tests.support.model_server import Call, Raw, Server, Status
from tests.support.narrator_bench import Bench, task
from tests.support.paths import importable

Benches = Callable[[str], Bench]
TEN = [task(number) for number in range(10)]


def echo(call: Call) -> str:
    return call.prompt


def test_only_what_changed_is_called(bench: Benches) -> None:
    with Server(echo) as server:
        told = bench(server.url)

        def calls(tasks: list, **settings: object) -> int:
            before = len(server.calls)
            retellings = told.rewrite(tasks, **settings)
            assert {t.id: t.source.story for t in tasks} == {name: r.text for name, r in retellings.items()}
            return len(server.calls) - before

        assert calls(TEN) == 10
        assert calls(TEN) == 0
        assert calls([*TEN[:4], task(4, "story of 4, edited."), *TEN[5:]]) == 1
        assert calls([*TEN, task("new")]) == 1
        assert calls(TEN[1:]) == 0
        assert calls([task(n, instruction="In other words.") for n in range(10)]) == 10
        assert calls(TEN, parameters={"temperature": 0.3}) == 10
        assert calls(TEN, model="openai:n") == 10
        # What does not shape an answer asks for nothing.
        assert calls(TEN, concurrency=3, timeout=99, attempts=7) == 0
        assert calls([task(n, story=TEN[n].source.story) for n in reversed(range(10))]) == 0


def test_another_address_is_another_narrator(bench: Benches) -> None:
    with Server(echo) as item, Server(echo) as two:
        told = bench(item.url)
        told.rewrite(TEN)
        told.rewrite(TEN, base_url=two.url)
        assert (len(item.calls), len(two.calls)) == (10, 10)


def test_equal_questions_share_one_call_even_at_once(bench: Benches) -> None:
    same = [task(name, "the same story.") for name in range(20)]
    with Server(echo, delay=0.05) as server:
        told = bench(server.url)
        retellings = told.rewrite(same, concurrency=20)
        assert len(server.calls) == 1
        assert {r.text for r in retellings.values()} == {"the same story."}
        assert (told.usage.calls, told.usage.reused) == (1, 19)


def test_what_is_accepted_is_changed_without_a_call(bench: Benches) -> None:
    def in_half(answer: str, source: GroundingSource) -> Grounding:
        return Grounding((), 2, answer)

    with Server(lambda call: "half of it is made up") as server:
        told = bench(server.url)
        assert {r.text for r in told.rewrite(TEN, attempts=2).values()} == {None}
        calls = len(server.calls)
        assert calls == 20
        retellings = told.rewrite(TEN, attempts=2, ground=in_half)
        assert {(r.text, r.attempts) for r in retellings.values()} == {("half of it is made up", 1)}
        told.rewrite(TEN, attempts=1)
        assert len(server.calls) == calls


def test_a_refused_answer_is_asked_again_with_what_was_wrong(bench: Benches) -> None:
    with Server(
        lambda call: call.body["messages"][1]["content"] if len(call.body["messages"]) > 2 else "99 days"
    ) as server:
        told = bench(server.url)
        (retelling,) = told.rewrite([task(1)]).values()
        again = server.calls[1].body["messages"]
        assert [message["role"] for message in again] == ["system", "user", "assistant", "user"]
        assert "99 days" in again[2]["content"] and again[3]["content"] == "Wrong: the story has no 99 days"
        assert (retelling.text, retelling.attempts, retelling.reason) == ("story of 1.", 2, None)
        with ResponseCache(told.store) as answers:
            answers.to_parquet(told.store.with_suffix(".parquet"))
        assert told.rewrite([task(1)]) == {"retold/1": retelling}
        assert len(server.calls) == 2


def test_a_server_without_schemas_is_asked_in_plain_text_and_paid_once(bench: Benches) -> None:
    def plain(call: Call) -> str | Status:
        return Status(400, "response_format is not supported") if call.structured else call.prompt

    with Server(plain) as server:
        told = bench(server.url)
        assert {r.text for r in told.rewrite(TEN).values()} == {t.source.story for t in TEN}
        assert len(server.calls) == 11  # the first call, alone, finds it out
        told.rewrite(TEN)
        assert len(server.calls) == 11


def test_answers_are_streamed_where_the_parameters_say_so(bench: Benches) -> None:
    with Server(echo) as server:
        told = bench(server.url)
        retellings = told.rewrite(TEN, parameters={"streaming": True, "stream_usage": True})
        assert {r.text for r in retellings.values()} == {t.source.story for t in TEN}
        assert all(call.body["stream"] for call in server.calls)
        assert (told.usage.input_tokens, told.usage.output_tokens, told.usage.estimated) == (100, 200, False)


PROGRAM = """
import signal, sys, itertools
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background inherits that it is ignored
from pathlib import Path
from tests.support.narrator_bench import Bench, task
bench = Bench(Path(sys.argv[1]), {"base_url": sys.argv[2], "timeout": 60, "concurrency": 8})
print("begun", flush=True)
try:
    bench.rewrite(task(n) for n in itertools.count())
except KeyboardInterrupt:
    print("stopped", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_goes_on_with_what_is_missing(bench: Benches, sent: signal.Signals) -> None:
    enough = threading.Event()
    answered: list[int] = []

    def count(call: Call) -> str:
        answered.append(call.number)
        if len(answered) >= 40:
            enough.set()
        return call.prompt

    with Server(count, delay=0.02) as server:
        told = bench(server.url)
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(told.store), server.url],
            stdout=subprocess.PIPE,
            text=True,
            env=importable(),
        )
        try:
            assert enough.wait(600)
            os.kill(process.pid, sent)
            out, _ = process.communicate(timeout=600)
        finally:
            process.kill()
    # The server is gone too, so that nothing that was on its way when the process died is counted later.
    before = len(server.calls)
    with ResponseCache(told.store) as answers:
        kept = len(answers)
    if sent == signal.SIGINT:
        assert out.split() == ["begun", "stopped"]
        assert kept == before  # what was under way was waited for: it is paid anyway
    else:
        assert before - 8 <= kept <= before  # at most the 8 that were under way are lost
    tasks = [task(number) for number in range(200)]
    with Server(echo, port=urlsplit(server.url).port or 0) as server:
        assert len(told.rewrite(tasks)) == 200
        assert len(server.calls) == 200 - kept


def test_an_unread_run_keeps_what_it_has_and_draws_no_more_than_it_needs(bench: Benches) -> None:
    from storymesh.rewriting.rewrite import rewrite_texts
    from tests.support.narrator_bench import QUICK, check_word_for_word

    drawn: list[int] = []

    def tasks():
        for number in range(100_000):
            drawn.append(number)
            yield task(number)

    with Server(echo) as server:
        told = bench(server.url)
        with ResponseCache(told.store) as answers:
            run = rewrite_texts(
                tasks(), told.narrator(concurrency=4), answers, ground=check_word_for_word, feedback=str, retry=QUICK
            )
            next(run)
            run.close()
            assert len(drawn) <= 4 * 4 + 4
            assert len(answers) == len(server.calls)


def test_a_stored_narrative_is_told_without_langchain_key_or_network(bench: Benches, monkeypatch) -> None:
    with Server(echo) as server:
        told = bench(server.url)
        first = told.rewrite(TEN)
    for module in ("langchain", "langchain_core", "langchain_openai", "openai", "langsmith"):
        for name in [name for name in sys.modules if name.partition(".")[0] == module]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, module, None)
    assert told.rewrite(TEN) == first


def test_usage_that_a_server_does_not_tell_is_estimated_and_marked(bench: Benches) -> None:
    with Server(lambda call: Raw("x" * 400 + call.prompt, usage=None)) as server:
        told = bench(server.url)
        told.rewrite([task(1)])
        assert told.usage.estimated
        assert told.usage.output_tokens == -(-411 * 1.25 // 4)
