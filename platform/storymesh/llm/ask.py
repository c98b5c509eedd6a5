"""Many questions to one model, in plain text: within its limit, retries and budget; what is answered stays cached."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from storymesh.errors import NarratorFailed
from storymesh.llm.asked_model import AskedModel
from storymesh.llm.budget import BudgetExhausted, BudgetLedger, Usage
from storymesh.llm.chat_model import ChatModel
from storymesh.llm.langchain_model import LangChainModel
from storymesh.llm.limiter import RunStopped
from storymesh.llm.model_settings import invalid_setting
from storymesh.llm.response_cache import ChatRequest, ChatResponse, Messages, ResponseCache
from storymesh.llm.retry import RejectedRequest, RetryPolicy, TransientError


def ask_model(
    model: AskedModel,
    questions: Sequence[Messages],
    answers: ResponseCache,
    retry: RetryPolicy | None = None,
    ledger: BudgetLedger | None = None,
    usage: Usage | None = None,
) -> list[str | None]:
    """Return the answer to each question, None where the server refused that one or the budget was spent. What is
    answered is kept in `answers` at once, so that a second run asks for the rest alone. Several calls of one run share
    the `ledger` of its budget, and add to one `usage`.

    Raises NarratorFailed: a package or key is missing, or the server refuses the key, the model, or every question.
    """
    if fault := invalid_setting(model.model, model.parameters):
        raise NarratorFailed(fault)
    ledger, usage = ledger or BudgetLedger(model.budget), usage or Usage()
    return asyncio.run(_ask_all(model, questions, answers, retry or RetryPolicy(), ledger, usage))


def keep_answers(
    name: str,
    questions: Sequence[Messages],
    answers: ResponseCache,
    ask: Callable[[Sequence[Messages]], Iterable[str]],
) -> list[str]:
    """Return the answer to each question of a model that is no server: `ask` gives those to some, in their order. Each
    is kept in `answers` as it comes, so that a second run asks for the rest alone. `name` says all that shapes them."""
    requests = [ChatRequest(name, None, "{}", None, messages) for messages in questions]
    new = {request.key: request for request in requests if answers.get(request.key) is None}
    if new:
        for request, text in zip(new.values(), ask([request.messages for request in new.values()]), strict=True):
            answers.put(request, ChatResponse(text, None, None, 0, 0, True, None, datetime.now(UTC)))
    found = (answers.get(request.key) for request in requests)
    return [response.text for response in found if response is not None]


async def _ask_all(
    model: AskedModel,
    questions: Sequence[Messages],
    answers: ResponseCache,
    retry: RetryPolicy,
    ledger: BudgetLedger,
    usage: Usage,
) -> list[str | None]:
    chat = LangChainModel(model.model, model.base_url, model.parameters, model.timeout, None)
    asked = ChatModel(chat, model.price, answers, ledger, model.concurrency, retry, usage)
    room = asyncio.Semaphore(4 * model.concurrency)

    async def answer(messages: Messages) -> str | None:
        async with room:
            try:
                _, response = await asked.answer(messages)
            except (BudgetExhausted, TransientError, RejectedRequest, RunStopped):
                return None
            return response.text

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(answer(messages)) for messages in questions]
    except ExceptionGroup as several:
        raise next((error for error in several.exceptions if isinstance(error, NarratorFailed)), several) from None
    finally:
        await chat.close()
        answers.flush()
    return [task.result() for task in tasks]
