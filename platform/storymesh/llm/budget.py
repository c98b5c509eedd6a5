"""The budget of tokens and money: the worst case is reserved before a call, the actual use is counted after it.

Tokens are estimated as characters / 4, rounded up, times SAFETY: vocabularies need 3 to 4.5 characters of English for a
token, fewer of codes, names and other scripts. No vocabulary is fetched for it.
"""

import asyncio
from dataclasses import dataclass
from decimal import Decimal

from storymesh.llm.asked_model import Budget, Price
from storymesh.llm.response_cache import Messages

SAFETY = 1.25
# What a message costs beside its text (role, separators), at the most.
OVERHEAD = 16


class BudgetExhausted(Exception):
    """The next call could exceed the budget."""


def estimate_tokens(text: str) -> int:
    """Return the estimated tokens of a text: characters / 4, rounded up, with SAFETY."""
    return int(-(-len(text) * SAFETY // 4))


def estimate_input_tokens(messages: Messages) -> int:
    """Return the estimated tokens of a conversation."""
    return sum(estimate_tokens(content) + OVERHEAD for _, content in messages)


def max_input_tokens(messages: Messages, schema: int) -> int:
    """Return the most tokens that a conversation can have: no tokenizer makes more of a text than it has bytes."""
    size = sum(len(content.encode("utf-8", "replace")) + OVERHEAD for _, content in messages)
    return size + schema


def cost_of_tokens(price: Price | None, read: int, written: int) -> Decimal | None:
    """Return US dollars, None without a price."""
    return None if price is None else (price.input * read + price.output * written) / 1_000_000


@dataclass
class Usage:
    """The cost of a run so far. `reused` answers were paid before; `lost`: calls that broke off, which a provider
    may bill all the same: they count in the budget at their worst case and nowhere else. `usd` is null without a
    price; `estimated`: some server told no token counts, so characters were counted.

    The loop's thread alone changes it; progress is reported with a copy.
    """

    records: int = 0
    accepted: int = 0
    calls: int = 0
    reused: int = 0
    lost: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: Decimal | None = None
    estimated: bool = False
    running: int = 0
    concurrency: int = 1

    def count_answer(self, read: int, written: int, usd: Decimal | None, *, estimated: bool) -> None:
        """Count one answer."""
        self.calls += 1
        self.input_tokens += read
        self.output_tokens += written
        self.estimated = self.estimated or estimated
        if usd is not None:
            self.usd = usd if self.usd is None else self.usd + usd


class BudgetLedger:
    """Tokens and money of one run: the worst case is reserved before a call, so that no call can exceed the budget."""

    def __init__(self, limit: Budget | None) -> None:
        self._tokens = None if limit is None else limit.tokens
        self._usd = None if limit is None else limit.usd
        self.used_tokens = 0
        self.used_usd = Decimal(0)
        self._reserved: dict[int, tuple[int, Decimal]] = {}
        self._reserved_tokens = 0
        self._reserved_usd = Decimal(0)
        self._waiting: list[asyncio.Future[None]] = []
        self._names = 0
        self.exhausted = False

    def _fits(self, count: int, usd: Decimal) -> bool:
        return (self._tokens is None or self.used_tokens + self._reserved_tokens + count <= self._tokens) and (
            self._usd is None or self.used_usd + self._reserved_usd + usd <= self._usd
        )

    async def reserve(self, count: int, usd: Decimal) -> int:
        """Reserve the worst case of a call and return the name of the reservation. Waits while other calls may give
        something back. Raises BudgetExhausted."""
        while not self._fits(count, usd):
            if self.exhausted or not self._reserved:
                self.exhausted = True
                raise BudgetExhausted
            wake = asyncio.get_running_loop().create_future()
            self._waiting.append(wake)
            await wake
        self._names += 1
        self._reserved[self._names] = (count, usd)
        self._reserved_tokens += count
        self._reserved_usd += usd
        return self._names

    def settle(self, name: int, count: int, usd: Decimal) -> None:
        """Replace a reservation by what was used."""
        reserved_tokens, reserved_usd = self._reserved.pop(name)
        self._reserved_tokens -= reserved_tokens
        self._reserved_usd -= reserved_usd
        self.used_tokens += count
        self.used_usd += usd
        waiting, self._waiting = self._waiting, []
        for wake in waiting:
            if not wake.done():
                wake.set_result(None)

    def forfeit(self, name: int) -> None:
        """Count all that was reserved: the call broke off and may be billed."""
        self.settle(name, *self._reserved[name])
