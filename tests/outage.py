"""GitHub away while gates wait for their answer, and answers that may have arrived: one decision counts per gate."""

import asyncio
import time
from collections import Counter as Tally
from typing import Any

from tests.office import Office
from tests.waiting import until

ANSWERS = "POST */deployment_protection_rule"
# Some answers arrive although nobody hears of it, and nothing can be looked up.
AWAY: list[dict[str, Any]] = [
    {"kind": "drop_after", "method": ANSWERS, "probability": 0.5, "seed": 1},
    {"kind": "server_error", "method": ANSWERS, "probability": 0.5, "seed": 2},
    {"kind": "drop_before", "method": ANSWERS},
    {"kind": "server_error", "method": "GET *"},
]


async def answers_taken(office: Office, *, gates: int, outage_s: float, is_hurried: bool) -> list[int]:
    """Per gate, how many answers GitHub took. `is_hurried`: no pause between tries, as if it were far longer."""
    numbers = [await office.gate(environment="staging") for _ in range(gates)]
    for rule in AWAY:
        await office.break_github(**rule)
    await office.clicks(numbers[0], "bo")
    for number in numbers[1:]:
        assert (await office.vote(number, "bo")).status_code == 200
    ends_at = time.monotonic() + outage_s
    while time.monotonic() < ends_at:
        await asyncio.sleep(min(0.2, outage_s))
        if is_hurried:
            await _hurry(office)
    await office.control.delete("/faults")
    await until(lambda: _is_over(office), timeout_s=60, what="effects still wait")
    taken = (await office.control.get("/github/decisions")).json()
    answers = Tally(str(each["run_id"]) for each in taken)
    rows = await office.line.fetch("SELECT payload ->> 'run_id' AS run FROM approvals.approval ORDER BY id")
    return [answers[row["run"]] for row in rows]


async def _is_over(office: Office) -> bool:
    await _hurry(office)
    return not await office.line.fetch("SELECT 1 FROM approvals.effect WHERE state IN ('pending', 'leased')")


async def _hurry(office: Office) -> None:
    await office.line.fetch("UPDATE approvals.effect SET next_at = now() WHERE state = 'pending'")
