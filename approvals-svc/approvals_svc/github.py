"""Answers deployment protection rules as a GitHub App.

https://docs.github.com/en/actions/how-tos/deploy/configure-and-manage-deployments/create-custom-protection-rules
"""

import asyncio
import time
from datetime import datetime
from typing import Any, TypeAlias

import httpx
import jwt
import msgspec

from approvals_svc.callback_url import UnsafeReference, rule_url, run_url
from approvals_svc.model import GateAnswer

TOTAL_TIMEOUT_S = 10.0
BODY_MAX_BYTES = 1024 * 1024
JWT_LIFETIME_S = 540  # GitHub takes at most ten minutes
JWT_BACKDATED_S = 60  # against clocks that differ
TOKEN_RESERVE_S = 60
RATE_LIMIT_WAIT_MAX_S = 3600.0
NUMBER_MAX_DIGITS = 12
PERMISSIONS = {"actions": "read", "deployments": "write"}
HEADERS = {
    "Accept": "application/vnd.github+json",
    "X-GitHub-Api-Version": "2022-11-28",
    "User-Agent": "em-agent-approvals",
}


class Confirmed(msgspec.Struct, frozen=True):
    """GitHub has our answer; `how` says since when."""

    how: str


class Unknown(msgspec.Struct, frozen=True):
    """It may have our answer or not, or could not be asked now: look first, then try again."""

    reason: str
    after_s: float | None = None


class GivenUp(msgspec.Struct, frozen=True):
    """It will never take our answer."""

    reason: str


Delivered: TypeAlias = Confirmed | Unknown | GivenUp


class GithubProblem(Exception):
    """A call that did not do what it should; `outcome` says what follows from it, `status` is 0 without an answer."""

    def __init__(self, outcome: Unknown | GivenUp, *, status: int = 0) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome
        self.status = status


class App(msgspec.Struct, frozen=True, kw_only=True):
    api_url: str
    app_id: str
    private_key: str


class _Response(msgspec.Struct, frozen=True):
    status: int
    headers: httpx.Headers
    body: bytes


class _Token(msgspec.Struct):
    token: str
    expires_at: datetime


class _Environment(msgspec.Struct):
    name: str


class _Review(msgspec.Struct):
    state: str
    comment: str | None = None
    environments: list[_Environment] = []


def open_client() -> httpx.AsyncClient:
    """Follows nothing, and takes no proxy from the environment."""
    return httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=TOTAL_TIMEOUT_S, headers=HEADERS)


class Github:
    def __init__(self, app: App, client: httpx.AsyncClient) -> None:
        self._app = app
        self._client = client
        self._tokens: dict[str, _Token] = {}

    async def deliver(self, answer: GateAnswer, *, look_first: bool) -> Delivered:
        """`look_first` after any try whose end is not known: an answer that is there is not given again."""
        try:
            if look_first and await self._look(answer):
                return Confirmed("found among the reviews of the run")
            await self._post(answer)
        except GithubProblem as problem:
            return problem.outcome
        except UnsafeReference as unsafe:
            return GivenUp(str(unsafe))
        return Confirmed("204")

    async def _post(self, answer: GateAnswer) -> None:
        url = rule_url(self._app.api_url, repository=answer.repository, run_id=answer.run_id)
        body = {"environment_name": answer.environment, "state": answer.state, "comment": answer.comment}
        response = await self._call("POST", url, installation_id=answer.installation_id, body=body)
        if response.status != httpx.codes.NO_CONTENT:
            raise GithubProblem(GivenUp(f"unexpected answer {response.status}"))

    async def _look(self, answer: GateAnswer) -> bool:
        """A refused look tells nothing of the answer that may have been given: that stays unknown."""
        try:
            return await self._is_there(answer)
        except GithubProblem as problem:
            if isinstance(problem.outcome, GivenUp):
                refused = f"the outcome can't be looked up: {problem.outcome.reason}"
                raise GithubProblem(Unknown(refused), status=problem.status) from None
            raise

    async def _is_there(self, answer: GateAnswer) -> bool:
        """Others may review the same environment: ours is the one with our comment."""
        url = f"{run_url(self._app.api_url, repository=answer.repository, run_id=answer.run_id)}/approvals"
        response = await self._call("GET", url, installation_id=answer.installation_id)
        return any(
            review.state == answer.state
            and (review.comment or "").strip() == answer.comment.strip()
            and any(environment.name == answer.environment for environment in review.environments)
            for review in _read(response, list[_Review])
        )

    async def _call(
        self, method: str, url: str, *, installation_id: str, body: dict[str, Any] | None = None
    ) -> _Response:
        """A token that was revoked before its time is renewed once."""
        token = await self._token(installation_id)
        try:
            return await self._send(method, url, credential=token, body=body)
        except GithubProblem as problem:
            if problem.status != httpx.codes.UNAUTHORIZED:
                raise
            self._tokens.pop(installation_id, None)
        return await self._send(method, url, credential=await self._token(installation_id), body=body)

    async def _token(self, installation_id: str) -> str:
        known = self._tokens.get(installation_id)
        if known and known.expires_at.timestamp() - TOKEN_RESERVE_S > time.time():
            return known.token
        url = f"{self._app.api_url.rstrip('/')}/app/installations/{installation_id}/access_tokens"
        response = await self._send("POST", url, credential=self._jwt(), body={"permissions": PERMISSIONS})
        token: _Token = _read(response, _Token)
        self._tokens[installation_id] = token
        return token.token

    def _jwt(self) -> str:
        now = int(time.time())
        claims = {"iat": now - JWT_BACKDATED_S, "exp": now + JWT_LIFETIME_S, "iss": self._app.app_id}
        return jwt.encode(claims, self._app.private_key, algorithm="RS256")

    async def _send(self, method: str, url: str, *, credential: str, body: dict[str, Any] | None) -> _Response:
        """Raises GithubProblem for everything but 2xx."""
        headers = {"Authorization": f"Bearer {credential}"}
        try:
            async with (
                asyncio.timeout(TOTAL_TIMEOUT_S),
                self._client.stream(method, url, json=body, headers=headers) as stream,
            ):
                response = _Response(stream.status_code, stream.headers, await _bounded(stream))
        except (httpx.HTTPError, TimeoutError) as error:
            raise GithubProblem(Unknown(f"no answer: {type(error).__name__}")) from None
        problem = _problem(response)
        if problem:
            raise GithubProblem(problem, status=response.status)
        return response


async def _bounded(stream: httpx.Response) -> bytes:
    body = b""
    async for chunk in stream.aiter_bytes():
        body += chunk
        if len(body) > BODY_MAX_BYTES:
            raise GithubProblem(Unknown("the answer is larger than 1 MiB"))
    return body


def _problem(response: _Response) -> Unknown | GivenUp | None:
    """What an answer other than 2xx means for the effect."""
    status = response.status
    if 200 <= status < 300:
        return None
    if _is_limited(status, response.headers):
        return Unknown(f"{status}: rate limited", after_s=_retry_after_s(response.headers))
    if status >= 500 or status in (401, 408):
        return Unknown(f"answer {status}")
    return GivenUp(f"answer {status}")


def _is_limited(status: int, headers: httpx.Headers) -> bool:
    """GitHub's primary limit is a 403 (or 429) that leaves nothing, its secondary one names when to come again."""
    spent = "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0"
    return status == 429 or (status == 403 and spent)


def _retry_after_s(headers: httpx.Headers) -> float | None:
    """Seconds from `retry-after`, else until `x-ratelimit-reset` (epoch seconds); at most an hour."""
    wait_s = _number(headers.get("retry-after", ""))
    reset_at = _number(headers.get("x-ratelimit-reset", ""))
    if wait_s is None and reset_at is not None:
        wait_s = max(0.0, reset_at - time.time())
    return None if wait_s is None else min(wait_s, RATE_LIMIT_WAIT_MAX_S)


def _number(written: str) -> float | None:
    return float(written) if written.isascii() and written.isdigit() and len(written) <= NUMBER_MAX_DIGITS else None


def _read(response: _Response, kind: Any) -> Any:
    try:
        return msgspec.json.decode(response.body, type=kind)
    except msgspec.MsgspecError as error:
        raise GithubProblem(Unknown(f"unreadable answer: {error}")) from None
