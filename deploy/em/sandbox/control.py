"""The control port: what a test or the demo sets up, breaks and reads back, as JSON."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from em.sandbox.blocked import GitlabSettings
from em.sandbox.checked import MergeRequest
from em.sandbox.ci import Ci
from em.sandbox.exchange import Exchange
from em.sandbox.faults import Rule, Service
from em.sandbox.gates import GithubSettings, Review, Run
from em.sandbox.github import Github
from em.sandbox.gitlab import Gitlab
from em.sandbox.slack import HOOKS, Slack
from em.sandbox.workspace import Channel, Group, Message, Refusal, SlackSettings, User

Document = TypeVar("Document")
Setting = TypeVar("Setting", SlackSettings, GithubSettings, GitlabSettings)
Handler = Callable[[web.Request], Awaitable[web.Response]]


class NewChannel(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: str
    members: list[str] = []
    archived: bool = False
    bot_member: bool = True


class NewHook(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    channel: str


class NewRun(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`triggering_actor` and `creator` null: the actor. `deployment_id` is of its only environment; it began `age_s`
    ago."""

    repository: str
    run_id: int
    environments: list[str] = []
    sha: str = ""
    actor: str = "ana-k"
    triggering_actor: str | None = None
    creator: str | None = None
    deployment_id: int | None = None
    age_s: float = 0.0
    ours: bool = True

    def __post_init__(self) -> None:
        if self.deployment_id is not None and len(self.environments) != 1:
            raise ValueError("a deployment_id belongs to one environment")


class RunEnd(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`conclusion` null: it is run again."""

    repository: str
    run_id: int
    conclusion: str | None = None


class NewGateReview(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    repository: str
    run_id: int
    environment: str
    review: Review


class NewTeam(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`members` null: it is gone."""

    team: str
    members: list[str] | None = None


class NewThread(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An issue, or a pull request."""

    repository: str
    title: str = "A change"
    author: str = "ana-k"
    pull: bool = True


class NewReview(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Whoever reviews is not among those who are asked any more."""

    repository: str
    number: int
    reviewer: str


class NewDeployment(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    project: str
    deployment_id: int
    environment: str
    sha: str
    ref: str = "main"
    username: str = "ana"
    required: int = 1


class NewMergeRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`checks` were asked `age_s` ago about `sha`."""

    project: str
    number: int
    sha: str
    username: str = "ana"
    target_branch: str = "main"
    state: str = "opened"
    checks: tuple[int, ...] = (7,)
    age_s: float = 0.0


class Control:
    """Every path is in `application`; a body that does not fit its type is answered 400 with the reason."""

    def __init__(self, exchange: Exchange, slack: Slack, github: Github, gitlab: Gitlab, ci: Ci) -> None:
        self._exchange = exchange
        self._slack = slack
        self._github = github
        self._gitlab = gitlab
        self._ci = ci

    def application(self) -> web.Application:
        app = web.Application(middlewares=[_explain])
        add = app.router.add_route
        add("GET", "/live", self._live)
        add("POST", "/reset", self._reset)
        add("GET", "/faults", self._faults)
        add("POST", "/faults", self._plan_faults)
        add("DELETE", "/faults", self._clear_faults)
        add("POST", "/slack/settings", self._set_slack)
        add("POST", "/slack/channels", self._add_channel)
        add("POST", "/slack/users", self._add_user)
        add("POST", "/slack/usergroups", self._add_group)
        add("POST", "/slack/webhooks", self._add_hook)
        add("GET", "/slack/messages", self._messages)
        add("GET", "/slack/views", self._views)
        add("GET", "/slack/ledger", self._ledger_of("slack"))
        add("GET", "/slack/counts", self._slack_counts)
        add("POST", "/github/settings", self._set_github)
        add("POST", "/github/runs", self._add_run)
        add("GET", "/github/runs", self._runs)
        add("POST", "/github/ends", self._end_run)
        add("POST", "/github/gate-reviews", self._review_gate)
        add("POST", "/github/teams", self._add_team)
        add("POST", "/github/threads", self._add_thread)
        add("GET", "/github/threads", self._threads)
        add("POST", "/github/reviews", self._add_review)
        add("GET", "/github/decisions", self._decisions)
        add("POST", "/ci/runs", self._add_ci_run)
        add("GET", "/ci/callbacks", self._callbacks)
        add("GET", "/github/ledger", self._ledger_of("github"))
        add("GET", "/github/counts", self._github_counts)
        add("POST", "/gitlab/settings", self._set_gitlab)
        add("POST", "/gitlab/deployments", self._add_deployment)
        add("GET", "/gitlab/deployments", self._deployments)
        add("POST", "/gitlab/merge-requests", self._add_merge_request)
        add("GET", "/gitlab/merge-requests", self._merge_requests)
        add("GET", "/gitlab/check-answers", self._check_answers)
        add("GET", "/gitlab/decisions", self._votes)
        add("GET", "/gitlab/ledger", self._ledger_of("gitlab"))
        add("GET", "/gitlab/counts", self._gitlab_counts)
        return app

    async def _live(self, request: web.Request) -> web.Response:
        return _json({"status": "ok"})

    async def _reset(self, request: web.Request) -> web.Response:
        """Back to how the sandbox was started: state, settings, ledger and faults."""
        self._exchange.reset()
        self._slack.reset()
        self._github.reset()
        self._ci.reset()
        self._gitlab.reset()
        return web.Response(status=204)

    async def _faults(self, request: web.Request) -> web.Response:
        faults = self._exchange.faults
        return _json({"rules": faults.rules, "never_bit": faults.never_bit()})

    async def _plan_faults(self, request: web.Request) -> web.Response:
        self._exchange.faults.add(await _body(request, list[Rule]))
        return await self._faults(request)

    async def _clear_faults(self, request: web.Request) -> web.Response:
        self._exchange.faults.clear()
        return web.Response(status=204)

    async def _set_slack(self, request: web.Request) -> web.Response:
        workspace = self._slack.workspace
        workspace.settings = await _changed(request, workspace.settings, SlackSettings)
        return _json(workspace.settings)

    async def _add_channel(self, request: web.Request) -> web.Response:
        new = await _body(request, NewChannel)
        channel = self._slack.workspace.add_channel(
            new.name, members=new.members, archived=new.archived, bot_member=new.bot_member
        )
        return _json({"id": channel.id, "name": channel.name, "members": channel.members})

    async def _add_user(self, request: web.Request) -> web.Response:
        return _json(self._slack.workspace.add_user(await _body(request, User)))

    async def _add_group(self, request: web.Request) -> web.Response:
        return _json(self._slack.workspace.add_group(await _body(request, Group)))

    async def _add_hook(self, request: web.Request) -> web.Response:
        """An incoming webhook of a channel that is there: its path at the origin of Slack's counterpart."""
        new = await _body(request, NewHook)
        return _json({"path": f"{HOOKS}/{self._slack.workspace.add_hook(new.channel)}"})

    async def _messages(self, request: web.Request) -> web.Response:
        """The transcript of one channel by name or id, or of all; oldest first, ephemerals included."""
        asked = request.query.get("channel")
        names = self._slack.workspace.names_of(asked) if asked else None
        chosen = [c for c in self._slack.workspace.channels.values() if names is None or c.id in names]
        return _json([_line(message, channel) for channel in chosen for message in _transcript(channel)])

    async def _views(self, request: web.Request) -> web.Response:
        """The modals that were opened, oldest first."""
        return _json(self._slack.workspace.views)

    def _ledger_of(self, service: Service) -> Handler:
        async def ledger(request: web.Request) -> web.Response:
            return _json(self._exchange.ledger.of(service))

        return ledger

    async def _slack_counts(self, request: web.Request) -> web.Response:
        return _json(self._exchange.ledger.slack_counts())

    async def _set_github(self, request: web.Request) -> web.Response:
        gates = self._github.gates
        gates.settings = await _changed(request, gates.settings, GithubSettings)
        return _json(gates.settings)

    async def _add_run(self, request: web.Request) -> web.Response:
        new = await _body(request, NewRun)
        gates = self._github.gates
        run = Run(
            repository=new.repository,
            run_id=new.run_id,
            created_at=gates.ago(new.age_s),
            sha=new.sha,
            actor=new.actor,
            triggering_actor=new.triggering_actor or new.actor,
            creator=new.creator or new.actor,
        )
        for environment in new.environments:
            run.gate(environment, ours=new.ours, deployment_id=new.deployment_id)
        return _json(gates.add_run(run))

    async def _end_run(self, request: web.Request) -> web.Response:
        end = await _body(request, RunEnd)
        run = self._known_run(end.repository, end.run_id)
        run.conclusion = end.conclusion
        if end.conclusion is None:
            self._github.gates.run_again(run)
        return _json(run)

    async def _review_gate(self, request: web.Request) -> web.Response:
        new = await _body(request, NewGateReview)
        gate = self._known_run(new.repository, new.run_id).gate(new.environment)
        gate.review = new.review
        return _json(gate)

    def _known_run(self, repository: str, run_id: int) -> Run:
        run = self._github.gates.run(repository, run_id)
        if run is None:
            raise ValueError(f"no run {run_id} of {repository}")
        return run

    async def _add_team(self, request: web.Request) -> web.Response:
        new, teams = await _body(request, NewTeam), self._github.gates.teams
        teams.pop(new.team.lower(), None)
        if new.members is not None:
            teams[new.team.lower()] = new.members
        return _json(teams)

    async def _add_thread(self, request: web.Request) -> web.Response:
        new = await _body(request, NewThread)
        threads = self._github.threads
        return _json(threads.add(new.repository, title=new.title, author=new.author, pull=new.pull))

    async def _threads(self, request: web.Request) -> web.Response:
        return _json(self._github.threads.all())

    async def _add_review(self, request: web.Request) -> web.Response:
        new = await _body(request, NewReview)
        thread = self._github.threads.thread(new.repository, new.number)
        if thread is None:
            raise ValueError("there is no such pull request")
        thread.reviewed_by.append(new.reviewer)
        thread.reviewers = [login for login in thread.reviewers if login != new.reviewer]
        return _json(thread)

    async def _runs(self, request: web.Request) -> web.Response:
        return _json(list(self._github.gates.runs.values()))

    async def _decisions(self, request: web.Request) -> web.Response:
        return _json(self._github.gates.decisions())

    async def _add_ci_run(self, request: web.Request) -> web.Response:
        return _json(self._ci.add_run(await _body(request, dict[str, Any])))

    async def _callbacks(self, request: web.Request) -> web.Response:
        return _json(self._ci.callbacks)

    async def _github_counts(self, request: web.Request) -> web.Response:
        return _json(self._github.gates.counts())

    async def _set_gitlab(self, request: web.Request) -> web.Response:
        blocked = self._gitlab.blocked
        blocked.settings = await _changed(request, blocked.settings, GitlabSettings)
        return _json(blocked.settings)

    async def _add_deployment(self, request: web.Request) -> web.Response:
        new = await _body(request, NewDeployment)
        added = self._gitlab.blocked.add(
            new.project, new.deployment_id, new.environment, sha=new.sha, ref=new.ref, required=new.required
        )
        added.username = new.username
        return _json(added)

    async def _deployments(self, request: web.Request) -> web.Response:
        return _json(list(self._gitlab.blocked.deployments.values()))

    async def _add_merge_request(self, request: web.Request) -> web.Response:
        new = await _body(request, NewMergeRequest)
        fields = msgspec.structs.asdict(new)
        asked_at = dict.fromkeys(fields.pop("checks"), fields.pop("age_s"))
        return _json(self._gitlab.checked.add(MergeRequest(asked_at=asked_at, **fields)))

    async def _merge_requests(self, request: web.Request) -> web.Response:
        known = self._gitlab.checked.requests.values()
        return _json([msgspec.structs.asdict(each) | {"checks": self._gitlab.checks_of(each)} for each in known])

    async def _check_answers(self, request: web.Request) -> web.Response:
        return _json(self._gitlab.checked.answers())

    async def _votes(self, request: web.Request) -> web.Response:
        return _json(self._gitlab.blocked.votes())

    async def _gitlab_counts(self, request: web.Request) -> web.Response:
        return _json(self._gitlab.blocked.counts())


@web.middleware
async def _explain(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except (msgspec.MsgspecError, ValueError, Refusal) as unfit:
        return _json({"error": str(unfit)}, status=400)


async def _body(request: web.Request, kind: type[Document]) -> Document:
    return msgspec.json.decode(await request.read(), type=kind)


async def _changed(request: web.Request, current: Setting, kind: type[Setting]) -> Setting:
    changes = await _body(request, dict[str, Any])
    return msgspec.convert(msgspec.structs.asdict(current) | changes, kind)


def _transcript(channel: Channel) -> list[Message]:
    return sorted([*channel.messages.values(), *channel.ephemerals], key=lambda message: message.ts)


def _line(message: Message, channel: Channel) -> dict[str, Any]:
    place = {"channel": channel.id, "channel_name": f"{'@' if channel.user else '#'}{channel.name}"}
    return place | msgspec.structs.asdict(message)


def _json(document: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(document), content_type="application/json")
