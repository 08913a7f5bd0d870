"""The last fifty minutes: fresh enough to act on, so people are told and asked while the demo runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from em.demo.cast import INES, KOFI, LEA, MAILER, MAREK, NOOR, PRIYA, STOREFRONT, TOMAS, YUKI, Person, Service
from em.demo.facts import AskingRun, Click, Deployment, Gate, IncidentStep
from em.demo.plot import MINUTE, SECOND, STAGING_LEAD, Plot

LIVE_SPAN = 50 * MINUTE
Outcome = Literal["approved", "rejected", "pending"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """A deployment that will wait: how long before the end it is asked for, by whom, and who clicks what."""

    before: timedelta
    by: Person
    approve: tuple[Person, ...]
    decline: tuple[Person, ...]
    outcome: Outcome


# Ines asks for her own deployment and her click must not count; Priya is no releaser, hers must not either.
ASKS: dict[str, tuple[Ask, ...]] = {
    "checkout": (
        Ask(before=19 * MINUTE, by=INES, approve=(INES, TOMAS, MAREK), decline=(), outcome="approved"),
        Ask(before=6 * MINUTE, by=INES, approve=(INES, KOFI), decline=(), outcome="pending"),
    ),
    "ledger": (
        Ask(before=17 * MINUTE, by=TOMAS, approve=(PRIYA, INES, LEA), decline=(), outcome="approved"),
        Ask(before=9 * MINUTE, by=MAREK, approve=(TOMAS,), decline=(INES,), outcome="rejected"),
    ),
    "search": (
        Ask(before=13 * MINUTE, by=KOFI, approve=(LEA, MAREK), decline=(), outcome="approved"),
        Ask(before=4 * MINUTE, by=NOOR, approve=(KOFI, INES), decline=(), outcome="approved"),
    ),
}
# Priya is no releaser; Yuki asks for what Kofi would rather not see shipped.
RUNS: tuple[tuple[Service, Person, tuple[Click, ...], bool], ...] = (
    (MAILER, PRIYA, (Click(by=INES, answer="approve"), Click(by=TOMAS, answer="approve")), True),
    (STOREFRONT, YUKI, (Click(by=LEA, answer="approve"), Click(by=KOFI, answer="decline")), False),
)
MERGED_BEFORE_ASK = 3 * MINUTE


def play_live(plots: Sequence[Plot], *, now: datetime) -> list[Gate]:
    """Three deployments end, one breaks its service for a while, and six wait for a decision."""
    by_name = {plot.service.name: plot for plot in plots}
    _break_for_a_while(by_name["checkout"], now)
    ship_live(by_name["ledger"], now - 38 * MINUTE)
    _second_try(by_name["search"], now)
    gates = [_wait(plot, ask, now) for plot in plots for ask in ASKS.get(plot.service.name, ())]
    return sorted(gates, key=lambda gate: gate.asked_at)


def ask_live(plots: Sequence[Plot]) -> list[AskingRun]:
    """Argo CD and Heroku deploy without a gate of their own: their pipelines ask first. One goes on, one does not."""
    heads = {plot.service: plot.head for plot in plots}
    return [
        AskingRun(service=service, sha=heads[service], by=by, clicks=clicks, goes_on=goes_on)
        for service, by, clicks, goes_on in RUNS
    ]


def ship_live(plot: Plot, at: datetime) -> Deployment:
    plot.batch(at - STAGING_LEAD - 4 * MINUTE, plot.chance.number(2, 3))
    return plot.release_train(at, gated=False)


def _break_for_a_while(plot: Plot, now: datetime) -> None:
    bad = ship_live(plot, now - 49 * MINUTE)
    steps = [
        IncidentStep(at=now - 41 * MINUTE, event="triggered", by=None),
        IncidentStep(at=now - 38 * MINUTE - 20 * SECOND, event="acknowledged", by=PRIYA),
        IncidentStep(
            at=now - 31 * MINUTE,
            event="annotated",
            by=PRIYA,
            note="Saved cards only. The flag is off, watching.",
        ),
        IncidentStep(at=now - 22 * MINUTE, event="resolved", by=PRIYA),
    ]
    plot.incident(steps, cause=bad)
    bad.recovered_at = steps[-1].at


def _second_try(plot: Plot, now: datetime) -> None:
    plot.batch(now - 65 * MINUTE, 2)
    attempt = plot.release_train(now - 33 * MINUTE, gated=False, outcome="failure")
    plot.deploy(now - 25 * MINUTE, kind="normal", creator=attempt.creator, sha=attempt.sha)


def _wait(plot: Plot, ask: Ask, now: datetime) -> Gate:
    """A change merges, its deployment is created and held by the protection rule."""
    asked_at = now - ask.before
    merged_at = asked_at - MERGED_BEFORE_ASK
    change = plot.merge(plot.change(merged_at), merged_at)
    plot.show("merged, not deployed yet", change, method="unlinked")
    deployment = Deployment(
        service=plot.service,
        environment="production",
        kind="waiting",
        sha=plot.head,
        creator=ask.by,
        created_at=asked_at - 3 * SECOND,
        statuses=[(asked_at - SECOND, "waiting")],
        gate_asked_at=asked_at,
    )
    plot.repository.deployments.append(deployment)
    clicks = [Click(by=person, answer="approve") for person in ask.approve]
    clicks += [Click(by=person, answer="decline") for person in ask.decline]
    return Gate(deployment=deployment, asked_at=asked_at, clicks=tuple(clicks), outcome=ask.outcome)
