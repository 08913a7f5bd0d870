"""Absorb what happened into the thing that it happened to, and write down what people are to be told."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from notifier import (
    bulletin,
    explain,
    forms,
    gather_store,
    posted_store,
    preference_store,
    prose_store,
    push_store,
    reason_store,
    store,
    timelines,
)
from notifier.about import about
from notifier.answering import answered
from notifier.cards import NothingKnown, card
from notifier.deciders import can_wait, is_person, pending, voter
from notifier.details import details
from notifier.explain import Reason
from notifier.gathering import new_card, relist
from notifier.living import (
    Absorbed,
    Acting,
    Content,
    HeldReason,
    Thing,
    ThingEvent,
    ThingKind,
    absorb,
    hold,
    key,
    kind_of_thing,
)
from notifier.placing import Place, Placed, joining, place
from notifier.preference_store import OptedOut
from notifier.render import OURS, note
from notifier.route_versions import RouteVersions
from notifier.routes import Route
from notifier.routing import concerns_people
from notifier.settled import settled
from notifier.templates import Templates
from notifier.transitions import row, state
from shared.catalog import Catalog
from shared.contracts.commands import owned_by
from shared.contracts.envelope import event_message
from shared.contracts.events import (
    Approval,
    ApprovalReminded,
    Bulletin,
    Change,
    ChatAction,
    ChatCommand,
    CommitsPushed,
    Event,
    Nudge,
    Reply,
)
from shared.contracts.services import NOTIFIER
from shared.contracts.subjects import Subjects
from shared.db import Connection, locks, outbox
from shared.db.catalogs import CurrentCatalog
from shared.telemetry import metrics

FORM_FRESH_FOR = timedelta(seconds=10)  # Slack opens none after three
COMMAND_FRESH_FOR = timedelta(seconds=60)  # whoever typed it has gone on (design section 5)
URGENT: frozenset[ThingKind] = frozenset({"approval", "incident"})

E = TypeVar("E", bound=Event)
Files = Mapping[tuple[str, str], tuple[str, ...]]
Held = tuple[str, Event, HeldReason]


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator decided. `directly`: there is a way to tell one person alone."""

    catalogs: CurrentCatalog
    routes: RouteVersions
    acting: Acting
    default_channel: str
    subjects: Subjects
    templates: Templates = OURS
    directly: bool = True


class _Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """`placed`: where a new card goes; None where none is called for. `later`: cards that are edited with the next."""

    key: str
    kind: ThingKind
    told: bool
    absorbed: Absorbed
    placed: Placed | None
    reasons: tuple[Reason, ...]
    later: tuple[str, ...] = ()
    notes: tuple[store.NewNote, ...] = ()

    @property
    def places(self) -> tuple[Place, ...]:
        return self.placed.places if self.placed else ()

    @property
    def expected(self) -> list[tuple[str, str, str]]:
        """Who waits to hear where it is."""
        told = self.absorbed.acts_by
        if not isinstance(told, Bulletin) or not told.user:
            return []
        return [(new_card(self.key, place).key, told.asked_in, told.user) for place in self.places if place.is_now]

    @property
    def held(self) -> list[Held]:
        held: list[Held] = [(self.key, event, reason) for event, reason in self.absorbed.held]
        acts_by = self.absorbed.acts_by
        if acts_by and any(place.how == "no_channel" for place in self.places):
            held.append((self.key, acts_by, "no_channel"))
        return held


class Handlers:
    """Rows only: the sender does the talking."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    async def on_thing(self, events: Sequence[ThingEvent], tx: Connection) -> None:
        catalog = (await self._rules.catalogs.current(tx)).content
        routes = (await self._rules.routes.current(tx)).content
        by_key: dict[str, list[ThingEvent]] = {}
        for event in events:
            if concerns_people(event):
                by_key.setdefault(key(event), []).append(event)
        ignored = [event for event in events if not concerns_people(event)]
        await reason_store.add(tx, [explain.ignored(event, key(event)) for event in ignored])
        if not by_key:
            return
        await locks.lock(tx, "thing", by_key)
        known, now = await store.things(tx, by_key), await store.database_time(tx)
        opted_out = await preference_store.opted_out(tx)
        pushed = await push_store.files(tx, {branch(event) for event in events if isinstance(event, Change)})
        outcomes = [
            self._outcome(k, known.get(k, Thing(content={})), by_key[k], catalog, routes, pushed, opted_out, now)
            for k in sorted(by_key)
        ]
        await _write(tx, outcomes)
        await timelines.record(tx, events, catalog)
        await relist(tx, [o.key for o in outcomes if o.absorbed.changed and o.told], catalog, self._rules.templates)
        await self._refuse(tx, [held for outcome in outcomes for held in outcome.held], now)

    async def _refuse(self, tx: Connection, held: Sequence[Held], now: datetime) -> None:
        """Whoever asked for a message waits to hear of it."""
        nudges = [(event.id, reason) for _, event, reason in held if isinstance(event, Nudge)]
        told = [settled(nudge, "held", at=now, reason=f"held back: {reason}") for nudge, reason in nudges]
        await outbox.add(tx, [event_message(event, self._rules.subjects) for event in told])

    def _outcome(
        self,
        thing_key: str,
        thing: Thing,
        events: Sequence[ThingEvent],
        catalog: Catalog,
        routes: Route,
        pushed: Files,
        opted_out: OptedOut,
        now: datetime,
    ) -> _Outcome:
        absorbed = absorb(thing, events, acting=self._rules.acting, now=now)
        default, content = self._rules.default_channel, absorbed.content
        changes = [event for event in events if isinstance(event, Change)]
        files = pushed.get(branch(changes[-1]), ()) if changes else ()
        placed = place(
            content,
            about(content, catalog, files=files),
            routes,
            catalog,
            default=default,
            now=now,
            directly=self._rules.directly,
            undisturbed=opted_out.dms,
        )
        fresh = [event for event in events if hold(event, content, acting=self._rules.acting, now=now) is None]
        placed_by = absorbed.acts_by or (fresh[-1] if thing.told and fresh else None)
        called_for = None
        if placed_by:
            called_for = joining(thing_key, thing.cards, content, placed) if thing.told else placed
        now_places = [each for each in placed.places if each.is_now] if called_for else []
        return _Outcome(
            key=thing_key,
            kind=kind_of_thing(events[0]),
            told=thing.told,
            absorbed=absorbed,
            placed=called_for,
            reasons=explain.reasons(thing_key, thing, events, absorbed, called_for, placed_by),
            later=can_wait(thing.content, content, thing.cards, catalog),
            notes=(
                *self._notes(thing, content, fresh, catalog, opted_out),
                *_reminders(thing, content, fresh, catalog, self._rules.templates),
                *timelines.notes(thing, fresh, catalog),
                *details(thing_key, thing, content, [each.to for each in now_places], catalog),
            ),
        )

    def _notes(
        self, thing: Thing, after: Content, fresh: Sequence[ThingEvent], catalog: Catalog, opted_out: OptedOut
    ) -> tuple[store.NewNote, ...]:
        """A word below each card that people have seen, where the table has one for what happened to its thing."""
        shown = [posting for posting in thing.cards if posting.is_shown]
        if not fresh or not shown:
            return ()
        kind, templates = kind_of_thing(fresh[-1]), self._rules.templates
        found = row(kind, _state(thing.content, catalog), _state(after, catalog))
        if found is None or "note" not in found.does:
            return ()
        return tuple(
            store.NewNote(
                key=f"{posting.key}#{fresh[-1].id}",
                root=posting,
                urgent=kind in URGENT,
                message=note(
                    card(after, catalog, reader=posting.channel),
                    mentioned="mention" in found.does and card(after, catalog).mentioned not in opted_out.mentions,
                    templates=templates,
                ),
            )
            for posting in shown
        )

    async def on_push(self, pushes: Sequence[CommitsPushed], tx: Connection) -> None:
        """What a change touches is asked when it comes."""
        await push_store.remember(tx, [push for push in pushes if push.branch and push.branch != push.default_branch])

    async def on_command(self, commands: Sequence[ChatCommand], tx: Connection) -> None:
        """`help`, and what is no command; the others are answered by their owners."""
        ours = [(c, invocation) for c in commands if (invocation := owned_by(NOTIFIER.name, c.text))]
        fresh = await self._fresh(tx, [command for command, _ in ours], COMMAND_FRESH_FOR)
        catalog = (await self._rules.catalogs.current(tx)).content
        for command, invocation in ours:
            if command in fresh and (text := await answered(tx, command, invocation, catalog)):
                await store.whisper(tx, [(command.id, command.channel, command.user, text)])

    async def on_action(self, actions: Sequence[ChatAction], tx: Connection) -> None:
        """The button that asks for a reason opens a form; every other click is its owner's."""
        asked = {action.id: wanted for action in actions if (wanted := forms.wanted(action))}
        fresh = await self._fresh(tx, [action for action in actions if action.id in asked], FORM_FRESH_FOR)
        known = await store.things(tx, [wanted.thing for wanted in asked.values()])
        for action in fresh:
            thing = known.get(asked[action.id].thing)
            approval = thing.content.get("snapshot") if thing else None
            if isinstance(approval, Approval):
                await self._ask(tx, action, asked[action.id], approval)

    async def _ask(self, tx: Connection, action: ChatAction, wanted: forms.Wanted, approval: Approval) -> None:
        if approval.status != "pending":
            text = f"#{approval.approval_id} doesn't wait any more: it is {approval.status}."
            await store.whisper(tx, [(action.id, action.channel, action.user, text)])
        elif approval.revision != wanted.revision:
            text = f"#{approval.approval_id} is superseded by revision {approval.revision}: look at its card again."
            await store.whisper(tx, [(action.id, action.channel, action.user, text)])
        else:
            view = forms.view(approval, channel=action.channel)
            await store.ask(tx, action, view, instead=forms.instead(approval))

    async def on_reply(self, replies: Sequence[Reply], tx: Connection) -> None:
        fresh = await self._fresh(tx, replies, self._rules.acting.fresh_for)
        said = [(r.id, r.channel, r.user, bulletin.reply(r.text, r.sections)) for r in fresh]
        await store.whisper(tx, said)

    async def _fresh(self, tx: Connection, chats: Sequence[E], fresh_for: timedelta) -> list[E]:
        """Those that may still be answered (law 9), by when they reached us; the others are held back."""
        now = await store.database_time(tx)
        held: list[Held] = []
        fresh = []
        for chat in chats:
            if chat.origin not in self._rules.acting.origins:
                held.append((f"{chat.kind}:{chat.id}", chat, "origin"))
            elif (chat.received_at or chat.occurred_at) < now - fresh_for:
                held.append((f"{chat.kind}:{chat.id}", chat, "stale"))
            else:
                fresh.append(chat)
        await _hold(tx, held)
        return fresh


def _reminders(
    thing: Thing, after: Content, fresh: Sequence[ThingEvent], catalog: Catalog, templates: Templates
) -> Iterator[store.NewNote]:
    """For who has not voted, below their card; where nobody has one of their own, below the channel's."""
    reminder, approval = next((event for event in fresh if isinstance(event, ApprovalReminded)), None), pending(after)
    if reminder is None or approval is None:
        return
    shown = [posting for posting in thing.cards if posting.is_shown]
    for posting in [each for each in shown if is_person(each.channel)] or shown:
        if voter(posting.channel, approval, catalog):
            continue
        mentioned = posting.channel if is_person(posting.channel) else ""
        asked = msgspec.structs.replace(card(after, catalog), mentioned=mentioned)
        message = note(asked, mentioned=True, templates=templates)
        yield store.NewNote(key=f"{posting.key}#{reminder.id}", root=posting, urgent=True, message=message)


def branch(change: Change) -> tuple[str, str]:
    return change.repository, change.head_ref


def _state(content: Content, catalog: Catalog) -> str:
    try:
        return state(card(content, catalog))
    except NothingKnown:
        return ""


def _is_scheduled(event: ThingEvent | None) -> bool:
    return isinstance(event, Bulletin) and not event.user


async def _write(tx: Connection, outcomes: Sequence[_Outcome]) -> None:
    changed = [outcome for outcome in outcomes if outcome.absorbed.changed]
    await store.know(tx, [(o.key, o.kind, o.absorbed.content) for o in changed])
    placed = [(o.key, place) for o in outcomes for place in o.places if place.is_told]
    cards = [new_card(key, place) for key, place in placed if place.is_now]
    await store.tell(tx, cards)
    await gather_store.give_up(tx, [(card.thing, card.channel) for card in cards])
    await gather_store.gather(tx, [(key, place) for key, place in placed if not place.is_now])
    scheduled = [o.key for o in outcomes if _is_scheduled(o.absorbed.acts_by)]
    await prose_store.want(tx, scheduled)
    await posted_store.expect(tx, [expected for outcome in outcomes for expected in outcome.expected])
    await store.note(tx, [note for outcome in outcomes for note in outcome.notes])
    later = [key for outcome in changed for key in outcome.later]
    await store.retell(tx, [o.key for o in changed if o.told], later=later)
    await reason_store.add(tx, [reason for outcome in outcomes for reason in outcome.reasons])
    await _hold(tx, [held for outcome in outcomes for held in outcome.held])


async def _hold(tx: Connection, held: Sequence[Held]) -> None:
    await store.hold(tx, held)
    for _, _, reason in held:
        metrics.notifications_held.labels(reason=reason).inc()
