"""The decision transaction, deadlines and effects on a real database: several desks stand for several replicas."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from approvals_svc import store
from approvals_svc.audit import Actor
from approvals_svc.deadlines import Deadlines
from approvals_svc.desk import Ballot, Desk, Outcome
from approvals_svc.edits import NotEditable, content_hash
from approvals_svc.eligibility import Account
from approvals_svc.model import Approval, Proposal, Subject
from approvals_svc.policies import Policies
from approvals_svc.policy import Facts, decide_policy
from approvals_svc.replay import as_stored, told
from approvals_svc.settings import Settings
from approvals_svc.tasks import GithubGate
from shared.contracts.events import Commit, CommitsPushed, DeploymentRequested
from shared.contracts.services import APPROVALS_SVC
from shared.contracts.subjects import Subjects
from shared.db import Pool
from shared.db.catalogs import Catalogs
from shared.db.pool import open_pool
from tests.waiting import until

pytestmark = pytest.mark.asyncio

CATALOG = """
version: 1
teams: [{name: sre, members: [di]}]
people:
  - {name: ana, github: [ana-k], email: [ana@acme.example]}
  - {name: bo, github: [bo-l], email: [bo@acme.example]}
  - {name: cy, github: [cy-m], email: [cy@acme.example]}
  - {name: di, github: [di-n], email: [di@acme.example]}
"""
POLICY = """
version: 1
allow_approve_on_expire: true
groups: {release: {people: [ana, bo, cy]}, sre: {teams: [sre]}}
freezes: {always: {zone: Europe/Berlin, from: 2000-01-01 00:00, to: 2100-01-01 00:00}}
rules:
  - {name: docs, if: {action: deploy, service: docs}, outcome: auto}
  - {name: forbidden, if: {action: deploy, service: vault}, outcome: deny}
  - name: frozen
    if: {service: frozen}
    outcome: require
    requires: {group: release}
    freeze: [always]
  - name: ladder
    if: {service: ladder}
    outcome: require
    requires: {group: release, count: 2}
    expires: {after: 100m, on_expire: escalate}
    ladder: {remind: 50%, escalate: {at: 80%, to: sre}}
  - name: silence-is-consent
    if: {service: consent}
    outcome: require
    requires: {group: release}
    expires: {after: 1h, on_expire: approve}
  - name: rest
    outcome: require
    requires: {group: release, count: 2}
    reject: {reason: required}
"""
KEYS = count(1)
MOMENT = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Replicas:
    """Desks on pools of their own, and what is in the one database."""

    def __init__(
        self, pools: list[Pool], desks: list[Desk], policies: list[Policies], catalogs: list[Catalogs]
    ) -> None:
        self.pools = pools
        self.desks = desks
        self.policies = policies
        self.catalogs = catalogs
        self.pool, self.desk = pools[0], desks[0]

    async def open(self, service: str = "checkout", **changed: Any) -> Approval:
        """Asked by ana `age` ago."""
        age = changed.pop("age", timedelta())
        async with self.pool.acquire() as tx, tx.transaction():
            await self.desk.current_catalog(tx)
            policy = await self.desk.current_policy(tx)
            now = await store.clock(tx)
            subject = subject_of(service, **changed)
            requirement = decide_policy(policy.content, subject.facts, version=policy.number, now=now)
            proposal = Proposal(
                external_key=changed.get("key", f"k{next(KEYS)}"),
                public_id=str(uuid4()),
                content_hash=content_hash(subject),
                origin="live",
                subject=subject,
                requirement=requirement,
                expires_at=now - age + timedelta(seconds=requirement.terms.expires_after_s),
            )
            opened = await self.desk.open(tx, proposal, now=now)
        assert opened
        return opened

    async def vote(self, number: int, person: str, verb: Any = "approve", *, replica: int = 0, **more: Any) -> Outcome:
        ballot = Ballot(approval_id=number, verb=verb, actor=actor(person), **more)
        async with self.pools[replica].acquire() as tx, tx.transaction():
            return await self.desks[replica].vote(tx, ballot)

    async def end(self, how: str, number: int, person: str, *, by_right: bool = False) -> Outcome:
        async with self.pool.acquire() as tx, tx.transaction():
            end = self.desk.cancel if how == "cancel" else self.desk.revoke
            return await end(tx, number, actor(person), by_right=by_right)

    async def fire(self) -> list[int]:
        """Every replica at once, until nothing is due."""
        timers = [Deadlines(pool=pool, desk=desk) for pool, desk in zip(self.pools, self.desks, strict=True)]
        return await asyncio.gather(*(timer.fire_some() for timer in timers))

    async def age(self, number: int, by: timedelta) -> None:
        """As if everything about it had been asked that much earlier."""
        await self.pool.execute("UPDATE approval SET expires_at = expires_at - $2::interval WHERE id = $1", number, by)
        await self.pool.execute("UPDATE deadline SET due_at = due_at - $2::interval WHERE approval_id = $1", number, by)

    async def show(self, number: int) -> Approval:
        async with self.pool.acquire() as tx:
            found = await store.approval(tx, number)
            assert found
            assert told(await store.audit(tx, number)) == as_stored(found)
        return found

    async def verbs(self, number: int) -> list[str]:
        async with self.pool.acquire() as tx:
            return [entry.verb for entry in await store.audit(tx, number)]

    async def kinds(self) -> list[str]:
        return [event["kind"] for event in await self.said()]

    async def said(self) -> list[dict[str, Any]]:
        rows = await self.pool.fetch("SELECT body FROM outbox ORDER BY sequence")
        return [msgspec.json.decode(row["body"]) for row in rows]

    async def effects(self, number: int) -> list[str]:
        rows = await self.pool.fetch("SELECT payload FROM effect WHERE approval_id = $1", number)
        return [msgspec.json.decode(row["payload"])["state"] for row in rows]


def actor(person: str) -> Actor:
    return Actor(person=person, identity=person, surface="api")


def subject_of(service: str, **changed: Any) -> Subject:
    action = changed.get("action", "deploy")
    return Subject(
        source="github",
        action=action,
        subject=f"{service} to production",
        service=service,
        environment="production",
        repository=f"acme/{service}",
        sha=changed.get("sha", "c0ffee"),
        url="",
        requested_by="ana-k",
        involved=(Account(role="requester", platform="github", name="ana-k"), *changed.get("involved", ())),
        payload={"run_id": "1", "installation_id": "2", "label": "old"},
        facts=Facts(action=action, service=service),
    )


@pytest.fixture
async def replicas(database_url: str, tmp_path: Path) -> AsyncIterator[Replicas]:
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    (tmp_path / "policy.yaml").write_text(POLICY)
    async with AsyncExitStack() as stack:
        pools, desks, policies, known = [], [], [], []
        for _ in range(3):
            pool = await stack.enter_async_context(open_pool(Settings(database_url=database_url), APPROVALS_SVC))
            catalogs = Catalogs(pool, tmp_path / "catalog.yaml")
            policy = Policies(pool, tmp_path / "policy.yaml", catalogs)
            await catalogs.look()
            await policy.look()
            pools.append(pool)
            policies.append(policy)
            known.append(catalogs)
            desks.append(Desk(catalogs, policy, Subjects("test")))
        yield Replicas(pools, desks, policies, known)


async def test_auto_and_deny_are_decided_at_once_and_audited_with_the_rule(replicas: Replicas) -> None:
    allowed, denied = await replicas.open("docs"), await replicas.open("vault")

    assert (allowed.status, allowed.decision, await replicas.effects(allowed.id)) == (
        "auto_approved",
        "auto_approved",
        ["approved"],
    )
    assert (denied.status, denied.decision, await replicas.effects(denied.id)) == ("rejected", "rejected", ["rejected"])
    assert await replicas.verbs(denied.id) == ["requested", "decided"]
    assert await replicas.kinds() == ["approval.decided"] * 2
    assert not await replicas.pool.fetchval("SELECT count(*) FROM deadline")


async def test_reminder_and_escalation_fire_once_each_whoever_looks(replicas: Replicas) -> None:
    number = (await replicas.open("ladder")).id
    assert sum(await replicas.fire()) == 0

    await replicas.age(number, timedelta(minutes=51))
    fired = [sum(await replicas.fire()) for _ in range(3)]
    await replicas.age(number, timedelta(minutes=30))
    fired += [sum(await replicas.fire()) for _ in range(3)]

    assert fired == [1, 0, 0, 1, 0, 0]
    assert await replicas.kinds() == ["approval.requested", "approval.reminded", "approval.escalated"]
    assert (await replicas.vote(number, "di")).result == "counted"  # of the group that was escalated to
    assert (await replicas.vote(number, "bo")).result == "counted"
    assert (await replicas.show(number)).status == "approved"


async def test_law_7_a_hundred_deadlines_over_three_replicas_fire_once_each(replicas: Replicas) -> None:
    numbers = [(await replicas.open("ladder", age=timedelta(minutes=200))).id for _ in range(30)]

    await asyncio.gather(*(replicas.fire() for _ in range(4)))
    while sum(await replicas.fire()):
        pass

    for number in numbers:
        verbs = await replicas.verbs(number)
        assert sorted(verbs) == sorted(["requested", "reminded", "escalated", "extended"])
    await replicas.pool.execute("UPDATE approval SET expires_at = clock_timestamp()")
    await replicas.pool.execute("UPDATE deadline SET due_at = clock_timestamp() WHERE fired_at IS NULL")
    while sum(await replicas.fire()):
        pass
    assert {(await replicas.show(number)).status for number in numbers} == {"expired"}
    assert [await replicas.effects(number) for number in numbers] == [["rejected"]] * len(numbers)


async def test_silence_approves_only_where_the_rule_says_so(replicas: Replicas) -> None:
    consent = await replicas.open("consent", age=timedelta(hours=2))
    rest = await replicas.open(age=timedelta(hours=48))

    await replicas.fire()

    assert (await replicas.show(consent.id)).status == "approved"
    assert (await replicas.show(rest.id)).status == "expired"


async def test_vote_after_the_deadline_makes_it_happen_and_does_not_count(replicas: Replicas) -> None:
    late = await replicas.open(age=timedelta(hours=48))
    escalated = await replicas.open("ladder", age=timedelta(hours=48))

    answer = await replicas.vote(late.id, "bo")
    counted = await replicas.vote(escalated.id, "di")

    assert (answer.result, answer.approval and answer.approval.status) == ("expired", "expired")
    assert await replicas.verbs(late.id) == ["requested", "decided", "refused"]
    assert (counted.result, (await replicas.show(escalated.id)).is_extended) == ("counted", True)


async def test_freeze_holds_the_quorum_back_until_it_ends(replicas: Replicas) -> None:
    number = (await replicas.open("frozen")).id

    voted = await replicas.vote(number, "bo")
    assert (voted.result, (await replicas.show(number)).status) == ("counted", "pending")
    [thaw] = await replicas.pool.fetch("SELECT due_at FROM deadline WHERE kind = 'thaw'")
    assert thaw["due_at"] == datetime.fromisoformat("2099-12-31T23:00:00+00:00")

    await replicas.pool.execute("UPDATE deadline SET due_at = clock_timestamp() WHERE kind = 'thaw'")
    await replicas.fire()
    assert (await replicas.show(number)).status == "pending"  # the clock says it is frozen still
    await replicas.pool.execute(
        "UPDATE approval SET requirement = jsonb_set(requirement, '{freezes,0,window,end}', '\"2001-01-01T00:00:00\"')"
    )
    await replicas.pool.execute("UPDATE deadline SET due_at = clock_timestamp() WHERE kind = 'thaw'")
    await replicas.fire()
    assert (await replicas.show(number)).status == "approved"
    assert await replicas.effects(number) == ["approved"]


async def test_reject_without_its_reason_is_refused_and_audited(replicas: Replicas) -> None:
    number = (await replicas.open()).id

    silent = await replicas.vote(number, "bo", "reject")
    spoken = await replicas.vote(number, "bo", "reject", reason="not on a Friday")

    assert (silent.result, spoken.result) == ("reason_required", "counted")
    assert await replicas.verbs(number) == ["requested", "refused", "reject", "decided"]


async def test_nobody_who_had_a_part_decides(replicas: Replicas) -> None:
    author = Account(role="commit_authors", platform="email", name="Bo@acme.example")
    number = (await replicas.open(involved=(author,))).id

    answers = [await replicas.vote(number, person) for person in ("ana", "bo", "di", "")]

    assert [answer.result for answer in answers] == ["not_eligible"] * 4
    assert "bo wrote some of it as Bo@acme.example" in answers[1].detail


async def test_vote_of_who_turns_out_to_have_asked_counts_no_more(replicas: Replicas, tmp_path: Path) -> None:
    number = (await replicas.open()).id
    await replicas.vote(number, "bo")

    (tmp_path / "catalog.yaml").write_text(CATALOG.replace("[bo-l]", "[bo-l, ana-k]"))
    await replicas.catalogs[1].look()  # the desks of the other replicas follow with their next transaction
    voted = await replicas.vote(number, "cy")

    assert (voted.result, (await replicas.show(number)).status) == ("counted", "pending")


async def test_same_vote_again_is_the_same_answer_and_after_the_end_a_conflict(replicas: Replicas) -> None:
    number = (await replicas.open()).id

    results = [(await replicas.vote(number, person)).result for person in ("bo", "bo", "cy", "cy")]

    assert results == ["counted", "replayed", "counted", "decided"]
    assert (await replicas.verbs(number)).count("approve") == 2


async def test_typed_edit_makes_a_revision_that_nobody_has_voted_for(replicas: Replicas) -> None:
    number = (await replicas.open("checkout", action="label")).id
    await replicas.vote(number, "bo")
    before = await replicas.show(number)

    async with replicas.pool.acquire() as tx, tx.transaction():
        edited = await replicas.desk.edit(tx, number, {"label": "new\x00"}, actor("cy"), revision=1)

    after = await replicas.show(number)
    assert (edited.result, after.revision, after.votes, after.subject.payload["label"]) == ("counted", 2, (), "new")
    assert after.content_hash != before.content_hash
    assert (await replicas.vote(number, "bo", revision=1)).result == "superseded"
    assert (await replicas.vote(number, "cy")).result == "not_eligible"  # who changes it asks for it
    with pytest.raises(NotEditable, match="run_id can't be changed: only label"):
        async with replicas.pool.acquire() as tx, tx.transaction():
            await replicas.desk.edit(tx, number, {"run_id": "9"}, actor("ana"), revision=None)


async def test_same_key_with_other_content_takes_the_place_of_what_waits(replicas: Replicas) -> None:
    first = await replicas.open(key="main", sha="aaa")
    await replicas.vote(first.id, "bo")

    second = await replicas.open(key="main", sha="bbb")

    old = await replicas.show(first.id)
    assert (old.status, old.superseded_by, second.votes) == ("superseded", second.id, ())
    assert (await replicas.vote(first.id, "cy")).result == "decided"
    assert await replicas.effects(first.id) == []


async def test_who_asked_cancels_and_the_gate_is_told(replicas: Replicas) -> None:
    number = (await replicas.open()).id

    refused = await replicas.end("cancel", number, "bo")
    cancelled = await replicas.end("cancel", number, "ana")

    assert (refused.result, cancelled.result) == ("not_eligible", "counted")
    assert (await replicas.show(number)).status == "cancelled"
    assert await replicas.effects(number) == ["rejected"]
    assert (await replicas.said())[-1]["ended_by"] == "ana"


async def test_revoke_against_claim_has_one_winner(replicas: Replicas) -> None:
    claimed_first = revoked_first = 0
    for _ in range(20):
        number = (await replicas.open("docs")).id

        async def claim() -> int:
            async with replicas.pools[1].acquire() as tx, tx.transaction():
                return len(await replicas.desks[1].claim_effects(tx, kinds=[GithubGate.kind], limit=10, lease_s=60))

        revoked, _ = await asyncio.gather(replicas.end("revoke", number, "bo"), claim())

        shown = await replicas.show(number)
        if revoked.result == "counted":
            revoked_first += 1
            assert (shown.status, await replicas.effects(number)) == ("revoked", ["rejected"])
        else:
            claimed_first += 1
            assert (revoked.result, shown.status) == ("too_late", "executing")
            assert await replicas.effects(number) == ["approved"]
    assert claimed_first + revoked_first == 20


async def test_new_version_of_the_policy_is_for_what_is_asked_from_then_on(replicas: Replicas, tmp_path: Path) -> None:
    before = await replicas.open()

    head, rest = POLICY.split("name: rest")
    weaker = f"{head}name: rest{rest.replace('count: 2', 'count: 1')}"
    (tmp_path / "policy.yaml").write_text(weaker)
    for policies in replicas.policies:
        await policies.look()
    after = await replicas.open()
    (tmp_path / "policy.yaml").write_text("")
    await replicas.policies[0].look()

    assert "the file is empty" in str(replicas.policies[0].status["problem"])
    assert (before.requirement.version, after.requirement.version) == (1, 2)
    assert await replicas.pool.fetchval("SELECT count(*) FROM policy_version") == 2
    for number, status in ((before.id, "pending"), (after.id, "approved")):
        await replicas.vote(number, "bo")
        assert (await replicas.show(number)).status == status


async def test_two_hundred_votes_over_three_replicas_decide_once(replicas: Replicas, scale: int) -> None:
    for _ in range(2 * scale):
        number = (await replicas.open()).id

        answers = await asyncio.gather(
            *(
                replicas.vote(number, person, verb, replica=replica, reason="r")
                for replica in range(3)
                for person in ("bo", "cy", "ana")
                for verb in ("approve", "reject")
                for _ in range(10)
            )
        )

        assert {answer.result for answer in answers} <= {"counted", "replayed", "decided", "not_eligible"}
        assert (await replicas.verbs(number)).count("decided") == 1
        assert len(await replicas.effects(number)) == 1
        await replicas.show(number)


async def test_loop_fires_what_is_due(replicas: Replicas) -> None:
    number = (await replicas.open(age=timedelta(hours=48))).id
    stop = asyncio.Event()
    running = asyncio.create_task(Deadlines(pool=replicas.pool, desk=replicas.desk).run(stop))

    async def is_over() -> bool:
        return (await replicas.show(number)).status == "expired"

    await until(is_over, timeout_s=5, what="it did not expire")
    stop.set()
    await running


def pushed(push: str, *commits: tuple[str, str, str]) -> CommitsPushed:
    return CommitsPushed(
        occurred_at=MOMENT,
        repository="acme/checkout",
        ref="refs/heads/main",
        branch="main",
        before="0",
        after=commits[-1][0],
        commits=tuple(Commit(sha=sha, authored_at=MOMENT, author=by, message=text) for sha, by, text in commits),
        id=push,
        source="github",
    )


def requested(sha: str, *commits: str) -> DeploymentRequested:
    return DeploymentRequested(
        occurred_at=MOMENT,
        repository="acme/checkout",
        deployment_id="1",
        environment="production",
        sha=sha,
        commits=commits,
        source="github",
    )


async def test_who_wrote_what_ships_is_known_as_far_as_pushes_told(replicas: Replicas) -> None:
    def names(found: tuple[Account, ...]) -> list[str]:
        return sorted(account.name for account in found)

    async with replicas.pool.acquire() as tx:
        await store.record_commits(tx, [pushed("p1", ("a100000000", "ana-k", "one"))])
        trailers = "two\n\nCo-authored-by: Di <7+di-n@users.noreply.github.com>\nCo-Authored-By: Eve <eve@x.example>"
        await store.record_commits(
            tx, [pushed("p2", ("b100000000", "bo-l", trailers), ("b200000000", "cy-m", "three"))]
        )
        await store.record_commits(tx, [pushed("p3", ("c100000000", "zoe-z", "later"))])

        only_its_push = await store.authors_of(tx, requested("b200000000"))
        named = await store.authors_of(tx, requested("unheard-of", "a100000000"))
        unknown = await store.authors_of(tx, requested("unheard-of"))
    shipped = await replicas.open("checkout", sha="a100000000")
    await replicas.pool.execute(
        "UPDATE approval SET status = 'executed', decision = 'approved', decided_at = now() WHERE id = $1", shipped.id
    )
    async with replicas.pool.acquire() as tx:
        since = await store.authors_of(tx, requested("c100000000"))

    assert names(only_its_push) == ["bo-l", "cy-m", "di-n", "eve@x.example"]
    assert {account.platform for account in only_its_push} == {"github", "email"}
    assert (names(named), unknown) == (["ana-k"], ())
    assert names(since) == ["bo-l", "cy-m", "di-n", "eve@x.example", "zoe-z"]


async def test_what_the_version_before_asks_keeps_its_terms_here(replicas: Replicas) -> None:
    """As its process writes it while both run, and as the migration found it."""
    old = {"rule": "r", "version": 1, "count": 2, "expires_after_s": 60, "group": "release", "people": ["bo", "cy"]}
    number = await replicas.pool.fetchval(
        """
        INSERT INTO approval (public_id, external_key, source, action, subject, service, environment, repository, sha,
                              url, payload, content_hash, requested_by, requesters, policy, policy_version,
                              requirement, origin, created_at, expires_at, audit_head)
        VALUES (gen_random_uuid(), 'old', 'github', 'deploy', 's', 'checkout', 'production', 'acme/checkout', 'c', '',
                '{"run_id": "1", "installation_id": "2"}', 'h', 'bo-l', '{bo-l}', 'r', 1, $1::jsonb, 'live', now(),
                now() + interval '1 hour', repeat('00', 32))
        RETURNING id
        """,
        msgspec.json.encode(old | {"trace": []}).decode(),
    )

    results = [(await replicas.vote(number, person)).result for person in ("bo", "cy", "di")]

    assert results == ["not_eligible", "counted", "not_eligible"]
    assert await replicas.pool.fetchval("SELECT kind FROM deadline WHERE approval_id = $1", number) == "expire"
    await replicas.age(number, timedelta(hours=2))
    await replicas.fire()
    assert await replicas.pool.fetchval("SELECT status FROM approval WHERE id = $1", number) == "expired"
