"""The rewriting of one text: request, check against its facts, retry with the faults, judge, mend."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol

from storymesh.errors import NarratorFailed
from storymesh.grounding.check import Grounding
from storymesh.grounding.pieces import GroundingSource, PlacedPiece
from storymesh.llm.asked_model import NOTHING_TO_SPEND, NamedModel, budget_faults
from storymesh.llm.budget import BudgetExhausted, BudgetLedger, Usage
from storymesh.llm.chat_model import ChatModel
from storymesh.llm.langchain_model import LangChainModel
from storymesh.llm.model_settings import invalid_setting
from storymesh.llm.response_cache import Attempt, ChatRequest, ChatResponse, Messages, ResponseCache
from storymesh.llm.retry import RejectedRequest, RetryPolicy, TransientError
from storymesh.narrative.narrator_definition import Narrator
from storymesh.rewriting.judging import Judgement, judge_messages, judgement_of, schema_of
from storymesh.rewriting.mending import mend
from storymesh.rewriting.prompt import RETRY_PROMPT, STORY_SCHEMA, retry_messages, story_messages, text_in_answer


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


def require_runnable(narrator: Narrator) -> None:
    """Raise NarratorFailed for a narrator that cannot be run as it is written, before any call."""
    models: list[NamedModel] = [narrator, *([narrator.judge] if narrator.judge is not None else [])]
    for model in models:
        if words := invalid_setting(model.model, model.parameters):
            raise NarratorFailed(words)
        for fault in budget_faults(model, narrator.budget):
            raise NarratorFailed(fault.words, fault.hint)


def _fault_summary(grounding: Grounding) -> str:
    """Return the first faults as `kind: words`, for a person."""
    faults = [f"{fault.kind}: {fault.words or fault.because}" for fault in grounding.faults[:3]]
    more = len(grounding.faults) - len(faults)
    return "; ".join([*faults, f"{more} more"] if more > 0 else faults)


@dataclass(frozen=True)
class CheckedAnswer:
    """An answer, checked: `told` is the text in it, `fault` why it is refused, `words` what the model is told of that;
    `key` is that of the answer in the cache."""

    key: str
    answer: ChatResponse
    told: str | None
    grounding: Grounding | None
    fault: str | None
    words: str

    def next_messages(self, messages: Messages, reason: str) -> Messages:
        """Return the next request: the answer and its faults; `reason` is a judge's."""
        words = self.words if self.fault is not None else RETRY_PROMPT.format(reason=reason)
        return retry_messages(messages, self.answer, words)


def most_kept(task: RewriteTask, found: Sequence[CheckedAnswer]) -> CheckedAnswer | None:
    """Return, mended, the refused answer of which mending keeps most; None if it keeps nothing of any."""
    best: CheckedAnswer | None = None
    for checked in found:
        refused = checked.told is not None and checked.grounding is not None and checked.grounding.faults
        grounding = mend(checked.told, task.source) if refused and checked.told is not None else None
        if grounding is not None and (best is None or best.grounding is None or grounding.kept > best.grounding.kept):
            best = replace(checked, grounding=grounding, fault=None)
    return best


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
                LangChainModel(judge.model, judge.base_url, judge.parameters, narrator.timeout, schema_of(judge)),
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

    def check(self, task: RewriteTask, request: ChatRequest, answer: ChatResponse) -> "CheckedAnswer":
        """Return an answer with what the check says of the text in it."""
        told, fault = text_in_answer(answer, structured=request.schema is not None)
        grounding = None if told is None else self._ground(told, task.source)
        words = RETRY_PROMPT.format(reason=fault)
        if grounding is not None and grounding.faults:
            fault, words = _fault_summary(grounding), self._feedback(grounding)
        return CheckedAnswer(request.key, answer, told, grounding, fault, words)

    async def rewrite(self, task: RewriteTask) -> RewriteResult:
        attempts: list[Attempt] = []
        found: list[CheckedAnswer] = []
        reason, messages = None, story_messages(task.messages, task.source)
        try:
            for attempt in range(1, self.narrator.attempts + 1):
                checked = self.check(task, *await self.model.answer(messages))
                found.append(checked)
                score = None if checked.grounding is None else checked.grounding.score
                verdict = "refused" if checked.fault else "accepted"
                attempts.append(Attempt(task.id, attempt, "story", checked.key, verdict, score, checked.fault))
                judgement = await self._judge(task, checked, attempt, attempts)
                if judgement.fault is None:
                    return self._accepted(task, checked, attempt, judgement)
                reason, messages = judgement.fault, checked.next_messages(messages, judgement.fault)
            if self.narrator.otherwise == "mend" and (mended := most_kept(task, found)) is not None:
                score = None if mended.grounding is None else mended.grounding.score
                attempts.append(Attempt(task.id, len(found) + 1, "story", mended.key, "mended", score, reason))
                judgement = await self._judge(task, mended, len(found) + 1, attempts)
                if judgement.fault is None:
                    return self._accepted(task, mended, len(found), judgement)
        except BudgetExhausted:
            reason = "budget"
        except (TransientError, RejectedRequest) as error:
            reason = f"server: {error.message}"
        finally:
            self._answers.record_attempts(attempts)
        checks = [checked for checked in found if checked.grounding is not None]
        best = max(checks, key=lambda checked: checked.grounding.score, default=None)  # type: ignore[union-attr]
        key = best.key if best is not None else found[0].key if found else ""
        return RewriteResult(task.id, None, reason, len(found), best.grounding if best is not None else None, key)

    @staticmethod
    def _accepted(task: RewriteTask, checked: "CheckedAnswer", attempts: int, judgement: Judgement) -> RewriteResult:
        assert checked.grounding is not None
        text = checked.grounding.text
        return RewriteResult(task.id, text, None, attempts, checked.grounding, checked.key, judgement.score)

    async def _judge(
        self, task: RewriteTask, checked: "CheckedAnswer", attempt: int, attempts: list[Attempt]
    ) -> Judgement:
        """Return what the check, and the second model if there is one, say of an answer. Raises BudgetExhausted if the
        second model keeps texts out and cannot be asked for that."""
        if checked.fault is not None or checked.grounding is None:
            return Judgement(None, checked.fault)
        judge, messages = self.narrator.judge, self.judge_messages(task, checked.grounding.text)
        if judge is None or self.judge is None or messages is None:
            return Judgement(None, None)
        try:
            request, answer = await self.judge.answer(messages)
        except (BudgetExhausted, TransientError, RejectedRequest) as error:
            judgement = judgement_of(judge, None)
            if judgement.fault is not None and isinstance(error, BudgetExhausted):
                raise
            return judgement
        judgement = judgement_of(judge, answer)
        attempts.append(Attempt(task.id, attempt, "judge", request.key, "judged", judgement.score, None))
        return judgement

    def judge_messages(self, task: RewriteTask, text: str) -> Messages | None:
        """Return what the second model is sent for an accepted text, None if there is none or it has no prompt."""
        judge = self.narrator.judge
        return None if judge is None else judge_messages(judge, task.judge, task.source.story, text)

    async def close(self) -> None:
        for model in self.models:
            await model.chat.close()
