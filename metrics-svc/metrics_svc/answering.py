"""What people ask in chat, answered to whoever asked, or posted where everybody sees it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from metrics_svc import answers, bulletins, dora, reporting, wording
from metrics_svc.question import Question, by_team
from metrics_svc.store import reading
from metrics_svc.store.facts import record_command
from metrics_svc.store.samples import samples
from metrics_svc.window import DEFAULT_DAYS, Window, last_days
from shared.catalog import Catalog
from shared.contracts.commands import Invocation, owned_by
from shared.contracts.envelope import event_message
from shared.contracts.events import Bulletin, ChatCommand, Event, Reply, Section
from shared.contracts.ids import step_of_entity
from shared.contracts.services import METRICS_SVC
from shared.contracts.subjects import Subjects
from shared.contracts.vocabulary import acting_origins
from shared.db import Connection, outbox
from shared.db.catalogs import CurrentCatalog

COMMAND_FRESH = timedelta(seconds=60)
HOURS, SPRINT_DAYS = 48, 14
SHOWN_MAX = 5  # lines of a section, to one person


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    sections: tuple[Section, ...] = ()


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """`teams` of whoever asks: the reports are theirs, everybody's where they are in none.

    `hidden`: services that not all who read the answer may see.
    """

    given: Mapping[str, str]
    teams: tuple[str, ...]
    hidden: frozenset[str]
    catalog: Catalog
    now: datetime

    def number(self, name: str, default: int) -> int:
        return int(self.given.get(name, default))

    def of_teams(self, questions: Mapping[str, Question]) -> Mapping[str, Question]:
        return {team: own for team, own in questions.items() if not self.teams or team in self.teams}

    @property
    def whose(self) -> str:
        return f" of {', '.join(self.teams)}" if self.teams else ""


Answering = Callable[[Connection, Asked], Awaitable[Answer]]


class Commands:
    def __init__(self, catalogs: CurrentCatalog, subjects: Subjects, *, acts_on_demo: bool) -> None:
        self._catalogs = catalogs
        self._subjects = subjects
        self._acting = acting_origins(demo=acts_on_demo)

    async def on_command(self, events: Sequence[ChatCommand], tx: Connection) -> None:
        """Old or replayed commands are noted and not answered (law 9)."""
        for event in events:
            invocation = owned_by(METRICS_SVC.name, event.text)
            if invocation is None or invocation.command is None:
                continue
            now = await reading.now(tx)
            held_because = self._held_because(event, now)
            await record_command(
                tx,
                command_id=event.id,
                name=invocation.command.name,
                received_at=event.received_at,
                held_because=held_because,
            )
            if not held_because:
                said = await self._answer(tx, event, invocation, invocation.command.name, now)
                await outbox.add(tx, [event_message(said, self._subjects)])

    def _held_because(self, event: ChatCommand, now: datetime) -> str:
        if event.origin not in self._acting:
            return f"origin {event.origin}"
        if event.received_at is None or now - event.received_at > COMMAND_FRESH:
            return "stale"
        return ""

    async def _answer(
        self, tx: Connection, event: ChatCommand, invocation: Invocation, name: str, now: datetime
    ) -> Event:
        catalog = (await self._catalogs.current(tx)).content
        if invocation.problem:
            return _reply(event, Answer(text=invocation.problem), now)
        name, _, posted = name.partition(" ")
        if posted and not catalog.is_member(event.user):
            return _reply(event, Answer(text="Only who is in the catalog with a Slack account may post for all."), now)
        person = catalog.person("slack", event.user)
        asked = Asked(
            given=invocation.given,
            teams=tuple(team.name for team in catalog.teams if person and person.name in team.members),
            hidden=catalog.hidden_from(person.name if person and not posted else ""),
            catalog=catalog,
            now=now,
        )
        answer = await ANSWERS[name](tx, asked)
        if not posted:
            return _reply(event, answer, now)
        return _bulletin(event, name, answer, asked)


# ---- each command ----------------------------------------------------------------------------------------------------


async def _dora(tx: Connection, asked: Asked) -> Answer:
    wanted, days = asked.given.get("service", ""), asked.number("days", DEFAULT_DAYS)
    services = await _services(tx, asked)
    if wanted and wanted not in services:
        return Answer(text=wording.unknown_service(wanted, services))
    question = Question(services=[wanted] if wanted else services, window=last_days(days, asked.now))
    measured = answers.measure(question, await samples(tx, question, dora.METRICS), None, dora.METRICS)
    return Answer(text=wording.summary([measured[name, 0] for name in question.services], question.services, days))


async def _standup(tx: Connection, asked: Asked) -> Answer:
    hours = asked.number("hours", HOURS)
    window = Window(asked.now - timedelta(hours=hours), asked.now)
    questions = by_team(Question(services=await _services(tx, asked), window=window), asked.catalog)
    teams = await reporting.standups(tx, asked.of_teams(questions), asked.catalog, asked.now)
    title = f"Standup{asked.whose}, last {hours} hours: {bulletins.in_progress(teams)} changes in progress"
    return Answer(text=title, sections=bulletins.of_standup(teams))


async def _triage(tx: Connection, asked: Asked) -> Answer:
    found = await reporting.raised(tx, await _own_services(tx, asked), asked.catalog, asked.now)
    sections = bulletins.of_signals(found, bulletins.TRIAGED)
    return Answer(text=f"Triage{asked.whose}: what waits too long", sections=sections)


async def _signals(tx: Connection, asked: Asked) -> Answer:
    wanted = asked.given.get("kind", "")
    kinds = [bulletins.EARLIER.get(wanted, wanted)] if wanted else [*bulletins.SIGNALS]
    if kinds[0] not in bulletins.SIGNALS:
        return Answer(text=f"No signal is called {wanted}. There are: {', '.join(bulletins.SIGNALS)}")
    found = await reporting.raised(tx, await _own_services(tx, asked), asked.catalog, asked.now)
    return Answer(text=f"Signals{asked.whose}", sections=bulletins.of_signals(found, kinds))


async def _sprint(tx: Connection, asked: Asked) -> Answer:
    days = asked.number("days", SPRINT_DAYS)
    question = Question(services=await _services(tx, asked), window=last_days(days, asked.now))
    questions = asked.of_teams(by_team(question, asked.catalog))
    teams = await reporting.health(tx, questions, asked.catalog, asked.now)
    return Answer(text=f"Sprint health{asked.whose}, last {days} days", sections=bulletins.of_sprint(teams))


async def _own_services(tx: Connection, asked: Asked) -> list[str]:
    found = await _services(tx, asked)
    return [name for name in found if not asked.teams or asked.catalog.team_of(name) in asked.teams]


async def _services(tx: Connection, asked: Asked) -> list[str]:
    return [name for name in await reading.services(tx, asked.catalog) if name not in asked.hidden]


ANSWERS: Mapping[str, Answering] = {
    "dora": _dora,
    "standup": _standup,
    "triage": _triage,
    "signals": _signals,
    "sprint": _sprint,
}


# ---- what is said ----------------------------------------------------------------------------------------------------


def _reply(event: ChatCommand, answer: Answer, now: datetime) -> Reply:
    shown = (msgspec.structs.replace(each, items=each.items[:SHOWN_MAX]) for each in answer.sections)
    reply = Reply(
        occurred_at=now,
        team=event.team,
        channel=event.channel,
        user=event.user,
        text=answer.text,
        sections=tuple(shown),
    )
    return reply.stamped(
        id=step_of_entity(service=METRICS_SVC.name, entity=f"command:{event.id}", revision=1, step="reply"),
        source=METRICS_SVC.name,
        delivery=event.delivery,
        origin=event.origin,
        received_at=event.received_at,
    )


def _bulletin(event: ChatCommand, about: str, answer: Answer, asked: Asked) -> Bulletin:
    bulletin = Bulletin(
        occurred_at=asked.now,
        about=about,
        title=answer.text,
        sections=answer.sections,
        team=asked.teams[0] if asked.teams else "",
        channel=asked.given.get("#channel", ""),
        user=event.user,
        asked_in=event.channel,
    )
    return bulletin.stamped(
        id=step_of_entity(service=METRICS_SVC.name, entity=f"command:{event.id}", revision=1, step="post"),
        source=METRICS_SVC.name,
        delivery=event.delivery,
        origin=event.origin,
        received_at=event.received_at,
    )
