"""The sender: claims due rows, talks to Slack outside any transaction, and writes down what became of it."""

import asyncio
from collections.abc import Collection
from datetime import timedelta

import msgspec

from notifier import overflow_store, pace_store, preference_store, send_store, store
from notifier.barring import barred
from notifier.cards import NothingKnown, card
from notifier.connection import Way
from notifier.errors import Failure
from notifier.limiter import Terms
from notifier.living import decode
from notifier.overflow import OVERFLOW, day_of, digest
from notifier.render import OURS, Message, render, without_blocks
from notifier.settled import ENDS, nudge_of, settled
from notifier.settlement import (
    Limits,
    Settlement,
    Trial,
    failed,
    failed_by_webhook,
    not_found,
    succeeded,
    whisper_failed,
)
from notifier.slack import Posted, Slack, SlackFailed
from notifier.templates import Templates
from notifier.webhooks import Webhooks
from shared.contracts.envelope import event_message
from shared.contracts.ids import step_of_entity
from shared.contracts.services import NOTIFIER
from shared.contracts.subjects import Subjects
from shared.db import Connection, Pool, outbox
from shared.db.catalogs import CurrentCatalog
from shared.db.polling import pause
from shared.db.pool import INFRASTRUCTURE_ERRORS
from shared.telemetry import logs, metrics

log = logs.get(__name__)

POLL_S = 0.1
TURN_MIN_S = 0.01
STALLED_S = 2.0
CALLS_MAX = 16  # in flight; each holds a database connection only while it claims and settles
URGENT_CALLS = 4  # of them only for what is urgent
RECOVER_EVERY_S = 1.0
LOOK_EVERY_S = 5.0
CALLS_KEPT = timedelta(days=90)
LEASE_MARGIN_S = 5.0
PROBE_INTERVAL_S = 60.0
APPROVAL = "approval:"  # how the keys of their messages begin
PUBLIC_STARTS = ("#", "C")
LOOK_BACK_S = 60.0  # Slack's clock and ours


class DryRun(Exception):
    """There is no token: nothing is sent, and the rows say so."""


class Unreadable(Exception):
    """What is stored of a thing makes no card."""


class Sender:
    """One per process; several share the rows by skipping those that another holds. `slack` None: dry run."""

    def __init__(
        self,
        *,
        pool: Pool,
        slack: Way | None,
        catalogs: CurrentCatalog,
        limits: Limits,
        terms: Terms,
        fallback: str,
        subjects: Subjects,
        templates: Templates = OURS,
    ) -> None:
        self._templates = templates
        self._pool = pool
        self._subjects = subjects
        self._slack = slack
        self._catalogs = catalogs
        self._limits = limits
        self.terms = terms
        self._fallback = fallback
        self._lease = timedelta(seconds=limits.timeout_s + LEASE_MARGIN_S)
        self._ended = asyncio.Event()
        self._stopped_by = ""
        self._probe_at = 0.0
        self._recover_at = 0.0
        self._look_at = 0.0
        self._dry_runs = 0

    async def problem(self) -> str | None:
        """For readiness: Slack refuses the token; rows are kept until it doesn't."""
        return f"slack: {self._stopped_by}" if self._stopped_by else None

    @property
    def status(self) -> str:
        """For people."""
        if self._slack is None:
            return f"dry run, SLACK_BOT_TOKEN is not set: {self._dry_runs} messages not posted"
        if isinstance(self._slack, Webhooks):
            return "webhooks: no edits, threads or direct messages"
        return f"stopped: {self._stopped_by}" if self._stopped_by else "ok"

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; then the calls under way are finished and settled."""
        async with asyncio.TaskGroup() as group:
            calls: set[asyncio.Task[None]] = set()
            while not stop.is_set():
                try:
                    wait_s = await self._start_due(group, calls)
                except INFRASTRUCTURE_ERRORS as error:
                    log.warning("sender.stalled", error=repr(error))
                    wait_s = STALLED_S
                await pause(self._ended, wait_s)
                self._ended.clear()

    async def _start_due(self, group: asyncio.TaskGroup, calls: set[asyncio.Task[None]]) -> float:
        """Seconds until the next look, unless a call ends before."""
        await self._look()
        if not await self._may_call():
            return POLL_S
        await self._recover()
        while len(calls) < CALLS_MAX:
            work = await self._claim(urgent_only=len(calls) >= CALLS_MAX - URGENT_CALLS)
            if work is None:
                return await self._until_next_turn()
            coroutine = self._whisper(work) if isinstance(work, send_store.Whisper) else self._call(work)
            call = group.create_task(coroutine)
            calls.add(call)
            call.add_done_callback(calls.discard)
            call.add_done_callback(lambda _: self._ended.set())
        return POLL_S

    async def _until_next_turn(self) -> float:
        async with self._pool.acquire() as connection:
            turn_s = await pace_store.next_turn_s(connection)
        return POLL_S if turn_s is None else min(POLL_S, max(TURN_MIN_S, turn_s))

    async def _may_call(self) -> bool:
        """A refused token stops everything but a look, now and then, whether it is accepted again."""
        if not self._stopped_by or not isinstance(self._slack, Slack):
            return True
        now = asyncio.get_running_loop().time()
        if now < self._probe_at:
            return False
        self._probe_at = now + PROBE_INTERVAL_S
        try:
            await self._slack.probe()
        except SlackFailed as error:
            log.error("slack.refused", error=error.failure.code)
            return False
        log.info("slack.accepted_again")
        self._stopped_by = ""
        return True

    async def _recover(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._recover_at:
            return
        self._recover_at = now + RECOVER_EVERY_S
        async with self._pool.acquire() as connection, connection.transaction():
            settles_after = timedelta(seconds=self._limits.timeout_s + self._limits.grace_s)
            found = await send_store.recover(connection, settles_after=settles_after)
        if found:
            log.warning("sender.recovered", messages=found)

    async def _look(self) -> None:
        """What operators see, and are told once a day."""
        now = asyncio.get_running_loop().time()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_EVERY_S
        async with self._pool.acquire() as connection, connection.transaction():
            for lane, messages, oldest_s in await pace_store.lanes(connection):
                metrics.slack_queue.labels(lane=lane).set(messages)
                metrics.slack_queue_oldest.labels(lane=lane).set(oldest_s)
            metrics.slack_quota_left.set(await pace_store.room(connection, self.terms))
            if await pace_store.warn_once(connection, self.terms):
                log.warning("slack.quota_nearly_used", posts_max=self.terms.posts_a_day)
            if collapsed := await overflow_store.collapse(connection, self.terms):
                log.warning("slack.quota_used", digested=collapsed)
            await send_store.forget(connection, kept=CALLS_KEPT)

    async def _claim(self, *, urgent_only: bool) -> send_store.Whisper | send_store.Call | None:
        """Committed before the call: whoever finds the row afterwards knows that something may have happened."""
        async with self._pool.acquire() as connection, connection.transaction():
            if whisper := await send_store.claim_whisper(connection, lease=self._lease):
                return whisper
            if await send_store.is_any_due(connection):
                call = await send_store.claim_call(
                    connection, lease=self._lease, terms=self.terms, urgent_only=urgent_only
                )
                if call is not None:
                    return call
            return None if urgent_only else await send_store.claim_reconcile(connection, lease=self._lease)

    # ---- one living message ----------------------------------------------------------------------------------------

    async def _call(self, call: send_store.Call) -> None:
        if call.job != "reconcile":
            metrics.slack_waited.labels(lane=_lane(call)).observe(call.waited_s)
        trial = Trial(
            job=call.job,
            approves=call.key.startswith(APPROVAL),
            failures=call.failures,
            misses=call.misses,
            text_only=call.text_only,
        )
        posted = None
        try:
            posted = await self._talk(call)
            settlement = succeeded(trial) if posted else not_found(trial, self._limits)
        except DryRun:
            settlement = self._skipped(call.key, call.channel)
        except SlackFailed as error:
            became = failed_by_webhook if isinstance(self._slack, Webhooks) else failed
            settlement = became(trial, error.failure, self._limits)
            self._note(error.failure, settlement, key=call.key, job=call.job)
        except Unreadable as error:
            settlement = Settlement(state="dead", error=str(error))
        self._count_call(call, settlement)
        await self._settle(call, settlement, posted)

    def _count_call(self, call: send_store.Call, settlement: Settlement) -> None:
        if call.job == "reconcile":
            outcome = {"shown": "found", "ready": "missing"}.get(settlement.state, "not yet")
            metrics.slack_reconciled.labels(result=outcome).inc()
            return
        _count(call.job, settlement)
        if settlement.refused:
            metrics.slack_limited.labels(job=call.job).inc()
        if settlement.in_doubt:
            metrics.slack_in_doubt.labels(way="webhook" if isinstance(self._slack, Webhooks) else "token").inc()
        if call.job == "post" and not settlement.unsent:
            metrics.slack_quota_posts.inc()

    async def _talk(self, call: send_store.Call) -> Posted | None:
        """None: looked for and not found. Raises DryRun, SlackFailed, Unreadable."""
        slack = self._connected()
        delivery_id = delivery_id_of(call.key, call.generation)
        if isinstance(slack, Webhooks):
            return await self._by_webhook(slack, call, delivery_id)
        if call.job == "reconcile":
            oldest = call.first_started_at.timestamp() - LOOK_BACK_S
            channel_id = call.channel_id or await self._channel_id(slack, call.channel)
            return await slack.find(
                channel_id=channel_id, delivery_id=delivery_id, oldest=oldest, thread_ts=call.thread_ts
            )
        message = await self._render(call)
        if call.barred:
            raise SlackFailed(Failure(kind="destination", code=call.barred.rpartition(" ")[2]))
        if call.ts and call.channel_id:
            posted = Posted(channel_id=call.channel_id, ts=call.ts)
            await slack.update(posted=posted, message=message)
            return posted
        return await slack.post(
            channel=call.channel,
            message=message,
            delivery_id=delivery_id,
            key=call.key,
            thread_ts=call.thread_ts,
        )

    async def _by_webhook(self, slack: Webhooks, call: send_store.Call, delivery_id: str) -> Posted:
        """What was posted stays as it is; what may have been posted is nowhere to be looked for."""
        if call.ts and call.channel_id:
            return Posted(channel_id=call.channel_id, ts=call.ts)
        if call.job == "reconcile":
            raise SlackFailed(Failure(kind="ambiguous", code="no result"))
        return await slack.post(channel=call.channel, message=await self._render(call), delivery_id=delivery_id)

    async def _render(self, call: send_store.Call) -> Message:
        if call.key.startswith(OVERFLOW):
            async with self._pool.acquire() as connection:
                members = await overflow_store.members(connection, call.key)
            message = digest([self._shown(content, is_thing).text for is_thing, content in members], day_of(call.key))
        else:
            unmentioned = await self._unmentioned() if nudge_of(call.key) else frozenset()
            message = self._shown(call.content, call.thing is not None, reader=call.channel, unmentioned=unmentioned)
        return without_blocks(message) if call.text_only else message

    async def _unmentioned(self) -> frozenset[str]:
        async with self._pool.acquire() as connection:
            return (await preference_store.opted_out(connection)).mentions

    def _shown(self, content: str, is_thing: bool, *, reader: str = "", unmentioned: Collection[str] = ()) -> Message:
        try:
            if not is_thing:
                return msgspec.json.decode(content, type=Message)
            shown = card(decode(content), self._catalogs.catalog, reader=reader)
            if shown.mentioned in unmentioned:
                shown = msgspec.structs.replace(shown, mentioned="")
            return render(shown, self._templates)
        except (msgspec.DecodeError, NothingKnown) as error:
            raise Unreadable(f"the stored content can't be shown: {error}") from None

    async def _channel_id(self, slack: Slack, channel: str) -> str:
        async with self._pool.acquire() as connection:
            known = await send_store.channel_id(connection, channel)
        return known or await slack.channel_id(channel)

    async def _settle(self, call: send_store.Call, settlement: Settlement, posted: Posted | None) -> None:
        """What can't be written down is found again by its lease, and looked for in the channel."""
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                is_settled = await send_store.settle(
                    connection,
                    call,
                    settlement,
                    channel_id=posted.channel_id if posted else None,
                    ts=posted.ts if posted else None,
                )
                if is_settled and settlement.bars and call.job == "post" and not call.thread_ts:
                    await self._redirect(connection, call, settlement)
                if is_settled and settlement.state in ENDS and (nudge := nudge_of(call.key)):
                    await self._tell(connection, nudge, call.channel, settlement)
        except INFRASTRUCTURE_ERRORS as error:
            log.warning("slack.result_lost", key=call.key, error=repr(error))
            return
        event = "slack.settled" if is_settled else "slack.result_late"
        log.info(event, key=call.key, job=call.job, state=settlement.state, attempt=call.attempt)

    async def _redirect(self, tx: Connection, call: send_store.Call, settlement: Settlement) -> None:
        """What a channel doesn't take comes to the default channel, which is said there once; not what was for one
        person only.
        """
        is_news = await send_store.bar(tx, call, settlement.error)
        if is_news:
            metrics.slack_channels_barred.inc()
            log.warning("slack.channel_barred", channel=call.channel, error=settlement.error)
        if not call.channel.startswith(PUBLIC_STARTS) or call.channel == self._fallback:
            return
        await send_store.redirect(tx, call, self._fallback)
        if is_news:
            at = await store.database_time(tx)
            told = barred(call.channel, settlement.error, self._catalogs.catalog)
            await send_store.say(tx, f"barred:{call.channel}:{at:%Y-%m-%dT%H:%M:%S}", self._fallback, told)

    async def _tell(self, tx: Connection, nudge: str, channel: str, settlement: Settlement) -> None:
        at = await store.database_time(tx)
        told = settled(nudge, settlement.state, at=at, channel=channel, reason=settlement.error)
        await outbox.add(tx, [event_message(told, self._subjects)])

    # ---- one ephemeral answer --------------------------------------------------------------------------------------

    async def _whisper(self, whisper: send_store.Whisper) -> None:
        try:
            settlement = await self._privately(self._by_token(), whisper)
        except DryRun:
            settlement = self._skipped(whisper.id, whisper.channel)
        except SlackFailed as error:
            settlement = whisper_failed(error.failure, whisper.failures)
            self._note(error.failure, settlement, key=whisper.id, job="ephemeral")
        _count("ephemeral", settlement)
        try:
            async with self._pool.acquire() as connection:
                await send_store.settle_whisper(connection, whisper, settlement)
        except INFRASTRUCTURE_ERRORS as error:
            log.warning("slack.result_lost", key=whisper.id, error=repr(error))

    async def _privately(self, slack: Slack, whisper: send_store.Whisper) -> Settlement:
        """A form that is not opened at once is none any more: its text takes its place."""
        if not whisper.trigger_id or whisper.form is None:
            await slack.whisper(channel=whisper.channel, user=whisper.recipient, text=whisper.text)
            return Settlement(state="shown")
        try:
            await slack.open_form(trigger_id=whisper.trigger_id, view=msgspec.json.decode(whisper.form))
        except SlackFailed as error:
            if error.failure.kind == "auth":
                raise
            log.warning("slack.form_not_opened", key=whisper.id, error=error.failure.code)
            return Settlement(state="ready", error=error.failure.code)
        return Settlement(state="shown")

    # ---- both ------------------------------------------------------------------------------------------------------

    def _connected(self) -> Way:
        if self._slack is None:
            raise DryRun
        return self._slack

    def _by_token(self) -> Slack:
        slack = self._connected()
        if isinstance(slack, Webhooks):
            raise SlackFailed(Failure(kind="destination", code="no_webhook"))
        return slack

    def _skipped(self, key: str, channel: str) -> Settlement:
        self._dry_runs += 1
        log.info("slack.dry_run", key=key, channel=channel)
        return Settlement(state="dry_run", unsent=True)

    def _note(self, failure: Failure, settlement: Settlement, *, key: str, job: str) -> None:
        metrics.slack_errors.labels(kind=failure.kind).inc()
        log.warning("slack.failed", key=key, job=job, error=failure.code, kind=failure.kind, becomes=settlement.state)
        if settlement.stops and not self._stopped_by:
            self._stopped_by = failure.code
            self._probe_at = asyncio.get_running_loop().time() + PROBE_INTERVAL_S
            log.error("slack.stopped", error=failure.code)


def delivery_id_of(key: str, generation: int) -> str:
    """What a post carries in its metadata and is found by."""
    return step_of_entity(service=NOTIFIER.name, entity=key, revision=generation, step="message")


def _lane(call: send_store.Call) -> str:
    return "urgent" if call.urgent else "bulk"


def _count(kind: str, settlement: Settlement) -> None:
    metrics.slack_posts.labels(kind=kind, ok=str(settlement.state == "shown").lower()).inc()
