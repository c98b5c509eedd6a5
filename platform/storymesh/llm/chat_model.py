"""A model as a run uses it: cached answers, and new ones asked for within limit, retries and budget."""

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import NoReturn

from storymesh.errors import NarratorFailed
from storymesh.llm.asked_model import Price
from storymesh.llm.budget import (
    BudgetLedger,
    Usage,
    cost_of_tokens,
    estimate_input_tokens,
    estimate_tokens,
    max_input_tokens,
)
from storymesh.llm.canonical_json import canonical_json
from storymesh.llm.langchain_model import LangChainModel, Schema, server_address
from storymesh.llm.limiter import AdaptiveLimiter
from storymesh.llm.model_settings import max_output_tokens
from storymesh.llm.response_cache import ChatRequest, ChatResponse, Messages, ResponseCache
from storymesh.llm.retry import RejectedRequest, RetryPolicy, ServerReply, TransientError


class ChatModel:
    """A model with its price and cache: finds an answer there, or asks for it, pays and keeps it."""

    def __init__(
        self,
        chat: LangChainModel,
        price: Price | None,
        answers: ResponseCache,
        ledger: BudgetLedger,
        max_calls: int,
        retry: RetryPolicy,
        usage: Usage,
    ) -> None:
        self.chat = chat
        self.price = price
        self.limiter = AdaptiveLimiter(max_calls)
        self._answers = answers
        self._ledger = ledger
        self._retry = retry
        self._usage = usage
        self._address = server_address(chat.name, chat.base_url)
        self._parameters, self._schema = canonical_json(dict(chat.parameters)), canonical_json(chat.schema)
        self._plain = False
        self._under_way: dict[str, asyncio.Task[tuple[ChatRequest, ChatResponse]]] = {}

    @property
    def under_way(self) -> set[asyncio.Task[tuple[ChatRequest, ChatResponse]]]:
        """The calls that have not ended."""
        return set(self._under_way.values())

    def request(self, messages: Messages, schema: Schema | None) -> ChatRequest:
        """Return the request for these messages, in the schema or plain."""
        return ChatRequest(
            self.chat.name, self._address, self._parameters, None if schema is None else self._schema, messages
        )

    def find(self, messages: Messages) -> tuple[ChatRequest, ChatResponse] | None:
        """Return the stored answer with its request: in the schema, or plain where the model or its server had none."""
        return self._find_stored(self.request(messages, self.chat.schema))

    def _find_stored(self, formed: ChatRequest) -> tuple[ChatRequest, ChatResponse] | None:
        if (answer := self._answers.get(formed.key)) is not None:
            return formed, answer
        plain = replace(formed, schema=None)
        return None if (answer := self._answers.get(plain.key)) is None else (plain, answer)

    async def answer(self, messages: Messages) -> tuple[ChatRequest, ChatResponse]:
        """Find the answer or ask for it. Equal requests under way are sent once."""
        request = self.request(messages, self.chat.schema)
        if (found := self._find_stored(request)) is not None:
            self._usage.reused += 1
            return found
        asking = self._under_way.get(request.key)
        if asking is None:
            asking = asyncio.create_task(self._ask_until_answered(request))
            self._under_way[request.key] = asking
            asking.add_done_callback(lambda _: self._under_way.pop(request.key, None))
        else:
            self._usage.reused += 1
        return await asyncio.shield(asking)

    async def _ask_until_answered(self, formed: ChatRequest) -> tuple[ChatRequest, ChatResponse]:
        tries = costly = 0
        while True:
            entered = await self.limiter.acquire()
            try:
                return await self._ask_once(formed)
            except TransientError as error:
                tries, costly = tries + 1, costly + error.billed
                self.limiter.record_failure(entered, formed.key, slower=error.slower)
                self._end_run_if_down(error)
                if tries >= self._retry.tries or costly >= self._retry.costly:
                    raise
                doubled = self._retry.first * 2 ** (max(tries, self.limiter.rounds) - 1)
                wait = min(self._retry.longest, doubled) * random.uniform(0.5, 1.0)
                if error.wait is not None:
                    wait = error.wait + wait * 0.1
                if error.wait is not None or self.limiter.answered_at < entered:
                    self.limiter.pause(wait)
            except NarratorFailed:
                self.limiter.stop()  # before this place is given to another call, which would fail too
                raise
            finally:
                self.limiter.release()
            await self._sleep(wait)

    def _end_run_if_down(self, error: TransientError) -> None:
        """End the run if the server asks for too long a wait, or fails for one request after another."""
        if error.wait is not None and error.wait > self._retry.asked:
            self._stop(f"{error.message}; it asks to wait {error.wait:.0f} s")
        # One request may be what the server stumbles over; it does not over many in a row, with no answer between.
        down = error.anyone or len(self.limiter.failing) > self._retry.questions
        if down and self.limiter.rounds >= self._retry.tries:
            self._stop(f"{self.chat.name} has answered nothing in {self.limiter.rounds} tries: {error.message}")

    def _stop(self, message: str) -> NoReturn:
        self.limiter.stop()
        raise NarratorFailed(message, "run again when the server is well: what was answered is kept") from None

    async def _sleep(self, seconds: float) -> None:
        until = asyncio.get_running_loop().time() + seconds
        while not self.limiter.stopped() and (left := until - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(min(left, 0.5))

    async def _ask_once(self, formed: ChatRequest) -> tuple[ChatRequest, ChatResponse]:
        self.chat.open()
        structured = self.chat.structured and not self._plain
        try:
            return await self._call(formed, structured=structured)
        except RejectedRequest as error:
            if not (error.schema and structured):
                raise
            # The server has no schema, or the request is wrong in either form: the plain one will tell.
            answered = await self._call(formed, structured=False)
            self._plain = True
            return answered

    async def _call(self, formed: ChatRequest, *, structured: bool) -> tuple[ChatRequest, ChatResponse]:
        """Call the model within the budget, and keep its answer."""
        most_read = max_input_tokens(formed.messages, len(self._schema))
        most_written = max_output_tokens(self.chat.parameters) or 0
        worst_usd = cost_of_tokens(self.price, most_read, most_written) or Decimal(0)
        reservation = await self._ledger.reserve(most_read + most_written, worst_usd)
        used: tuple[int, Decimal] | None = None  # stays None if the call broke off and may be billed
        try:
            self._usage.running += 1
            try:
                reply = await self.chat.ask(formed.messages, structured=structured)
            finally:
                self._usage.running -= 1
            response = self._response(reply, formed.messages, most_written)
            request = formed if structured else replace(formed, schema=None)
            kept = self._answers.put(request, response)
            used = (response.input_tokens + response.output_tokens, response.usd or Decimal(0))
        except (RejectedRequest, NarratorFailed):
            used = (0, Decimal(0))
            raise
        except TransientError as error:
            if error.billed:
                self._usage.lost += 1
            else:
                used = (0, Decimal(0))
            raise
        finally:
            if used is None:
                self._ledger.forfeit(reservation)
            else:
                self._ledger.settle(reservation, *used)
        self.limiter.record_success()
        self._usage.count_answer(
            response.input_tokens, response.output_tokens, response.usd, estimated=response.estimated
        )
        return request, kept

    def _response(self, reply: ServerReply, messages: Messages, most_written: int) -> ChatResponse:
        """Return the reply with its tokens, estimated where the server gave none, and its cost."""
        estimated = reply.input_tokens is None or reply.output_tokens is None
        read = estimate_input_tokens(messages) if reply.input_tokens is None else reply.input_tokens
        written = reply.output_tokens
        if written is None:
            written = estimate_tokens(reply.text) if reply.finish != "oversize" else most_written
        usd = cost_of_tokens(self.price, read, written)
        return ChatResponse(reply.text, reply.finish, reply.served, read, written, estimated, usd, datetime.now(UTC))
