"""The whole line with stand-ins for Slack and GitHub, and the demo's story as traffic."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from em.demo.facts import Delivery, Gate
from em.demo.performance import waiting_run
from em.demo.send import signed
from em.demo.story import Story, catalog, policy, tell
from em.sandbox.gates import GithubSettings
from em.sandbox.server import Sandbox, sandbox
from em.sandbox.workspace import SlackSettings
from shared.contracts.services import INGEST, SERVICES
from tests.line import (
    ARGOCD_SECRET,
    GITHUB_SECRET,
    HEROKU_SECRET,
    PAGERDUTY_SECRET,
    REPORT_SECRET,
    SLACK_SECRET,
    Line,
    open_line,
)

SECRET_OF = {
    "github": GITHUB_SECRET,
    "pagerduty": PAGERDUTY_SECRET,
    "slack": SLACK_SECRET,
    "argocd": ARGOCD_SECRET,
    "heroku": HEROKU_SECRET,
    "report": REPORT_SECRET,
}
APP_ID = "7"
BOT_TOKEN = "xoxb-test"


class Theatre:
    """A line, its stand-ins, and ways to send the story's deliveries as the platforms would."""

    def __init__(self, line: Line, stand_ins: Sandbox, story: Story) -> None:
        self.line = line
        self.stand_ins = stand_ins
        self.story = story

    async def start_all(self) -> None:
        await self.line.start(*SERVICES)

    async def send(self, deliveries: Sequence[Delivery], *, at_once: int = 16) -> None:
        """Every delivery until it is answered 2xx, as a sender that retries would."""
        waiting = iter(deliveries)

        async def work(client: aiohttp.ClientSession) -> None:
            for delivery in waiting:
                await self._deliver(client, delivery)

        async with aiohttp.ClientSession() as client, asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(work(client))

    async def _deliver(self, client: aiohttp.ClientSession, delivery: Delivery) -> None:
        url = self.line.url(INGEST, f"/webhooks/{delivery.source}")
        for _ in range(200):
            headers = signed(delivery, SECRET_OF[delivery.source])
            try:
                async with client.post(url, data=delivery.body, headers=headers) as answer:
                    if answer.ok:
                        return
                    assert answer.status == 503, await answer.text()
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.1)
        raise AssertionError(f"{delivery.source} {delivery.delivery_id} was never accepted")

    async def let_wait(self, gates: Iterable[Gate]) -> None:
        """GitHub knows their runs."""
        for gate in gates:
            url = f"{self.stand_ins.control_url}/github/runs"
            (await self.line.http.post(url, json=waiting_run(gate))).raise_for_status()

    async def control(self, path: str) -> object:
        answer = await self.line.http.get(f"{self.stand_ins.control_url}{path}")
        return answer.json()


MakeTheatre = Callable[..., Awaitable[Theatre]]


@pytest.fixture(scope="session")
def story() -> Story:
    return tell(11, datetime.now(UTC))


@pytest.fixture(scope="session")
def app_key() -> tuple[str, str]:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


@pytest.fixture
async def theatre(
    nats_url: str, database_url: str, prefix: str, tmp_path: Path, story: Story, app_key: tuple[str, str]
) -> AsyncIterator[Theatre]:
    """Services are not started yet; the sandbox is."""
    private, public = app_key
    async with AsyncExitStack() as stack:
        stand_ins = await stack.enter_async_context(
            sandbox(
                slack_settings=SlackSettings(token=BOT_TOKEN, auto_create=True, posts_per_s=50, post_burst=50),
                github_settings=GithubSettings(app_id=APP_ID, public_key=public, auto_runs=True),
            )
        )
        (tmp_path / "catalog.yaml").write_text(catalog(story.end))
        (tmp_path / "policy.yaml").write_text(policy())
        line = await stack.enter_async_context(
            open_line(
                nats_url=nats_url,
                database_url=database_url,
                prefix=prefix,
                directory=tmp_path,
                environment={
                    "DEMO": "true",
                    "CATALOG_PATH": str(tmp_path / "catalog.yaml"),
                    "POLICY_PATH": str(tmp_path / "policy.yaml"),
                    "SLACK_API_URL": stand_ins.slack_url,
                    "SLACK_BOT_TOKEN": BOT_TOKEN,
                    "SLACK_RECONCILE_GRACE_S": "1",
                    "GITHUB_API_URL": stand_ins.github_url,
                    "GITHUB_APP_ID": APP_ID,
                    "GITHUB_APP_PRIVATE_KEY": private,
                },
            )
        )
        local = tell(story.seed, story.end, github_api_url=stand_ins.github_url)
        yield Theatre(line, stand_ins, local)
