"""Every route of every service and every role, asked of the running services: what isn't declared is not let in."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import uuid4

import httpx
import pytest

from approvals_svc import users
from approvals_svc.users import Account, Users
from shared.contracts.services import APPROVALS_SVC, INGEST, METRICS_SVC, NORMALIZER, NOTIFIER, SERVICES, Service
from shared.http.auth import ROLES
from shared.identity.own import SigningKey
from tests.backends import own_database
from tests.line import Line, open_line
from tests.provisioning import provisioned, removed

PASSWORD = "correct horse battery"
SECRET = "a-key-of-at-least-thirty-two-characters"
OPEN = "open"

# The smallest role that passes; `open` ones prove who asks by what is in the request, or publish what is public.
DECLARED: dict[Service, dict[str, str]] = {
    INGEST: {},
    NORMALIZER: {"GET /v1/dispositions": "viewer"},
    METRICS_SVC: {},
    APPROVALS_SVC: {
        "GET /v1/approvals": "viewer",
        "POST /v1/approvals": "operator",  # or a CI's run by its own token
        "GET /v1/approvals/{number}/wait": "operator",  # of whoever asked
        "POST /v1/approvals/propose": "approver",
        "POST /v1/approvals/{number}/notify": "approver",
        "POST /v1/workflows/run": "approver",
        "GET /v1/workflows/jobs": "viewer",
        "GET /v1/workflows/jobs/{number}": "viewer",
        "GET /v1/approvals/{number}": "viewer",
        "GET /v1/reports/approvals": "viewer",
        "GET /v1/approvals/{number}/evidence": "viewer",
        "GET /v1/approvals/{number}/precedents": "viewer",
        "GET /v1/search": "viewer",
        "POST /v1/approvals/{number}/decision": "approver",
        "POST /v1/approvals/batch-decision": "approver",
        "POST /v1/approvals/{number}/cancel": "viewer",  # who asked may take it back
        "POST /v1/approvals/{number}/break-glass": "approver",
        "POST /v1/approvals/{number}/revoke": "approver",
        "GET /v1/delegations": "viewer",
        "POST /v1/delegations": "approver",
        "DELETE /v1/delegations/{number}": "approver",
        "GET /v1/links": "operator",
        "DELETE /v1/links/{account}": "admin",
        "GET /v1/audit": "operator",
        "GET /v1/audit/anchors": "viewer",
        "GET /v1/policies": "viewer",
        "GET /v1/policies/{number}": "viewer",
        "GET /v1/policies/{number}/diff": "viewer",
        "GET /v1/freezes": "viewer",
        "POST /v1/policy/simulate": "viewer",
        "POST /v1/policy/evaluate": "viewer",
        "POST /v1/auth/token": OPEN,
        "POST /v1/auth/refresh": OPEN,
        "GET /v1/auth/me": "viewer",
        "GET /v1/auth/jwks": OPEN,
    },
    NOTIFIER: {
        "GET /v1/notifications": "viewer",
        "GET /v1/notifications/channels": "viewer",
        "GET /v1/notifications/held": "viewer",
        "GET /v1/notifications/explain": "viewer",
    },
}
READ_ONLY = {METRICS_SVC: "viewer"}  # whatever it answers is a question


@pytest.fixture(scope="module")
async def line(nats_url: str, postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Line]:
    prefix = f"t{uuid4().hex[:10]}"
    await provisioned(nats_url, prefix)
    directory = tmp_path_factory.mktemp("roles")
    users.save(directory / "users", Users([Account(name="ana", role="viewer", hash=users.hashed(PASSWORD))]))
    guide = {"AUTH_ENABLED": "true", "JWT_ALGORITHM": "HS256", "JWT_SECRET_KEY": SECRET}
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(
            open_line(
                nats_url=nats_url,
                database_url=await stack.enter_async_context(own_database(postgres_url)),
                prefix=prefix,
                directory=directory,
                environment={**guide, "USERS_PATH": str(directory / "users"), "JWT_ACCESS_TOKEN_EXPIRE_MINUTES": "15"},
            )
        )
        await opened.start(*SERVICES)
        yield opened
    await removed(nats_url, prefix)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
async def test_every_route_lets_its_role_and_those_above_pass_and_nobody_else(line: Line, service: Service) -> None:
    found = await _routes(line, service)

    assert set(found) == set(_declared(service, found))
    wrong = []
    for route, smallest in _declared(service, found).items():
        for role in (None, *ROLES):
            answer = await _asked(line, service, route, role)
            if not _is_right(answer, smallest, role):
                wrong.append((route, role, answer.status_code, answer.text[:200]))
    assert wrong == []


async def test_weaker_algorithm_is_told_at_the_start_and_in_health_by_every_service(line: Line) -> None:
    for service in SERVICES:
        shown = (await line.http.get(line.url(service, "/health"))).json()
        assert shown["auth"]["algorithm"] == "HS256"
        assert "mint" in shown["auth"]["weaker"]
        assert "auth.weaker" in line.log(service)


async def test_token_given_under_the_guides_secret_is_accepted_by_another_service(line: Line) -> None:
    login = {"username": "ana", "password": PASSWORD}
    given = (await line.http.post(line.url(APPROVALS_SVC, "/v1/auth/token"), json=login)).json()
    bearer = {"Authorization": f"Bearer {given['access_token']}"}

    assert given["expires_in"] == 15 * 60
    assert (await line.http.get(line.url(NORMALIZER, "/v1/dispositions"), headers=bearer)).status_code == 200
    assert (await line.http.get(line.url(APPROVALS_SVC, "/v1/auth/jwks"))).json() == {"keys": []}


async def _routes(line: Line, service: Service) -> list[str]:
    """As the service itself documents them."""
    paths = (await line.http.get(line.url(service, "/openapi.json"))).json()["paths"]
    return [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]


def _declared(service: Service, found: list[str]) -> dict[str, str]:
    if service in READ_ONLY:
        return {route: READ_ONLY[service] for route in found if route.startswith("GET /v1/")}
    return DECLARED[service]


async def _asked(line: Line, service: Service, route: str, role: str | None) -> httpx.Response:
    method, _, path = route.partition(" ")
    url = line.url(service, path.replace("{number}", "1").replace("{", "").replace("}", ""))
    body = {"decision": "approve"} if method == "POST" else None
    return await line.http.request(method, url, json=body, headers=_bearer(role) if role else {})


def _bearer(role: str) -> dict[str, str]:

    key = SigningKey.of("HS256", SECRET)
    return {"Authorization": f"Bearer {key.mint(subject='ana', role=role, lifetime_s=60, now=int(time.time()))}"}


def _is_right(answer: httpx.Response, smallest: str, role: str | None) -> bool:
    kind = answer.json().get("type", "") if "json" in answer.headers.get("content-type", "") else ""
    is_stopped = kind in ("/problems/unauthorized", "/problems/forbidden")
    if smallest == OPEN:
        return not is_stopped and answer.status_code < 500
    if role is None:
        return (answer.status_code, kind) == (401, "/problems/unauthorized")
    if ROLES.index(role) < ROLES.index(smallest):
        return (answer.status_code, kind) == (403, "/problems/forbidden")
    return not is_stopped and answer.status_code < 500
