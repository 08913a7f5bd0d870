"""Senders killed at any point while Slack drops, delays, limits and breaks: what Slack's own books say afterwards."""

import asyncio
import os
import random
import sys
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import msgspec

from tests.sending import QUICK, Sending
from tests.waiting import until

CHANNELS = 20
GRACE_S = float(QUICK["slack_timeout_s"]) + float(QUICK["slack_reconcile_grace_s"])
TOO_LATE_S = 3 * GRACE_S + 5  # after everything that could still look for it
# Share of calls, in thousandths. What comes too late is only told of, and seldom.
FAULTS: Mapping[str, tuple[int, dict[str, Any]]] = {
    "drop_before": (25, {}),
    "drop_after": (25, {}),
    "late": (25, {"after_s": GRACE_S / 2}),
    "server_error": (25, {"status": 503}),
    "rate_limited": (25, {"retry_after": "1"}),
}


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """`doubled`: posts beyond the first of a message, but for those that came after the grace period, which are
    `late`; `flagged`: messages that the log says were sent again without having been found.
    """

    messages: int
    kills: int
    lost: int
    doubled: int
    late: int
    flagged: int
    order_violations: int
    never_bit: int


async def storm(sending: Sending, *, messages: int, kills: int, seed: int, too_late: int = 0, hooks: str = "") -> Books:
    """So many messages over 20 channels, and so many kills meanwhile. `hooks`: by webhooks, as the setting has it."""
    dice = random.Random(seed)
    method = "webhook" if hooks else "chat.postMessage"
    rules = [
        {"service": "slack", "kind": kind, "method": method, "probability": share / 1000, "seed": seed + place, **more}
        for place, (kind, (share, more)) in enumerate(FAULTS.items())
    ]
    late = {"service": "slack", "kind": "late", "method": method, "after_s": TOO_LATE_S}
    await sending.control("/faults", [*({**late, "nth": dice.randrange(5, messages)} for _ in range(too_late)), *rules])
    names = [f"#storm-{number}" for number in range(CHANNELS)]
    for number, name in enumerate(names):
        await sending.write(name, [f"{place:06d}" for place in range(number, messages, CHANNELS)])
    await _run(sending, kills, dice, hooks)
    if too_late:
        await asyncio.sleep(TOO_LATE_S)  # what Slack still has in hand
    return await _books(sending, names, messages, kills)


async def _run(sending: Sending, kills: int, dice: random.Random, hooks: str) -> None:
    process = await _start(sending, hooks)
    for _ in range(kills):
        await asyncio.sleep(dice.uniform(1.5, 4.0))  # wherever it is then
        process.kill()
        await process.wait()
        process = await _start(sending, hooks)
    try:
        await until(lambda: _ended(sending), timeout_s=1200, what="messages were not brought to their end")
    finally:
        process.kill()
        await process.wait()


async def _start(sending: Sending, hooks: str) -> asyncio.subprocess.Process:
    way = {"slack_webhook_url": hooks} if hooks else {"slack_bot_token": "xoxb-sandbox"}
    settings = {
        **QUICK,
        **way,
        "database_url": sending.database_url,
        "slack_api_url": sending.slack.slack_url,
        "slack_post_interval_s": 0.05,
        "max_daily_slack_posts": 1_000_000,
    }
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "PYTHONPATH")}
    environment = {name.upper(): str(value) for name, value in settings.items()}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.sender_process", env={**kept, **environment}
    )


async def _ended(sending: Sending) -> bool:
    return not {"ready", "sending", "unknown"} & set(await sending.states())


async def _books(sending: Sending, names: list[str], messages: int, kills: int) -> Books:
    shown: Counter[str] = Counter()
    violations = 0
    for name in names:
        texts = [message["text"] for message in await sending.transcript(name)]
        shown.update(texts)
        first = list(dict.fromkeys(texts))
        violations += sum(before > after for before, after in pairwise(first))
    late = await _too_late(sending)
    again = await sending.fetch("SELECT DISTINCT message FROM call WHERE error = 'not found' OR outcome = 'unknown'")
    return Books(
        messages=messages,
        kills=kills,
        lost=messages - len(shown),
        doubled=sum(shown.values()) - len(shown) - late,
        late=late,
        flagged=len(again),
        order_violations=violations,
        never_bit=len((await sending.control("/faults"))["never_bit"]),
    )


async def _too_late(sending: Sending) -> int:
    """Posts that Slack stored after the grace period, and once more before."""
    posts = [post for post in await sending.posts() if post["committed_at"]]
    once = Counter(post["metadata_id"] for post in posts if post["metadata_id"])
    return sum(post["committed_at"] > post["arrived_at"] + GRACE_S and once[post["metadata_id"]] > 1 for post in posts)
