"""The GitLab counterpart: deployment approvals, starting a job and status checks, as its API documents them."""

from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from em.sandbox.blocked import Blocked, Deployment, GitlabSettings, Vote
from em.sandbox.checked import Checked, MergeRequest
from em.sandbox.exchange import Exchange, Reply

API = "/api/v4"
DEPLOYMENT = f"{API}/projects/{{project}}/deployments/{{number:[0-9]+}}"
CHANGE = f"{API}/projects/{{project}}/merge_requests/{{number:[0-9]+}}"
TOO_MANY = "429 Too Many Requests"

Body = dict[str, Any]


class GitlabRefusal(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.reply = Reply(status=status, body={"message": message})


class Call(msgspec.Struct, frozen=True):
    path: dict[str, str]
    token: str
    body: Body


class Gitlab:
    """`blocked` and `checked` are all it remembers."""

    def __init__(self, exchange: Exchange, settings: GitlabSettings) -> None:
        self._exchange = exchange
        self._settings = settings
        self.reset()

    def reset(self) -> None:
        self.blocked = Blocked(self._settings)
        self.checked = Checked()

    def application(self) -> web.Application:
        app = web.Application()
        router = app.router
        router.add_get(DEPLOYMENT, self._route(self._show))
        router.add_post(f"{DEPLOYMENT}/approval", self._route(self._vote))
        router.add_post(f"{API}/projects/{{project}}/jobs/{{job:[0-9]+}}/play", self._route(self._play))
        router.add_get(CHANGE, self._route(self._show_change))
        router.add_get(f"{CHANGE}/status_checks", self._route(self._list_checks))
        router.add_post(f"{CHANGE}/status_check_responses", self._route(self._answer_check))
        router.add_route("*", "/{path:.*}", self._route(self._unknown))
        return app

    def _route(self, perform: Callable[[Call], Reply]) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.Response:
            method = f"{request.method} {request.path}"
            entry = self._exchange.ledger.open("gitlab", method)
            raw = await request.read()
            bite = self._exchange.faults.bite("gitlab", method, frozenset())

            def act() -> Reply:
                try:
                    return perform(self._call(request, raw))
                except GitlabRefusal as refusal:
                    entry.error = str(refusal)
                    return refusal.reply

            return await self._exchange.answer(request, entry, bite, act, Reply(body={"message": TOO_MANY}))

        return handle

    def _call(self, request: web.Request, raw: bytes) -> Call:
        token = request.headers.get("PRIVATE-TOKEN", "")
        if not token or token != self.blocked.settings.token:
            raise GitlabRefusal(401, "401 Unauthorized")
        try:
            body = msgspec.json.decode(raw) if raw else {}
        except msgspec.DecodeError as broken:
            raise GitlabRefusal(400, "400 Bad request") from broken
        return Call(path=dict(request.match_info), token=token, body=body if isinstance(body, dict) else {})

    def _show(self, call: Call) -> Reply:
        return Reply(body=_shown(self._deployment(call)))

    def _vote(self, call: Call) -> Reply:
        deployment = self._deployment(call)
        status, comment = call.body.get("status"), call.body.get("comment") or ""
        if status not in ("approved", "rejected"):
            raise GitlabRefusal(400, "status does not have a valid value")
        vote = self.blocked.vote(deployment, status, comment, call.body.get("represented_as"))
        if not vote.effective:
            raise GitlabRefusal(400, "This deployment is not waiting for your approval.")
        return Reply(status=201, body=_approval(vote), stored=True)

    def _play(self, call: Call) -> Reply:
        job = int(call.path["job"])
        for deployment in self.blocked.deployments.values():
            if deployment.project == call.path["project"] and deployment.job_id == job:
                if not self.blocked.play(deployment):
                    raise GitlabRefusal(400, "400 Bad request - Unplayable Job")
                return Reply(body=_job(deployment), stored=True)
        raise GitlabRefusal(404, "404 Not Found")

    def _show_change(self, call: Call) -> Reply:
        request = self._change(call)
        author = {"id": 1, "username": request.username, "name": request.username, "state": "active"}
        place = {"iid": request.number, "state": request.state, "target_branch": request.target_branch}
        return Reply(body=place | {"id": request.number, "sha": request.sha, "author": author})

    def _list_checks(self, call: Call) -> Reply:
        return Reply(body=self.checks_of(self._change(call)))

    def checks_of(self, request: MergeRequest) -> list[Body]:
        timeout_s = self.blocked.settings.check_timeout_s
        return [
            {"id": number, "name": "em-agent", "status": self.checked.status(request, number, timeout_s=timeout_s)}
            for number in request.asked_at
        ]

    def _answer_check(self, call: Call) -> Reply:
        request = self._change(call)
        number, status = call.body.get("external_status_check_id"), call.body.get("status")
        if status not in ("pending", "passed", "failed"):
            raise GitlabRefusal(400, "status does not have a valid value")
        if number not in request.asked_at:
            raise GitlabRefusal(404, "404 Not Found")
        if call.body.get("sha") != request.sha:
            raise GitlabRefusal(409, "409 Conflict - SHA does not match HEAD of source branch")
        told = self.checked.answer(request, number, request.sha, status)
        return Reply(status=201, body={"id": len(request.answers), "status": told.status}, stored=True)

    def _change(self, call: Call) -> MergeRequest:
        known = self.checked.requests.get((call.path["project"], int(call.path["number"])))
        if known is None:
            raise GitlabRefusal(404, "404 Not Found")
        return known

    def _unknown(self, call: Call) -> Reply:
        raise GitlabRefusal(404, "404 Not Found")

    def _deployment(self, call: Call) -> Deployment:
        project, number = call.path["project"], int(call.path["number"])
        known = self.blocked.deployments.get((project, number))
        if known is None:
            raise GitlabRefusal(404, "404 Not Found")
        return known


def _shown(deployment: Deployment) -> Body:
    return {
        "id": deployment.id,
        "iid": deployment.id,
        "ref": deployment.ref,
        "sha": deployment.sha,
        "created_at": deployment.created_at,
        "updated_at": deployment.created_at,
        "status": deployment.status,
        "user": {"id": 1, "username": deployment.username, "name": deployment.username, "state": "active"},
        "environment": {"id": 9, "name": deployment.environment, "external_url": None},
        "deployable": _job(deployment),
        "pending_approval_count": deployment.missing,
        "approvals": [_approval(vote) for vote in deployment.counted],
    }


def _job(deployment: Deployment) -> Body:
    return {"id": deployment.job_id, "status": deployment.job_status, "stage": "deploy", "name": "deploy"}


def _approval(vote: Vote) -> Body:
    return {
        "user": {"id": 2, "username": vote.username, "name": vote.username, "state": "active"},
        "status": vote.status,
        "created_at": "2026-02-27T12:10:00.000Z",
        "comment": vote.comment,
    }
