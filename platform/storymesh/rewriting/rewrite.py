"""The loop that has records retold: asks what is not stored yet, holds every answer against the facts, asks again with
what was wrong, and stops before the budget is passed.

The calls run on an event loop in a thread of their own, so that a slow reader costs no time-outs; the tasks are drawn
and the retellings handed out in the caller's thread. At most a few times `concurrency` tasks are in memory.
"""

import asyncio
import gc
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Protocol

from storymesh.errors import NarratorFailed
from storymesh.grounding.check import Grounding, Source
from storymesh.grounding.check import feedback as grounds_feedback
from storymesh.grounding.check import ground as grounded
from storymesh.llm.budget import OVERHEAD, Exhausted, Purse, Spent, cost, estimated_input, most_input, tokens
from storymesh.llm.chat_model import SCORE, STORY, Chat, Parameters, output_cap, unfit
from storymesh.llm.failures import Busy, Unfit
from storymesh.llm.limiter import Patience, Stopped, Voice
from storymesh.llm.response_cache import Answers, Attempt, Messages, canonical
from storymesh.narrative.definition import Narrator, Price
from storymesh.rewriting.prompt import ECHO, FEEDBACK, FENCED, UNTOLD, again, disarmed, fence, score_in, told

# An answer of a model that nothing caps, as a multiple of the story that it retells.
LENGTH = 1.25


@dataclass(frozen=True)
class Task:
    """One record to be retold: `messages` are the rendered prompts as (role, content), `source` what the retelling is
    held against. `judge`: the rendered prompts of the judge, where the narrator has one."""

    id: str
    messages: Messages
    source: Source
    judge: Messages = ()


@dataclass(frozen=True)
class Retelling:
    """What became of a task. `text` is null where no attempt was accepted, and `reason` says why not; `grounding` is
    that of the accepted attempt, or of the best; `answer` its key in the store, empty where nothing was answered;
    `judged` the judge's score between 0 and 1."""

    id: str
    text: str | None
    reason: str | None
    attempts: int
    grounding: Grounding | None
    answer: str
    judged: float | None = None


@dataclass(frozen=True)
class Estimate:
    """What a run would do, found without a call. `calls` are those that must be made, `reused` what the store has;
    tokens and `usd` are of one attempt for each, `worst_usd` of all attempts at their largest (null where nothing caps
    an answer). A refusal that is still to come adds calls."""

    records: int
    calls: int
    reused: int
    input_tokens: int
    output_tokens: int
    usd: Decimal | None
    worst_usd: Decimal | None


class Ground(Protocol):
    def __call__(self, retelling: str, source: Source) -> Grounding: ...


def _nothing(_: Spent) -> None:
    return


def checked(narrator: Narrator) -> None:
    """Raise NarratorFailed for a narrator that cannot be run as it is written, before any call."""
    models: list[tuple[str, Parameters, Price | None]] = [(narrator.model, narrator.parameters, narrator.price)]
    if narrator.judge is not None:
        models.append((narrator.judge.model, narrator.judge.parameters, narrator.judge.price))
    for model, parameters, price in models:
        if words := unfit(model, parameters):
            raise NarratorFailed(words)
        if narrator.budget is None:
            continue
        if narrator.budget.usd is not None and price is None:
            raise NarratorFailed(
                f"the budget is in US dollars, and the price of {model} is not known", "give `price: {input:, output:}`"
            )
        if output_cap(parameters) is None:
            raise NarratorFailed(
                f"nothing caps the length of an answer of {model}, so one call could pass the budget",
                "give `max_tokens` in its parameters",
            )


def _why(grounding: Grounding, accept: float) -> str:
    """The first faults as `kind: words`, for a person."""
    faults = [f"{claim.kind}: {claim.words or claim.because}" for claim in grounding.claims[:3]]
    more = len(grounding.claims) - len(faults)
    told = "; ".join([*faults, f"{more} more"] if more > 0 else faults)
    return f"{told} ({grounding.score:.2f} of the claims stand in the facts, wanted {accept:g})"


def _asked(task: Task) -> Messages:
    """The task's messages. A prompt may show the story between the marks of a fence: it cannot end it."""
    story = task.source.story.strip()
    if (safe := disarmed(story)) == story:
        return task.messages
    return tuple((role, content.replace(story, safe)) for role, content in task.messages)


class _Run:
    def __init__(
        self,
        narrator: Narrator,
        answers: Answers,
        progress: Callable[[Spent], None],
        ground: Ground,
        feedback: Callable[[Grounding], str],
        patience: Patience,
    ) -> None:
        self.narrator = narrator
        self._answers = answers
        self._progress = progress
        self._ground = ground
        self._feedback = feedback
        self.patience = patience
        self.spent = Spent(usd=None if narrator.price is None else Decimal(0))
        self._told_at = 0.0
        purse = Purse(narrator.budget)
        self.voice = Voice(
            Chat(narrator.model, narrator.base_url, narrator.parameters, narrator.timeout, STORY),
            *(narrator.price, answers, purse, narrator.concurrency, patience, self.spent),
        )
        self.judge: Voice | None = None
        if (judge := narrator.judge) is not None:
            self.judge = Voice(
                Chat(judge.model, judge.base_url, judge.parameters, narrator.timeout, SCORE),
                *(judge.price, answers, purse, narrator.concurrency, patience, self.spent),
            )

    @property
    def voices(self) -> tuple[Voice, ...]:
        return (self.voice,) if self.judge is None else (self.voice, self.judge)

    def told(self, *, last: bool = False) -> None:
        """Tell the progress, ten times a second at most, and at the end."""
        now = time.monotonic()
        if last or now - self._told_at >= 0.1:
            self._told_at = now
            self._progress(replace(self.spent, concurrency=int(self.voice.gate.limit)))

    async def retold(self, task: Task) -> Retelling:
        noted: list[Attempt] = []
        best: Grounding | None = None
        key, reason, messages, attempt = "", None, _asked(task), 0
        try:
            for attempt in range(1, self.narrator.attempts + 1):
                question, answer = await self.voice.answer(messages)
                text, why = told(answer, structured=question.schema is not None)
                grounding = None if text is None else self._ground(text, task.source)
                if grounding is not None and grounding.score < self.narrator.accept:
                    why = _why(grounding, self.narrator.accept)
                verdict = "refused" if why else "accepted"
                score = None if grounding is None else grounding.score
                noted.append(Attempt(task.id, attempt, "story", question.key, verdict, score, why))
                if grounding is not None and (best is None or grounding.score > best.score):
                    best, key = grounding, question.key
                key = key or question.key
                if why is None:
                    judged = await self._judged(task, text or "", attempt, noted)
                    return Retelling(task.id, text, None, attempt, grounding, question.key, judged)
                reason = why
                words = self._feedback(grounding) if grounding is not None else UNTOLD.format(reason=why)
                messages = again(messages, answer, words)
        except Exhausted:
            reason, attempt = "budget", len(noted)
        except (Busy, Unfit) as error:
            reason, attempt = f"server: {error.words}", len(noted)
        finally:
            self._answers.note(noted)
        return Retelling(task.id, None, reason, attempt, best, key)

    async def _judged(self, task: Task, text: str, attempt: int, noted: list[Attempt]) -> float | None:
        """The judge's score: added to an accepted retelling, and no gate. None where it had none to give."""
        if self.judge is None or not task.judge:
            return None
        shown = f"{fence(task.source.story, 'story')}\n\n{fence(text, 'retelling')}\n\n{FENCED}"
        try:
            question, answer = await self.judge.answer((*task.judge, ("user", shown)))
        except (Exhausted, Busy, Unfit):
            return None
        score = score_in(answer)
        noted.append(Attempt(task.id, attempt, "judge", question.key, "judged", score, None))
        return score

    async def close(self) -> None:
        for voice in self.voices:
            await voice.chat.close()


class _Engine(threading.Thread):
    """The event loop and its thread. `out` brings retellings, or the error that ends the run."""

    def __init__(self, run: _Run) -> None:
        super().__init__(name="narrator", daemon=True)
        self._run = run
        self.out: queue.SimpleQueue[list[Retelling] | BaseException] = queue.SimpleQueue()
        self._done: list[Retelling] = []
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, tasks: list[Task]) -> None:
        assert self._loop is not None
        # In a context of its own: what the caller traces or configures by context is not for these calls.
        self._loop.call_soon_threadsafe(self._take, tasks, context=Context())

    def _take(self, tasks: list[Task]) -> None:
        for task in tasks:
            doing = asyncio.create_task(self._do(task))
            self._tasks.add(doing)
            doing.add_done_callback(self._tasks.discard)

    async def _do(self, task: Task) -> None:
        try:
            retelling = await self._run.retold(task)
        except Stopped:
            return
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._stop_voices()
            self._hand_over()
            self.out.put(error)
            return
        self._run.spent.records += 1
        self._run.spent.accepted += retelling.text is not None
        # In batches: each one handed over alone would cost a change of threads, which is 0.2 ms a record.
        if not self._done:
            asyncio.get_running_loop().call_later(0.01, self._hand_over)
        self._done.append(retelling)

    def _hand_over(self) -> None:
        done, self._done = self._done, []
        if done:
            self.out.put(done)

    def _stop_voices(self) -> None:
        for voice in self._run.voices:
            voice.gate.stop()

    def begin(self) -> None:
        self.start()
        self._ready.wait()

    def finish(self) -> None:
        """Make no new call, give those under way their grace, end the thread. Interrupted: end it at once."""
        assert self._loop is not None
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stop_voices)
            self._loop.call_soon_threadsafe(self._finished)
        self.join()

    def _finished(self) -> None:
        assert self._end is not None
        self._end.set()

    def run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._main())
        except BaseException as error:
            self.out.put(error)
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        self._ready.set()
        await self._end.wait()
        pending: set[asyncio.Task[Any]] = set(self._tasks)
        for voice in self._run.voices:
            pending |= voice.under_way
        if pending:
            await asyncio.wait(pending, timeout=self._run.patience.grace)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        await self._run.close()


def narrate(
    tasks: Iterable[Task],
    narrator: Narrator,
    answers: Answers,
    progress: Callable[[Spent], None] = _nothing,
    *,
    ground: Ground = grounded,
    feedback: Callable[[Grounding], str] = grounds_feedback,
    patience: Patience | None = None,
) -> Iterator[Retelling]:
    """One Retelling for each task, in any order; `tasks` are drawn as there is room. Calls the model only for what
    `answers` does not hold. `progress` is called in this thread, ten times a second at most and once at the end.

    Raises NarratorFailed: the narrator cannot be run as written, a package or key is missing, the server refuses the
    key, the model or the form of every question, or has not answered for as long as `patience` lasts. All that was
    answered until then is in the store; so it is after Ctrl-C, and after `close()` of this generator.
    """
    checked(narrator)
    return _narrated(tasks, _Run(narrator, answers, progress, ground, feedback, patience or Patience()), answers)


@contextmanager
def _collected_seldom() -> Iterator[None]:
    """A call makes some thousand objects that die with it. Python's collector, which starts every 700, would take an
    eighth of the time of a run to find so; by reference counting they go as they ever did."""
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], 10_000), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _narrated(tasks: Iterable[Task], run: _Run, answers: Answers) -> Iterator[Retelling]:
    answers.begin()
    window = 4 * run.narrator.concurrency
    engine = _Engine(run)
    engine.begin()
    pending = 0

    def received(*, wait: bool) -> Iterator[Retelling]:
        nonlocal pending
        while pending:
            try:
                met = engine.out.get(wait, 0.5)
            except queue.Empty:
                run.told()
                if wait:
                    continue
                return
            if isinstance(met, BaseException):
                raise met
            pending -= len(met)
            run.told()
            yield from met
            wait = False

    try:
        with _collected_seldom():
            chunk: list[Task] = []
            for task in tasks:
                chunk.append(task)
                if len(chunk) >= min(16, run.narrator.concurrency):
                    engine.submit(chunk)
                    pending, chunk = pending + len(chunk), []
                    while pending >= window:
                        yield from received(wait=True)
                    yield from received(wait=False)
            engine.submit(chunk)
            pending += len(chunk)
            while pending:
                yield from received(wait=True)
    finally:
        engine.finish()
        answers.flush()
        run.told(last=True)


def estimate(
    tasks: Iterable[Task],
    narrator: Narrator,
    answers: Answers,
    *,
    ground: Ground = grounded,
    feedback: Callable[[Grounding], str] = grounds_feedback,
) -> Estimate:
    """What `narrate` would do with these tasks, without a call and without LangChain. Follows each record through its
    stored attempts, so that what was refused before counts as one more call. The judge's calls are counted too."""
    checked(narrator)
    run = _Run(narrator, answers, _nothing, ground, feedback, Patience())
    records = calls = reused = read = written = 0
    usd, worst = Decimal(0), Decimal(0)
    capped = True
    asked: set[int] = set()

    def call(voice: Voice, messages: Messages, length: int, times: int) -> None:
        nonlocal calls, reused, read, written, usd, worst, capped
        key = int(voice.question(messages, voice.chat.schema).key[:15], 16)  # a million of them should be small
        if key in asked:
            reused += 1
            return
        asked.add(key)
        cap = output_cap(voice.chat.parameters)
        capped = capped and cap is not None
        out = length if cap is None else min(cap, length)
        calls, read, written = calls + 1, read + estimated_input(messages), written + out
        usd += cost(voice.price, estimated_input(messages), out) or Decimal(0)
        most = most_input(messages, len(canonical(voice.chat.schema))) + (times - 1) * 4 * (ECHO + FEEDBACK)
        worst += times * (cost(voice.price, most, cap or out) or Decimal(0))

    for task in tasks:
        records += 1
        messages = _asked(task)
        length = int(tokens(task.source.story) * LENGTH) + OVERHEAD
        judged = run.judge is not None and bool(task.judge)
        for attempt in range(1, narrator.attempts + 1):
            found = run.voice.find(messages)
            if found is None:
                call(run.voice, messages, length, narrator.attempts - attempt + 1)
                if judged and run.judge is not None:
                    call(run.judge, (*task.judge, ("user", f"{task.id} {task.source.story * 2}")), 16, 1)
                break
            reused += 1
            question, answer = found
            text, why = told(answer, structured=question.schema is not None)
            if text is None:
                messages = again(messages, answer, UNTOLD.format(reason=why))
                continue
            grounding = ground(text, task.source)
            if grounding.score < narrator.accept:
                messages = again(messages, answer, feedback(grounding))
                continue
            if judged and run.judge is not None:
                shown = f"{fence(task.source.story, 'story')}\n\n{fence(text, 'retelling')}\n\n{FENCED}"
                asking = (*task.judge, ("user", shown))
                if run.judge.find(asking) is None:
                    call(run.judge, asking, 16, 1)
                else:
                    reused += 1
            break
    priced = narrator.price is not None
    return Estimate(
        records, calls, reused, read, written, usd if priced else None, worst if priced and capped else None
    )
