"""`/v1/auth` of two replicas on one database: logging in, refreshing, and what both must not give."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from approvals_svc import users
from approvals_svc.users import Account, Users
from shared.contracts.services import APPROVALS_SVC, METRICS_SVC
from shared.identity.own import SigningKey
from tests.backends import own_database
from tests.issuer import Issuer, local_issuer, setting
from tests.line import Line, open_line
from tests.provisioning import provisioned, removed
from tests.waiting import until

PASSWORD = "canary-a-password-of-ana"
ROLES = {"ana": "approver", "bo": "viewer", "robot": "operator", "out": "admin"}
SIGNING = ed25519.Ed25519PrivateKey.generate()
PRIVATE = SIGNING.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()


def public(key: ed25519.Ed25519PrivateKey) -> str:
    encoded = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return encoded.decode()


OLDER = ed25519.Ed25519PrivateKey.generate()


class Desk:
    """Two replicas of approvals-svc, and the users file between them."""

    def __init__(self, lines: list[Line], users_path: Path, issuer: Issuer) -> None:
        self.lines = lines
        self.issuer = issuer
        self._users_path = users_path

    def employ(self, **roles: str) -> None:
        """These and no others, all with the same password."""
        hashed = users.hashed(PASSWORD)
        users.save(self._users_path, Users([Account(name=n, role=r, hash=hashed) for n, r in roles.items()]))

    async def post(self, path: str, replica: int = 0, **form: str) -> httpx.Response:
        return await self.lines[replica].http.post(self.url(path, replica), data=form)

    async def log_in(self, name: str, password: str = PASSWORD, replica: int = 0) -> httpx.Response:
        return await self.post("token", replica, username=name, password=password)

    async def refresh(self, token: str, replica: int = 0) -> httpx.Response:
        return await self.post("refresh", replica, refresh_token=token)

    async def me(self, token: str) -> httpx.Response:
        return await self.lines[0].http.get(self.url("me"), headers={"Authorization": f"Bearer {token}"})

    def url(self, path: str, replica: int = 0) -> str:
        return self.lines[replica].url(APPROVALS_SVC, f"/v1/auth/{path}")


@pytest.fixture(scope="module")
async def running(nats_url: str, postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    prefix = f"t{uuid4().hex[:10]}"
    directory = tmp_path_factory.mktemp("tokens")
    (directory / "users").touch()
    await provisioned(nats_url, prefix)
    async with AsyncExitStack() as stack:
        database_url = await stack.enter_async_context(own_database(postgres_url))
        issuer = await stack.enter_async_context(local_issuer(directory))
        environment = {
            "AUTH_ENABLED": "true",
            "JWT_PRIVATE_KEY": PRIVATE,
            "JWT_PUBLIC_KEY": public(SIGNING) + public(OLDER),
            "USERS_PATH": str(directory / "users"),
            "OIDC_ISSUERS": setting(issuer.url),
            "OIDC_PRIVATE_HOSTS": "127.0.0.1",
            "OIDC_CA_FILE": str(issuer.ca_file),
        }
        lines = []
        for number in range(2):
            own = directory / str(number)
            own.mkdir()
            line = await stack.enter_async_context(
                open_line(
                    nats_url=nats_url,
                    database_url=database_url,
                    prefix=prefix,
                    directory=own,
                    environment=environment,
                )
            )
            await line.start(APPROVALS_SVC)
            lines.append(line)
        yield Desk(lines, directory / "users", issuer)
    await removed(nats_url, prefix)


@pytest.fixture
async def desk(running: Desk) -> Desk:
    running.employ(**ROLES)
    await running.lines[0].fetch("TRUNCATE approvals.session, approvals.login_attempt")
    return running


async def test_login_gives_tokens_that_every_service_accepts(desk: Desk) -> None:
    answer = await desk.log_in("ana")

    given = answer.json()
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert {name: given[name] for name in ("token_type", "expires_in", "role")} == {
        "token_type": "Bearer",
        "expires_in": 3600,
        "role": "approver",
    }
    assert (await desk.me(given["access_token"])).json() == {"subject": "ana", "role": "approver", "issuer": "em-agent"}
    claims = jwt.decode(given["access_token"], options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 3600
    await desk.lines[0].start(METRICS_SVC)
    bearer = {"Authorization": f"Bearer {given['access_token']}"}
    assert (await desk.lines[0].http.get(desk.lines[0].url(METRICS_SVC, "/v1/dora"), headers=bearer)).status_code == 200


async def test_keys_are_published_and_verify(desk: Desk) -> None:
    answer = await desk.lines[0].http.get(desk.url("jwks"))
    token = (await desk.log_in("bo")).json()["access_token"]

    keys = jwt.PyJWKSet.from_dict(answer.json())
    assert len(keys.keys) == 2
    assert '"d"' not in answer.text
    key = keys[jwt.get_unverified_header(token)["kid"]]
    assert jwt.decode(token, key, algorithms=["EdDSA"], audience="em-agent")["sub"] == "bo"


async def test_token_of_a_key_that_signs_no_more_is_still_accepted(desk: Desk) -> None:
    older = SigningKey(algorithm="EdDSA", key=OLDER, name=SigningKey.of("EdDSA", _pem(OLDER)).name).mint(
        subject="ana", role="viewer", lifetime_s=60, now=int(time.time())
    )

    assert (await desk.me(older)).status_code == 200


def _pem(key: ed25519.Ed25519PrivateKey) -> str:
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return encoded.decode()


async def test_machine_gets_no_refresh_token(desk: Desk) -> None:
    json_body = {"grant_type": "client_credentials", "client_id": "robot", "client_secret": PASSWORD}
    answer = await desk.lines[0].http.post(desk.url("token"), json=json_body)

    assert answer.json()["role"] == "operator"
    assert "refresh_token" not in answer.json()
    assert await desk.lines[0].count("approvals.session") == 0


async def test_wrong_password_and_unknown_name_are_answered_alike(desk: Desk) -> None:
    answers = [await desk.log_in(name, "wrong") for name in ("ana", "nobody", "a b;--", "")]

    told = [{**answer.json(), "request_id": ""} for answer in answers]
    assert [answer.status_code for answer in answers] == [401] * 4
    assert all(each == told[0] for each in told)
    assert all(set(answer.headers) == set(answers[0].headers) for answer in answers)


@pytest.mark.parametrize("name", ["ana", "nobody"])
async def test_S21_sixth_failure_within_a_minute_is_429_whichever_replica_is_asked(desk: Desk, name: str) -> None:
    tries = await asyncio.gather(*(desk.log_in(name, "wrong", replica=n % 2) for n in range(24)))

    statuses = [answer.status_code for answer in tries]
    assert (statuses.count(401), statuses.count(429)) == (5, 19)
    refused = await desk.log_in(name)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    assert (await desk.log_in("bo")).status_code == 200
    await desk.lines[0].fetch(
        "UPDATE approvals.login_attempt SET tried_at = ARRAY(SELECT t - interval '1 minute' FROM unnest(tried_at) AS t)"
    )
    assert (await desk.log_in(name)).status_code == (200 if name in ROLES else 401)


async def test_logins_that_succeed_are_not_counted(desk: Desk) -> None:
    for _ in range(7):
        assert (await desk.log_in("ana")).status_code == 200


async def test_refresh_gives_new_tokens_and_keeps_who_one_is(desk: Desk) -> None:
    first = (await desk.log_in("ana")).json()

    second = (await desk.refresh(first["refresh_token"], replica=1)).json()
    third = (await desk.refresh(second["refresh_token"])).json()

    assert len({each["refresh_token"] for each in (first, second, third)}) == 3
    assert (await desk.me(third["access_token"])).json()["role"] == "approver"


async def test_refresh_token_used_again_ends_its_session_and_no_other(desk: Desk) -> None:
    stolen = (await desk.log_in("ana")).json()["refresh_token"]
    other = (await desk.log_in("ana")).json()["refresh_token"]
    current = (await desk.refresh(stolen)).json()["refresh_token"]

    again = await desk.refresh(stolen, replica=1)

    assert (again.status_code, again.json()["type"]) == (401, "/problems/invalid-refresh-token")
    assert (await desk.refresh(current)).status_code == 401
    assert (await desk.refresh(other)).status_code == 200


@pytest.mark.parametrize("turn", range(10))
async def test_refresh_token_used_on_two_replicas_at_once_is_spent_once_and_its_session_ends(
    desk: Desk, turn: int
) -> None:
    token = (await desk.log_in("ana")).json()["refresh_token"]

    answers = await asyncio.gather(*(desk.refresh(token, replica=n % 2) for n in range(4)))

    won = [answer for answer in answers if answer.status_code == 200]
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]
    assert (await desk.refresh(won[0].json()["refresh_token"], replica=turn % 2)).status_code == 401
    [row] = await desk.lines[0].fetch(
        "SELECT count(*) FILTER (WHERE revoked_at IS NULL) AS live FROM approvals.session"
    )
    assert row["live"] == 0


@pytest.mark.parametrize(
    "forge",
    [
        lambda token: "",
        lambda token: "x",
        lambda token: f"{uuid4()}.{token.partition('.')[2]}",
        lambda token: token.partition(".")[0],
        lambda token: token.replace(".", " "),
    ],
)
async def test_S15_what_is_no_refresh_token_is_refused(desk: Desk, forge: Any) -> None:
    token = (await desk.log_in("ana")).json()["refresh_token"]

    assert (await desk.refresh(forge(token))).status_code == 401


async def test_S15_access_and_refresh_token_do_not_stand_for_each_other(desk: Desk) -> None:
    given = (await desk.log_in("ana")).json()

    assert (await desk.refresh(given["access_token"])).status_code == 401
    assert (await desk.me(given["refresh_token"])).status_code == 401


async def test_expired_session_is_refreshed_no_more(desk: Desk) -> None:
    token = (await desk.log_in("ana")).json()["refresh_token"]
    [row] = await desk.lines[0].fetch("SELECT expires_at - started_at AS lifetime FROM approvals.session")
    await desk.lines[0].fetch("UPDATE approvals.session SET expires_at = clock_timestamp()")

    assert row["lifetime"].days in (6, 7)
    assert (await desk.refresh(token)).status_code == 401


async def test_role_removal_and_new_password_reach_sessions_that_run(desk: Desk) -> None:
    tokens = [(await desk.log_in("ana")).json()["refresh_token"] for _ in range(2)]
    changed = desk.lines[0].directory.parent / "users"

    text = changed.read_text()
    changed.write_text(text.replace("ana:approver", "ana:viewer"))
    lowered = (await desk.refresh(tokens[0])).json()
    desk.employ(**ROLES)
    assert lowered["role"] == "viewer"
    assert (await desk.refresh(lowered["refresh_token"])).status_code == 401  # hashed anew: another password

    desk.employ(bo="viewer")
    assert (await desk.refresh(tokens[1])).status_code == 401
    assert (await desk.log_in("ana")).status_code == 401


async def test_file_that_broke_lets_nobody_in_and_is_no_refusal(desk: Desk) -> None:
    path = desk.lines[0].directory.parent / "users"
    path.write_text("ana:approver:hunter2\n")

    answer = await desk.log_in("ana")

    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/not-issuing")


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"[]", "application/json", 422),
        (b"{", "application/json", 422),
        (b'{"username": 7}', "application/json", 422),
        (b'{"grant_type": "implicit"}', "application/json", 422),
        (b"\xff\xfe", "application/x-www-form-urlencoded", 422),
        (b"username=" + b"x" * 300, "application/x-www-form-urlencoded", 422),
        (b"x" * 9000, "application/x-www-form-urlencoded", 413),
        (b"", "", 422),
    ],
)
async def test_body_that_is_no_login_is_refused_and_not_repeated(
    desk: Desk, content: bytes, content_type: str, status: int
) -> None:
    headers = {"Content-Type": content_type}
    answer = await desk.lines[0].http.post(desk.url("token"), content=content, headers=headers)

    assert answer.status_code == status, answer.text
    assert "xxx" not in answer.text


async def test_token_of_another_issuer_is_accepted_and_its_outage_is_no_refusal(desk: Desk) -> None:
    accepted = await desk.me(desk.issuer.token(time.time()))
    forged = await desk.me(desk.issuer.token(time.time(), aud="another"))

    assert accepted.json() == {"subject": "ana", "role": "approver", "issuer": desk.issuer.url}
    assert forged.status_code == 401


async def test_S12_no_secret_is_in_logs_or_tables(desk: Desk) -> None:
    given = (await desk.log_in("ana")).json()
    await desk.log_in(PASSWORD, PASSWORD)  # people type it into the wrong field
    await desk.refresh(given["refresh_token"])
    await desk.refresh(given["refresh_token"])
    rows = await desk.lines[0].dump("approvals", without=())

    secrets = [PASSWORD, given["access_token"], given["refresh_token"].partition(".")[2], PRIVATE[40:80]]
    told = "".join(line.log(APPROVALS_SVC) for line in desk.lines) + repr(rows)
    assert "session.reused" in told
    assert [secret for secret in secrets if secret in told] == []


async def test_health_says_how_tokens_are_verified_and_issued(desk: Desk) -> None:
    shown = (await desk.lines[0].http.get(desk.lines[0].url(APPROVALS_SVC, "/health"))).json()

    assert shown["auth"] == {"required": True, "algorithm": "EdDSA"}
    assert shown["integrations"]["tokens"] == "issued"


async def test_what_is_over_is_forgotten(desk: Desk) -> None:
    await desk.log_in("ana")
    await desk.log_in("bo", "wrong")
    await desk.lines[0].fetch("UPDATE approvals.session SET expires_at = clock_timestamp() - interval '1 hour'")
    await desk.lines[0].fetch("UPDATE approvals.login_attempt SET last_at = last_at - interval '1 hour'")

    await desk.lines[1].servers[APPROVALS_SVC.name].stop()
    await desk.lines[1].start(APPROVALS_SVC)

    await until_empty(desk.lines[0])


async def until_empty(line: Line) -> None:

    async def is_empty() -> bool:
        return not await line.count("approvals.session") and not await line.count("approvals.login_attempt")

    await until(is_empty, timeout_s=10, what="what is over is still there")
