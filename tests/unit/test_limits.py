"""What ingest takes at once."""

import asyncio

import pytest

from ingest.limits import FORGED_PER_S, FORGERS_MAX, Forgers, InFlight, Overloaded, RateExceeded, TokenBucket


def test_a_source_may_burst_for_ten_seconds_worth_and_then_goes_at_its_rate() -> None:
    bucket = TokenBucket(2)

    for _ in range(20):
        bucket.take(100.0)
    with pytest.raises(RateExceeded) as refused:
        bucket.take(100.0)
    bucket.take(100.5)

    assert refused.value.retry_after_s == pytest.approx(0.5)


def test_requests_that_end_out_of_order_use_up_no_more_than_one_each() -> None:
    bucket = TokenBucket(1)

    bucket.take(102.0)
    for _ in range(9):
        bucket.take(100.0)  # began earlier, and took two seconds to send their body

    with pytest.raises(RateExceeded):
        bucket.take(102.0)
    bucket.take(103.0)


def test_a_forger_spoils_no_other_address_and_memory_is_bounded() -> None:
    forgers = Forgers()
    for _ in range(int(FORGED_PER_S * 10)):
        forgers.take("10.0.0.1", 0.0)

    with pytest.raises(RateExceeded):
        forgers.take("10.0.0.1", 0.0)
    forgers.take("10.0.0.2", 0.0)
    for n in range(FORGERS_MAX + 10):
        forgers.take(str(n), 0.0)

    assert len(forgers._buckets) == FORGERS_MAX


async def test_bytes_wait_for_room_in_their_order() -> None:
    in_flight = InFlight(requests_max=10, bytes_max=100)
    await in_flight.reserve(80)
    second = asyncio.create_task(in_flight.reserve(60))
    third = asyncio.create_task(in_flight.reserve(10))  # would fit, but others were first
    await asyncio.sleep(0)

    assert not second.done() and not third.done()
    in_flight.release(80)
    await asyncio.gather(second, third)

    assert in_flight.bytes == 70


async def test_bytes_that_get_no_room_in_time_are_refused_and_leave_nothing_reserved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ingest.limits.BYTES_WAIT_S", 0.01)
    in_flight = InFlight(requests_max=10, bytes_max=100)
    await in_flight.reserve(100)

    with pytest.raises(Overloaded):
        await in_flight.reserve(1)
    in_flight.release(100)
    await in_flight.reserve(100)

    assert in_flight.bytes == 100


def test_one_request_more_than_allowed_is_refused_at_once() -> None:
    in_flight = InFlight(requests_max=1, bytes_max=100)

    in_flight.begin()
    with pytest.raises(Overloaded):
        in_flight.begin()
    in_flight.end()
    in_flight.begin()

    assert in_flight.requests == 1
