"""A crowd that decides at once: three replicas of approvals-svc as processes, votes over REST and from Slack."""

import asyncio
import random
import time
from collections import Counter as Tally
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import aiohttp
import jwt
import msgspec
import nats
from nats.js import JetStreamContext

from approvals_svc import store
from approvals_svc.model import Approval
from approvals_svc.replay import as_stored, told
from em.sandbox.sender import slack_request
from shared.contracts.envelope import encode_event, event_headers
from shared.contracts.events import ChatAction, SignedRequest
from shared.contracts.services import APPROVALS_SVC
from shared.contracts.streams import APPROVALS_EVENTS
from shared.http.auth import AUDIENCE, ISSUER
from tests.deciding import Counter, open_counter
from tests.line import SLACK_SECRET, Line, open_line
from tests.office import TOKEN_KEY, click_body
from tests.waiting import until

REPLICAS = 3
BUSY = 503
PEOPLE = tuple(f"p{number:02}" for number in range(50))
FIVE = PEOPLE[:5]
CATALOG = "\n".join(
    [
        "version: 1",
        f"teams: [{{name: all, members: [{', '.join(('ana', *PEOPLE))}]}}]",
        "people:",
        "  - {name: ana, github: [ana-k], slack: [U0ANA]}",
        *(f"  - {{name: {name}, github: [{name}-k], slack: [U0{name.upper()}]}}" for name in PEOPLE),
        "services: [{name: checkout, team: all, repositories: [acme/checkout]}]",
    ]
)
POLICY = f"""
version: 1
groups: {{all: {{people: [{", ".join(PEOPLE)}]}}, five: {{people: [{", ".join(FIVE)}]}}}}
rules:
  - name: soon
    if: {{environment: soon}}
    outcome: require
    requires: {{group: all, count: 2}}
  - name: late
    if: {{environment: late}}
    outcome: require
    requires: {{group: all, count: 20}}
    reject: {{count: 15}}
  - name: one
    if: {{environment: one}}
    outcome: require
    requires: {{group: all}}
  - name: five
    if: {{environment: five}}
    outcome: require
    requires: {{group: five, count: 2}}
"""


class Wrong(msgspec.Struct, frozen=True, kw_only=True):
    """What must be zero. `unanswered`: answers that are neither 200 nor 409."""

    double_terminal: int = 0
    double_effect: int = 0
    lost_votes: int = 0
    unanswered: int = 0
    quorum_errors: int = 0

    def __add__(self, other: "Wrong") -> "Wrong":
        return Wrong(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})


class Crowd:
    """Where people of the catalog ask and vote, on any of the replicas."""

    def __init__(
        self, counter: Counter, lines: Sequence[Line], http: aiohttp.ClientSession, js: JetStreamContext
    ) -> None:
        self.counter = counter
        self.lines = lines
        self._http = http
        self._js = js
        self.took_s: list[float] = []  # each answer over REST
        self.busy = 0
        self._tokens = {person: bearer(person) for person in PEOPLE}

    async def vote(self, number: int, person: str, verb: str, *, replica: int) -> tuple[int, bool]:
        """The answer's status, and whether it says that nothing new happened; who is told to try again does."""
        url = self.lines[replica].url(APPROVALS_SVC, f"/v1/approvals/{number}/decision")
        started = time.perf_counter()
        while True:
            async with self._http.post(url, json={"decision": verb}, headers=self._tokens[person]) as answer:
                said = await answer.json()
            if answer.status != BUSY:
                self.took_s.append(time.perf_counter() - started)
                return answer.status, bool(said.get("replayed"))
            self.busy += 1
            await asyncio.sleep(float(answer.headers["Retry-After"]))

    async def click(self, number: int, person: str, verb: str) -> None:
        await self.publish(click(number, person, verb))

    async def publish(self, event: ChatAction) -> None:
        subject = self.lines[0].subjects.event(event.kind)
        await self._js.publish(subject, encode_event(event), headers=event_headers(event))

    async def settled(self) -> None:
        async def is_settled() -> bool:
            return not await self.lines[0].pending(APPROVALS_EVENTS)

        await until(is_settled, timeout_s=120, what="clicks are still waiting")

    # ---- what came of it ---------------------------------------------------------------------------------------

    async def show(self, number: int) -> tuple[Approval, list[tuple[str, str, str]]]:
        """As it stands, and of each audit row the verb, who and where; both tell the same."""
        async with self.counter.pool.acquire() as tx:
            approval = await store.approval(tx, number)
            entries = await store.audit(tx, number)
        assert approval
        assert told(entries) == as_stored(approval)
        return approval, [(entry.verb, entry.actor.person, entry.actor.surface) for entry in entries]

    async def count(self, query: str, number: int) -> int:
        [row] = await self.counter.fetch(query, number)
        return int(row["count"])


async def race(crowd: Crowd, *, votes: int, seed: int) -> Wrong:
    """So many at once, approving and rejecting, half of them over REST and half from Slack: one decision."""
    chance = random.Random(seed)
    number = (await crowd.counter.ask(chance.choice(("soon", "late")))).id
    triggers = await crowd.count("SELECT count(*) FROM trigger_seen WHERE $1 > 0", number)
    clicks = [(chance.choice(PEOPLE), chance.choice(("approve", "decline"))) for _ in range(votes // 2)]
    asked = [
        crowd.vote(
            number, chance.choice(PEOPLE), chance.choice(("approve", "reject")), replica=chance.randrange(REPLICAS)
        )
        for _ in range(votes - len(clicks))
    ]
    answers, _ = await asyncio.gather(
        asyncio.gather(*asked), asyncio.gather(*(crowd.click(number, *each) for each in clicks))
    )
    await crowd.settled()
    seen = await crowd.count("SELECT count(*) FROM trigger_seen WHERE $1 > 0", number) - triggers
    wrong = await _one_decision(crowd, number)
    rows = Tally(verb for verb, _, surface in (await crowd.show(number))[1] if surface == "api")
    noted = rows["approve"] + rows["reject"]
    counted = sum(status == 200 and not replayed for status, replayed in answers)
    refused = sum(status == 409 for status, _ in answers)
    return wrong + Wrong(
        lost_votes=abs(counted - noted) + abs(refused - rows["refused"]) + abs(len(clicks) - seen),
        unanswered=sum(status not in (200, 409) for status, _ in answers),
    )


async def repeated(crowd: Crowd, *, clicks: int, seed: int) -> Wrong:
    """One of five votes again and again, another once in between: two people agree, however many votes there are."""
    chance = random.Random(seed)
    eager, other = chance.sample(FIVE, 2)
    number = (await crowd.counter.ask("five")).id
    half = clicks // 2
    await asyncio.gather(
        *(crowd.vote(number, eager, "approve", replica=chance.randrange(REPLICAS)) for _ in range(half)),
        *(crowd.click(number, eager, "approve") for _ in range(half)),
    )
    await crowd.settled()
    early = (await crowd.show(number))[0]
    await asyncio.gather(
        *(crowd.vote(number, eager, "approve", replica=chance.randrange(REPLICAS)) for _ in range(clicks - 2 * half)),
        crowd.vote(number, other, "approve", replica=chance.randrange(REPLICAS)),
        crowd.click(number, eager, "approve"),
    )
    await crowd.settled()
    late, rows = await crowd.show(number)
    voters = [person for verb, person, _ in rows[: [verb for verb, *_ in rows].index("decided")] if verb == "approve"]
    errors = [
        (early.status, [vote.person for vote in early.votes]) != ("pending", [eager]),
        late.decision != "approved",
        voters != [eager, other],
    ]
    return await _one_decision(crowd, number) + Wrong(quorum_errors=sum(errors))


async def forged(crowd: Crowd, *, votes: int, seed: int) -> int:
    """How many count of so many that whoever owns the bus invents or alters, on an approval that one vote decides."""
    chance = random.Random(seed)
    number = (await crowd.counter.ask("one")).id
    await asyncio.gather(*(crowd.publish(_forgery(number, chance)) for _ in range(votes)))
    await crowd.settled()
    approval, _ = await crowd.show(number)
    return len(approval.votes) + (approval.status != "pending")


def click(
    number: int, person: str, verb: str = "approve", *, secret: str = SLACK_SECRET, age_s: float = 0
) -> ChatAction:
    """As normalizer hands on what Slack signed."""
    now = datetime.now(UTC)
    body = click_body(number, f"U0{person.upper()}", verb)
    signed = slack_request(secret, body, now.timestamp() - age_s)
    return ChatAction(
        occurred_at=now,
        received_at=now,
        id=str(uuid4()),
        source="slack",
        team="T1",
        user=f"U0{person.upper()}",
        channel="C1",
        callback=verb,
        value=f"{verb}:{number}:1",
        signed=SignedRequest(
            body=body, timestamp=signed["X-Slack-Request-Timestamp"], signature=signed["X-Slack-Signature"]
        ),
    )


def _forgery(number: int, chance: random.Random) -> ChatAction:
    """Invented, signed with another secret, too old, of somebody unknown, or around a good signature of other bytes."""
    good = click(number, "stranger")
    mine = click(number, chance.choice(PEOPLE))
    body = bytearray(mine.signed.body)
    body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
    signatures = {
        "none": msgspec.structs.replace(mine.signed, signature=""),
        "zeros": msgspec.structs.replace(mine.signed, signature="v0=" + "0" * 64),
        "of others": msgspec.structs.replace(
            mine.signed, timestamp=good.signed.timestamp, signature=good.signed.signature
        ),
        "altered": msgspec.structs.replace(mine.signed, body=bytes(body)),
        "later": msgspec.structs.replace(mine.signed, timestamp=str(int(mine.signed.timestamp) + 1)),
    }
    match chance.choice((*signatures, "guessed", "old", "named")):
        case "guessed":
            return click(number, chance.choice(PEOPLE), secret="guessed-secret")
        case "old":
            return click(number, chance.choice(PEOPLE), age_s=301)
        case "named":  # the fields beside the bytes name somebody who may
            return msgspec.structs.replace(good, user=mine.user, value=mine.value)
        case name:
            return msgspec.structs.replace(mine, signed=signatures[name])


async def _one_decision(crowd: Crowd, number: int) -> Wrong:
    ends = await crowd.count(
        "SELECT count(*) FROM audit WHERE approval_id = $1 AND before = 'pending' AND after <> 'pending'", number
    )
    effects = await crowd.count(
        "SELECT count(*) FROM effect WHERE approval_id = $1 AND effect_kind = 'github_gate'", number
    )
    return Wrong(double_terminal=abs(ends - 1), double_effect=abs(effects - 1))


def bearer(person: str) -> dict[str, str]:
    now = int(time.time())
    claims = {"iat": now, "nbf": now, "exp": now + 3600, "iss": ISSUER, "aud": AUDIENCE, "jti": str(uuid4())}
    signed = jwt.encode({**claims, "sub": person, "typ": "access", "role": "approver"}, TOKEN_KEY, algorithm="HS256")
    return {"Authorization": f"Bearer {signed}"}


@asynccontextmanager
async def open_crowd(*, nats_url: str, database_url: str, prefix: str, directory: Path) -> AsyncIterator[Crowd]:
    """On a provisioned prefix and a migrated database."""
    environment = {
        "CATALOG_PATH": str(directory / "catalog.yaml"),
        "POLICY_PATH": str(directory / "policy.yaml"),
        "AUTH_ENABLED": "true",
        "JWT_ALGORITHM": "HS256",
        "JWT_SECRET_KEY": TOKEN_KEY,
        "DB_POOL_SIZE": "5",
    }
    async with AsyncExitStack() as stack:
        counter = await stack.enter_async_context(
            open_counter(database_url, directory, catalog=CATALOG, policy=POLICY, prefix=prefix)
        )
        lines = []
        for replica in range(REPLICAS):
            (own := directory / f"replica-{replica}").mkdir()
            opening = open_line(
                nats_url=nats_url, database_url=database_url, prefix=prefix, directory=own, environment=environment
            )
            lines.append(await stack.enter_async_context(opening))
        for line in lines:
            await line.start(APPROVALS_SVC)
        connector = aiohttp.TCPConnector(limit=0)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        connection = await nats.connect(nats_url)
        stack.push_async_callback(connection.close)
        yield Crowd(counter, lines, http, connection.jetstream())
