"""Senders of notifier without the rest of it: rows in a database, a sandbox Slack, and its ledger as the judge."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import httpx
import msgspec

from em.sandbox.server import Sandbox, sandbox
from em.sandbox.workspace import SlackSettings
from notifier.main import connected
from notifier.render import Message
from notifier.sender import Sender
from notifier.settings import Settings
from shared.catalog import Catalog
from shared.contracts.services import NOTIFIER
from shared.contracts.subjects import Subjects
from shared.db.catalogs import Pinned
from shared.db.pool import open_pool
from tests.backends import own_database
from tests.waiting import until

QUICK: Mapping[str, Any] = {"slack_timeout_s": 1.0, "slack_reconcile_grace_s": 0.5, "slack_reconcile_pause_s": 0.3}
NOTHING = Catalog()


class Sending:
    """Rows that wait, senders that are started by `senders`, and what Slack saw of them."""

    def __init__(self, database_url: str, slack: Sandbox, http: httpx.AsyncClient) -> None:
        self.database_url = database_url
        self.slack = slack
        self.running: list[Sender] = []
        self._http = http

    async def control(self, path: str, body: Any = None) -> Any:
        url = f"{self.slack.control_url}{path}"
        answer = await (self._http.get(url) if body is None else self._http.post(url, json=body))
        return answer.raise_for_status().json()

    async def channels(self, names: Sequence[str]) -> None:
        for name in names:
            await self.control("/slack/channels", {"name": name})

    async def hooks(self, *names: str) -> str:
        """The setting that names a webhook for each channel."""
        origin = self.slack.slack_url.removesuffix("/api/")
        paths = [(await self.control("/slack/webhooks", {"channel": name}))["path"] for name in names]
        return ",".join(f"{name}={origin}{path}" for name, path in zip(names, paths, strict=True))

    async def posts(self) -> list[dict[str, Any]]:
        """Every post that Slack was asked for, in the order of its arrival."""
        return [entry for entry in await self.control("/slack/ledger") if entry["method"] == "chat.postMessage"]

    async def transcript(self, channel: str) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = await self.control(f"/slack/messages?channel={channel.replace('#', '%23')}")
        return messages

    async def write(self, channel: str, texts: Sequence[str], *, urgent: bool = False) -> None:
        """Messages in that order; a text is a key as well."""
        await self.execute("INSERT INTO pace (name) VALUES ($1) ON CONFLICT DO NOTHING", channel)
        await self.execute(
            """
            INSERT INTO message (key, channel, urgent, content)
            SELECT text || '@' || $1, $1, $2, json_build_object('text', text, 'blocks', json_build_array())
            FROM unnest($3::text[]) WITH ORDINALITY AS given (text, place) ORDER BY place
            """,
            channel,
            urgent,
            list(texts),
        )

    async def change(self, key: str, text: str) -> None:
        """There is something new to show."""
        message = msgspec.json.encode(Message(text=text, blocks=())).decode()
        await self.execute(
            """
            UPDATE message SET content = $2::json, version = version + 1,
                state = CASE WHEN state = 'shown' THEN 'ready' ELSE state END WHERE key = $1
            """,
            key,
            message,
        )

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.database_url, server_settings={"search_path": NOTIFIER.name})
        try:
            return await connection.fetch(query, *arguments)
        finally:
            await connection.close()

    async def fetch_by(self, question: Callable[..., Awaitable[Any]], *arguments: Any, **named: Any) -> Any:
        """What one of notifier's own stores answers."""
        connection = await asyncpg.connect(self.database_url, server_settings={"search_path": NOTIFIER.name})
        try:
            return await question(connection, *arguments, **named)
        finally:
            await connection.close()

    async def execute(self, query: str, *arguments: object) -> None:
        await self.fetch(query, *arguments)

    async def states(self) -> dict[str, int]:
        rows = await self.fetch("SELECT state, count(*) AS messages FROM message GROUP BY state")
        return {row["state"]: row["messages"] for row in rows}

    async def all_shown(self, *, timeout_s: float = 60) -> None:
        async def shown() -> bool:
            return set(await self.states()) == {"shown"}

        await until(shown, timeout_s=timeout_s, what="not everything was shown")

    @asynccontextmanager
    async def senders(
        self, count: int = 1, *, catalog: Catalog = NOTHING, **settings: object
    ) -> AsyncIterator[Sequence[Sender]]:
        """Replicas, each with a pool of its own."""
        values: Mapping[str, Any] = {
            "database_url": self.database_url,
            "slack_bot_token": "xoxb-sandbox",
            "slack_api_url": self.slack.slack_url,
            **QUICK,
            **settings,
        }
        stop = asyncio.Event()
        async with AsyncExitStack() as stack:
            started = []
            for _ in range(count):
                given = Settings(**values)
                pool = await stack.enter_async_context(open_pool(given, NOTIFIER))
                sender = await stack.enter_async_context(
                    connected(given, pool=pool, catalogs=Pinned(catalog), subjects=Subjects("em"))
                )
                started.append(sender)
            async with asyncio.TaskGroup() as group:
                for sender in started:
                    group.create_task(sender.run(stop))
                try:
                    yield started
                finally:
                    stop.set()


@asynccontextmanager
async def open_sending(postgres_url: str, slack_settings: SlackSettings) -> AsyncIterator[Sending]:
    async with (
        own_database(postgres_url) as database_url,
        sandbox(slack_settings=slack_settings) as slack,
        httpx.AsyncClient(timeout=30) as http,
    ):
        yield Sending(database_url, slack, http)
