"""What follows from the facts, step by step: deployments take their places, then changes, kinds, incidents, failures.

Each step hands on only what it may have moved, so that a late event repairs its neighbourhood and nothing else.
Runs under the locks of the touched services, with fresh statements after the facts were written (law 4).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain

import msgspec

from metrics_svc.store import links, timeline
from metrics_svc.store.links import Link
from shared.db import Connection


class Touched(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch of facts told of.

    `repositories` maps to services. `deployments` maps to the service where the deployment succeeded in production,
    else to None. `incidents` maps to the service, None where nothing names one. `landed` are (repository, sha) on
    default branches, `pushed` (repository, branch, position) on others.
    """

    repositories: Mapping[str, str]
    changes: Sequence[str]
    landed: Sequence[tuple[str, str]]
    pushed: Sequence[tuple[str, str, int]]
    deployments: Mapping[str, str | None]
    incidents: Mapping[str, str | None]


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """What placing deployments moved.

    `ids` are all deployments whose kind may differ now, `removed` those that are none any more, `blamed` what these
    had said had failed; `moments` are the (service, time) where deployments stand or stood.
    """

    ids: Sequence[str] = ()
    removed: Sequence[str] = ()
    blamed: Sequence[str] = ()
    moments: Sequence[tuple[str, datetime]] = ()


async def derive(tx: Connection, touched: Touched) -> None:
    if touched.repositories:
        await timeline.record_repositories(tx, dict(touched.repositories))
    moved = await _place_deployments(tx, touched)
    carriers = await _link_changes(tx, touched, moved)
    affected = _distinct(moved.ids, carriers)
    suspects = _distinct(affected, moved.blamed, await _tell_kinds(tx, affected))
    suspects = _distinct(suspects, await _link_incidents(tx, touched, moved))
    if suspects:
        await timeline.tell_failures(tx, suspects)


async def _place_deployments(tx: Connection, touched: Touched) -> Moved:
    known = await timeline.of_commits(tx, touched.landed) if touched.landed else []
    ids = _distinct(touched.deployments, known)
    if not ids:
        return Moved()
    before = await timeline.places(tx, ids)
    placed: dict[str, str | None] = {place.id: place.service for place in before}
    removed = [name for name in placed if touched.deployments.get(name, "") is None]
    placed |= touched.deployments
    services = {name: service for name, service in placed.items() if service is not None}
    if not services and not removed:
        return Moved()
    followers = await timeline.neighbours(tx, ids)
    blamed = await timeline.remove(tx, removed) if removed else []
    if services:
        await timeline.place(tx, services)
        followers += await timeline.neighbours(tx, list(services))
    moved = sorted({*services, *followers} - {*removed})
    if moved:
        await timeline.tell_repeats(tx, moved)
    after = await timeline.places(tx, moved) if moved else []
    moments = {(place.service, place.finished_at) for place in chain(before, after)}
    return Moved(ids=moved, removed=removed, blamed=blamed, moments=sorted(moments))


async def _link_changes(tx: Connection, touched: Touched, moved: Moved) -> list[str]:
    """Returns the deployments that carried, or now carry, a change that was linked again."""
    changes: list[str] = []
    if touched.changes or touched.landed or touched.pushed:
        changes = await links.touched_changes(tx, changes=touched.changes, landed=touched.landed, pushed=touched.pushed)
    if not changes and not moved.ids and not moved.removed:
        return []
    before = await links.shifted_changes(tx, changes=changes, placed=moved.ids, removed=moved.removed)
    if not before:
        return []
    after = await links.link_changes(tx, [link.id for link in before], touched.repositories)
    return _deployments(before, after)


async def _tell_kinds(tx: Connection, affected: Sequence[str]) -> list[str]:
    """Returns the deployments that were, or now are, said to have failed."""
    if not affected:
        return []
    await timeline.tell_hotfixes(tx, affected)
    blames = await timeline.tell_remediated(tx, affected)
    return [blamed for blame in blames for blamed in (blame.was, blame.now) if blamed]


async def _link_incidents(tx: Connection, touched: Touched, moved: Moved) -> list[str]:
    """Returns the deployments that an incident was, or now is, linked to."""
    if not touched.incidents and not moved.moments:
        return []
    before = await links.shifted_incidents(
        tx,
        incidents=list(touched.incidents),
        deployments=_distinct(moved.ids, moved.removed),
        moments=moved.moments,
    )
    if not before:
        return []
    services = {link.id: link.service for link in before} | {**touched.incidents}
    after = await links.link_incidents(tx, services)
    return _deployments(before, after)


def _deployments(*linked: Sequence[Link]) -> list[str]:
    return _distinct([link.deployment for link in chain(*linked) if link.deployment])


def _distinct(*ids: Iterable[str]) -> list[str]:
    return sorted(set(chain(*ids)))
