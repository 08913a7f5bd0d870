"""Turns the facts of the story into the deliveries the platforms would have sent about them."""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import TypeVar

import msgspec

from em.demo import words
from em.demo.cast import PEOPLE, TEAMS, Person
from em.demo.chance import NO_SHA, Chance
from em.demo.facts import (
    Build,
    Change,
    Delivery,
    Deployment,
    Expectation,
    Push,
    Release,
    Repository,
    Source,
    Ticket,
)
from em.demo.payloads import argocd, heroku, pagerduty, report, slack
from em.demo.payloads.github import GitHub, Json, iso, stable_id
from em.demo.plot import HOUR, MINUTE, SECOND
from shared.contracts.ids import body_delivery_id

FIRST_DEPLOYMENT_ID = 2_114_380_021
FIRST_RELEASE = 31  # versions before that are older than the story
FIRST_RUN_ID = 11_820_554_103
HOOK_IDS = {
    "checkout": 471_120_338,
    "ledger": 471_120_902,
    "search-api": 471_133_764,
    "storefront": 471_140_015,
    "mailer": 471_151_230,
    "back-office": 471_160_871,
    "kiosk": 471_166_402,
    "kiosk-ui": 471_166_433,
}
MENTIONS_OLD, MENTIONS_LIVE = 14, 6
ULID_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

T = TypeVar("T")


class Teller:
    def __init__(self, chance: Chance, *, api_url: str) -> None:
        self._chance = chance
        self._api_url = api_url

    def tell(
        self, repositories: Sequence[Repository], *, start: datetime, end: datetime, live_since: datetime
    ) -> tuple[Delivery, ...]:
        """All deliveries before ``end`` in event time; also gives things their numbers."""
        _give_numbers(repositories)
        told = list(self._greetings(repositories, start, live_since))
        for repository in repositories:
            told += self._about(repository)
        told += self._chat(start, end, live_since)
        return tuple(sorted((d for d in told if d.occurred_at < end), key=lambda d: d.occurred_at))

    # ---- one delivery --------------------------------------------------------------------------------------

    def _github(
        self,
        hub: GitHub,
        event: str,
        body: Json,
        at: datetime,
        sender: Person,
        expect: Expectation = "events",
    ) -> Delivery:
        delivery_id = self._uuid()
        in_push = event == "push"
        body = {
            **body,
            "repository": hub.repository_at(at, in_push=in_push),
            "organization": hub.organization(),
            "sender": hub.user(sender),
            "installation": hub.installation(),
        }
        headers = {
            "Accept": "*/*",
            "Content-Type": "application/json",
            "User-Agent": "GitHub-Hookshot/7c41a2e",
            "X-GitHub-Delivery": delivery_id,
            "X-GitHub-Event": event,
            "X-GitHub-Hook-ID": str(HOOK_IDS[hub.service.repository]),
            "X-GitHub-Hook-Installation-Target-ID": str(hub.service.repository_id),
            "X-GitHub-Hook-Installation-Target-Type": "repository",
        }
        return _delivery("github", event, delivery_id, headers, body, at, expect)

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._chance.number(0, 2**128 - 1), version=4))

    # ---- a repository --------------------------------------------------------------------------------------

    def _about(self, repository: Repository) -> Iterator[Delivery]:
        hub = GitHub(repository, self._api_url, repository.born_at)
        for push in repository.pushes():
            yield self._push(hub, push)
        for change in repository.changes:
            yield from self._change(hub, change)
        for deployment in repository.deployments:
            match deployment.reporter:
                case "github":
                    yield from self._deployment(hub, deployment)
                case "argocd" if deployment.told_by:
                    yield self._argocd(argocd.same(deployment), deployment.ended_at)
                case "argocd":
                    yield from self._synced(deployment)
                case "report":
                    yield from self._reported(deployment)
                case "heroku":
                    yield from self._released(deployment)
            if deployment.told_twice:
                yield self._argocd(argocd.same(deployment), deployment.ended_at + 40 * SECOND)
        by_branch = {change.branch: change for change in repository.changes}
        for build in repository.builds:
            yield from self._build(hub, build, by_branch.get(build.branch))
        for ticket in repository.tickets:
            yield from self._ticket(hub, ticket)
        for release, tag in zip(repository.releases, repository.tags, strict=True):
            yield from self._release(hub, release, tag)
        yield from self._incidents(repository)

    def _push(self, hub: GitHub, push: Push) -> Delivery:
        is_tag = push.ref.startswith("refs/tags/")
        merge = len(push.commits) > 1 and push.commits[-1].by_platform
        commits = [hub.commit(c, distinct=not merge or c.by_platform) for c in push.commits]
        body = {
            "ref": push.ref,
            "before": push.before,
            "after": push.after,
            "created": push.before == NO_SHA,
            "deleted": False,
            "forced": push.forced,
            "base_ref": "refs/heads/main" if is_tag else None,
            "compare": f"{hub.html}/compare/{push.before[:12]}...{push.after[:12]}",
            "commits": [] if is_tag else commits,
            "head_commit": commits[-1],
            "pusher": {"name": push.pusher.github, "email": push.pusher.email},
        }
        return self._github(hub, "push", body, push.at, push.pusher)

    def _change(self, hub: GitHub, change: Change) -> Iterator[Delivery]:
        yield self._pull_request(hub, change, "opened", change.opened_at, change.author)
        if change.labelled_at is not None:
            for name in change.labels:
                yield self._pull_request(
                    hub, change, "labeled", change.labelled_at, change.author, {"label": hub.label(name)}
                )
        if change.ready_at is not None:
            yield self._pull_request(hub, change, "ready_for_review", change.ready_at, change.author)
        if change.requested_at is not None:
            asked = {"requested_reviewer": hub.user(change.reviewers[0])}
            yield self._pull_request(hub, change, "review_requested", change.requested_at, change.author, asked)
        for push in change.pushes:
            if push.at > change.opened_at:
                shas = {"before": push.before, "after": push.after}
                yield self._pull_request(hub, change, "synchronize", push.at + SECOND, change.author, shas)
        yield from self._talk(hub, change)
        if change.closed_at is not None:
            by = change.merged_by or change.author
            yield self._pull_request(hub, change, "closed", change.closed_at, by)
        if change.branch_deleted_at is not None and change.merged_by is not None:
            yield from self._branch_deleted(hub, change, change.branch_deleted_at, change.merged_by)

    def _pull_request(
        self, hub: GitHub, change: Change, action: str, at: datetime, by: Person, more: Json | None = None
    ) -> Delivery:
        body = {
            "action": action,
            "number": change.number,
            "pull_request": hub.pull_request(change, at),
            **(more or {}),
        }
        return self._github(hub, "pull_request", body, at, by)

    def _talk(self, hub: GitHub, change: Change) -> Iterator[Delivery]:
        for review in change.reviews:
            body = {
                "action": "submitted",
                "review": hub.review(change, review.state, review.words, review.by, review.at),
                "pull_request": hub.pull_request(change, review.at),
            }
            yield self._github(hub, "pull_request_review", body, review.at, review.by)
        for comment in change.comments:
            body = {
                "action": "created",
                "issue": hub.issue(change, comment.at),
                "comment": hub.issue_comment(change, comment.words, comment.by, comment.at),
            }
            yield self._github(hub, "issue_comment", body, comment.at, comment.by)

    def _branch_deleted(self, hub: GitHub, change: Change, at: datetime, by: Person) -> Iterator[Delivery]:
        before = change.pushes[-1].after
        push = {
            "ref": f"refs/heads/{change.branch}",
            "before": before,
            "after": NO_SHA,
            "created": False,
            "deleted": True,
            "forced": False,
            "base_ref": None,
            "compare": f"{hub.html}/compare/{before[:12]}...{NO_SHA[:12]}",
            "commits": [],
            "head_commit": None,
            "pusher": {"name": by.github, "email": by.email},
        }
        delete = {"ref": change.branch, "ref_type": "branch", "pusher_type": "user"}
        yield self._github(hub, "push", push, at, by, "ignored")
        yield self._github(hub, "delete", delete, at, by, "ignored")

    def _deployment(self, hub: GitHub, deployment: Deployment) -> Iterator[Delivery]:
        creator = deployment.creator
        created = {"action": "created", "deployment": hub.deployment(deployment, deployment.created_at)}
        more = {"workflow": hub.workflow("deploy"), "workflow_run": self._deploy_run(hub, deployment)}
        yield self._github(hub, "deployment", created | more, deployment.created_at, creator)
        if deployment.gate_asked_at is not None:
            gate = self._gate(hub, deployment, deployment.gate_asked_at) | more
            yield self._github(hub, "deployment_protection_rule", gate, deployment.gate_asked_at, creator)
        for at, state in deployment.statuses:
            body = {
                "action": "created",
                "deployment_status": hub.deployment_status(deployment, state, at),
                "deployment": hub.deployment(deployment, at),
                "check_run": None,
                **more,
            }
            expect: Expectation = "ignored" if state == "inactive" else "events"
            yield self._github(hub, "deployment_status", body, at, creator, expect)

    def _synced(self, deployment: Deployment) -> Iterator[Delivery]:
        for sync in deployment.syncs:
            yield self._argocd(argocd.synced(deployment, sync, done=False), sync.started_at)
            yield self._argocd(argocd.synced(deployment, sync, done=True), sync.finished_at)

    def _argocd(self, body: Json, at: datetime) -> Delivery:
        """Argo CD numbers nothing: its deliveries are known by their bytes."""
        told = _delivery("argocd", "sync", "", argocd.HEADERS, body, at, "events")
        return replace(told, delivery_id=body_delivery_id("argocd", told.body))

    def _released(self, deployment: Deployment) -> Iterator[Delivery]:
        for at, status in ((deployment.created_at, "pending"), (deployment.ended_at, "succeeded")):
            delivery_id = self._uuid()
            body = heroku.release(deployment, status, at, delivery_id)
            yield _delivery("heroku", "release", delivery_id, heroku.HEADERS, body, at, "events")

    def _reported(self, deployment: Deployment) -> Iterator[Delivery]:
        yield self._report("deployment", report.started(deployment), deployment.statuses[0][0])
        yield self._report("deployment", report.finished(deployment), deployment.ended_at)

    def _report(self, event: str, body: Json, at: datetime) -> Delivery:
        """A script numbers nothing either."""
        told = _delivery("report", event, "", report.HEADERS, body, at, "events")
        return replace(told, delivery_id=body_delivery_id("report", told.body))

    def _gate(self, hub: GitHub, deployment: Deployment, at: datetime) -> Json:
        run = f"{hub.repository_url}/actions/runs/{deployment.run_id}"
        return {
            "action": "requested",
            "environment": deployment.environment,
            "event": "push",
            "sha": deployment.sha,
            "ref": "refs/heads/main",
            "deployment_callback_url": f"{run}/deployment_protection_rule",
            "deployment": hub.deployment(deployment, at),
            "pull_requests": [],
        }

    def _deploy_run(self, hub: GitHub, deployment: Deployment) -> Json:
        url = f"{hub.repository_url}/actions/runs/{deployment.run_id}"
        return {
            "id": deployment.run_id,
            "name": "deploy",
            "path": ".github/workflows/deploy.yml",
            "head_branch": "main",
            "head_sha": deployment.sha,
            "run_number": stable_id(1, deployment.run_id) % 4_000,
            "run_attempt": 1,
            "event": "push",
            "status": "in_progress",
            "conclusion": None,
            "workflow_id": hub.workflow("deploy")["id"],
            "url": url,
            "html_url": f"{hub.html}/actions/runs/{deployment.run_id}",
            "pull_requests": [],
            "created_at": iso(deployment.created_at),
            "updated_at": iso(deployment.created_at),
            "run_started_at": iso(deployment.created_at),
            "actor": hub.user(deployment.creator),
            "triggering_actor": hub.user(deployment.creator),
        }

    def _build(self, hub: GitHub, build: Build, change: Change | None) -> Iterator[Delivery]:
        status = {"requested": "queued", "in_progress": "in_progress", "completed": "completed"}
        references = [hub.pull_request_reference(change, build.sha)] if change else []
        for at, action in build.steps:
            run = hub.workflow_run(build, at, status[action], references)
            body = {"action": action, "workflow": hub.workflow(build.name), "workflow_run": run}
            yield self._github(hub, "workflow_run", body, at, build.actor)

    def _ticket(self, hub: GitHub, ticket: Ticket) -> Iterator[Delivery]:
        steps: list[tuple[str, datetime | None, Json]] = [
            ("opened", ticket.opened_at, {}),
            ("labeled", ticket.labelled_at, {"label": hub.label(ticket.label)}),
            ("closed", ticket.closed_at, {}),
        ]
        for action, at, more in steps:
            if at is not None:
                body = {"action": action, "issue": hub.issue(ticket, at), **more}
                yield self._github(hub, "issues", body, at, ticket.author)

    def _release(self, hub: GitHub, release: Release, tag: Push) -> Iterator[Delivery]:
        """The tag's creation and the ``released`` beside ``published`` tell nothing we measure."""
        created = {
            "ref": release.tag,
            "ref_type": "tag",
            "master_branch": "main",
            "description": hub.service.description,
            "pusher_type": "user",
        }
        yield self._github(hub, "create", created, tag.at, release.author, "ignored")
        for action, expect in _RELEASE_ACTIONS:
            body = {"action": action, "release": hub.release(release)}
            yield self._github(hub, "release", body, release.published_at, release.author, expect)

    def _incidents(self, repository: Repository) -> Iterator[Delivery]:
        for incident in repository.incidents:
            if incident.named:
                for body, at in report.incident(incident):
                    yield self._report("incident", body, at)
                continue
            for step in incident.steps:
                event_id = "01" + self._chance.token(24, ULID_ALPHABET)
                body = pagerduty.incident_event(incident, step, event_id)
                quiet = step.event in ("escalated", "priority_updated")
                yield self._pagerduty(body, step.at, "ignored" if quiet else "events")

    def _pagerduty(self, body: Json, at: datetime, expect: Expectation) -> Delivery:
        delivery_id = self._uuid()
        event = str(body["event"]["event_type"])
        return _delivery("pagerduty", event, delivery_id, pagerduty.headers(delivery_id), body, at, expect)

    # ---- greetings and chatter -----------------------------------------------------------------------------

    def _greetings(
        self, repositories: Sequence[Repository], start: datetime, live_since: datetime
    ) -> Iterator[Delivery]:
        """Every hook says hello when it is set up, and once more when somebody tests it."""
        for at in (start + HOUR, live_since + 2 * MINUTE):
            hooked = {each.service.full_name: each for each in repositories}
            for repository, zen in zip(hooked.values(), words.ZEN, strict=True):
                hub = GitHub(repository, self._api_url, repository.born_at)
                owner = repository.service.team.members[0]
                yield self._github(hub, "ping", self._ping(hub, zen, at), at, owner, "ignored")
            yield self._pagerduty(pagerduty.ping("01" + self._chance.token(24, ULID_ALPHABET), at), at, "ignored")
            body = slack.url_verification(self._chance.token(52).lower())
            yield _delivery("slack", "url_verification", self._uuid(), slack.HEADERS, body, at, "handshake")

    def _ping(self, hub: GitHub, zen: str, at: datetime) -> Json:
        number = HOOK_IDS[hub.service.repository]
        url = f"{hub.repository_url}/hooks/{number}"
        hook = {
            "type": "Repository",
            "id": number,
            "name": "web",
            "active": True,
            "events": ["*"],
            "config": {
                "content_type": "json",
                "insecure_ssl": "0",
                "secret": "********",
                "url": "https://em.tidewater.example.com/webhooks/github",
            },
            "updated_at": iso(at),
            "created_at": iso(at),
            "url": url,
            "test_url": f"{url}/test",
            "ping_url": f"{url}/pings",
            "deliveries_url": f"{url}/deliveries",
            "last_response": {"code": None, "status": "unused", "message": None},
        }
        return {"zen": zen, "hook_id": number, "hook": hook}

    def _chat(self, start: datetime, end: datetime, live_since: datetime) -> Iterator[Delivery]:
        spans = [
            (start + 24 * HOUR, live_since - MINUTE, MENTIONS_OLD),
            (live_since, end - MINUTE, MENTIONS_LIVE),
        ]
        for low, high, mentions in spans:
            for _ in range(mentions):
                yield self._said("app_mention", self._chance.moment(low, high))
            for event in ("message", "message", "message", "bot_message", "reaction_added"):
                for _ in range(2):
                    yield self._said(event, self._chance.moment(low, high))

    def _said(self, event: str, at: datetime) -> Delivery:
        by, team, event_id = self._chance.one_of(PEOPLE), self._chance.one_of(TEAMS), self._event_id()
        if event == "app_mention":
            text = self._chance.one_of(words.MENTIONS)
            body = slack.mention(by, team, text, at, event_id=event_id, nonce=self._uuid())
        elif event == "message":
            text = self._chance.one_of(words.CHATTER)
            body = slack.message(by, team, text, at, event_id=event_id, nonce=self._uuid())
        elif event == "bot_message":
            body = slack.bot_message(team, "Deployed to production", at, event_id=event_id)
        else:
            body = slack.reaction(by, team, at, event_id=event_id)
        expect: Expectation = "events" if event == "app_mention" else "ignored"
        return _delivery("slack", event, event_id, slack.HEADERS, body, at, expect)

    def _event_id(self) -> str:
        return "Ev0" + self._chance.token(8)


_RELEASE_ACTIONS: tuple[tuple[str, Expectation], ...] = (("published", "events"), ("released", "ignored"))


def _delivery(
    source: Source,
    event: str,
    delivery_id: str,
    headers: dict[str, str],
    body: Json,
    at: datetime,
    expect: Expectation,
) -> Delivery:
    return Delivery(
        source=source,
        event=event,
        delivery_id=delivery_id,
        headers=headers,
        body=msgspec.json.encode(body),
        occurred_at=at,
        expect=expect,
    )


def _give_numbers(repositories: Sequence[Repository]) -> None:
    """Numbers grow with time: per repository for changes and tickets, across all for deployments and runs."""
    opened: dict[str, list[Change | Ticket]] = defaultdict(list)
    for repository in repositories:
        opened[repository.service.full_name] += [*repository.changes, *repository.tickets]
    for things in opened.values():
        for number, thing in enumerate(sorted(things, key=lambda t: t.opened_at), start=1):
            thing.number = number
    for repository in repositories:
        for change in repository.changes:
            before = [push.after for push in repository.main if push.at <= change.opened_at]
            change.base_sha = before[-1] if before else repository.main[0].after
    _number_deployments(repositories)
    _number_builds(repositories)
    incidents = sorted(_flat(r.incidents for r in repositories), key=lambda i: i.opened_at)
    for number, incident in enumerate(incidents, start=417):
        incident.number = number


def _number_deployments(repositories: Sequence[Repository]) -> None:
    deployments = sorted(_flat(r.deployments for r in repositories), key=lambda d: d.created_at)
    for n, deployment in enumerate(deployments):
        deployment.id = FIRST_DEPLOYMENT_ID + 7 * n
        deployment.run_id = FIRST_RUN_ID + 211 * n
    for repository in repositories:
        if repository.service.platform == "heroku":
            for version, release in enumerate(repository.deployments, start=FIRST_RELEASE):
                release.id = version


def _number_builds(repositories: Sequence[Repository]) -> None:
    """A second attempt keeps the id and number of its run."""
    run_ids = count(FIRST_RUN_ID + 1, 211)
    for repository in repositories:
        numbers = count(1)
        for build in repository.builds:
            if build.attempt == 1:
                run_id, number = next(run_ids), next(numbers)
            build.id, build.number = run_id, number


def _flat(lists: Iterable[list[T]]) -> list[T]:
    return [item for items in lists for item in items]
