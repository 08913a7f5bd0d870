"""The Slack counterpart: tokens, bodies and answers of the Web API over HTTP."""

from typing import Any

import msgspec
from aiohttp import web

from em.sandbox.exchange import Exchange, Reply
from em.sandbox.ledger import Entry
from em.sandbox.slack_methods import METHODS, STRUCTURED, WRITING, Arguments, metadata_id
from em.sandbox.workspace import Refusal, SlackSettings, TooMany, Workspace

LIMITED = Reply(status=429, body={"ok": False, "error": "ratelimited"})


class Slack:
    """Serves `/api/<method>`; `workspace` is all it remembers."""

    def __init__(self, exchange: Exchange, settings: SlackSettings) -> None:
        self._exchange = exchange
        self._settings = settings
        self.workspace = Workspace(settings)

    def reset(self) -> None:
        self.workspace = Workspace(self._settings)

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/api/{method}", self._call)
        return app

    async def _call(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        entry = self._exchange.ledger.open("slack", method)
        try:
            arguments = await _arguments(request)
        except Refusal as refusal:
            unreadable = _refused(refusal)
            return await self._exchange.answer(request, entry, None, lambda: unreadable, LIMITED)
        entry.channel = str(arguments.get("channel") or "") or None
        entry.metadata_id = metadata_id(arguments)
        names = self.workspace.names_of(entry.channel) if entry.channel else frozenset[str]()
        bite = self._exchange.faults.bite("slack", method, names)
        authorization = request.headers.get("Authorization")

        def act() -> Reply:
            return self._perform(entry, arguments, authorization)

        return await self._exchange.answer(request, entry, bite, act, LIMITED)

    def _perform(self, entry: Entry, arguments: Arguments, authorization: str | None) -> Reply:
        try:
            self._authenticate(authorization or arguments.get("token"))
            if entry.method not in METHODS:
                raise Refusal("unknown_method")
            answer = METHODS[entry.method](self.workspace, arguments)
        except Refusal as refusal:
            entry.error = refusal.error
            return _refused(refusal)
        except TooMany as limited:
            entry.error = "ratelimited"
            return Reply(status=429, body=LIMITED.body, headers={"Retry-After": str(limited.retry_after_s)})
        entry.channel = answer.get("channel", entry.channel) if entry.method in WRITING else entry.channel
        entry.ts = answer.get("ts") or answer.get("message_ts")
        return Reply(body={"ok": True, **answer}, stored=entry.method in WRITING)

    def _authenticate(self, given: Any) -> None:
        token = str(given or "").removeprefix("Bearer ").strip()
        expected = self.workspace.settings.token
        if not token:
            raise Refusal("not_authed")
        if not (token == expected if expected else token.startswith("xoxb-")):
            raise Refusal("invalid_auth")


def _refused(refusal: Refusal) -> Reply:
    body: dict[str, Any] = {"ok": False, "error": refusal.error}
    if refusal.messages:
        body |= {"errors": list(refusal.messages), "response_metadata": {"messages": list(refusal.messages)}}
    return Reply(body=body)


async def _arguments(request: web.Request) -> Arguments:
    """Arguments of the query, and of a JSON or form body: text, but for the structured ones."""
    if request.content_type != "application/json":
        return _flattened({**request.query, **await request.post()})
    try:
        body = msgspec.json.decode(await request.read() or b"{}")
    except msgspec.DecodeError as broken:
        raise Refusal("invalid_json") from broken
    if not isinstance(body, dict):
        raise Refusal("json_not_object")
    return _flattened({**request.query, **body})


def _flattened(given: Arguments) -> Arguments:
    plain = {name: value for name, value in given.items() if name not in STRUCTURED and value is not None}
    if any(isinstance(value, list | dict) for value in plain.values()):
        raise Refusal("invalid_arguments", "[ERROR] an argument has the wrong type")
    return given | {name: str(value) for name, value in plain.items()}
