"""The control port: what a test or the demo sets up, breaks and reads back, as JSON."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from em.sandbox.exchange import Exchange
from em.sandbox.faults import Rule, Service
from em.sandbox.gates import GithubSettings
from em.sandbox.github import Github
from em.sandbox.slack import Slack
from em.sandbox.workspace import Channel, Message, SlackSettings, User

Document = TypeVar("Document")
Setting = TypeVar("Setting", SlackSettings, GithubSettings)
Handler = Callable[[web.Request], Awaitable[web.Response]]


class NewChannel(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: str
    members: list[str] = []
    archived: bool = False
    bot_member: bool = True


class NewRun(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    repository: str
    run_id: int
    environments: list[str] = []


class Control:
    """Every path is in `application`; a body that does not fit its type is answered 400 with the reason."""

    def __init__(self, exchange: Exchange, slack: Slack, github: Github) -> None:
        self._exchange = exchange
        self._slack = slack
        self._github = github

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
        add("GET", "/slack/messages", self._messages)
        add("GET", "/slack/ledger", self._ledger_of("slack"))
        add("GET", "/slack/counts", self._slack_counts)
        add("POST", "/github/settings", self._set_github)
        add("POST", "/github/runs", self._add_run)
        add("GET", "/github/runs", self._runs)
        add("GET", "/github/decisions", self._decisions)
        add("GET", "/github/ledger", self._ledger_of("github"))
        add("GET", "/github/counts", self._github_counts)
        return app

    async def _live(self, request: web.Request) -> web.Response:
        return _json({"status": "ok"})

    async def _reset(self, request: web.Request) -> web.Response:
        """Back to how the sandbox was started: state, settings, ledger and faults."""
        self._exchange.reset()
        self._slack.reset()
        self._github.reset()
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

    async def _messages(self, request: web.Request) -> web.Response:
        """The transcript of one channel by name or id, or of all; oldest first, ephemerals included."""
        asked = request.query.get("channel")
        names = self._slack.workspace.names_of(asked) if asked else None
        chosen = [c for c in self._slack.workspace.channels.values() if names is None or c.id in names]
        return _json([_line(message, channel) for channel in chosen for message in _transcript(channel)])

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
        return _json(self._github.gates.add_run(new.repository, new.run_id, new.environments))

    async def _runs(self, request: web.Request) -> web.Response:
        return _json(list(self._github.gates.runs.values()))

    async def _decisions(self, request: web.Request) -> web.Response:
        return _json(self._github.gates.decisions())

    async def _github_counts(self, request: web.Request) -> web.Response:
        return _json(self._github.gates.counts())


@web.middleware
async def _explain(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except (msgspec.MsgspecError, ValueError) as unfit:
        return _json({"error": str(unfit)}, status=400)


async def _body(request: web.Request, kind: type[Document]) -> Document:
    return msgspec.json.decode(await request.read(), type=kind)


async def _changed(request: web.Request, current: Setting, kind: type[Setting]) -> Setting:
    changes = await _body(request, dict[str, Any])
    return msgspec.convert(msgspec.structs.asdict(current) | changes, kind)


def _transcript(channel: Channel) -> list[Message]:
    return sorted([*channel.messages.values(), *channel.ephemerals], key=lambda message: message.ts)


def _line(message: Message, channel: Channel) -> dict[str, Any]:
    place = {"channel": channel.id, "channel_name": f"#{channel.name}"}
    return place | msgspec.structs.asdict(message)


def _json(document: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(document), content_type="application/json")
