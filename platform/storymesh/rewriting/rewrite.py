"""The loop that rewrites texts: it asks for what is not stored, checks every answer against the facts, asks again with
what was wrong, and stops before the budget is exceeded.

Calls run on an event loop in a thread of their own, so that a slow reader causes no timeouts. Tasks are drawn, and
results yielded, in the caller's thread. At most a few times `concurrency` tasks are in memory.
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
from storymesh.grounding.check import Grounding, check_grounding, grounding_feedback
from storymesh.grounding.pieces import GroundingSource, PlacedPiece
from storymesh.llm.budget import (
    BudgetExhausted,
    BudgetLedger,
    Usage,
)
from storymesh.llm.chat_model import ChatModel
from storymesh.llm.fences import FENCED, fence
from storymesh.llm.langchain_model import LangChainModel
from storymesh.llm.limiter import RunStopped
from storymesh.llm.model_settings import Parameters, invalid_setting, max_output_tokens
from storymesh.llm.response_cache import Attempt, Messages, ResponseCache
from storymesh.llm.retry import RejectedRequest, RetryPolicy, TransientError
from storymesh.narrative.narrator_definition import NOTHING_TO_SPEND, Narrator, Price
from storymesh.rewriting.prompt import (
    RETRY_PROMPT,
    SCORE_SCHEMA,
    STORY_SCHEMA,
    retry_messages,
    score_in_answer,
    story_messages,
    text_in_answer,
)


@dataclass(frozen=True)
class RewriteTask:
    """A text to rewrite: `messages` are the rendered prompts as (role, content), `source` is what the answer is checked
    against, `judge` the rendered prompts of the model that scores, if the narrator has one."""

    id: str
    messages: Messages
    source: GroundingSource
    judge: Messages = ()


@dataclass(frozen=True)
class RewriteResult:
    """Result of a task. `text` is None if no attempt was accepted, and `reason` says why; `grounding` is that of the
    accepted attempt, or of the best; `answer` its key in the cache, empty if nothing was answered; `judged` the score
    of the second model, between 0 and 1; `pieces` the values in the text."""

    id: str
    text: str | None
    reason: str | None
    attempts: int
    grounding: Grounding | None
    answer: str
    judged: float | None = None

    @property
    def pieces(self) -> tuple[PlacedPiece, ...]:
        return self.grounding.pieces if self.text is not None and self.grounding is not None else ()


class GroundingCheck(Protocol):
    """A check of an answer against its source, which returns what is wrong with it, or the text that it tells."""

    def __call__(self, answer: str, source: GroundingSource) -> Grounding: ...


def _nothing(_: Usage) -> None:
    return


def require_runnable(narrator: Narrator) -> None:
    """Raise NarratorFailed for a narrator that cannot be run as it is written, before any call."""
    models: list[tuple[str, Parameters, Price | None]] = [(narrator.model, narrator.parameters, narrator.price)]
    if narrator.judge is not None:
        models.append((narrator.judge.model, narrator.judge.parameters, narrator.judge.price))
    for model, parameters, price in models:
        if words := invalid_setting(model, parameters):
            raise NarratorFailed(words)
        if narrator.budget is None:
            continue
        if narrator.budget.usd is not None and price is None:
            raise NarratorFailed(
                f"the budget is in US dollars, and the price of {model} is not known", "give `price: {input:, output:}`"
            )
        if max_output_tokens(parameters) is None:
            raise NarratorFailed(
                f"nothing caps the length of an answer of {model}, so one call could pass the budget",
                "give `max_tokens` in its parameters",
            )


def _fault_summary(grounding: Grounding) -> str:
    """Return the first faults as `kind: words`, for a person."""
    faults = [f"{fault.kind}: {fault.words or fault.because}" for fault in grounding.faults[:3]]
    more = len(grounding.faults) - len(faults)
    return "; ".join([*faults, f"{more} more"] if more > 0 else faults)


def refused_by_judge(narrator: Narrator, score: float | None) -> str | None:
    """Return why the second model keeps a text out, None if it does not, or is not asked to."""
    least = narrator.judge.accept if narrator.judge is not None else None
    if least is None or (score is not None and score >= least):
        return None
    return f"judge: {'no score' if score is None else f'{score:g}'}, wanted {least:g}"


def scoring_messages(task: RewriteTask, text: str) -> Messages:
    """Return what the model that scores is sent for an accepted text."""
    shown = f"{fence(task.source.story, 'story')}\n\n{fence(text, 'retelling')}\n\n{FENCED}"
    return (*task.judge, ("user", shown))


class Rewriter:
    """The models of one run, the check that their texts must pass, and what the run has used."""

    def __init__(
        self,
        narrator: Narrator,
        answers: ResponseCache,
        progress: Callable[[Usage], None],
        ground: GroundingCheck,
        feedback: Callable[[Grounding], str],
        retry: RetryPolicy,
        *,
        ask: bool = True,
    ) -> None:
        self.narrator = narrator
        self._answers = answers
        self._progress = progress
        self._ground = ground
        self._feedback = feedback
        self.retry = retry
        self.usage = Usage(usd=None if narrator.price is None else Decimal(0))
        self._reported_at = 0.0
        ledger = BudgetLedger(narrator.budget if ask else NOTHING_TO_SPEND)
        self.model = ChatModel(
            LangChainModel(narrator.model, narrator.base_url, narrator.parameters, narrator.timeout, STORY_SCHEMA),
            *(narrator.price, answers, ledger, narrator.concurrency, retry, self.usage),
        )
        self.judge: ChatModel | None = None
        if (judge := narrator.judge) is not None:
            self.judge = ChatModel(
                LangChainModel(judge.model, judge.base_url, judge.parameters, narrator.timeout, SCORE_SCHEMA),
                *(judge.price, answers, ledger, narrator.concurrency, retry, self.usage),
            )

    @property
    def models(self) -> tuple[ChatModel, ...]:
        return (self.model,) if self.judge is None else (self.model, self.judge)

    def report_progress(self, *, last: bool = False) -> None:
        """Report the progress, ten times a second at most, and at the end."""
        now = time.monotonic()
        if last or now - self._reported_at >= 0.1:
            self._reported_at = now
            self._progress(replace(self.usage, concurrency=int(self.model.limiter.limit)))

    async def rewrite(self, task: RewriteTask) -> RewriteResult:
        attempts: list[Attempt] = []
        best: Grounding | None = None
        key, reason, messages, attempt = "", None, story_messages(task.messages, task.source), 0
        try:
            for attempt in range(1, self.narrator.attempts + 1):
                request, answer = await self.model.answer(messages)
                told, fault = text_in_answer(answer, structured=request.schema is not None)
                grounding = None if told is None else self._ground(told, task.source)
                if grounding is not None and grounding.faults:
                    fault = _fault_summary(grounding)
                verdict = "refused" if fault else "accepted"
                score = None if grounding is None else grounding.score
                attempts.append(Attempt(task.id, attempt, "story", request.key, verdict, score, fault))
                if grounding is not None and (best is None or grounding.score > best.score):
                    best, key = grounding, request.key
                key = key or request.key
                if fault is None and grounding is not None:
                    judged = await self._score(task, grounding.text, attempt, attempts)
                    if (fault := refused_by_judge(self.narrator, judged)) is None:
                        return RewriteResult(task.id, grounding.text, None, attempt, grounding, request.key, judged)
                reason, words = fault, RETRY_PROMPT.format(reason=fault)
                if grounding is not None and grounding.faults:
                    words = self._feedback(grounding)
                messages = retry_messages(messages, answer, words)
        except BudgetExhausted:
            reason, attempt = "budget", len(attempts)
        except (TransientError, RejectedRequest) as error:
            reason, attempt = f"server: {error.message}", len(attempts)
        finally:
            self._answers.record_attempts(attempts)
        return RewriteResult(task.id, None, reason, attempt, best, key)

    async def _score(self, task: RewriteTask, text: str, attempt: int, attempts: list[Attempt]) -> float | None:
        """Return the score of a second model for a text that the grounding accepts; None if it gave none."""
        if self.judge is None or not task.judge:
            return None
        try:
            request, answer = await self.judge.answer(scoring_messages(task, text))
        except (BudgetExhausted, TransientError, RejectedRequest):
            return None
        score = score_in_answer(answer)
        attempts.append(Attempt(task.id, attempt, "judge", request.key, "judged", score, None))
        return score

    async def close(self) -> None:
        for model in self.models:
            await model.chat.close()


class _EventLoopThread(threading.Thread):
    """The event loop and its thread. `out` brings results, or the error that ends the run."""

    def __init__(self, run: Rewriter) -> None:
        super().__init__(name="narrator", daemon=True)
        self._run = run
        self.out: queue.SimpleQueue[list[RewriteResult] | BaseException] = queue.SimpleQueue()
        self._done: list[RewriteResult] = []
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, tasks: list[RewriteTask]) -> None:
        assert self._loop is not None
        # In a context of its own: what the caller traces or configures by context is not for these calls.
        self._loop.call_soon_threadsafe(self._take, tasks, context=Context())

    def _take(self, tasks: list[RewriteTask]) -> None:
        for task in tasks:
            running = asyncio.create_task(self._do(task))
            self._tasks.add(running)
            running.add_done_callback(self._tasks.discard)

    async def _do(self, task: RewriteTask) -> None:
        try:
            result = await self._run.rewrite(task)
        except RunStopped:
            return
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._stop_models()
            self._hand_over()
            self.out.put(error)
            return
        self._run.usage.records += 1
        self._run.usage.accepted += result.text is not None
        # In batches: each one handed over alone would cost a change of threads, which is 0.2 ms a record.
        if not self._done:
            asyncio.get_running_loop().call_later(0.01, self._hand_over)
        self._done.append(result)

    def _hand_over(self) -> None:
        done, self._done = self._done, []
        if done:
            self.out.put(done)

    def _stop_models(self) -> None:
        for model in self._run.models:
            model.limiter.stop()

    def begin(self) -> None:
        self.start()
        self._ready.wait()

    def finish(self) -> None:
        """Make no new call, give those under way their grace, and end the thread; when interrupted, at once."""
        assert self._loop is not None
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stop_models)
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
        for model in self._run.models:
            pending |= model.under_way
        if pending:
            await asyncio.wait(pending, timeout=self._run.retry.grace)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        await self._run.close()


def rewrite_texts(
    tasks: Iterable[RewriteTask],
    narrator: Narrator,
    answers: ResponseCache,
    progress: Callable[[Usage], None] = _nothing,
    *,
    ground: GroundingCheck = check_grounding,
    feedback: Callable[[Grounding], str] = grounding_feedback,
    retry: RetryPolicy | None = None,
    ask: bool = True,
) -> Iterator[RewriteResult]:
    """Yield a result for each task, in any order; `tasks` are drawn as there is room. Calls the model only for what
    `answers` does not hold, and without `ask` never: such a text has the reason `budget`. `progress` is called in this
    thread, ten times a second at most and once at the end.

    Raises NarratorFailed: the narrator cannot be run as written, a package or key is missing, the server refuses the
    key, the model or the form of every question, or has not answered for as long as `retry` allows. All that was
    answered until then is in the cache, also after Ctrl-C and after `close()` of this generator.
    """
    require_runnable(narrator)
    return _stream_results(
        tasks, Rewriter(narrator, answers, progress, ground, feedback, retry or RetryPolicy(), ask=ask), answers
    )


@contextmanager
def _rare_garbage_collection() -> Iterator[None]:
    """Run the garbage collector less often. A call makes some thousand objects, which reference counting frees; the
    collector, which starts every 700, would take an eighth of the time of a run."""
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], 10_000), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _stream_results(tasks: Iterable[RewriteTask], run: Rewriter, answers: ResponseCache) -> Iterator[RewriteResult]:
    answers.begin_run()
    window = 4 * run.narrator.concurrency
    engine = _EventLoopThread(run)
    engine.begin()
    pending = 0

    def received(*, wait: bool) -> Iterator[RewriteResult]:
        nonlocal pending
        while pending:
            try:
                item = engine.out.get(wait, 0.5)
            except queue.Empty:
                run.report_progress()
                if not wait:
                    return
                if not engine.is_alive() and engine.out.empty():
                    raise NarratorFailed("the narrator has stopped", "run again: what was answered is kept") from None
                continue
            if isinstance(item, BaseException):
                raise item
            pending -= len(item)
            run.report_progress()
            yield from item
            wait = False

    try:
        with _rare_garbage_collection():
            chunk: list[RewriteTask] = []
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
        run.report_progress(last=True)
