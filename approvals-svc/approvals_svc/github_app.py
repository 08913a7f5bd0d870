"""GitHub as an App sees it: a JWT proves the App, and tokens of its installations, each for what one purpose needs.

https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app
"""

import time
from collections.abc import Mapping, Set
from datetime import datetime
from typing import Any

import httpx
import jwt
import msgspec

from approvals_svc.callback_url import repository_url
from approvals_svc.calls import Answer, CallFailed, call, read
from approvals_svc.tasks import GivenUp

JWT_LIFETIME_S = 540  # GitHub takes at most ten minutes
JWT_BACKDATED_S = 60  # against clocks that differ
TOKEN_RESERVE_S = 60
RESERVED_CALLS = 500  # of at least 5,000 an hour: for answers and actions
INSTALLATION_KNOWN_S = 600  # it is asked again then whether the App is still let in
HEADERS = {
    "Accept": "application/vnd.github+json",
    "X-GitHub-Api-Version": "2022-11-28",
    "Content-Type": "application/json",
}

Permissions = Mapping[str, str]


class App(msgspec.Struct, frozen=True, kw_only=True):
    """`installations` empty: every one of the App."""

    api_url: str
    app_id: str
    private_key: str
    installations: Set[str] = frozenset()


class _Installation(msgspec.Struct):
    id: int


class _Token(msgspec.Struct):
    token: str
    expires_at: datetime


class GithubApp:
    """One per process: it remembers tokens until they expire. Every method raises CallFailed."""

    def __init__(self, app: App, client: httpx.AsyncClient) -> None:
        self._app = app
        self._client = client
        self._tokens: dict[tuple[str, str], _Token] = {}
        self._remaining: dict[str, tuple[int, float]] = {}  # calls, and until when that counts
        self._installations: dict[str, tuple[str, float]] = {}

    @property
    def api_url(self) -> str:
        return self._app.api_url

    @property
    def app_id(self) -> str:
        return self._app.app_id

    async def call(
        self, method: str, url: str, *, installation_id: str, permissions: Permissions, body: Any = None
    ) -> Answer:
        """As an installation, with no more than these permissions. A token that was revoked early is renewed once."""
        key = (installation_id, ",".join(f"{name}:{level}" for name, level in sorted(permissions.items())))
        try:
            answer = await self._send(method, url, credential=await self._token(key, permissions), body=body)
        except CallFailed as problem:
            if problem.status != httpx.codes.UNAUTHORIZED or self._tokens.pop(key, None) is None:
                raise
            answer = await self._send(method, url, credential=await self._token(key, permissions), body=body)
        self._note_limit(installation_id, answer)
        return answer

    async def call_as_app(self, method: str, url: str) -> Answer:
        """With the JWT alone, which sees what the App is and where it is installed."""
        return await self._send(method, url, credential=self._jwt(), body=None)

    def can_spare(self, installation_id: str) -> bool:
        """Whether enough is left of the hour's calls for what is no answer to a gate."""
        remaining, known_until = self._remaining.get(installation_id, (RESERVED_CALLS, 0.0))
        return remaining >= RESERVED_CALLS or time.time() >= known_until

    def _note_limit(self, installation_id: str, answer: Answer) -> None:
        remaining, reset_at = (answer.headers.get(f"x-ratelimit-{name}", "") for name in ("remaining", "reset"))
        if remaining.isdecimal() and reset_at.isdecimal():
            self._remaining[installation_id] = (int(remaining), float(reset_at))

    async def installation_of(self, repository: str) -> str:
        """Which of the App's installations sees it; GivenUp where none does. Raises UnsafeReference too."""
        installation_id, known_until = self._installations.get(repository.lower(), ("", 0.0))
        if time.monotonic() < known_until:
            return installation_id
        url = f"{repository_url(self.api_url, repository)}/installation"
        try:
            found: _Installation = read(await self._send("GET", url, credential=self._jwt(), body=None), _Installation)
        except CallFailed as problem:
            if problem.status == httpx.codes.NOT_FOUND:
                raise CallFailed(GivenUp(f"the App is not installed on {repository}"), status=problem.status) from None
            raise
        if self._app.installations and str(found.id) not in self._app.installations:
            raise CallFailed(GivenUp(f"GITHUB_INSTALLATIONS lists none that sees {repository}"))
        self._installations[repository.lower()] = (str(found.id), time.monotonic() + INSTALLATION_KNOWN_S)
        return str(found.id)

    async def installation_of_organization(self, organization: str) -> str:
        """GivenUp where the App is not installed on it, or on none of GITHUB_INSTALLATIONS."""
        url = f"{self.api_url.rstrip('/')}/orgs/{organization}/installation"
        found: _Installation = read(await self.call_as_app("GET", url), _Installation)
        if self._app.installations and str(found.id) not in self._app.installations:
            raise CallFailed(GivenUp(f"GITHUB_INSTALLATIONS lists none of {organization}"))
        return str(found.id)

    async def _token(self, key: tuple[str, str], permissions: Permissions) -> str:
        known = self._tokens.get(key)
        if known and known.expires_at.timestamp() - TOKEN_RESERVE_S > time.time():
            return known.token
        url = f"{self.api_url.rstrip('/')}/app/installations/{key[0]}/access_tokens"
        response = await self._send("POST", url, credential=self._jwt(), body={"permissions": dict(permissions)})
        token: _Token = read(response, _Token)
        self._tokens[key] = token
        return token.token

    def _jwt(self) -> str:
        now = int(time.time())
        claims = {"iat": now - JWT_BACKDATED_S, "exp": now + JWT_LIFETIME_S, "iss": self._app.app_id}
        return jwt.encode(claims, self._app.private_key, algorithm="RS256")

    async def _send(self, method: str, url: str, *, credential: str, body: Any) -> Answer:
        headers = {**HEADERS, "Authorization": f"Bearer {credential}"}
        content = None if body is None else msgspec.json.encode(body)
        return await call(self._client, method, url, headers=headers, body=content)
