"""The rewriting loop: it requests answers that are not stored, and stops before the budget is exceeded.

Calls run on an event loop in a thread of their own, so that a slow reader causes no timeouts. Tasks are drawn, and
results yielded, in the caller's thread. At most a few times `concurrency` tasks are in memory.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from contextvars import Context
from typing import Any

from storymesh.errors import NarratorFailed
from storymesh.garbage_collection import raised_gc_threshold
from storymesh.grounding.check import Grounding, check_grounding, grounding_feedback
from storymesh.llm.budget import Usage
from storymesh.llm.limiter import RunStopped
from storymesh.llm.response_cache import ResponseCache
from storymesh.llm.retry import RetryPolicy
from storymesh.narrative.narrator_definition import Narrator
from storymesh.rewriting.rewriter import GroundingCheck, Rewriter, RewriteResult, RewriteTask, require_runnable


def _nothing(_: Usage) -> None:
    return


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
        with raised_gc_threshold():
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
