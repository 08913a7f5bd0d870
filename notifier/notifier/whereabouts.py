"""The loop that tells whoever had something posted where it is."""

import asyncio

from notifier import posted_store, store
from notifier.connection import Way
from notifier.mrkdwn import link, text
from notifier.posted_store import Waiting
from notifier.slack import Posted, Slack, SlackFailed
from shared.db import Pool
from shared.db.polling import look_every
from shared.telemetry import logs

log = logs.get(__name__)

LOOK_EVERY_S = 0.5
AT_ONCE = 20
REASON_MAX_CHARACTERS = 200


class Whereabouts:
    def __init__(self, *, pool: Pool, slack: Way | None) -> None:
        self._pool = pool
        self._slack = slack

    async def run(self, stop: asyncio.Event) -> None:
        await look_every(LOOK_EVERY_S, self.tell, stop, name="whereabouts")

    async def tell(self) -> None:
        """Slack is asked outside of any transaction; of several replicas one says it."""
        async with self._pool.acquire() as connection:
            found = await posted_store.settled(connection, limit=AT_ONCE)
        for waiting in found:
            said = await self._said(waiting)
            async with self._pool.acquire() as connection, connection.transaction():
                if await posted_store.told(connection, waiting.message):
                    answer = (f"where:{waiting.message}", waiting.channel, waiting.recipient, said)
                    await store.whisper(connection, [answer])

    async def _said(self, waiting: Waiting) -> str:
        if waiting.state == "dry_run":
            return "Nothing is posted: notifier has no SLACK_BOT_TOKEN (dry run)."
        if waiting.state == "dead":
            return f"It could not be posted: {text(waiting.last_error, characters_max=REASON_MAX_CHARACTERS)}"
        if not waiting.channel_id or not waiting.ts:
            return "Posted."
        return f"Posted: {await self._link(Posted(channel_id=waiting.channel_id, ts=waiting.ts))}"

    async def _link(self, posted: Posted) -> str:
        """The channel's name, which Slack makes a link, where the message's own address can't be had."""
        channel = f"<#{posted.channel_id}>"
        if not isinstance(self._slack, Slack):
            return channel
        try:
            return f"{link(await self._slack.permalink(posted), 'the message')} in {channel}"
        except SlackFailed as error:
            log.warning("whereabouts.no_permalink", error=error.failure.code)
            return channel
