"""One model in the run: how fast it is asked, how long it is borne with; each answer is kept before it is used."""

import asyncio
import random
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import NoReturn

from storymesh.errors import NarratorFailed
from storymesh.llm.budget import Purse, Spent, cost, estimated_input, most_input, tokens
from storymesh.llm.chat_model import Chat, Schema, endpoint, output_cap
from storymesh.llm.failures import Busy, Unfit
from storymesh.llm.response_cache import Answer, Answers, Messages, Question, canonical
from storymesh.narrative.definition import Price


@dataclass(frozen=True)
class Patience:
    """How long a failing server is tried again: `tries` in all, `costly` where a try may be billed; waiting doubles
    from `first` to `longest` seconds, with jitter. A server may ask for a wait of `asked` seconds at most; one that
    fails for more than `questions` questions in a row ends the run. After a stop, calls under way have `grace` seconds
    to bring what is already being paid for."""

    tries: int = 8
    costly: int = 3
    questions: int = 3
    first: float = 0.5
    longest: float = 30.0
    asked: float = 300.0
    grace: float = 10.0


class Stopped(Exception):
    """The run ends: no new call."""


class Gate:
    """How many calls run at once. One until the first answer has come: a wrong key or model costs one call, not a
    hundred. Then it doubles with each round of answers; a busy server halves it once a round, and from there it grows
    by one a round (additive increase, multiplicative decrease). `pause` holds back all new calls."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.limit = 1.0
        self._doubling_to = float(most)
        self.running = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._until = 0.0
        self._failed_at = -1.0
        self.rounds = 0
        self.failing: set[str] = set()
        self.answered_at = -1.0
        self._stopping = False

    async def enter(self) -> float:
        """Wait for a place. Returns the moment at which it was given. Raises Stopped."""
        loop = asyncio.get_running_loop()
        if self.running < int(self.limit) and not self._waiting:
            self.running += 1
        else:
            await self._place(loop.create_future())
        while not self.stopped() and (left := self._until - loop.time()) > 0:
            await self._paused(min(left, 0.5))
        if self.stopped():
            self.leave()
            raise Stopped
        return loop.time()

    async def _place(self, given: asyncio.Future[None]) -> None:
        self._waiting.append(given)
        self._wake()
        try:
            await given
        except asyncio.CancelledError:
            if given.done() and not given.cancelled():
                self.leave()
            raise

    async def _paused(self, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.leave()
            raise

    def leave(self) -> None:
        self.running -= 1
        self._wake()

    def _wake(self) -> None:
        # A place is counted as taken when it is given, so that no two wake for the same one.
        while self._waiting and (self._stopping or self.running < int(self.limit)):
            given = self._waiting.popleft()
            if not given.done():
                self.running += 1
                given.set_result(None)

    def well(self) -> None:
        """An answer came."""
        self.answered_at = asyncio.get_running_loop().time()
        self.rounds = 0
        self.failing.clear()
        self.limit = min(self._most, self.limit + (1 if self.limit < self._doubling_to else 1 / self.limit))

    def failed(self, entered: float, question: str, *, slower: bool) -> None:
        """A call failed that was let in at `entered`. All that were under way together count as one round."""
        self.failing.add(question)
        if entered < self._failed_at:
            return
        self._failed_at = asyncio.get_running_loop().time()
        self.rounds += 1
        if slower:
            self._doubling_to = self.limit = max(1.0, self.limit / 2)

    def pause(self, seconds: float) -> None:
        self._until = max(self._until, asyncio.get_running_loop().time() + seconds)

    def stopped(self) -> bool:
        return self._stopping

    def stop(self) -> None:
        self._stopping = True
        self._wake()


class Voice:
    """One model with its price and its place in the store: finds an answer there, or asks, pays and keeps it."""

    def __init__(
        self,
        chat: Chat,
        price: Price | None,
        answers: Answers,
        purse: Purse,
        most: int,
        patience: Patience,
        spent: Spent,
    ) -> None:
        self.chat = chat
        self.price = price
        self.gate = Gate(most)
        self._answers = answers
        self._purse = purse
        self._patience = patience
        self._spent = spent
        self._address = endpoint(chat.name, chat.base_url)
        self._parameters, self._schema = canonical(dict(chat.parameters)), canonical(chat.schema)
        self._formless = False
        self._under_way: dict[str, asyncio.Task[tuple[Question, Answer]]] = {}

    @property
    def under_way(self) -> set[asyncio.Task[tuple[Question, Answer]]]:
        return set(self._under_way.values())

    def question(self, messages: Messages, schema: Schema | None) -> Question:
        return Question(
            self.chat.name, self._address, self._parameters, None if schema is None else self._schema, messages
        )

    def find(self, messages: Messages) -> tuple[Question, Answer] | None:
        """The stored answer, as it was asked: in the schema, or plain where the model or its server had none."""
        return self._found(self.question(messages, self.chat.schema))

    def _found(self, formed: Question) -> tuple[Question, Answer] | None:
        if (answer := self._answers.get(formed.key)) is not None:
            return formed, answer
        plain = replace(formed, schema=None)
        return None if (answer := self._answers.get(plain.key)) is None else (plain, answer)

    async def answer(self, messages: Messages) -> tuple[Question, Answer]:
        """Find or ask. Equal questions under way are asked once."""
        question = self.question(messages, self.chat.schema)
        if (found := self._found(question)) is not None:
            self._spent.reused += 1
            return found
        asking = self._under_way.get(question.key)
        if asking is None:
            asking = asyncio.create_task(self._asked(question))
            self._under_way[question.key] = asking
            asking.add_done_callback(lambda _: self._under_way.pop(question.key, None))
        else:
            self._spent.reused += 1
        return await asyncio.shield(asking)

    async def _asked(self, formed: Question) -> tuple[Question, Answer]:
        tries = costly = 0
        while True:
            entered = await self.gate.enter()
            try:
                return await self._once(formed)
            except Busy as busy:
                tries, costly = tries + 1, costly + busy.billed
                self.gate.failed(entered, formed.key, slower=busy.slower)
                self._give_up(busy)
                if tries >= self._patience.tries or costly >= self._patience.costly:
                    raise
                doubled = self._patience.first * 2 ** (max(tries, self.gate.rounds) - 1)
                wait = min(self._patience.longest, doubled) * random.uniform(0.5, 1.0)
                if busy.wait is not None:
                    wait = busy.wait + wait * 0.1
                if busy.wait is not None or self.gate.answered_at < entered:
                    self.gate.pause(wait)
            except NarratorFailed:
                self.gate.stop()  # before this place is given to another call, which would fail too
                raise
            finally:
                self.gate.leave()
            await self._sleep(wait)

    def _give_up(self, busy: Busy) -> None:
        """End the run where the server asks for too long a wait, or fails for one question after another."""
        if busy.wait is not None and busy.wait > self._patience.asked:
            self._stop(f"{busy.words}; it asks to wait {busy.wait:.0f} s")
        # One question may be what the server stumbles over; it does not over many in a row, with no answer between.
        down = busy.anyone or len(self.gate.failing) > self._patience.questions
        if down and self.gate.rounds >= self._patience.tries:
            self._stop(f"{self.chat.name} has answered nothing in {self.gate.rounds} tries: {busy.words}")

    def _stop(self, words: str) -> NoReturn:
        self.gate.stop()
        raise NarratorFailed(words, "run again when the server is well: what was answered is kept") from None

    async def _sleep(self, seconds: float) -> None:
        until = asyncio.get_running_loop().time() + seconds
        while not self.gate.stopped() and (left := until - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(min(left, 0.5))

    async def _once(self, formed: Question, *, formless: bool = False) -> tuple[Question, Answer]:
        self.chat.open()
        messages = formed.messages
        structured = self.chat.structured and not self._formless and not formless
        most_read, most_written = most_input(messages, len(self._schema)), output_cap(self.chat.parameters) or 0
        held = await self._purse.hold(most_read + most_written, cost(self.price, most_read, most_written) or Decimal(0))
        settled = False
        try:
            self._spent.running += 1
            try:
                reply = await self.chat.ask(messages, structured=structured)
            finally:
                self._spent.running -= 1
            estimated = reply.input_tokens is None or reply.output_tokens is None
            read = estimated_input(messages) if reply.input_tokens is None else reply.input_tokens
            written = reply.output_tokens
            if written is None:
                written = tokens(reply.text) if reply.finish != "oversize" else most_written
            usd = cost(self.price, read, written)
            question = formed if structured else replace(formed, schema=None)
            answer = Answer(reply.text, reply.finish, reply.served, read, written, estimated, usd, datetime.now(UTC))
            kept = self._answers.put(question, answer)
            self._purse.settle(held, read + written, usd or Decimal(0))
            settled = True
            self.gate.well()
            self._spent.answered(read, written, usd, estimated=estimated)
            return question, kept
        except Unfit as unfit_for:
            self._purse.settle(held, 0, Decimal(0))
            settled = True
            if unfit_for.schema and structured:
                # The server has no schema, or the question is wrong in either form: the plain one will tell.
                answered = await self._once(formed, formless=True)
                self._formless = True
                return answered
            raise
        except Busy as busy:
            if busy.billed:
                self._spent.lost += 1
            else:
                self._purse.settle(held, 0, Decimal(0))
                settled = True
            raise
        except NarratorFailed:
            self._purse.settle(held, 0, Decimal(0))
            settled = True
            raise
        finally:
            if not settled:
                self._purse.lose(held)
