"""Ask a model about files: stored answers are reused, and failed ones are asked for again with their faults."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from storymesh.errors import NarratorFailed, NotInLanguage, TooLarge
from storymesh.files.extraction.answer_schema import QUOTE, ROWS, VALUE, Unreadable, rows_in_answer
from storymesh.files.extraction.answer_store import FileAnswers, RowRefused
from storymesh.files.extraction.definition import CONTENT_NAMES, LABELS, LINES, TypedExtraction, label_values
from storymesh.files.extraction.verified_rows import EvidenceReader, ReadContent, VerifiedRows
from storymesh.language.interpret import Interpreter, as_value
from storymesh.llm.budget import BudgetExhausted, BudgetLedger, Usage
from storymesh.llm.canonical_json import canonical_json
from storymesh.llm.chat_model import ChatModel
from storymesh.llm.fences import FENCED, escape_fence, fence
from storymesh.llm.langchain_model import LangChainModel
from storymesh.llm.limiter import RunStopped
from storymesh.llm.response_cache import ChatResponse, Messages
from storymesh.llm.retry import RejectedRequest, RetryPolicy, TransientError

_AHEAD = 4  # times `concurrency`: how many files are in memory at once
_UNPRINTABLE = "file: its prompt cannot be printed"
_REJECTED = "file: the model's server refuses the question"
_UNANSWERED = "file: the model has not answered (tried again)"
_UNPAID = "file: the budget was spent before it was asked about (tried again)"
TEXT = "text"
_RULES = f"""\
You take values out of a file. Answer with one JSON object: {{"{ROWS}": [...]}}. Each item has for each property \
{{"{VALUE}": ..., "{QUOTE}": "..."}}.
- "{QUOTE}" is copied from the file, sign by sign: the words of one sentence that say the value of this item.
- Take nothing that the file denies, says of something else, or gives as a bound. What it does not say is null, with \
null for its quote.
- Numbers are in the unit that is asked for, dates in ISO 8601, codes as they are listed."""


@dataclass(frozen=True)
class FileQuestion:
    """A file that a model is asked about; `names` are what its prompt may print."""

    uri: str
    content: ReadContent
    names: Mapping[str, Any]


@dataclass
class FileAnswer:
    """The outcome of a question: the rows with evidence, and what was refused."""

    question: FileQuestion
    rows: list[tuple[dict[str, Any], list[dict[str, Any]]]] = field(default_factory=list)
    refused: list[RowRefused] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    """The keys of all answers that were used."""


def ask_about_files(
    extraction: TypedExtraction,
    questions: Iterable[FileQuestion],
    answers: FileAnswers,
    take: Callable[[FileAnswer], None],
    usage: Usage,
    retry: RetryPolicy | None = None,
) -> None:
    """Ask about each file, within limit, retries and budget, and pass each outcome to `take`, in any order.

    Raises NarratorFailed where the model cannot be asked at all; what was answered before is kept.
    """
    asyncio.run(_Asking(extraction, answers, take, usage, retry or RetryPolicy()).ask_all(questions))


class _Asking:
    """The questions of one run."""

    def __init__(
        self,
        extraction: TypedExtraction,
        answers: FileAnswers,
        take: Callable[[FileAnswer], None],
        usage: Usage,
        retry: RetryPolicy,
    ) -> None:
        definition = extraction.definition
        self._extraction, self._answers, self._take, self._usage = extraction, answers, take, usage
        self._many = definition.rows == "many"
        self._prompt = FilePrompt(extraction)
        self._chat = LangChainModel(
            definition.model, definition.base_url, definition.parameters, definition.timeout, extraction.schema
        )
        ledger = BudgetLedger(definition.budget)
        self._model = ChatModel(self._chat, definition.price, answers, ledger, definition.concurrency, retry, usage)

    async def ask_all(self, questions: Iterable[FileQuestion]) -> None:
        room = asyncio.Semaphore(_AHEAD * self._extraction.definition.concurrency)

        async def ask(question: FileQuestion) -> None:
            try:
                answer = await self._ask(question)
            except RunStopped:
                return  # whoever stopped the run says why
            finally:
                room.release()
            self._usage.records += 1
            self._take(answer)

        try:
            async with asyncio.TaskGroup() as group:
                for question in questions:
                    await room.acquire()
                    group.create_task(ask(question))
                    await asyncio.sleep(0)  # an answer that is stored never waits, and the others would
        except ExceptionGroup as several:
            raise next((error for error in several.exceptions if isinstance(error, NarratorFailed)), several) from None
        finally:
            await self._chat.close()

    async def _ask(self, question: FileQuestion) -> FileAnswer:
        """Return the best of some attempts: that with the most rows, and of these the one that refuses the fewest."""
        best = FileAnswer(question)
        try:
            messages = self._prompt.messages(question.uri, question.names)
        except (NotInLanguage, TooLarge):
            return self._refuse(best, _UNPRINTABLE)
        evidence: EvidenceReader | None = None
        attempts: list[FileAnswer] = []
        keys: list[str] = []
        for _ in range(self._extraction.definition.attempts):
            self._answers.begin_question(messages, question.content.sha256)
            try:
                request, response = await self._model.answer(messages)
            except (BudgetExhausted, TransientError, RejectedRequest) as error:
                if not attempts:
                    attempts.append(self._refuse(FileAnswer(question), _reason_of(error)))
                break
            finally:
                self._answers.end_question(messages)
            keys.append(request.key)
            attempt = FileAnswer(question)
            attempts.append(attempt)
            try:
                rows = rows_in_answer(response.text, response.finish, many=self._many)
            except Unreadable as fault:
                faults = [f"the answer {fault}"]
                self._refuse(attempt, f"file: the answer {fault}", request.key)
            else:
                evidence = evidence or EvidenceReader(self._extraction, question.content)
                verified = evidence.verify(rows, request.key)
                faults = _take_verified(attempt, verified, request.key)
            if not faults:
                break
            messages = asked_again(messages, response, faults)
        chosen = max(reversed(attempts), key=lambda item: (len(item.rows), -len(item.refused)))
        chosen.keys = keys
        return chosen

    def _refuse(self, answer: FileAnswer, reason: str, key: str | None = None) -> FileAnswer:
        answer.refused.append(RowRefused(answer.question.uri, reason, reason in (_UNANSWERED, _UNPAID), key))
        return answer


def _take_verified(answer: FileAnswer, verified: VerifiedRows, key: str) -> list[str]:
    """Put what was verified into an answer, and return what is wrong with the rest of it."""
    answer.rows = verified.rows
    answer.refused = [RowRefused(answer.question.uri, faults[0], False, key) for faults in verified.refused]
    return [fault for faults in verified.refused for fault in faults]


def _reason_of(error: Exception) -> str:
    match error:
        case BudgetExhausted():
            return _UNPAID
        case TransientError():
            return _UNANSWERED
        case _:
            return _REJECTED


_ECHO, _FEEDBACK = 8_000, 4_000


class FilePrompt:
    """The messages about files, for one definition."""

    def __init__(self, extraction: TypedExtraction) -> None:
        checked = extraction.prompt
        self._interpreter = Interpreter(checked.tree, b"")
        self._labels = as_value({LABELS: label_values(extraction.contract)})
        self._lines = LINES in checked.names
        self._prints_content = not CONTENT_NAMES.isdisjoint(checked.names)
        schema = {name: part for name, part in extraction.schema.items() if name != "title"}
        self._system = "\n\n".join((_RULES, FENCED, f"The schema of the answer:\n{canonical_json(schema)}"))

    def messages(self, uri: str, names: Mapping[str, Any]) -> Messages:
        """Return the messages about one file; `names` are what its reading has, as Arrow gives it.

        Raises NotInLanguage for what cannot be printed, and TooLarge past a bound.
        """
        text = names.get(TEXT) or ""
        given = {name: as_value(_escape_fences(value)) for name, value in names.items()}
        given[TEXT] = fence(text, "file")
        if self._lines:
            given[LINES] = [escape_fence(line) for line in text.splitlines()]
        prompt = self._interpreter.render(uri, {**given, **self._labels})
        if not self._prints_content:
            prompt = f"{prompt.rstrip()}\n\n{given[TEXT]}"
        return (("system", self._system), ("user", prompt))


def _escape_fences(value: Any) -> Any:
    """Return a value in which no text can begin or end a fence."""
    match value:
        case str():
            return escape_fence(value)
        case dict():
            return {name: _escape_fences(inside) for name, inside in value.items()}
        case list():
            return [_escape_fences(inside) for inside in value]
        case _:
            return value


def asked_again(messages: Messages, answer: ChatResponse, faults: Sequence[str]) -> Messages:
    """Return the messages of the next attempt: what was answered, and what is wrong with it."""
    wrong = "\n".join(f"- {fault}" for fault in dict.fromkeys(faults))[:_FEEDBACK]
    words = f"That was not accepted:\n{wrong}\nAnswer again, with all items, and leave out what the file does not say."
    return (*messages, ("assistant", answer.text[:_ECHO].strip() or "(no answer)"), ("user", words))
