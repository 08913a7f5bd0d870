"""How fast calls may follow each other, learnt from what Slack refuses: its caps are not published. Pure."""

from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

START_PER_S = 10.0  # of a workspace whose cap nobody knows yet
MOST_PER_S = 100.0
GROWTH = 1.03  # per call that had to wait for its turn, while no cap is known
CATCH_UP_S = 0.25  # a turn that was noticed late is made up for, one call at most
BELOW_SEEN = 0.95  # the cap is believed to lie there
KEPT_AT_LEAST = 0.85  # of a known ceiling, at one refusal: what was seen may have been a rest
KEPT_WHILE_GROWING = 0.4
STEP_BACK = 0.85  # of that, until Slack has recovered
CLIMB_CALLS = 20  # back up to what is believed
STEADY_CALLS = 300  # before believing more
PROBE_GROWTH = 0.0001  # then per call, and the more the longer nothing was refused
REST_WITHIN_S = 10.0
AGAIN_S = 60.0
CROWD_PER_S = 2.0

URGENT_UPDATES_SHARE = 0.2
FREE_UPDATES_SHARE = 0.2

Blamed = Literal["channel", "workspace"]


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator allows. `timezone`: of the days that the quota is for."""

    post_interval_s: float
    updates_per_min: float
    posts_a_day: int
    timezone: ZoneInfo

    @property
    def updates_per_s(self) -> float:
        return self.updates_per_min / 60

    @property
    def bulk_posts_a_day(self) -> int:
        """The rest is for approvals and incidents."""
        return self.posts_a_day - self.posts_a_day // 10

    @property
    def warned_at_posts(self) -> int:
        return max(1, self.posts_a_day * 8 // 10)

    def day(self, at: datetime) -> date:
        return at.astimezone(self.timezone).date()


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """Of a channel, or of a method in the workspace. `ceiling`: the cap as believed, None as long as none was met;
    `granted`: calls since Slack last refused one.
    """

    free_at: datetime
    per_s: float
    ceiling: float | None = None
    granted: int = 0


def take(pace: Pace, *, now: datetime, most_per_s: float) -> Pace:
    """The pace after one more call, which begins now."""
    interval_s = 1 / min(pace.per_s, most_per_s)
    begins_at = max(pace.free_at, now - timedelta(seconds=min(CATCH_UP_S, interval_s)))
    free_at = begins_at + timedelta(seconds=interval_s)
    had_to_wait = begins_at == pace.free_at
    grown = _grown(pace, most_per_s=most_per_s) if had_to_wait else pace
    return msgspec.structs.replace(grown, free_at=free_at, granted=pace.granted + 1)


def _grown(pace: Pace, *, most_per_s: float) -> Pace:
    if pace.ceiling is None:
        return msgspec.structs.replace(pace, per_s=min(most_per_s, pace.per_s * GROWTH))
    if pace.per_s < pace.ceiling:
        step = pace.ceiling * (1 - STEP_BACK) / CLIMB_CALLS
        return msgspec.structs.replace(pace, per_s=min(most_per_s, pace.ceiling, pace.per_s + step))
    if pace.granted < STEADY_CALLS:
        return pace
    growth = PROBE_GROWTH * (pace.granted / STEADY_CALLS) ** 2
    ceiling = min(most_per_s, pace.ceiling * (1 + growth))
    return msgspec.structs.replace(pace, per_s=ceiling, ceiling=ceiling)


def refuse(pace: Pace, *, seen_per_s: float) -> Pace:
    """The pace after Slack refused a call; `seen_per_s`: what went through just before."""
    least = (KEPT_WHILE_GROWING if pace.ceiling is None else KEPT_AT_LEAST) * pace.per_s
    ceiling = max(BELOW_SEEN * min(seen_per_s, pace.per_s), least)
    return msgspec.structs.replace(pace, per_s=STEP_BACK * ceiling, ceiling=ceiling, granted=0)


def blame(
    *, age_s: float, seen_workspace_per_s: float, since_channel_s: float | None, since_workspace_s: float | None
) -> set[Blamed]:
    """Whose cap a refused post met; Slack doesn't say. `since_…_s`: since the last refusal there.

    Where many post at once it is the workspace's, unless that channel was refused a short while ago too. A call that
    began (`age_s` ago) before the last refusal taught nothing new.
    """
    crowd = seen_workspace_per_s >= CROWD_PER_S
    again = since_channel_s is not None and since_channel_s < AGAIN_S
    blamed: set[Blamed] = set()
    if crowd and (since_workspace_s is None or since_workspace_s >= age_s):
        blamed.add("workspace")
    if not crowd or (again and "workspace" not in blamed):
        blamed.add("channel")
    return blamed


def bulk_may_update(made: int, budget: float, free_at: datetime, now: datetime) -> bool:
    """Of the updates that a minute has room for, the first go at once, the next as evenly as they can, and the last are
    for approvals and incidents.
    """
    if made + 1 > budget * (1 - URGENT_UPDATES_SHARE):
        return False
    return made < budget * FREE_UPDATES_SHARE or free_at <= now
