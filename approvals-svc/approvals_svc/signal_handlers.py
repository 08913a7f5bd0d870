"""Signals of metrics-svc become proposals, where the policy names them."""

from collections.abc import Sequence, Set
from datetime import datetime, timedelta

from approvals_svc import store
from approvals_svc.actions import InvalidPayload
from approvals_svc.audit import SYSTEM
from approvals_svc.desk import Desk
from approvals_svc.plain import plain
from approvals_svc.policy import Policy
from approvals_svc.proposing import propose
from approvals_svc.signalled import RULES, asked
from shared.contracts.events import MetricSignalled
from shared.db import Connection
from shared.db.versions import Version
from shared.telemetry import logs

log = logs.get(__name__)

FRESH_FOR = timedelta(hours=1)  # law 9: what was crossed long ago is no news
HELD_MAX_CHARACTERS = 500


class SignalHandlers:
    def __init__(self, desk: Desk, acting_origins: Set[str]) -> None:
        self._desk = desk
        self._acting_origins = acting_origins

    async def on_signalled(self, raised: Sequence[MetricSignalled], tx: Connection) -> None:
        """A rule that the policy doesn't name proposes nothing."""
        await self._desk.current_catalog(tx)
        policy = await self._desk.current_policy(tx)
        now = await store.clock(tx)
        for event in sorted(raised, key=lambda event: (event.signal, event.subject)):
            if RULES.get(event.signal) not in policy.content.signals:
                continue
            if reason := await self._obstacle(tx, event, policy.content, now) or await self._open(
                tx, event, policy, now
            ):
                await self._hold(tx, event, reason)

    async def _obstacle(self, tx: Connection, event: MetricSignalled, policy: Policy, now: datetime) -> str:
        if event.origin not in self._acting_origins:
            return f"origin {event.origin} does not act"
        if event.occurred_at < now - FRESH_FOR:
            return "it was crossed more than an hour ago"
        name = RULES[event.signal]
        entity = plain(event.subject, characters_max=store.TEXT_MAX_CHARACTERS)
        if not await store.begin_cooldown(tx, rule=name, entity=entity, for_s=policy.signals[name].cooldown_s):
            return f"{name} was proposed of it before, within its cooldown"
        return ""

    async def _open(self, tx: Connection, event: MetricSignalled, policy: Version[Policy], now: datetime) -> str:
        name = RULES[event.signal]
        try:
            proposal = propose(
                asked(event, name, policy.content.signals[name]),
                policy.content,
                self._desk.catalog,
                version=policy.number,
                now=now,
            )
        except InvalidPayload as error:
            return str(error)
        await self._desk.open(tx, proposal, now=now, actor=SYSTEM)
        return ""

    async def _hold(self, tx: Connection, event: MetricSignalled, reason: str) -> None:
        log.info("signal.held", signal=event.signal, event_id=event.id, reason=reason)
        await store.hold(
            tx,
            event_id=event.id,
            kind=event.kind,
            subject=plain(event.subject, characters_max=HELD_MAX_CHARACTERS),
            reason=plain(reason, characters_max=HELD_MAX_CHARACTERS),
        )
