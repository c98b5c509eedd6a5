"""Cost estimates for rewriting records, without a call: answers in the cache, and the cost of the missing ones."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from storymesh.grounding.check import Grounding, check_grounding, grounding_feedback
from storymesh.llm.asked_model import Budget
from storymesh.llm.budget import (
    OVERHEAD,
    Usage,
    cost_of_tokens,
    estimate_input_tokens,
    estimate_tokens,
    max_input_tokens,
)
from storymesh.llm.canonical_json import canonical_json
from storymesh.llm.chat_model import ChatModel
from storymesh.llm.model_settings import max_output_tokens
from storymesh.llm.response_cache import ChatRequest, ChatResponse, Messages, ResponseCache
from storymesh.llm.retry import RetryPolicy
from storymesh.narrative.narrator_definition import Narrator
from storymesh.rewriting.judging import judgement_of
from storymesh.rewriting.prompt import ECHO, FEEDBACK, story_messages
from storymesh.rewriting.rewriter import (
    CheckedAnswer,
    GroundingCheck,
    Rewriter,
    RewriteTask,
    most_kept,
    require_runnable,
)

# The length of an answer that nothing caps, as a multiple of the text that it rewrites.
LENGTH = 1.25
VERDICT_LENGTH = 16  # tokens of a judge's answer


@dataclass(frozen=True)
class CostEstimate:
    """The cost of a run, found without a call. `calls` are those that must be made, `reused` what the store has;
    tokens and `usd` are of one attempt for each, `worst_usd` of all attempts at their largest (null where nothing caps
    an answer). A refusal that is still to come adds calls."""

    records: int
    calls: int
    reused: int
    input_tokens: int
    output_tokens: int
    usd: Decimal | None
    worst_usd: Decimal | None
    budget: str = ""  # what a budget does to it, in words; empty where it suffices or there is none


@dataclass(frozen=True)
class MissingAnswer:
    """An answer that must be asked for: of which model, what it is asked, and how often at most."""

    model: ChatModel
    messages: Messages
    times: int


def follow_answers(rewriter: Rewriter, task: RewriteTask) -> Iterator[CheckedAnswer | ChatRequest | MissingAnswer]:
    """Yield what a run would use for a task, until it is done or an answer is missing: stored answers, checked, and the
    requests of a judge that are answered."""
    narrator, judge = rewriter.narrator, rewriter.narrator.judge
    messages, found = story_messages(task.messages, task.source), list[CheckedAnswer]()
    for attempt in range(1, narrator.attempts + 1):
        stored = rewriter.model.find(messages)
        if stored is None:
            yield MissingAnswer(rewriter.model, messages, narrator.attempts - attempt + 1)
            # The text to judge is not known yet: one as long as the story stands in for it.
            if rewriter.judge is not None and (asked := rewriter.judge_messages(task, task.source.story)) is not None:
                yield MissingAnswer(rewriter.judge, (*asked, ("user", task.id)), 1)
            return
        found.append(checked := rewriter.check(task, *stored))
        yield checked
        fault = checked.fault
        if fault is None:
            answer = None
            for step, answer in _judgement_requests(rewriter, task, checked):
                yield step
                if answer is None:
                    return
            fault = judgement_of(judge, answer).fault if judge is not None and answer is not None else None
        if fault is None:
            return
        messages = checked.next_messages(messages, fault)
    if narrator.otherwise == "mend" and (mended := most_kept(task, found)) is not None:
        yield from (step for step, _ in _judgement_requests(rewriter, task, mended))


def _judgement_requests(
    rewriter: Rewriter, task: RewriteTask, checked: CheckedAnswer
) -> Iterator[tuple[ChatRequest | MissingAnswer, ChatResponse | None]]:
    """Yield the request for a judgement with its stored answer, or the answer that is missing; without a judge none."""
    asked = rewriter.judge_messages(task, checked.grounding.text) if checked.grounding is not None else None
    if rewriter.judge is not None and asked is not None:
        found = rewriter.judge.find(asked)
        yield found if found is not None else (MissingAnswer(rewriter.judge, asked, 1), None)


class _Estimator:
    """Follows tasks through their stored attempts, and counts the calls that are missing."""

    def __init__(self, rewriter: Rewriter) -> None:
        self._rewriter = rewriter
        self.records = self.calls = self.reused = self.input_tokens = self.output_tokens = 0
        self.usd, self.worst_usd = Decimal(0), Decimal(0)
        self.capped = True
        self._asked: set[int] = set()

    def add(self, task: RewriteTask) -> None:
        """Count the calls and reused answers of one task: what was refused before counts as one more call."""
        self.records += 1
        length = int(estimate_tokens(task.source.story) * LENGTH) + OVERHEAD
        for step in follow_answers(self._rewriter, task):
            if not isinstance(step, MissingAnswer):
                self.reused += 1
                continue
            judged = step.model is self._rewriter.judge
            self._add_call(step.model, step.messages, VERDICT_LENGTH if judged else length, step.times)

    def _add_call(self, model: ChatModel, messages: Messages, length: int, times: int) -> None:
        # A million keys should be small.
        key = int(model.request(messages, model.chat.schema).key[:15], 16)
        if key in self._asked:
            self.reused += 1
            return
        self._asked.add(key)
        cap = max_output_tokens(model.chat.parameters)
        self.capped = self.capped and cap is not None
        read, written = estimate_input_tokens(messages), length if cap is None else min(cap, length)
        self.calls += 1
        self.input_tokens += read
        self.output_tokens += written
        self.usd += cost_of_tokens(model.price, read, written) or Decimal(0)
        most = max_input_tokens(messages, len(canonical_json(model.chat.schema))) + (times - 1) * 4 * (ECHO + FEEDBACK)
        self.worst_usd += times * (cost_of_tokens(model.price, most, cap or written) or Decimal(0))


def estimate_cost(
    tasks: Iterable[RewriteTask],
    narrator: Narrator,
    answers: ResponseCache,
    *,
    ground: GroundingCheck = check_grounding,
    feedback: Callable[[Grounding], str] = grounding_feedback,
) -> CostEstimate:
    """Return what `rewrite_texts` would do with these tasks, without a call and without LangChain. Calls of the model
    that scores are counted too."""
    require_runnable(narrator)

    def ignore_usage(_: Usage) -> None:
        return

    estimator = _Estimator(Rewriter(narrator, answers, ignore_usage, ground, feedback, RetryPolicy()))
    for task in tasks:
        estimator.add(task)
    priced = narrator.price is not None
    tokens = estimator.input_tokens + estimator.output_tokens
    return CostEstimate(
        estimator.records,
        estimator.calls,
        estimator.reused,
        estimator.input_tokens,
        estimator.output_tokens,
        estimator.usd if priced else None,
        estimator.worst_usd if priced and estimator.capped else None,
        _budget_words(narrator.budget, tokens, estimator.usd, estimator.worst_usd) if estimator.calls else "",
    )


def _budget_words(budget: Budget | None, tokens: int, usd: Decimal, worst_usd: Decimal) -> str:
    """Return whether a budget stops the run, in words; the worst case of a call is reserved before it is made."""
    if budget is None:
        return ""
    if budget.tokens is not None and tokens > budget.tokens:
        return f"the budget of {budget.tokens:,} tokens stops it before all is retold: raise it"
    if budget.usd is not None and usd > budget.usd:
        return f"the budget of {budget.usd} USD stops it before all is retold: raise it"
    if budget.usd is not None and worst_usd > budget.usd:
        return f"the budget of {budget.usd} USD may stop it, where answers are long or refused"
    return ""
