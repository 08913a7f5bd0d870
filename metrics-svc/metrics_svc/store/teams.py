"""What teams had of services when, read part by part."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeVar

from metrics_svc.dora import Samples
from metrics_svc.question import Question, by_team
from metrics_svc.store.samples import Key, samples
from shared.catalog import Catalog
from shared.db import Connection

T = TypeVar("T")


async def of_parts(question: Question, read: Callable[[Question], Awaitable[Sequence[T]]]) -> list[T]:
    return [each for part in question.parts() for each in await read(part)]


async def team_samples(
    tx: Connection,
    question: Question,
    found: Mapping[Key, Samples],
    catalog: Catalog,
    metrics: Collection[str],
) -> Mapping[str, tuple[Question, Mapping[Key, Samples]]]:
    """Every team with a question and the samples of what it had; `found` are those of all services, whosever."""
    return {
        team: (own, await samples(tx, own, metrics) if own.tenures else found)
        for team, own in by_team(question, catalog).items()
    }
