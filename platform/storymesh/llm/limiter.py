"""An adaptive limit on how many calls of a model run at once: fast while it answers, slow while it fails."""

import asyncio
from collections import deque


class RunStopped(Exception):
    """The run ends: no new call is made."""


class AdaptiveLimiter:
    """How many calls run at once: one until the first answer has come: a wrong key or model costs one call, not a
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

    async def acquire(self) -> float:
        """Wait until a call may begin. Returns that moment of the loop's clock. Raises RunStopped."""
        loop = asyncio.get_running_loop()
        if self.running < int(self.limit) and not self._waiting:
            self.running += 1
        else:
            await self._wait_for_place(loop.create_future())
        while not self.stopped() and (left := self._until - loop.time()) > 0:
            await self._sleep(min(left, 0.5))
        if self.stopped():
            self.release()
            raise RunStopped
        return loop.time()

    async def _wait_for_place(self, granted: asyncio.Future[None]) -> None:
        self._waiting.append(granted)
        self._wake()
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.release()
            raise

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.release()
            raise

    def release(self) -> None:
        """Give the place of an ended call to another."""
        self.running -= 1
        self._wake()

    def _wake(self) -> None:
        # A place is counted as taken when it is granted, so that no two wake for the same one.
        while self._waiting and (self._stopping or self.running < int(self.limit)):
            granted = self._waiting.popleft()
            if not granted.done():
                self.running += 1
                granted.set_result(None)

    def record_success(self) -> None:
        """Note that an answer came."""
        self.answered_at = asyncio.get_running_loop().time()
        self.rounds = 0
        self.failing.clear()
        self.limit = min(self._most, self.limit + (1 if self.limit < self._doubling_to else 1 / self.limit))

    def record_failure(self, entered: float, question: str, *, slower: bool) -> None:
        """Note that a call failed that began at `entered`. All that ran at the same time count as one round."""
        self.failing.add(question)
        if entered < self._failed_at:
            return
        self._failed_at = asyncio.get_running_loop().time()
        self.rounds += 1
        if slower:
            self._doubling_to = self.limit = max(1.0, self.limit / 2)

    def pause(self, seconds: float) -> None:
        """Begin no call for so many seconds."""
        self._until = max(self._until, asyncio.get_running_loop().time() + seconds)

    def stopped(self) -> bool:
        return self._stopping

    def stop(self) -> None:
        """End the run: calls that wait raise RunStopped."""
        self._stopping = True
        self._wake()
