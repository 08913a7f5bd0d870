"""What happens with gates that wait and with what people say in Slack."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from approvals_svc import (
    delegating,
    fact_store,
    gates,
    gathering,
    link_store,
    links,
    nudge_store,
    passed_store,
    question_store,
    slack_request,
    store,
    wording,
)
from approvals_svc.audit import Actor
from approvals_svc.delegation import Wish
from approvals_svc.desk import Ballot, Desk
from approvals_svc.facts import Fact, rows_of
from approvals_svc.gate_rules import GateRules
from approvals_svc.gates import NoProposal
from approvals_svc.plain import plain
from approvals_svc.question_store import Question as Asked
from approvals_svc.replies import Asker, reply
from approvals_svc.seeing import is_seen
from approvals_svc.slack_request import Answer, Away, Claim, Misspelt, Post, Question, Said, Search, Unreadable, Voter
from approvals_svc.slack_signature import SignatureRefused, verify
from shared.contracts.envelope import event_message
from shared.contracts.events import ChatAction, ChatCommand, CommitsPushed, DeploymentRequested, MessageSettled
from shared.contracts.subjects import Subjects
from shared.db import Connection, outbox
from shared.telemetry import logs

log = logs.get(__name__)

AGE_MAX = timedelta(seconds=60)  # of what a person said, by the database's clock
HELD_MAX_CHARACTERS = 500

Chat = ChatAction | ChatCommand


class Proven(msgspec.Struct, frozen=True):
    """Something said whose signature is good; `cause` is only good for its id and arrival."""

    cause: Chat
    said: Said
    received_at: datetime


class Handlers:
    def __init__(
        self, *, desk: Desk, subjects: Subjects, rules: GateRules, slack_signing_secrets: Sequence[str]
    ) -> None:
        self._desk = desk
        self._subjects = subjects
        self._rules = rules
        self._secrets = slack_signing_secrets

    async def on_commits_pushed(self, pushes: Sequence[CommitsPushed], tx: Connection) -> None:
        await store.record_commits(tx, pushes)
        await self.on_facts(pushes, tx)

    async def on_facts(self, events: Sequence[Fact], tx: Connection) -> None:
        """What evidence is made of, whatever its age; nothing is asked because of it."""
        await fact_store.record(tx, rows_of(events, now=await store.clock(tx)))

    async def on_gate_requested(self, requests: Sequence[DeploymentRequested], tx: Connection) -> None:
        """A deployment without a gate asks nobody."""
        catalog = await self._desk.current_catalog(tx)
        policy = await self._desk.current_policy(tx)
        await passed_store.hold(
            tx, [(r.source, r.repository, reference) for r in requests for reference in gates.references(r)]
        )
        now = await store.clock(tx)
        for request in requests:
            if request.gate is None:
                continue
            try:
                gates.check(request, request.gate, self._rules)
                await self._check_waits(tx, request)
                ships = await gathering.shipment(tx, gathering.asked_by(request, catalog))
                proposal = gates.propose(
                    request,
                    request.gate,
                    policy.content,
                    catalog,
                    authors=await store.authors_of(tx, request),
                    shipment=ships,
                    version=policy.number,
                    now=now,
                )
            except NoProposal as reason:
                await self._hold(tx, request, f"{request.repository} to {request.environment}", str(reason))
            else:
                await self._desk.open(tx, proposal, now=now)

    async def _check_waits(self, tx: Connection, request: DeploymentRequested) -> None:
        """What ended a gate may be known before the gate is. Raises NoProposal."""
        if await passed_store.has_passed(
            tx,
            source=request.source,
            repository=request.repository,
            references=gates.references(request),
            since=request.occurred_at,
        ):
            raise NoProposal("it was over, or went ahead without us, before it was asked here")

    async def on_message_settled(self, told: Sequence[MessageSettled], tx: Connection) -> None:
        await nudge_store.settle(tx, told)

    async def on_chat(self, chats: Sequence[Chat], tx: Connection) -> None:
        """Clicks and commands; in the order of the approvals, so that two batches never wait for each other."""
        await self._desk.current_catalog(tx)  # whose an account is may have changed since
        now = await store.clock(tx)
        proven = [found for chat in chats if (found := await self._prove(tx, chat))]
        for each in sorted(proven, key=_approval_id):
            if not await store.claim_trigger(tx, each.said.voter.trigger_id):
                await self._refuse(tx, each.cause, "replayed", "its trigger id was here before")
            elif now - each.received_at > AGE_MAX:
                await self._refuse(tx, each.cause, "late", "it is older than 60 s")
                await self._reply(tx, each, "That took too long to reach us and doesn't count. Please try again.")
            else:
                await self._act(tx, each)

    async def _prove(self, tx: Connection, chat: Chat) -> Proven | None:
        """Only the signed bytes speak: whoever owns the bus may have changed every other field."""
        if chat.origin not in self._rules.acting_origins:
            await self._hold(tx, chat, "", f"origin {chat.origin} does not act")
            return None
        if chat.received_at is None:
            await self._refuse(tx, chat, "stale", "it doesn't say when it arrived")
            return None
        signed = chat.signed
        try:
            verify(
                signed.body,
                timestamp=signed.timestamp,
                signature=signed.signature,
                secrets=self._secrets,
                received_at=chat.received_at,
            )
            read = slack_request.read_click if isinstance(chat, ChatAction) else slack_request.read_command
            said = read(signed.body)
        except SignatureRefused as refused:
            await self._refuse(tx, chat, refused.reason, f"signature refused: {refused.reason}")
            return None
        except Unreadable as error:
            await self._refuse(tx, chat, "unreadable", str(error))
            return None
        return Proven(chat, said, chat.received_at) if said else None

    async def _act(self, tx: Connection, proven: Proven) -> None:
        match proven.said:
            case Answer() as answer:
                await self._vote(tx, proven, answer)
            case Question():
                hidden = self._desk.catalog.hidden_from(self._person(proven.said.voter))
                pending = await store.approvals(
                    tx, status="pending", before=None, limit=wording.LISTED_MAX * 5, hidden=hidden
                )
                await self._reply(tx, proven, wording.waiting(pending, self._desk.catalog))
            case Search(words=words):
                person = self._person(proven.said.voter)
                await question_store.add(tx, Asked(asker=_asker(proven), person=person, words=words))
            case Post() as post:
                await self._post(tx, proven, post)
            case Claim() as claim:
                await self._reply(tx, proven, await self._link(tx, proven.cause.origin, claim))
            case Away() as away:
                await self._reply(tx, proven, await self._delegate(tx, away))
            case Misspelt(usage=usage):
                await self._reply(tx, proven, f"Which one? Say: {usage}")

    async def _vote(self, tx: Connection, proven: Proven, answer: Answer) -> None:
        hidden = self._desk.catalog.hidden_from(self._person(answer.voter))
        if not await is_seen(tx, answer.approval_id, hidden):
            detail = f"there is no approval #{answer.approval_id}"
            await self._reply(tx, proven, wording.refusal(answer.approval_id, "unknown", detail))
            return
        outcome = await self._desk.vote(tx, self._ballot(answer))
        if outcome.result == "unknown":
            await self._hold(tx, proven.cause, f"#{answer.approval_id}", outcome.detail)
        if not outcome.is_counted:
            refusal = wording.refusal(answer.approval_id, outcome.result, outcome.detail)
            is_known = self._person(answer.voter) or answer.voter.is_foreign
            await self._reply(tx, proven, refusal if is_known else f"{refusal} {wording.INTRODUCE}")
        elif isinstance(proven.cause, ChatCommand) and outcome.approval:
            # Who clicks sees the card change.
            await self._reply(tx, proven, wording.confirmation(outcome.approval, self._desk.catalog))

    async def _post(self, tx: Connection, proven: Proven, post: Post) -> None:
        """People of the catalog alone; where it knows nobody in Slack, anybody."""
        person = self._person(post.voter)
        if not person and any(each.slack for each in self._desk.catalog.people):
            await self._reply(tx, proven, wording.STRANGER)
            return
        question = Asked(asker=_asker(proven), person=person, words=post.words, is_posted=True, post_to=post.channel)
        await question_store.add(tx, question)

    async def _link(self, tx: Connection, origin: str, claim: Claim) -> str:
        voter = claim.voter
        if voter.is_foreign:
            return "Nothing happened: people of other workspaces are nobody here."
        catalog = await self._desk.current_catalog(tx)
        if person := self._person(voter):
            return f"You are {person} already."
        policy = await self._desk.current_policy(tx)
        said = links.Claim(team=voter.team, account=voter.user, login=claim.login, name=claim.name)
        now = await store.clock(tx)
        try:
            proposal = links.propose(
                said,
                policy.content,
                catalog,
                nth=await link_store.decided(tx, voter.team, voter.user),
                version=policy.number,
                now=now,
                origin=origin,
            )
        except links.NotPossible as problem:
            return f"Nothing happened: {problem}."
        opened = await self._desk.open(tx, proposal, now=now)
        asked = opened or await store.approval_by_key(tx, proposal.external_key)
        number = f"#{asked.id}" if asked else "It"
        return f"{number} waits for somebody to confirm that you are {links.claimed(said, catalog).name}."

    async def _delegate(self, tx: Connection, away: Away) -> str:
        giver, catalog = self._person(away.voter), self._desk.catalog
        if not giver:
            return wording.STRANGER
        account = away.delegate.removeprefix("@")
        found = catalog.person("slack", account) if account != away.delegate else catalog.person_named(account)
        if found is None:
            return "Nothing happened: who shall vote for you is no person in the catalog."
        now = await store.clock(tx)
        wish = Wish(giver=giver, delegate=found.name, starts_at=now, ends_at=now + away.lasts)
        try:
            given = await delegating.give(tx, self._desk, wish, hidden=catalog.hidden_from(giver))
        except delegating.NotPossible as problem:
            return f"Nothing happened: {problem}."
        return wording.delegated(given)

    def _ballot(self, answer: Answer) -> Ballot:
        voter = answer.voter
        return Ballot(
            approval_id=answer.approval_id,
            verb=answer.verb,
            revision=answer.revision,
            reason=answer.reason,
            slack_user=voter.user,
            actor=Actor(person=self._person(voter), identity=voter.user, surface="slack"),
        )

    def _person(self, voter: Voter) -> str:
        """People of other workspaces are nobody here, even under a mapped id."""
        person = None if voter.is_foreign else self._desk.catalog.person("slack", voter.user)
        return person.name if person else ""

    async def _reply(self, tx: Connection, proven: Proven, text: str) -> None:
        await outbox.add(tx, [event_message(reply(_asker(proven), text), self._subjects)])

    async def _refuse(self, tx: Connection, chat: Chat, reason: str, detail: str) -> None:
        await self._hold(tx, chat, "", detail, refusal=reason)

    async def _hold(
        self, tx: Connection, cause: Chat | DeploymentRequested, subject: str, reason: str, refusal: str = ""
    ) -> None:
        log.warning("request.held", kind=cause.kind, event_id=cause.id, reason=reason)
        await store.hold(
            tx,
            event_id=cause.id,
            kind=cause.kind,
            subject=plain(subject, characters_max=HELD_MAX_CHARACTERS),
            reason=plain(reason, characters_max=HELD_MAX_CHARACTERS),
            refusal=refusal,
        )


def _approval_id(proven: Proven) -> int:
    return proven.said.approval_id if isinstance(proven.said, Answer) else 0


def _asker(proven: Proven) -> Asker:
    voter = proven.said.voter
    return Asker(
        cause=proven.cause.id,
        origin=proven.cause.origin,
        received_at=proven.received_at,
        team=voter.team,
        channel=voter.channel,
        user=voter.user,
    )
