"""What ingest takes at once: requests and bytes in flight, and a rate per source. Times in seconds, monotonic."""

import asyncio
from collections import OrderedDict, deque

BURST_S = 10.0  # a source may send what it saved up in this time at once
FORGERS_MAX = 10_000
FORGED_PER_S = 5.0
BYTES_WAIT_S = 2.0


class Overloaded(Exception):
    """No room now; the sender may try again in a moment."""


class RateExceeded(Exception):
    """`limit` per second, `retry_after_s` until the next one is taken."""

    def __init__(self, limit: float, retry_after_s: float) -> None:
        super().__init__("rate exceeded")
        self.limit = limit
        self.retry_after_s = retry_after_s


class TokenBucket:
    """`rate_per_s` on average, ten seconds' worth at once."""

    def __init__(self, rate_per_s: float) -> None:
        self._rate = rate_per_s
        self._tokens = self._burst = rate_per_s * BURST_S
        self._at = 0.0

    def take(self, now: float) -> None:
        """Raises RateExceeded."""
        # A request is dated by its start, and one that sent its body slowly comes after others that began later.
        since = max(0.0, now - self._at)
        self._tokens = min(self._burst, self._tokens + since * self._rate)
        self._at += since
        if self._tokens < 1:
            raise RateExceeded(self._rate, (1 - self._tokens) / self._rate)
        self._tokens -= 1


class Forgers:
    """A bucket per address for deliveries that prove no origin; the least recently seen addresses are forgotten."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def take(self, address: str, now: float) -> None:
        """Raises RateExceeded."""
        bucket = self._buckets.setdefault(address, TokenBucket(FORGED_PER_S))
        self._buckets.move_to_end(address)
        if len(self._buckets) > FORGERS_MAX:
            self._buckets.popitem(last=False)
        bucket.take(now)


class InFlight:
    """Bounded requests and bytes. Many requests are refused at once; bytes wait a moment, in the order they came."""

    def __init__(self, *, requests_max: int, bytes_max: int) -> None:
        self._requests_max = requests_max
        self._bytes_max = bytes_max
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self.requests = 0
        self.bytes = 0

    def begin(self) -> None:
        """A request, until `end`. Raises Overloaded."""
        if self.requests >= self._requests_max:
            raise Overloaded
        self.requests += 1

    def end(self) -> None:
        self.requests -= 1

    async def reserve(self, size: int) -> None:
        """Until `release`. One body that is larger than all that is allowed goes alone. Raises Overloaded."""
        if not self._waiting and self._fits(size):
            self.bytes += size
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, granted))
        try:
            async with asyncio.timeout(BYTES_WAIT_S):
                await granted
        except BaseException as error:
            if granted.done() and not granted.cancelled():
                self.release(size)
            if isinstance(error, TimeoutError):
                raise Overloaded from None
            raise

    def release(self, size: int) -> None:
        self.bytes -= size
        while self._waiting:
            wanted, granted = self._waiting[0]
            if granted.done():
                self._waiting.popleft()
            elif self._fits(wanted):
                self._waiting.popleft()
                self.bytes += wanted
                granted.set_result(None)
            else:
                return

    def _fits(self, size: int) -> bool:
        return self.bytes == 0 or self.bytes + size <= self._bytes_max
