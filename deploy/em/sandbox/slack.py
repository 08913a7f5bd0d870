"""The Slack counterpart: tokens, bodies and answers of the Web API and of incoming webhooks over HTTP."""

from typing import Any

import msgspec
from aiohttp import web

from em.sandbox.exchange import Exchange, Reply
from em.sandbox.ledger import Entry
from em.sandbox.slack_arguments import Arguments, decoded
from em.sandbox.slack_methods import METHODS, SCOPES, STRUCTURED, WRITING, content, metadata_id
from em.sandbox.workspace import Refusal, SlackSettings, TooMany, Workspace

HOOKS = "/services"
LIMITED = Reply(status=429, body={"ok": False, "error": "ratelimited"})
HOOK_LIMITED = Reply(status=429, body={"ok": False, "error": "rate_limited", "retry_after": 1})
# What a webhook answers is a status and a word: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
HOOK_REFUSALS = {
    "channel_not_found": (404, "channel_not_found"),
    "no_service": (404, "no_service"),
    "is_archived": (410, "channel_is_archived"),
    "not_in_channel": (403, "action_prohibited"),
    "no_text": (400, "no_text"),
    "too_many_attachments": (400, "too_many_attachments"),
}


class Slack:
    """Serves `/api/<method>` and `/services/<T>/<B>/<secret>`; `workspace` is all it remembers."""

    def __init__(self, exchange: Exchange, settings: SlackSettings) -> None:
        self._exchange = exchange
        self._settings = settings
        self.workspace = Workspace(settings)

    def reset(self) -> None:
        self.workspace = Workspace(self._settings)

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/api/{method}", self._call)
        app.router.add_route("POST", HOOKS + "/{hook:.+}", self._hook)
        return app

    async def _hook(self, request: web.Request) -> web.Response:
        entry = self._exchange.ledger.open("slack", "webhook")
        entry.channel = self.workspace.hooks.get(request.match_info["hook"])
        try:
            arguments = _payload(await _arguments(request))
        except Refusal:
            return await self._exchange.answer(request, entry, None, lambda: _hook_refused("invalid_payload"), LIMITED)
        entry.metadata_id = metadata_id(arguments)
        names = self.workspace.names_of(entry.channel) if entry.channel else frozenset[str]()
        bite = self._exchange.faults.bite("slack", "webhook", names)

        def act() -> Reply:
            return self._post_by_hook(entry, arguments)

        return await self._exchange.answer(request, entry, bite, act, HOOK_LIMITED)

    def _post_by_hook(self, entry: Entry, arguments: Arguments) -> Reply:
        """No ts and no channel in the answer: nothing to edit or to look for later."""
        try:
            if entry.channel is None:
                raise Refusal("no_service")
            channel = self.workspace.destination(entry.channel)
            draft = content(arguments)
            self.workspace.admit_post(channel)
        except Refusal as refusal:
            entry.error = refusal.error
            return _hook_refused(refusal.error)
        except TooMany as limited:
            entry.error = "rate_limited"
            headers = {"Retry-After": str(limited.retry_after_s)}
            return Reply(status=429, body=HOOK_LIMITED.body, headers=headers)
        draft.ts = entry.ts = self.workspace.next_ts()
        channel.messages[draft.ts] = draft
        return Reply(body="ok", stored=True)

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
            self._authorize(entry.method)
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

    def _authorize(self, method: str) -> None:
        granted, needed = self.workspace.settings.scopes, SCOPES.get(method, ())
        if granted is not None and needed and not set(needed) & set(granted):
            raise Refusal("missing_scope", needed=",".join(needed), provided=",".join(granted))


def _refused(refusal: Refusal) -> Reply:
    body: dict[str, Any] = {"ok": False, "error": refusal.error, **refusal.fields}
    if refusal.messages:
        body |= {"errors": list(refusal.messages), "response_metadata": {"messages": list(refusal.messages)}}
    return Reply(body=body)


def _hook_refused(error: str) -> Reply:
    status, word = HOOK_REFUSALS.get(error, (400, "invalid_payload"))
    return Reply(status=status, body=word)


def _payload(arguments: Arguments) -> Arguments:
    """A webhook takes its JSON in a form's field `payload` too."""
    if "payload" not in arguments:
        return arguments
    payload = decoded(arguments["payload"])
    if not isinstance(payload, dict):
        raise Refusal("invalid_payload")
    return payload


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
