"""The demo's story: sixty days of two teams, told as the deliveries of their platforms."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from em.demo.beats import play
from em.demo.cast import OTHERS, SERVICES, catalog, policy
from em.demo.chance import Chance
from em.demo.facts import AskingRun, Delivery, Gate, Repository
from em.demo.finale import LIVE_SPAN, ask_live, play_live
from em.demo.plot import DAY, HOUR, MINUTE, Plot
from em.demo.telling import Teller

__all__ = ["Delivery", "Gate", "Story", "catalog", "policy", "shuffled", "tell"]

DAYS = 60
# Who sleeps for sixty days was deployed before the window, or nobody would see the gap.
SLEEPER_LEAD = 10 * DAY
GITHUB_API_URL = "https://api.github.example.com"

SHUFFLE_WINDOW = 40
DUPLICATE_SHARE = 0.05
DUPLICATE_DISTANCE = 120


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """``deliveries`` in event time; metrics are told for the half-open window [start, end)."""

    seed: int
    start: datetime
    end: datetime
    live_since: datetime
    repositories: tuple[Repository, ...]
    gates: tuple[Gate, ...]
    runs: tuple[AskingRun, ...]
    deliveries: tuple[Delivery, ...]

    @property
    def history(self) -> tuple[Delivery, ...]:
        return tuple(d for d in self.deliveries if d.occurred_at < self.live_since)

    @property
    def live(self) -> tuple[Delivery, ...]:
        return tuple(d for d in self.deliveries if d.occurred_at >= self.live_since)


def tell(seed: int, now: datetime, *, github_api_url: str = GITHUB_API_URL) -> Story:
    """Tell the story that ends at ``now`` (cut to whole seconds); equal arguments give equal bytes.

    ``github_api_url`` is where the platform says it can be called back: the protection-rule callbacks.
    """
    end = now.astimezone(UTC).replace(microsecond=0)
    start = end - DAYS * DAY
    live_since = end - LIVE_SPAN
    plots: list[Plot] = []
    for index in range(len(SERVICES)):
        plots.append(_repository(seed, index, start, end, plots))
    gates = play_live(plots, now=end)
    repositories = tuple(each.repository for plot in plots for each in (plot, plot.other) if each)
    teller = Teller(Chance(f"{seed}:telling"), api_url=github_api_url.rstrip("/"))
    deliveries = teller.tell(repositories, start=start, end=end, live_since=live_since)
    return Story(
        seed=seed,
        start=start,
        end=end,
        live_since=live_since,
        repositories=repositories,
        gates=tuple(gates),
        runs=tuple(ask_live(plots)),
        deliveries=deliveries,
    )


def shuffled(story: Story, seed: int) -> list[Delivery]:
    """The order of sending: history displaced within a window, the live part in order, 5 % twice."""
    chance = Chance(f"{seed}:sending")
    return [*_displaced(story.history, chance, SHUFFLE_WINDOW), *_displaced(story.live, chance, 0)]


def _displaced(deliveries: tuple[Delivery, ...], chance: Chance, window: int) -> list[Delivery]:
    places = [(index + chance.fraction(0, window), delivery) for index, delivery in enumerate(deliveries)]
    again = chance.some_of(places, round(len(places) * DUPLICATE_SHARE))
    places += [(place + chance.fraction(0.5, DUPLICATE_DISTANCE), delivery) for place, delivery in again]
    return [delivery for _, delivery in sorted(places, key=lambda place: place[0])]


def _repository(seed: int, index: int, start: datetime, end: datetime, told: Sequence[Plot]) -> Plot:
    service = SERVICES[index]
    chance = Chance(f"{seed}:{service.name}")
    early = SLEEPER_LEAD if service.sleeps_days else timedelta()
    born_at = start - early + (3 + 2 * index) * HOUR
    other = OTHERS.get(service.name)
    plot = Plot(
        service,
        chance=chance,
        born_at=born_at,
        other=Plot(other, chance=Chance(f"{seed}:{other.repository}"), born_at=born_at) if other else None,
        neighbour=next((plot for plot in told if plot.service.full_name == service.full_name), None),
    )
    play(plot, until=end - 2 * HOUR)
    if service.busy:
        _live_between(plot, chance, end)
    _show_draft(plot)
    return plot


def _show_draft(plot: Plot) -> None:
    drafts = [change for change in plot.repository.changes if change.ready_at and change.merge_sha]
    for change in drafts[:1]:
        plot.show("a draft", change)


def _live_between(plot: Plot, chance: Chance, end: datetime) -> None:
    """What happens beside the deployments: tickets, releases, changes that never merge."""
    first, last = plot.repository.born_at + DAY, end - 3 * HOUR
    for deployment in plot.repository.production()[3::5]:
        plot.publish_release(deployment)
    for _ in range(6):
        plot.abandon(chance.moment(first + 2 * DAY, last))
    for _ in range(4):
        plot.leave_open(chance.moment(last - 3 * DAY, end - 4 * MINUTE))
    for _ in range(10):
        opened_at = chance.moment(first, last - 2 * DAY)
        closes = chance.happens(0.7)
        plot.ticket(opened_at, opened_at + chance.minutes(60, 2 * 24 * 60) if closes else None)
