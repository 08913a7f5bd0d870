"""What follows from the facts, step by step: deployments take their places, then changes, kinds, incidents, failures.

Each step hands on only what it may have moved, so that a late event repairs its neighbourhood and nothing else.
Runs under the locks of the touched services, with fresh statements after the facts were written (law 4).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import chain

import msgspec

from metrics_svc.change_flow import flows_of
from metrics_svc.meaning import Standing, owned, services_of_origin
from metrics_svc.store import change_flow, links, reviewed, shipped, timeline
from metrics_svc.store.change_flow import Recorded
from metrics_svc.store.links import ChangeLink, Link
from shared.catalog import Catalog
from shared.db import Connection


class Touched(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch of facts told of.

    `repositories` (and other origins) map to the services that they hold. `discussed` are changes that somebody
    reviewed or commented. `landed` are (repository, sha) of pushes, `pushed` (repository, branch, position) of those to
    other branches than the default. `deployments` maps to where the deployment stands, None where it didn't succeed in
    production.
    `incidents` maps to the service, None where nothing names one.
    """

    repositories: Mapping[str, Sequence[str]]
    changes: Sequence[str]
    discussed: Sequence[str]
    landed: Sequence[tuple[str, str]]
    pushed: Sequence[tuple[str, str, int]]
    deployments: Mapping[str, Standing | None]
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


def with_deployments(touched: Touched, deployments: Mapping[str, Standing | None], catalog: Catalog) -> Touched:
    """The timelines they stand on are touched as well."""
    timelines = {standing.timeline for standing in deployments.values() if standing}
    repositories = {name: services_of_origin(name, catalog) for name in timelines} | {**touched.repositories}
    return msgspec.structs.replace(touched, repositories=repositories, deployments=deployments)


async def derive(tx: Connection, touched: Touched, catalog: Catalog) -> list[str]:
    """Returns the deployments that may say something else now, those that are none any more among them."""
    if touched.repositories:
        await timeline.record_repositories(tx, touched.repositories)
        services = sorted({*chain.from_iterable(touched.repositories.values())})
        await timeline.record_services(tx, [owned(name, catalog) for name in services])
    retold = await tell_flow(tx, touched, catalog)
    moved = await _place_deployments(tx, touched, catalog)
    shifted = await _link_changes(tx, touched, moved, retold.handed_over)
    await refresh_days(tx, retold, _days(shifted))
    affected = _distinct(moved.ids, await _carriers(tx, shifted))
    suspects = _distinct(affected, moved.blamed, await _tell_kinds(tx, affected))
    suspects = _distinct(suspects, await _link_incidents(tx, touched, moved, catalog))
    if suspects:
        await timeline.tell_failures(tx, suspects)
    return _distinct(suspects, moved.removed)


async def tell_flow(tx: Connection, touched: Touched, catalog: Catalog) -> Recorded:
    """How changes moved, whatever became of them afterwards."""
    changes = _distinct(touched.changes, touched.discussed)
    if not changes and not touched.landed and not touched.pushed:
        return Recorded()
    told = await change_flow.told(tx, changes=changes, landed=touched.landed, pushed=touched.pushed)
    if not told:
        return Recorded()
    flows = [flow for each in told for flow in flows_of(each, catalog)]
    return await change_flow.record(tx, [each.id for each in told], flows)


async def refresh_days(tx: Connection, retold: Recorded, shipped_on: Collection[tuple[str, date]] = ()) -> None:
    if days := {*retold.shipped, *shipped_on}:
        await shipped.refresh(tx, sorted(days))
    if retold.reviewed:
        await reviewed.refresh(tx, sorted(retold.reviewed))


async def _place_deployments(tx: Connection, touched: Touched, catalog: Catalog) -> Moved:
    known = await timeline.of_commits(tx, touched.landed) if touched.landed else []
    ids = _distinct(touched.deployments, known)
    if not ids:
        return Moved()
    before = await timeline.places(tx, ids)
    told = {name: standing for name, standing in touched.deployments.items() if standing}
    await _set_aside(tx, touched.deployments, {name: s for name, s in told.items() if not s.counts})
    placed = {
        place.id: Standing(place.service, place.repository, place.environment)
        for place in before
        if place.id not in touched.deployments
    }
    placed |= {name: standing for name, standing in told.items() if standing.counts}
    removed = [place.id for place in before if place.id not in placed]
    if not placed and not removed:
        return Moved()
    followers = await timeline.neighbours(tx, ids)
    blamed = await timeline.remove(tx, removed) if removed else []
    if placed:
        await timeline.place(
            tx,
            {name: (s.service, s.timeline, s.environment) for name, s in placed.items()},
            {s.service: catalog.repositories_of(s.service) for s in placed.values()},
        )
        followers += await timeline.neighbours(tx, list(placed))
    moved = sorted({*placed, *followers} - {*removed})
    if moved:
        await timeline.tell_repeats(tx, moved)
    after = await timeline.places(tx, moved) if moved else []
    moments = {(place.service, place.finished_at) for place in chain(before, after)}
    return Moved(ids=moved, removed=removed, blamed=blamed, moments=sorted(moments))


async def _set_aside(tx: Connection, touched: Collection[str], aside: Mapping[str, Standing]) -> None:
    """Reports that do not count; the others of those touched count, or mean nothing here."""
    if counted := [name for name in touched if name not in aside]:
        await timeline.take_back(tx, counted)
    if aside:
        await timeline.set_aside(tx, {name: (s.service, s.aside) for name, s in aside.items()})


async def _link_changes(tx: Connection, touched: Touched, moved: Moved, handed_over: Sequence[str]) -> list[ChangeLink]:
    """Returns what was linked again: as it was, and as it is."""
    changes: list[str] = []
    told = _distinct(touched.changes, handed_over)
    if told or touched.landed or touched.pushed:
        changes = await links.touched_changes(tx, changes=told, landed=touched.landed, pushed=touched.pushed)
    if not changes and not moved.ids and not moved.removed:
        return []
    before = await links.shifted_changes(tx, changes=changes, placed=moved.ids, removed=moved.removed)
    if not before:
        return []
    return [*before, *await links.link_changes(tx, _distinct([link.id for link in before]))]


async def _carriers(tx: Connection, shifted: Sequence[ChangeLink]) -> list[str]:
    """Deployments that carried, or now carry, these changes, or what undoes them."""
    if not shifted:
        return []
    return _distinct(_deployments(shifted), await links.reverted_by(tx, _distinct([link.id for link in shifted])))


async def _tell_kinds(tx: Connection, affected: Sequence[str]) -> list[str]:
    """Returns the deployments that were, or now are, said to have failed."""
    if not affected:
        return []
    await timeline.tell_mends(tx, affected)
    blames = await timeline.tell_remediated(tx, affected)
    return [blamed for blame in blames for blamed in (blame.was, blame.now) if blamed]


async def _link_incidents(tx: Connection, touched: Touched, moved: Moved, catalog: Catalog) -> list[str]:
    """Returns the deployments that an incident was, or now is, linked to."""
    if not touched.incidents and not moved.moments:
        return []
    before = await links.shifted_incidents(
        tx,
        incidents=list(touched.incidents),
        deployments=_distinct(moved.ids, moved.removed),
        moments=[(service, at, catalog.incident_window_h(service)) for service, at in moved.moments],
    )
    if not before:
        return []
    services = {link.id: link.service for link in before} | {**touched.incidents}
    hours = {service: catalog.incident_window_h(service) for service in services.values()}
    after = await links.link_incidents(tx, services, hours)
    return _deployments(before, after)


def _deployments(*linked: Sequence[Link]) -> list[str]:
    return _distinct([link.deployment for link in chain(*linked) if link.deployment])


def _days(shifted: Iterable[ChangeLink]) -> set[tuple[str, date]]:
    """(service, day in UTC) on which these were, or are, shipped."""
    moments = {(link.service, link.deployed_at) for link in shifted if link.service and link.deployed_at}
    return {(service, moment.astimezone(UTC).date()) for service, moment in moments}


def _distinct(*ids: Iterable[str]) -> list[str]:
    return sorted(set(chain(*ids)))
