"""The story played against a running stack: send, wait until it is quiet, click, look."""

import asyncio
import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from em.counterparts import CALLBACKS
from em.demo.cases import Found, Row, compared, expected_cases, numbers_of
from em.demo.cast import PEOPLE, TEAMS, Person, Team
from em.demo.facts import AskingRun, Click, Delivery, Gate
from em.demo.outcome import ApprovalLine, Conversation, Outcome, RunLine, boards_of, chat_message, dora_of, excluded_of
from em.demo.questions import Questions
from em.demo.send import Sent, send
from em.demo.story import Story, shuffled
from em.demo.truth import expected_dora, expected_excluded
from em.errors import EmError
from em.sandbox import sender
from em.sandbox.workspace import identifier

CONCURRENCY = 32
QUIET_FOR_S = 3.0
QUIET_WITHIN_S = 120.0
POLL_S = 0.25
AUTHOR_CLASSES = ("human", "bot", "ai_assisted", "ai_agent")
REACTION_WITHIN_S = 10.0
RUN_AGE_S = 86_400.0  # older than the question: it is no new attempt
SECRET_VARIABLES = {
    "github": "GITHUB_WEBHOOK_SECRET",
    "pagerduty": "PAGERDUTY_WEBHOOK_SECRET",
    "slack": "SLACK_SIGNING_SECRET",
    "argocd": "ARGOCD_WEBHOOK_SECRET",
    "heroku": "HEROKU_WEBHOOK_SECRET",
    "report": "REPORT_WEBHOOK_SECRET",
}

Progress = Callable[[str], None]


class Performance:
    """One run of the demo. `urls` and `environment` are the stack's."""

    def __init__(
        self, story: Story, *, urls: Mapping[str, str], environment: Mapping[str, str], progress: Progress
    ) -> None:
        self._story = story
        self._urls = urls
        self._secrets = {source: environment[name] for source, name in SECRET_VARIABLES.items()}
        self._progress = progress
        self._ask = Questions(urls)
        self._sent = Sent()
        self._runs: list[RunLine] = []

    async def play(self, *, began: float) -> Outcome:
        """`began`: monotonic time at which the whole demo started."""
        try:
            await self._refuse_used_archive()
            await self._send(shuffled(self._story, self._story.seed))
            await self._until_handled()
            await self._decide()
            await self._let_runs_ask()
            await self._until_handled()
            return await self._outcome(began)
        finally:
            await self._ask.close()

    async def _refuse_used_archive(self) -> None:
        if held := (await self._ask.dispositions())["deliveries"]:
            raise EmError(
                f"the archive already holds {held} deliveries: the demo's sums would be about them too",
                hint="point DATABASE_URL to an empty database, or unset it to use the embedded one",
            )

    async def _send(self, deliveries: Sequence[Delivery]) -> None:
        total = len(deliveries)
        shown = 0

        def progress(sent: Sent) -> None:
            nonlocal shown
            if sent.sent * 10 // total > shown:
                shown = sent.sent * 10 // total
                self._progress(f"sending: {sent.sent} of {total} deliveries")

        self._sent += await send(
            deliveries,
            ingest_url=self._urls["ingest"],
            secrets=self._secrets,
            concurrency=CONCURRENCY,
            progress=progress,
        )

    async def _until_handled(self) -> None:
        """Until every accepted delivery has its disposition, all is said, and nothing has changed for a while."""
        self._progress("waiting until everything is handled")
        deadline = time.monotonic() + QUIET_WITHIN_S
        seen, since = None, time.monotonic()
        while time.monotonic() < deadline:
            now = await self._state()
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > QUIET_FOR_S and self._all_disposed(now) and not await self._ask.unsaid():
                return
            await asyncio.sleep(POLL_S)

    def _all_disposed(self, state: tuple[Any, ...]) -> bool:
        return bool(state[0]["deliveries"] >= self._sent.accepted - self._sent.handshakes)

    async def _state(self) -> tuple[Any, ...]:
        """Everything that still moves while there is work left."""
        story = self._story
        return (
            await self._ask.dispositions(),
            await self._ask.dora(story.start, story.end),
            await self._ask.approvals(),
            await self._ask.slack_counts(),
            await self._ask.github_counts(),
        )

    # ---- people click ------------------------------------------------------------------------------------------

    async def _decide(self) -> None:
        """One person after the other, on the card that Slack shows."""
        for gate in self._story.gates:
            await self._ask.github_run(waiting_run(gate))
            self._progress(f"{gate.deployment.service.name}: {len(gate.clicks)} people look at the approval card")
            for click in gate.clicks:
                await self._click(gate.deployment.service.name, gate.deployment.sha, click)

    async def _let_runs_ask(self) -> None:
        for number, run in enumerate(self._story.runs, start=1):
            self._progress(f"{run.service.name}: a run of its CI asks, {len(run.clicks)} people look at the card")
            self._runs.append(await self._let_ask(number, run))

    async def _let_ask(self, number: int, run: AskingRun) -> RunLine:
        """The step of docs/gates.md: it asks by its CI's token and waits, while people click."""
        said = {"repository": run.service.full_name, "actor": run.by.github, "sha": run.sha, "ref": "refs/heads/main"}
        given = await self._ask.ci_run({**said, "run_id": str(number), "run_attempt": "1"})
        body = {"environment": "production", "callback": CALLBACKS}
        asking = asyncio.create_task(self._ask.ask_for(body, given["token"]))
        await self._until_asked(run)
        for click in run.clicks:
            await self._click(run.service.name, run.sha, click)
        answer = await asking
        told = answer.json()
        return RunLine(
            service=run.service.name,
            status=answer.status_code,
            said=told.get("said") or told.get("detail", ""),
            must_go_on=run.goes_on,
            callbacks=await self._called_back(told["id"]),
        )

    async def _until_asked(self, run: AskingRun) -> None:
        deadline = time.monotonic() + REACTION_WITHIN_S
        while await self._card(run.sha) is None and time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)

    async def _called_back(self, approval_id: int) -> int:
        """How many signed callbacks came of it; the first has a moment to come."""
        deadline = time.monotonic() + REACTION_WITHIN_S
        while True:
            found = [c for c in await self._ask.ci_callbacks() if c["body"]["data"]["id"] == approval_id]
            if found or time.monotonic() > deadline:
                return sum(callback["is_signed"] for callback in found)
            await asyncio.sleep(POLL_S)

    async def _click(self, service: str, sha: str, click: Click) -> None:
        card = await self._card(sha, click.by.slack)
        if card is None:
            raise EmError(f"no approval card for {service} {sha[:7]} in Slack")
        before = await self._reaction(click)
        body = sender.slack_click(card, click.answer, user=click.by.slack, channel=card["channel"])
        self._sent += await send([_as_delivery(body)], **self._how())
        deadline = time.monotonic() + REACTION_WITHIN_S
        while await self._reaction(click) == before and time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)

    async def _reaction(self, click: Click) -> tuple[Any, ...]:
        """What a click changes: the approval, or what the person alone is told."""
        told = [m for m in await self._ask.transcript() if m.get("ephemeral_for") == click.by.slack]
        return await self._ask.approvals(), len(told)

    def _how(self) -> dict[str, Any]:
        return {
            "ingest_url": self._urls["ingest"],
            "secrets": self._secrets,
            "concurrency": 1,
            "progress": lambda _: None,
        }

    async def _card(self, sha: str, user: str = "") -> dict[str, Any] | None:
        """The newest message with a button to approve that speaks of this commit; the one that `user` got, if any."""
        short = sha[:7]
        cards = [m for m in await self._ask.transcript() if short in json.dumps(m) and _has_button(m, "approve")]
        own = [card for card in cards if user and card["channel"] == identifier("D", user)]
        return next(reversed(own or cards), None)

    # ---- the end -----------------------------------------------------------------------------------------------

    async def _outcome(self, began: float) -> Outcome:
        story = self._story
        approvals = await self._ask.approvals()
        callbacks = await self._ask.github_counts()
        dora = await self._ask.dora(story.start, story.end)
        return Outcome(
            story=story,
            sent=self._sent,
            dispositions=await self._ask.dispositions(),
            dora=dora_of(dora),
            expected_dora=expected_dora(story),
            approvals={
                "requested": len(approvals),
                "approved": sum(a["decision"] == "approved" for a in approvals),
                "rejected": sum(a["decision"] == "rejected" for a in approvals),
                "callbacks": callbacks["decisions"],
            },
            slack=await self._ask.slack_counts(),
            seconds=time.monotonic() - began,
            held_back=await self._ask.held_back(),
            approval_lines=_lines(approvals),
            conversations=conversations(await self._ask.transcript()),
            boards=boards_of(story),
            urls=self._addresses(),
            excluded=excluded_of(dora),
            expected_excluded=expected_excluded(story),
            runs=self._runs,
            cases=compared(expected_cases(story), await self._found()),
        )

    async def _found(self) -> Found:
        """All that the service lists, who wrote each change among it."""
        span = self._story.deliveries[0].occurred_at, self._story.end
        changes = await self._ask.listed("changes", *span)
        for author_class in AUTHOR_CLASSES:
            for name in await self._ask.listed("changes", *span, author_class=author_class):
                changes[name]["author_class"] = author_class
        return {
            "changes": changes,
            "deployments": await self._ask.listed("deployments", *span),
            "incidents": await self._ask.listed("incidents", *span),
            "teams": {(team.name, ""): await self._numbers(team) for team in TEAMS},
        }

    async def _numbers(self, team: Team) -> Row:
        return numbers_of(dora_of(await self._ask.dora(self._story.start, self._story.end, team=team.name))[""])

    def _addresses(self) -> dict[str, str]:
        metrics = self._urls["metrics-svc"]
        return {
            "this page": f"{metrics}/demo",
            "DORA as JSON": f"{metrics}/v1/dora",
            "its API": f"{metrics}/docs",
            "approvals": f"{self._urls['approvals-svc']}/v1/approvals",
            "held back": f"{self._urls['notifier']}/v1/notifications/held",
            "dispositions": f"{self._urls['normalizer']}/v1/dispositions",
            "send your own": f"{self._urls['ingest']}/webhooks/github",
        }


def conversations(transcript: Sequence[Mapping[str, Any]]) -> list[Conversation]:
    """The busiest channel, and the person who was asked most; what is in a thread stands below its card."""
    alone = {identifier("D", person.slack): person for person in PEOPLE}
    seen = [row for row in transcript if row["channel"] not in alone or _sees(alone[row["channel"]], row)]
    seen.sort(key=lambda row: (row.get("thread_ts") or row["ts"], row["ts"]))
    counts = Counter(row["channel"] for row in seen)
    names = {row["channel"]: row["channel_name"] for row in seen}
    names |= {channel: f"{person.name}, alone" for channel, person in alone.items()}
    return [
        Conversation(name=names[busiest], messages=[chat_message(row) for row in seen if row["channel"] == busiest])
        for chosen in (counts.keys() - alone.keys(), counts.keys() & alone.keys())
        if (busiest := max(sorted(chosen), key=lambda channel: counts[channel], default=""))
    ]


def _sees(person: Person, row: Mapping[str, Any]) -> bool:
    return (row.get("ephemeral_for") or person.slack) == person.slack


def _has_button(message: Mapping[str, Any], action_id: str) -> bool:
    elements = [e for block in message.get("blocks") or [] for e in block.get("elements", [])]
    return any(element.get("action_id") == action_id for element in elements)


def waiting_run(gate: Gate) -> dict[str, Any]:
    """What GitHub says of the run when it is asked whether it is what people decided about."""
    deployment = gate.deployment
    return {
        "repository": deployment.service.full_name,
        "run_id": deployment.run_id,
        "environments": [deployment.environment],
        "sha": deployment.sha,
        "actor": deployment.creator.github,
        "deployment_id": deployment.id,
        "age_s": RUN_AGE_S,
    }


def _as_delivery(body: bytes) -> Delivery:
    """A click is one more delivery of Slack's."""
    return Delivery(
        source="slack",
        event="block_actions",
        delivery_id=hashlib.sha256(body).hexdigest(),
        headers={"Content-Type": sender.FORM},
        body=body,
        occurred_at=datetime.now(UTC),
        expect="events",
    )


def _lines(approvals: Iterable[dict[str, Any]]) -> list[ApprovalLine]:
    return [
        ApprovalLine(
            service=a["service"],
            environment=a["environment"],
            sha=a["sha"],
            requester=a["requested_by"],
            outcome=a["decision"] or a["status"],
            votes=[f"{vote['person']}: {vote['verb']}" for vote in a["votes"]],
        )
        for a in approvals
    ]
