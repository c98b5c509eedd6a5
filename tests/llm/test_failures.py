"""Servers and models that fail, lie or attack, over real HTTP: no record takes harm, no call is lost or in vain."""

import gzip
import json
from collections.abc import Callable

import pytest

from storymesh.errors import NarratorFailed
from storymesh.llm.response_cache import ResponseCache
from storymesh.llm.retry import MAX_RESPONSE, RetryPolicy, retry_after
from storymesh.rewriting import rewrite
from tests.support.model_server import Body, Call, Hang, Outcome, Raw, Reset, Server, Status
from tests.support.narrator_bench import QUICK, Bench, task

Benches = Callable[[str], Bench]
TEN = [task(number) for number in range(10)]


def failing(outcome: Outcome, times: int) -> Callable[[Call], Outcome]:
    return lambda call: outcome if 0 < call.number <= times else call.prompt


# What passes by itself: records are told as if nothing had been.


@pytest.mark.parametrize(
    "outcome",
    [Status(500), Status(502), Status(503), Status(529), Status(408), Status(429), Reset()],
    ids=lambda outcome: str(getattr(outcome, "code", "reset")),
)
def test_a_failure_for_a_while_is_waited_out(bench: Benches, outcome: Outcome) -> None:
    with Server(failing(outcome, 3)) as server:
        told = bench(server.url)
        patient = RetryPolicy(tries=8, costly=8, first=0.01, longest=0.05)
        assert {r.text for r in told.rewrite(TEN, patient).values()} == {t.source.story for t in TEN}
        assert len(server.calls) == 13
        assert told.usage.calls == 10


def test_a_call_that_hangs_is_given_up_and_asked_again(bench: Benches) -> None:
    with Server(failing(Hang(), 1)) as server:
        told = bench(server.url)
        # A machine that does something else for as long would make others as slow.
        assert {r.text for r in told.rewrite(TEN, timeout=3).values()} == {t.source.story for t in TEN}
        assert (len(server.calls), told.usage.lost) == (11, 1)


@pytest.mark.parametrize("headers", [{"retry-after": "1"}, {"retry-after-ms": "600"}])
def test_a_server_is_left_alone_for_as_long_as_it_asks(bench: Benches, headers: dict[str, str]) -> None:
    import time

    came: list[float] = []

    def limited(call: Call) -> Outcome:
        came.append(time.monotonic())
        return Status(429, headers=headers) if call.number == 1 else call.prompt

    with Server(limited) as server:
        bench(server.url).rewrite(TEN, concurrency=1)
    assert came[2] - came[1] >= 0.6  # no upper bound: the machine may be as slow as it likes
    assert len(came) == 11


def test_a_server_that_bears_few_calls_gets_few(bench: Benches) -> None:
    refused: list[int] = []

    def crowded(call: Call) -> Outcome:
        if server.running > 3:
            refused.append(call.number)
            return Status(429, headers={"retry-after-ms": "5"})
        return call.prompt

    tasks = [task(number) for number in range(150)]
    with Server(crowded, delay=0.005) as server:
        told = bench(server.url)
        retellings = told.rewrite(tasks, RetryPolicy(tries=50, first=0.001, longest=0.01), concurrency=64)
    assert all(r.text for r in retellings.values())
    assert server.most_running <= 16  # 64 would come at once where nothing adapts
    assert len(refused) < 100


def test_never_more_calls_at_once_than_allowed_and_the_first_goes_alone(bench: Benches) -> None:
    running: list[int] = []

    def echo(call: Call) -> str:
        running.append(server.running)
        return call.prompt

    with Server(echo, meeting=(30, 6)) as server:
        bench(server.url).rewrite((task(number) for number in range(60)), concurrency=6)
    assert running[0] == 1
    assert server.most_running == 6


def test_a_run_whose_calls_came_to_an_end_is_not_waited_for(bench: Benches, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewrite._EventLoopThread, "_take", lambda thread, _tasks: thread._finished())
    with Server(lambda call: call.prompt) as server, pytest.raises(NarratorFailed, match="has stopped"):
        bench(server.url).rewrite(TEN[:3])


# What a person has to mend: one call, one plain error, and all that was answered is kept.


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (Status(401, "Incorrect API key provided: sk-abcdefghijklmnopqrstuvwx"), "set the key in the variable"),
        (Status(403, "no access"), "may not use this model"),
        (Status(404, "The model `m` does not exist"), "look up the model's name"),
        (Status(402, "no credit"), "top it up"),
        (Status(302, "elsewhere", {"location": "http://127.0.0.1:1/"}), "302"),
        (Status(429, "You exceeded your quota", error_code="insufficient_quota"), "quota is used up"),
        (Status(429, "come back tomorrow", {"retry-after": "86400"}), "asks to wait 86400 s"),
    ],
    ids=lambda value: str(value.code) if isinstance(value, Status) else "",
)
def test_a_refusal_stops_the_run_with_one_call(bench: Benches, status: Status, words: str) -> None:
    with Server(lambda call: status) as server:
        with pytest.raises(NarratorFailed) as raised:
            bench(server.url).rewrite(TEN, concurrency=64)
        assert words in str(raised.value)
        assert "sk-abcdefgh" not in str(raised.value)
        assert len(server.calls) == 1


def test_a_bad_request_stops_the_run_once_it_was_tried_without_the_schema(bench: Benches) -> None:
    with Server(lambda call: Status(400, "temperature must be below 2")) as server:
        with pytest.raises(NarratorFailed, match="temperature must be below 2"):
            bench(server.url).rewrite(TEN)
        assert [call.structured for call in server.calls] == [True, False]


def test_what_was_answered_before_a_refusal_is_kept(bench: Benches) -> None:
    with Server(lambda call: call.prompt if call.number < 5 else Status(401)) as server:
        told = bench(server.url)
        with pytest.raises(NarratorFailed):
            told.rewrite(TEN, concurrency=1)
        with ResponseCache(told.store) as answers:
            assert len(answers) == 5


def test_a_server_that_never_answers_stops_the_run(bench: Benches) -> None:
    with Server(lambda call: Status(500, "still down")) as server:
        with pytest.raises(NarratorFailed, match=r"answered nothing in 4 tries.*still down"):
            bench(server.url).rewrite(TEN)
        assert len(server.calls) == QUICK.tries


def test_a_server_that_is_not_there_stops_the_run(bench: Benches) -> None:
    with pytest.raises(NarratorFailed, match="cannot be reached"):
        bench("http://127.0.0.1:9/v1").rewrite(TEN)


# What concerns one record: its reason says so, the others are told.


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Status(400, "too long", error_code="context_length_exceeded"), "server: .*too long"),
        (Status(400, "This model's maximum context length is 10 tokens"), "server: .*maximum context"),
        (Status(500, "one poisoned prompt"), "server: .*poisoned"),
        (Body(b"not json at all"), "server: "),
        (Body(b'{"choices": ['), "server: "),
        (Body(b"{}"), "server: "),
        (Body(b'{"choices": null}'), "server: "),
        (Body(b"[" * 200_000), "server: "),
        (Raw(""), "empty answer"),
        (Raw(None), "empty answer"),
        (Raw("  \n "), "empty answer"),
        (Raw('{"story": ""}'), "empty answer"),
        (Raw('{"story": "It was held'), "unreadable"),
        (Raw('{"tale": "It was held"}'), "unreadable"),
        (Raw('["It was held"]'), "word"),
        (Raw("[" * 100_000), "word"),
        (Raw('{"story": "story of 7."', finish="length"), "cut off"),
        (Raw("no", finish="content_filter"), "refused"),
        (Raw(None, extra={"refusal": "I cannot."}), "refused"),
        (Raw('{"story": "story of 3."}'), "word: 99 days"),
        (Raw("q" * 300_000), "too long"),
        (Body(b" " * (MAX_RESPONSE + 2 * 2**20)), "too long"),
        (Body(gzip.compress(b" " * 2**26, 1), {"content-encoding": "gzip"}), "too long"),
    ],
    ids=lambda value: (value if isinstance(value, str) else type(value).__name__)[:30],
)
def test_one_bad_answer_harms_one_record(bench: Benches, outcome: Outcome, reason: str) -> None:
    import re

    def poisoned(call: Call) -> Outcome:
        return outcome if "story of 7." in json.dumps(call.body) else call.prompt

    with Server(poisoned) as server:
        told = bench(server.url)
        retellings = told.rewrite(TEN, attempts=2)
        bad = retellings.pop("retold/7")
        assert {r.text for r in retellings.values()} == {t.source.story for t in TEN if t.id != "retold/7"}
        assert bad.text is None and bad.reason is not None and re.match(reason, bad.reason)
        calls = len(server.calls)
        again = told.rewrite(TEN, attempts=2)["retold/7"]
        assert again.text is None
        if not reason.startswith("server"):
            assert len(server.calls) == calls  # it was paid: it is not bought again
            assert (again, bad.attempts) == (bad, 2)


def test_half_a_surrogate_pair_and_a_zero_byte_are_stored(bench: Benches) -> None:
    with Server(lambda call: Raw(json.dumps({"story": "story of 1.\x00 \ud800"}))) as server:
        told = bench(server.url)
        item = task(1, "story of 1.\x00")
        (first,) = told.rewrite([item]).values()
        assert first.text == "story of 1.\x00 ?"
        assert told.rewrite([item]) == {"retold/1": first}
        with ResponseCache(told.store) as answers:
            assert answers.to_parquet(told.store.with_suffix(".parquet"), run=2) == 1


def test_a_thinking_model_and_a_fenced_answer_are_read(bench: Benches) -> None:
    answer = '<think>They want story of 2.</think>\n```json\n{"story": "story of 1."}\n```'
    with Server(lambda call: Raw(answer)) as server:
        (retelling,) = bench(server.url).rewrite([task(1)]).values()
    assert retelling.text == "story of 1."


def test_a_plain_answer_that_begins_with_a_piece_is_no_json(bench: Benches) -> None:
    answer = "[[7: SH-7]] is told of in story of 1."
    with Server(lambda call: Raw(answer)) as server:
        (retelling,) = bench(server.url).rewrite([task(1)]).values()
    assert retelling.text == answer


def test_a_model_that_calls_a_tool_for_its_answer_is_read(bench: Benches) -> None:
    called = {"id": "t", "type": "function", "function": {"name": "retelling", "arguments": '{"story": "story of 1."}'}}
    with Server(lambda call: Raw(None, extra={"tool_calls": [called]})) as server:
        (retelling,) = bench(server.url).rewrite([task(1)]).values()
    assert retelling.text == "story of 1."


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({}, None),
    ],
    ids=str,
)
def test_what_a_server_asks_to_wait_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_a_wait_until_a_date_is_read() -> None:
    import email.utils
    import time

    waited = retry_after({"retry-after": email.utils.formatdate(time.time() + 3600, usegmt=True)})
    assert waited is not None and 3000 < waited <= 3600
