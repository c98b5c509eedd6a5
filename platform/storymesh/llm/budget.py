"""Tokens and money: estimated before a call, set aside at their worst case, counted as they were used.

Tokens are estimated as characters / 4, rounded up, times SAFETY: vocabularies need 3 to 4.5 characters of English for a
token, fewer of codes, names and other scripts. No vocabulary is fetched for it.
"""

import asyncio
from dataclasses import dataclass
from decimal import Decimal

from storymesh.llm.response_cache import Messages
from storymesh.narrative.definition import Budget, Price

SAFETY = 1.25
# What a message costs beside its text (role, separators), at the most.
OVERHEAD = 16


class Exhausted(Exception):
    """The next call could pass the budget."""


def tokens(text: str) -> int:
    """Estimated tokens of `text`: characters / 4, rounded up, with SAFETY."""
    return int(-(-len(text) * SAFETY // 4))


def estimated_input(messages: Messages) -> int:
    return sum(tokens(content) + OVERHEAD for _, content in messages)


def most_input(messages: Messages, schema: int) -> int:
    """No tokenizer of bytes makes more tokens than there are bytes."""
    size = sum(len(content.encode("utf-8", "replace")) + OVERHEAD for _, content in messages)
    return size + schema


def cost(price: Price | None, read: int, written: int) -> Decimal | None:
    return None if price is None else (price.input * read + price.output * written) / 1_000_000


@dataclass
class Spent:
    """What a run has cost so far. `reused` answers were paid before; `lost`: calls that broke off, which a provider
    may bill all the same: they count in the budget at their worst case and nowhere else. `usd` is null without a
    price; `estimated`: some server told no token counts, so characters were counted.

    The loop's thread alone changes it; whoever is told the progress gets a copy.
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

    def projected(self, records: int) -> Decimal | None:
        """US dollars for `records` of this kind in all, as far as those so far tell. None without price or record."""
        return None if self.usd is None or not self.records else self.usd * records / self.records

    def answered(self, read: int, written: int, usd: Decimal | None, *, estimated: bool) -> None:
        self.calls += 1
        self.input_tokens += read
        self.output_tokens += written
        self.estimated = self.estimated or estimated
        if usd is not None:
            self.usd = usd if self.usd is None else self.usd + usd


class Purse:
    """Money and tokens of one run: the worst case is set aside before a call, so that no call can pass the budget."""

    def __init__(self, budget: Budget | None) -> None:
        self._tokens = None if budget is None else budget.tokens
        self._usd = None if budget is None else budget.usd
        self.used_tokens = 0
        self.used_usd = Decimal(0)
        self._held: dict[int, tuple[int, Decimal]] = {}
        self._held_tokens = 0
        self._held_usd = Decimal(0)
        self._waiting: list[asyncio.Future[None]] = []
        self._names = 0
        self.spent_up = False

    @property
    def bounded(self) -> bool:
        return self._tokens is not None or self._usd is not None

    def _fits(self, count: int, usd: Decimal) -> bool:
        return (self._tokens is None or self.used_tokens + self._held_tokens + count <= self._tokens) and (
            self._usd is None or self.used_usd + self._held_usd + usd <= self._usd
        )

    async def hold(self, count: int, usd: Decimal) -> int:
        """Set aside the worst case. Waits while calls under way may give something back; raises Exhausted."""
        while not self._fits(count, usd):
            if self.spent_up or not self._held:
                self.spent_up = True
                raise Exhausted
            wake = asyncio.get_running_loop().create_future()
            self._waiting.append(wake)
            await wake
        self._names += 1
        self._held[self._names] = (count, usd)
        self._held_tokens += count
        self._held_usd += usd
        return self._names

    def settle(self, name: int, count: int, usd: Decimal) -> None:
        """Replace what was set aside by what was used."""
        held_tokens, held_usd = self._held.pop(name)
        self._held_tokens -= held_tokens
        self._held_usd -= held_usd
        self.used_tokens += count
        self.used_usd += usd
        waiting, self._waiting = self._waiting, []
        for wake in waiting:
            if not wake.done():
                wake.set_result(None)

    def lose(self, name: int) -> None:
        """The call broke off: it may be billed, so all that was set aside counts."""
        self.settle(name, *self._held[name])
