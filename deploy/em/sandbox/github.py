"""The GitHub counterpart: installation tokens and deployment protection rules over HTTP."""

from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from em.sandbox.app_jwt import JwtRefused, verify
from em.sandbox.exchange import Exchange, Reply
from em.sandbox.gates import (
    COMMENT_CHARS_MAX,
    GRANTED,
    REPORTS_MAX,
    Gate,
    Gates,
    GithubSettings,
    Run,
    Token,
    instant,
)
from em.sandbox.github_runs import GithubRuns
from em.sandbox.github_threads import GithubThreads
from em.sandbox.refusals import Body, Call, GithubRefusal, invalid, refused
from em.sandbox.threads import Threads

RULE = "DeploymentProtectionRule"
REPOSITORY = "/repos/{owner}/{repo}"
RUN = "/repos/{owner}/{repo}/actions/runs/{run_id:[0-9]+}"
FORBIDDEN = "Resource not accessible by integration"
TOO_MANY = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."


class Github:
    """`gates` and `threads` are all it remembers."""

    def __init__(self, exchange: Exchange, settings: GithubSettings) -> None:
        self._exchange = exchange
        self._settings = settings
        self.reset()

    def reset(self) -> None:
        self.gates = Gates(self._settings)
        self.threads = Threads(self.gates.clock)

    def application(self) -> web.Application:
        app = web.Application()
        router = app.router
        router.add_post("/app/installations/{installation}/access_tokens", self._route(self._issue_token))
        router.add_post(f"{RUN}/deployment_protection_rule", self._route(self._review))
        router.add_get(f"{RUN}/approvals", self._route(self._approvals))
        router.add_get(f"{RUN}/pending_deployments", self._route(self._pending))
        router.add_get(f"{REPOSITORY}/installation", self._route(self._installation))
        router.add_get("/orgs/{organization}/installation", self._route(self._installation_of_organization))
        router.add_get("/orgs/{organization}/teams/{slug}/members", self._route(self._members))
        for verb, path, perform in (*GithubThreads(self).routes, *GithubRuns(self).routes):
            router.add_route(verb, path, self._route(perform))
        router.add_route("*", "/{path:.*}", self._route(self._unknown))
        return app

    def _route(self, perform: Callable[[Call], Reply]) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.Response:
            method = f"{request.method} {request.path}"
            entry = self._exchange.ledger.open("github", method)
            raw = await request.read()
            bite = self._exchange.faults.bite("github", method, frozenset())

            def act() -> Reply:
                try:
                    return self._limited(perform(_call(request, raw)))
                except GithubRefusal as refusal:
                    entry.error = str(refusal)
                    return refusal.reply

            return await self._exchange.answer(request, entry, bite, act, refused(429, TOO_MANY))

        return handle

    def _limited(self, reply: Reply) -> Reply:
        left = self.gates.settings.calls_left
        if left is None:
            return reply
        reset_at = int(self.gates.clock()) + 3_600
        headers = {"X-RateLimit-Remaining": str(left), "X-RateLimit-Reset": str(reset_at)}
        return msgspec.structs.replace(reply, headers=reply.headers | headers)

    def _installation(self, call: Call) -> Reply:
        self.prove_app(call)
        found = self.gates.installation_of(call.repository)
        if found is None:
            raise GithubRefusal(404, "Not Found")
        return Reply(body={"id": int(found), "app_slug": self.gates.settings.app_slug})

    def _installation_of_organization(self, call: Call) -> Reply:
        self.prove_app(call)
        found = self.gates.installation_of(f"{call.path['organization']}/any")
        if found is None:
            raise GithubRefusal(404, "Not Found")
        return Reply(body={"id": int(found), "app_slug": self.gates.settings.app_slug})

    def _members(self, call: Call) -> Reply:
        if self.enter(call).permissions.get("members") not in ("read", "write"):
            raise GithubRefusal(403, FORBIDDEN)
        logins = self.gates.teams.get(f"{call.path['organization']}/{call.path['slug']}".lower())
        if logins is None:
            raise GithubRefusal(404, "Not Found")
        size, page = int(call.query.get("per_page", "30")), int(call.query.get("page", "1"))
        listed = logins[(page - 1) * size : page * size]
        return Reply(body=[{"login": login, "id": number, "type": "User"} for number, login in enumerate(listed, 1)])

    def _issue_token(self, call: Call) -> Reply:
        self.prove_app(call)
        settings, installation = self.gates.settings, call.path["installation"]
        if settings.installations is not None and installation not in settings.installations:
            raise GithubRefusal(404, "Not Found")
        value, token = self.gates.issue_token(installation, _narrowed(call.body.get("permissions")))
        body = {
            "token": value,
            "expires_at": instant(token.expires_at),
            "permissions": token.permissions,
            "repository_selection": "selected" if call.body.get("repository_ids") else "all",
        }
        return Reply(status=201, body=body, stored=True)

    def prove_app(self, call: Call) -> None:
        settings = self.gates.settings
        if settings.app_id is None or settings.public_key is None:
            raise GithubRefusal(404, "Integration not found")
        try:
            verify(
                call.authorization,
                public_key_pem=settings.public_key,
                app_id=settings.app_id,
                now=self.gates.clock(),
            )
        except JwtRefused as refused:
            raise GithubRefusal(401, str(refused)) from refused

    def _review(self, call: Call) -> Reply:
        run = self._run(call, needs=("deployments", "write"))
        gate = self._gate(run, call.body.get("environment_name"))
        comment, state = call.body.get("comment", ""), call.body.get("state")
        if not isinstance(comment, str):
            raise GithubRefusal(422, f"Invalid request.\n\nFor 'comment', {comment!r} is not a string.")
        if len(comment) > COMMENT_CHARS_MAX:
            raise invalid(RULE, "comment", f"is too long (maximum is {COMMENT_CHARS_MAX} characters)")
        match state:
            case "approved" | "rejected":
                decision = self.gates.decide(run, gate, state, comment)
                status = 204 if decision.effective else self.gates.settings.second_decision_status
                return Reply(status=204, stored=True) if status == 204 else refused(status, "Validation Failed")
            case None:
                return self._report(gate, comment)
            case _:
                raise GithubRefusal(422, f'Invalid request.\n\n{state} is not a member of ["approved", "rejected"].')

    def _report(self, gate: Gate, comment: str) -> Reply:
        if not comment:
            raise GithubRefusal(422, 'Invalid request.\n\n"comment" wasn\'t supplied.')
        if len(gate.reports) >= REPORTS_MAX:
            raise invalid(RULE, "comment", f"no more than {REPORTS_MAX} status reports per deployment")
        gate.reports.append(comment)
        return Reply(status=204, stored=True)

    def _approvals(self, call: Call) -> Reply:
        run = self._run(call, needs=("actions", "read"))
        bot = f"{self.gates.settings.app_slug}[bot]"
        found = [
            *((g, g.decisions[0].state, g.decisions[0].comment, bot) for g in run.gates.values() if g.decisions),
            *((g, g.review.state, g.review.comment, g.review.login) for g in run.gates.values() if g.review),
        ]
        return Reply(
            body=[
                {
                    "state": state,
                    "comment": comment,
                    "environments": [_environment(run, gate)],
                    "user": {"login": login, "id": 1, "type": "Bot" if login == bot else "User"},
                }
                for gate, state, comment, login in found
            ]
        )

    def _pending(self, call: Call) -> Reply:
        run = self._run(call, needs=("actions", "read"))
        return Reply(
            body=[
                {
                    "environment": _environment(run, gate),
                    "wait_timer": 0,
                    "wait_timer_started_at": run.created_at,
                    "current_user_can_approve": False,
                    "reviewers": [],
                }
                for gate in run.gates.values()
                if gate.waits and not run.conclusion
            ]
        )

    def _unknown(self, call: Call) -> Reply:
        raise GithubRefusal(404, "Not Found")

    def _run(self, call: Call, *, needs: tuple[str, str]) -> Run:
        self.admit(call, needs)
        run = self.gates.run(call.repository, int(call.path["run_id"]))
        if run is None:
            raise GithubRefusal(404, "Not Found")
        return run

    def admit(self, call: Call, needs: tuple[str, str]) -> Token:
        token = self.enter(call)
        if not self.gates.sees(token.installation, call.repository):
            raise GithubRefusal(404, "Not Found")
        permission, level = needs
        if token.permissions.get(permission) not in (level, "write"):
            raise GithubRefusal(403, FORBIDDEN)
        return token

    def enter(self, call: Call) -> Token:
        if not call.authorization:
            raise GithubRefusal(401, "Requires authentication")
        token = self.gates.tokens.get(call.authorization)
        if token is None or token.expires_at <= self.gates.clock():
            raise GithubRefusal(401, "Bad credentials")
        return token

    def _gate(self, run: Run, environment: Any) -> Gate:
        if not isinstance(environment, str) or not environment:
            raise GithubRefusal(422, 'Invalid request.\n\n"environment_name" wasn\'t supplied.')
        if environment not in run.gates and not self.gates.settings.auto_runs:
            raise invalid(RULE, "environment_name", "is not waiting in this run")
        return run.gate(environment)


def _call(request: web.Request, raw: bytes) -> Call:
    if not request.headers.get("User-Agent"):
        raise GithubRefusal(403, "Request forbidden by administrative rules: no User-Agent header")
    try:
        body = msgspec.json.decode(raw) if raw else {}
    except msgspec.DecodeError as broken:
        raise GithubRefusal(400, "Problems parsing JSON") from broken
    if not isinstance(body, dict):
        raise GithubRefusal(400, "Body should be a JSON object")
    _, _, credential = request.headers.get("Authorization", "").partition(" ")
    return Call(path=dict(request.match_info), query=dict(request.query), authorization=credential.strip(), body=body)


def _narrowed(permissions: Any) -> dict[str, str]:
    """The permissions asked for, which may not exceed what the App is granted."""
    if permissions is None:
        return GRANTED
    if not isinstance(permissions, dict):
        raise GithubRefusal(422, "Invalid request.\n\nFor 'permissions', the value is not an object.")
    for name, level in permissions.items():
        if GRANTED.get(name) not in (level, "write"):
            raise GithubRefusal(422, "The permissions requested are not granted to this installation.")
    return {"metadata": "read", **permissions}


def _environment(run: Run, gate: Gate) -> Body:
    return {
        "id": gate.id,
        "node_id": f"EN_{gate.id}",
        "name": gate.environment,
        "url": f"https://api.github.com/repos/{run.repository}/environments/{gate.environment}",
        "html_url": f"https://github.com/{run.repository}/deployments/activity_log?environments_filter={gate.environment}",
    }
