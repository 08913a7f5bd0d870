"""From a click in Slack to what its person sees: the card with the vote counted, or the form that asks for a reason."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from em.sandbox.server import Sandbox, sandbox
from em.sandbox.workspace import SlackSettings, identifier
from shared.contracts.envelope import encode_event, event_headers
from shared.contracts.events import DeploymentRequested, Gate
from shared.contracts.services import APPROVALS_SVC, INGEST, NORMALIZER, NOTIFIER
from tests.backends import own_database
from tests.bench.metrics.asking import percentile
from tests.line import Line, open_line
from tests.office import click_body
from tests.provisioning import provisioned
from tests.waiting import until

TOKEN = "xoxb-sandbox"
WARM_UP = 5
DECIDERS = 2  # each has a card; ana, who asks, has none
PAUSE_S = 0.3  # one person after another, below the workspace's pace of edits
CATALOG = """
people:
  - {name: ana, github: [ana-k], slack: [U0ANA]}
  - {name: bo, github: [bo-l], slack: [U0BO]}
  - {name: cy, github: [cy-m], slack: [U0CY]}
services: [{name: checkout, repositories: [acme/checkout], slack_channel: "#payments"}]
"""
POLICY = """
version: 1
groups: {release: {people: [ana, bo, cy]}}
rules:
  - name: production
    if: {action: deploy}
    outcome: require
    requires: {group: release, count: 2}
    reject: {count: 1, reason: required}
"""


async def measure(nats_url: str, postgres_url: str, directory: Path, *, clicks: int) -> dict[str, float]:
    (directory / "catalog.yaml").write_text(CATALOG, encoding="utf-8")
    (directory / "policy.yaml").write_text(POLICY, encoding="utf-8")
    settings = SlackSettings(token=TOKEN, auto_create=True, posts_per_s=50, post_burst=50)
    await provisioned(nats_url, "clicks")
    async with own_database(postgres_url) as url, sandbox(slack_settings=settings) as slack:
        environment = {
            "CATALOG_PATH": str(directory / "catalog.yaml"),
            "POLICY_PATH": str(directory / "policy.yaml"),
            "SLACK_BOT_TOKEN": TOKEN,
            "SLACK_API_URL": slack.slack_url,
            "GITHUB_API_URL": "https://api.github.com",
            "SLACK_UPDATES_PER_MIN": "600",  # what waits for Slack's own pace is another figure
        }
        async with open_line(
            nats_url=nats_url, database_url=url, prefix="clicks", directory=directory, environment=environment
        ) as line:
            await line.start(INGEST, NORMALIZER, APPROVALS_SVC, NOTIFIER)
            for number in range(1, clicks + WARM_UP + 1):
                await _ask(line, number)
            await until(
                _posted(line, slack, DECIDERS * (clicks + WARM_UP)), timeout_s=120, what="not every card was posted"
            )
            numbers = range(1, clicks + WARM_UP + 1)
            cards = [await _seen_ms(line, slack, "chat.update", number, "approve", "U0BO") for number in numbers]
            forms = [
                await _seen_ms(line, slack, "views.open", number, "decline_with_reason", "U0CY") for number in numbers
            ]
    return {
        "click_to_card_p50_ms": percentile(cards[WARM_UP:], 0.5),
        "click_to_card_p99_ms": percentile(cards[WARM_UP:], 0.99),
        "click_to_modal_p99_ms": percentile(forms[WARM_UP:], 0.99),
    }


async def _ask(line: Line, number: int) -> None:
    """By ana, who therefore doesn't decide."""
    callback = f"https://api.github.com/repos/acme/checkout/actions/runs/{number}/deployment_protection_rule"
    gate = Gate(run_id=str(number), callback_url=callback, installation_id="9")
    event = DeploymentRequested(
        occurred_at=datetime.now(UTC),
        repository="acme/checkout",
        deployment_id=str(number),
        environment="production",
        sha=f"{number:040x}",
        creator="ana-k",
        actor="ana-k",
        gate=gate,
    ).stamped(id=f"gate-{number}", source="github", origin="live", received_at=datetime.now(UTC))
    async with line.broker() as connection:
        subject = line.subjects.event(event.kind)
        await connection.jetstream().publish(subject, encode_event(event), headers=event_headers(event))


def _posted(line: Line, slack: Sandbox, cards: int) -> Callable[[], Awaitable[bool]]:
    async def are_posted() -> bool:
        return len(await _ledger(line, slack, "chat.postMessage")) >= cards

    return are_posted


async def _seen_ms(line: Line, slack: Sandbox, method: str, number: int, action: str, user: str) -> float:
    """From the click on its way to ingest until Slack has what it caused."""
    before = len(await _seen_by(line, slack, method, user))
    verb = "decline" if action.startswith("decline") else action
    actions = [{"action_id": action, "value": f"{verb}:{number}:1", "block_id": "b", "action_ts": "1.1"}]
    clicked_at = time.time()
    (await line.send_slack(click_body(number, user, verb, actions=actions))).raise_for_status()

    async def is_seen() -> bool:
        return len(await _seen_by(line, slack, method, user)) > before

    await until(is_seen, timeout_s=30, what=f"{action} of #{number} was not seen")
    seen = (await _seen_by(line, slack, method, user))[before]
    await asyncio.sleep(PAUSE_S)
    return (float(seen["arrived_at"]) - clicked_at) * 1000


async def _seen_by(line: Line, slack: Sandbox, method: str, user: str) -> list[dict[str, Any]]:
    """What came to one person alone; a form says nowhere where it opens."""
    direct = identifier("D", user)
    return [entry for entry in await _ledger(line, slack, method) if entry["channel"] in (None, direct)]


async def _ledger(line: Line, slack: Sandbox, method: str) -> list[dict[str, Any]]:
    entries = (await line.http.get(f"{slack.control_url}/slack/ledger")).raise_for_status().json()
    return [entry for entry in entries if entry["method"] == method]
