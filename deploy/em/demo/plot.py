"""How one repository lives: branches, reviews, merges, deployments and what goes wrong with them."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

from em.demo import words
from em.demo.cast import PEOPLE, QUORUM, RELEASERS, ROBOT, Person, Platform, Service
from em.demo.chance import NO_SHA, Chance
from em.demo.facts import (
    Build,
    BuildStep,
    Change,
    Comment,
    Commit,
    Conclusion,
    Deployment,
    DeploymentKind,
    Incident,
    IncidentStep,
    Push,
    Release,
    Repository,
    Review,
    ReviewState,
    Shown,
    Sync,
    Ticket,
    Trigger,
)

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

STAGING_LEAD = 25 * MINUTE
GATED_SHARE = 0.3
DRAFT_SHARE = 0.2
REWORK_SHARE = 0.35


class Plot:
    """Builds a repository forward in time; every push gets a second of its own.

    ``other`` is the service's second repository. ``neighbour`` is another service in the same repository, whose story
    is told already.
    """

    def __init__(
        self,
        service: Service,
        *,
        chance: Chance,
        born_at: datetime,
        other: "Plot | None" = None,
        neighbour: "Plot | None" = None,
    ) -> None:
        self.service = service
        self.chance = chance
        self.repository = Repository(service=service, born_at=born_at)
        self.edge = born_at
        self.merged: list[Change] = []
        self.other, self.neighbour = other, neighbour
        self._seconds: set[datetime] = neighbour._seconds if neighbour else set()
        self._live: dict[str, Deployment] = {}
        self._branches = 0
        self._releases = 0
        self._open_repository()

    @property
    def head(self) -> str:
        return self.repository.main[-1].after

    @property
    def live(self) -> Deployment:
        return self._live["production"]

    def show(self, case: str, by: Deployment | Change | Incident, *, method: str = "", author_class: str = "") -> None:
        self.repository.shown.append(Shown(case=case, by=by, method=method, author_class=author_class))

    # ---- main and branches ---------------------------------------------------------------------------------

    def _open_repository(self) -> None:
        born_at, author = self.repository.born_at, self.service.team.members[0]
        commits = [
            self._commit(author, born_at - (5 - i) * 7 * MINUTE, message)
            for i, message in enumerate(("First service", "Add the schema", "Add the build", "Deploy from main"))
        ]
        self._push_main(commits, born_at, author)

    def carrier_after(self, change: Change) -> Deployment | None:
        """The first deployment of main after this was merged, in what was told of this service so far."""
        pushed_at = {push.after: push.at for push in self.repository.main}
        merged_at = change.merged_at or change.opened_at
        carriers = [d for d in self.repository.production() if d.kind in ("normal", "revert", "hotfix")]
        return next((d for d in carriers if pushed_at[d.sha] > merged_at), None)

    def promote(self, at: datetime) -> Push:
        """What merged since the last deployment goes to the branch that is deployed from, by a merge."""
        by = self.service.team.members[0]
        merges = [commit for push in self.repository.main for commit in push.commits if self._waits(commit)]
        commit = self._commit(by, at, "Merge branch 'main' into release", by_platform=True)
        promotions = self.repository.promotions
        push = Push(
            ref="refs/heads/release",
            at=self._own_second(at),
            before=promotions[-1].after if promotions else NO_SHA,
            after=commit.sha,
            commits=(*merges, commit),
            pusher=by,
        )
        promotions.append(push)
        return push

    def _waits(self, commit: Commit) -> bool:
        return commit.sha in {change.merge_sha for change in self.merged}

    def _commit(self, author: Person, at: datetime, message: str, *, by_platform: bool = False) -> Commit:
        zone = timezone(author.utc_offset_hours * HOUR)
        folder = "/".join(filter(None, (self.service.folder, self.chance.one_of(("src", "tests", "docs")))))
        return Commit(
            sha=self.chance.sha(),
            tree=self.chance.sha(),
            author=author,
            authored_at=at.astimezone(zone),
            message=message,
            files=tuple(f"{folder}/{self.chance.token(6).lower()}.txt" for _ in range(self.chance.number(1, 3))),
            by_platform=by_platform,
        )

    def _own_second(self, at: datetime) -> datetime:
        while at in self._seconds:
            at += SECOND
        self._seconds.add(at)
        return at

    def _push_main(self, commits: list[Commit], at: datetime, pusher: Person) -> Push:
        push = Push(
            ref="refs/heads/main",
            at=self._own_second(at),
            before=self.head if self.repository.main else NO_SHA,
            after=commits[-1].sha,
            commits=tuple(commits),
            pusher=pusher,
        )
        self.repository.main.append(push)
        self._build(push, trigger="push", starts_at=push.at + 3 * SECOND)
        self.edge = max(self.edge, push.at + MINUTE)
        return push

    def _build(self, push: Push, *, trigger: Trigger, starts_at: datetime) -> None:
        """A run per push; some runs of a change fail or are run again, those of main pass."""
        ran_by_change = trigger == "pull_request"
        for attempt in (1, 2) if ran_by_change and self.chance.happens(1 / 12) else (1,):
            ends_at = starts_at + self.chance.minutes(2, 9)
            begun: BuildStep = "requested" if ran_by_change else "in_progress"
            conclusion: Conclusion = "failure" if ran_by_change and self.chance.happens(0.15) else "success"
            self.repository.builds.append(
                Build(
                    attempt=attempt,
                    name="build",
                    trigger=trigger,
                    branch=push.branch,
                    sha=push.after,
                    actor=push.pusher,
                    steps=((starts_at, begun), (ends_at, "completed")),
                    conclusion=conclusion,
                    title=push.commits[-1].message,
                    commit=push.commits[-1],
                )
            )
            starts_at = ends_at + 2 * MINUTE

    def push_directly(self, at: datetime) -> None:
        """A maintainer's commit straight to main, which belongs to no change."""
        author = self.chance.one_of(self.service.team.members)
        commit = self._commit(author, at - 4 * MINUTE, "Fix a typo in the runbook")
        self._push_main([commit], at, author)

    # ---- changes -------------------------------------------------------------------------------------------

    def batch(self, until: datetime, count: int) -> list[Change]:
        """``count`` changes that merge between the last happening and ``until``."""
        moments = sorted(self.chance.moment(self.edge, until) for _ in range(count))
        changes = []
        for moment in moments:
            if self.chance.happens(0.06):
                self.push_directly(moment - MINUTE)
            changes.append(self.merge(self.change(moment), moment))
        return changes

    def change(
        self,
        ends_at: datetime,
        *,
        prefix: str = "",
        author: Person | None = None,
        label: str = "",
        title: str = "",
        coding: timedelta | None = None,
    ) -> Change:
        """A branch, its commits and its reviews, approved and ready to merge at ``ends_at``."""
        coding, waiting = self._durations(ends_at, coding)
        opened_at, title = ends_at - waiting, title or self._title()
        self._branches += 1
        prefix = prefix or self.chance.one_of(("feature", "feature", "feature", "fix", "chore"))
        change = Change(
            repository=self.service.full_name,
            title=title,
            branch=words.branch_name(prefix, self._branches, title),
            author=author or self.chance.one_of(self.service.team.members),
            opened_at=opened_at,
            pushes=[],
        )
        self._code(change, opened_at - coding)
        self._converse(change, waiting, label)
        last = change.pushes[-1]
        self._build(last, trigger="pull_request", starts_at=max(last.at, opened_at) + 3 * SECOND)
        self.repository.changes.append(change)
        return change

    def _durations(self, ends_at: datetime, coding: timedelta | None) -> tuple[timedelta, timedelta]:
        if coding is not None:
            return coding, 12 * MINUTE
        coding = self.chance.long_tailed(median=9 * HOUR, spread=1.0, low=20 * MINUTE, high=5 * DAY)
        waiting = self.chance.long_tailed(median=6 * HOUR, spread=1.0, low=15 * MINUTE, high=4 * DAY)
        room = (ends_at - self.repository.born_at - 10 * MINUTE) * 0.9
        shrink = min(1.0, room / (coding + waiting))
        return _whole(coding * shrink), _whole(waiting * shrink)

    def _title(self) -> str:
        return self.chance.one_of(words.CHANGE_TITLES).format(topic=self.chance.one_of(self.service.topics))

    def _code(self, change: Change, first_at: datetime) -> None:
        """First commits, pushed before the change is opened; some authors push the first one early."""
        coding = change.opened_at - first_at
        times = sorted(_whole_at(first_at, coding * self.chance.fraction(0.05, 0.85)) for _ in range(self._extra()))
        commits = [self._branch_commit(change, at, words.COMMIT_MESSAGES) for at in [first_at, *times]]
        if len(commits) > 1 and self.chance.happens(0.4):
            self._push_branch(change, commits[:1], _whole_at(first_at, coding * 0.04))
            commits = commits[1:]
        elif len(commits) > 2 and self.chance.happens(0.3):
            commits[0], commits[1] = commits[1], commits[0]  # an author may reorder commits before pushing
        self._push_branch(change, commits, _whole_at(first_at, coding * 0.9))

    def _extra(self) -> int:
        return self.chance.one_of((0, 0, 1, 1, 2, 3))

    def _branch_commit(self, change: Change, at: datetime, messages: tuple[str, ...]) -> Commit:
        message = self.chance.one_of(messages).format(topic=self.chance.one_of(self.service.topics))
        return self._commit(change.author, at, message)

    def _push_branch(self, change: Change, commits: list[Commit], at: datetime, *, forced: bool = False) -> None:
        push = Push(
            ref=f"refs/heads/{change.branch}",
            at=self._own_second(at),
            before=change.pushes[-1].after if change.pushes else NO_SHA,
            after=commits[-1].sha,
            commits=tuple(commits),
            pusher=change.author,
            forced=forced,
        )
        change.pushes.append(push)

    def _converse(self, change: Change, waiting: timedelta, label: str) -> None:
        """Draft, labels, reviewers, comments, one round of rework for some, and the approval."""

        def at(share: float) -> datetime:
            return _whole_at(change.opened_at, waiting * share)

        reviewers = self.chance.some_of([p for p in PEOPLE if p is not change.author], QUORUM)
        if self.chance.happens(DRAFT_SHARE):
            change.ready_at = at(0.12)
        if label or self.chance.happens(0.45):
            change.labels = (label or self.chance.one_of(("enhancement", "bug", "performance", "refactor")),)
            change.labelled_at = at(0.05)
        if self.chance.happens(0.5):
            change.reviewers, change.requested_at = (reviewers[0],), at(0.16)
        if self.chance.happens(0.5):
            change.comments.append(Comment(at=at(0.25), by=reviewers[1], words=self.chance.one_of(words.COMMENTS)))
        if self.chance.happens(REWORK_SHARE):
            self._rework(change, reviewers[0], objected_at=at(0.35), commits_at=[at(0.45), at(0.5)], pushed_at=at(0.6))
        if self.chance.happens(0.25):
            self._review(change, at(0.7), reviewers[1], "commented", words.COMMENTS)
        self._review(change, at(0.85), reviewers[0], "approved", words.APPROVALS)

    def _rework(
        self,
        change: Change,
        by: Person,
        *,
        objected_at: datetime,
        commits_at: list[datetime],
        pushed_at: datetime,
    ) -> None:
        self._review(change, objected_at, by, "changes_requested", words.OBJECTIONS)
        commits = [self._branch_commit(change, at, words.REWORK_MESSAGES) for at in commits_at]
        self._push_branch(change, commits[: self.chance.number(1, 2)], pushed_at)

    def _review(self, change: Change, at: datetime, by: Person, state: ReviewState, texts: tuple[str, ...]) -> None:
        change.reviews.append(Review(at=at, by=by, state=state, words=self.chance.one_of(texts)))

    def put_clock_wrong(self, change: Change, ahead: timedelta) -> None:
        """The author's machine lives in the future: no date of its commits can be believed."""
        change.clock_wrong = True
        for n, push in enumerate(change.pushes):
            commits = tuple(
                replace(commit, authored_at=(push.at + ahead).astimezone(commit.authored_at.tzinfo))
                for commit in push.commits
            )
            change.pushes[n] = replace(push, commits=commits)

    def force(self, change: Change, until: datetime) -> None:
        """The branch is written anew: its first commits are no ancestors of what will be merged."""
        last = change.pushes[-1]
        at = _whole_at(last.at, (until - last.at) * 0.5)
        commit = self._branch_commit(change, at - MINUTE, words.REWORK_MESSAGES)
        self._push_branch(change, [commit], at, forced=True)

    def touch(self, change: Change, *files: str) -> None:
        """Its commits touch these and nothing else."""
        for n, push in enumerate(change.pushes):
            commits = tuple(replace(commit, files=files) for commit in push.commits)
            change.pushes[n] = replace(push, commits=commits)

    def co_write(self, change: Change, trailer: str) -> None:
        for n, push in enumerate(change.pushes):
            commits = tuple(replace(commit, message=f"{commit.message}\n\n{trailer}") for commit in push.commits)
            change.pushes[n] = replace(push, commits=commits)

    def merge(self, change: Change, at: datetime, *, squash: bool = False) -> Change:
        """Merge commit on main; the push carries the branch's commits and then the merge commit. Squashed: it alone."""
        merger = self.chance.one_of([change.author, *self.service.team.members[:2]])
        at = max(at, self.edge)
        while at in self._seconds:
            at += SECOND
        text = change.title if squash else f"Merge pull request from {change.branch}\n\n{change.title}"
        commit = self._commit(merger, at, text, by_platform=True)
        push = self._push_main([commit] if squash else [*change.head, commit], at, merger)
        change.merged_at = change.closed_at = push.at
        change.merged_by, change.merge_sha = merger, commit.sha
        if self.chance.happens(0.5):
            change.branch_deleted_at = self._own_second(push.at + 4 * SECOND)
        self.merged.append(change)
        return change

    def abandon(self, ends_at: datetime) -> None:
        """A change that is closed without a merge, half of them the robot's."""
        if self.chance.happens(0.5):
            change = self.change(ends_at, prefix="pierbot", author=ROBOT, label="dependencies")
        else:
            change = self.change(ends_at, prefix="feature")
        change.reviews, change.closed_at = change.reviews[:-1], ends_at

    def leave_open(self, seen_until: datetime) -> None:
        """A change that is approved but not merged when the story ends."""
        self.change(seen_until, prefix="feature")

    # ---- deployments ---------------------------------------------------------------------------------------

    def release_train(
        self, at: datetime, *, gated: bool | None = None, outcome: str = "success", together: bool = False
    ) -> Deployment:
        """Staging first, then production, both of main's head; a success ships all that waited."""
        creator = self.chance.one_of([p for p in self.service.team.members if p in RELEASERS])
        if self.service.platform != "heroku":  # an app there is one environment
            self.deploy(at - STAGING_LEAD, environment="staging", kind="staging", creator=creator)
        if self.service.platform != "github":
            gated = False
        gated = self.chance.happens(GATED_SHARE) if gated is None else gated
        return self.deploy(at, kind="normal", creator=creator, gated=gated, outcome=outcome, together=together)

    def deploy(
        self,
        at: datetime,
        *,
        kind: DeploymentKind,
        creator: Person,
        environment: str = "production",
        sha: str | None = None,
        gated: bool = False,
        outcome: str = "success",
        ref: str = "main",
        description: str = "",
        together: bool = False,
        listed: tuple[Change, ...] = (),
        told_by: Platform | None = None,
    ) -> Deployment:
        """``together`` with the head of the other repository."""
        deployment = Deployment(
            service=self.service,
            environment=environment,
            kind=kind if outcome == "success" else "attempt",
            sha=sha or self.head,
            creator=creator,
            created_at=at,
            statuses=[],
            ref=ref,
            description=description or f"Deploy {(sha or self.head)[:8]}",
            revisions={self.other.service.full_name: self.other.head} if self.other and together else {},
            listed=listed,
            told_by=told_by,
        )
        start = self._ask(deployment) if gated else at + 5 * SECOND
        end = start + self.chance.minutes(2, 5)
        if self.service.platform == "argocd":
            end = self._sync(deployment, start, succeeds=outcome == "success")
        deployment.statuses += [(start, "in_progress"), (end, outcome)]
        self.repository.deployments.append(deployment)
        if outcome == "success":
            self._finish(deployment, end)
        self.edge = max(self.edge, end + 5 * MINUTE)
        return deployment

    def _sync(self, deployment: Deployment, start: datetime, *, succeeds: bool) -> datetime:
        """One region after the other; what fails, fails in the last."""
        regions = self.service.regions if deployment.environment == "production" else (deployment.environment,)
        for region in regions:
            succeeded = succeeds or region != regions[-1]
            start = self.sync_region(deployment, region, start, succeeded=succeeded)
        return start

    def sync_region(self, deployment: Deployment, region: str, start: datetime, *, succeeded: bool = True) -> datetime:
        end = start + self.chance.minutes(2, 5)
        sync = Sync(
            environment=region,
            revision=self.chance.sha(),
            started_at=start,
            finished_at=end,
            succeeded=succeeded,
        )
        deployment.syncs.append(sync)
        return end

    def retry_region(self, deployment: Deployment, at: datetime) -> None:
        """The region that failed gets there after all: now the rollout is one."""
        end = self.sync_region(deployment, self.service.regions[-1], at)
        deployment.kind = "normal"
        self._finish(deployment, end)
        self.edge = max(self.edge, end + 5 * MINUTE)

    def _ask(self, deployment: Deployment) -> datetime:
        deployment.statuses.append((deployment.created_at + 2 * SECOND, "waiting"))
        deployment.gate_asked_at = deployment.created_at + 3 * SECOND
        return deployment.created_at + self.chance.minutes(4, 16)

    def _finish(self, deployment: Deployment, at: datetime) -> None:
        deployment.finished_at = at
        before = self._live.get(deployment.environment)
        if before is not None:
            before.statuses.append((at + 2 * SECOND, "inactive"))
        self._live[deployment.environment] = deployment
        if deployment.environment == "production" and deployment.kind in ("normal", "revert", "hotfix"):
            deployment.seed = before is None
            deployment.ships, self.merged = (*self.merged, *self._from_other(deployment)), []

    def _from_other(self, deployment: Deployment) -> list[Change]:
        """What waited in the other repository, and is brought from there or named."""
        waiting = self.other.merged if self.other else []
        taken = [c for c in waiting if deployment.revisions or any(c is each for each in deployment.listed)]
        if self.other:
            self.other.merged = [c for c in waiting if not any(c is each for each in taken)]
        return taken

    def retry_in_place(self, deployment: Deployment) -> None:
        """The same deployment fails once more before it succeeds: only its last end counts."""
        (started_at, _), (end, _) = deployment.statuses[-2:]
        failed_at = _whole_at(started_at, (end - started_at) * 0.5)
        deployment.statuses[-1:-1] = [(failed_at, "failure"), (failed_at + 20 * SECOND, "in_progress")]

    def publish_release(self, deployment: Deployment) -> None:
        self._releases += 1
        at, tag = deployment.ended_at + 6 * MINUTE, f"v1.{self._releases}.0"
        by = deployment.creator
        commit = next(c for push in self.repository.main for c in push.commits if c.sha == deployment.sha)
        self.repository.tags.append(
            Push(
                ref=f"refs/tags/{tag}",
                at=self._own_second(at),
                before=NO_SHA,
                after=commit.sha,
                commits=(commit,),
                pusher=by,
            )
        )
        self.repository.releases.append(Release(tag=tag, sha=commit.sha, author=by, published_at=at + 15 * SECOND))

    # ---- trouble -------------------------------------------------------------------------------------------

    def incident(self, steps: list[IncidentStep], *, cause: Deployment | None) -> Incident:
        incident = Incident(
            id="Q" + self.chance.token(13),
            service=self.service,
            title=self.chance.one_of(self.service.symptoms),
            steps=tuple(steps),
            cause=cause,
        )
        self.repository.incidents.append(incident)
        if cause is not None:
            cause.failed, cause.failure = True, incident.title
        return incident

    def ticket(self, opened_at: datetime, closed_at: datetime | None) -> None:
        topic = self.chance.one_of(self.service.topics)
        self.repository.tickets.append(
            Ticket(
                title=self.chance.one_of(words.TICKETS).format(topic=topic).capitalize(),
                author=self.chance.one_of(PEOPLE),
                opened_at=opened_at,
                label=self.chance.one_of(("bug", "enhancement", "performance")),
                labelled_at=opened_at + 9 * MINUTE if self.chance.happens(0.5) else None,
                closed_at=closed_at,
            )
        )


def _whole(span: timedelta) -> timedelta:
    return timedelta(seconds=round(span.total_seconds()))


def _whole_at(start: datetime, span: timedelta) -> datetime:
    return start + _whole(span)
