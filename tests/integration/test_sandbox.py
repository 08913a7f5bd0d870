"""The sandbox counterparts, judged by clients we did not write before they judge ours."""

import asyncio
import json
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import jwt
import pytest
from aiohttp import ClientError
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from slack_sdk.errors import SlackApiError, SlackObjectFormationError
from slack_sdk.models.basic_objects import JsonObject
from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ContextBlock,
    HeaderBlock,
    PlainTextObject,
    SectionBlock,
)
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient

from em.sandbox import sender
from em.sandbox.blocks import violations
from em.sandbox.gates import GithubSettings
from em.sandbox.server import Sandbox, sandbox
from em.sandbox.workspace import SlackSettings

APP_ID = "4711"
RULE = "/repos/acme/checkout/actions/runs/77/deployment_protection_rule"
GATE = {"environment_name": "production"}


@pytest.fixture(scope="module")
def app_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
async def started(app_key: rsa.RSAPrivateKey) -> AsyncIterator[Sandbox]:
    public = app_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    async with sandbox(
        slack_settings=SlackSettings(token="xoxb-right", post_burst=20),
        github_settings=GithubSettings(app_id=APP_ID, public_key=public.decode()),
    ) as running:
        yield running


@pytest.fixture
async def control(started: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=started.control_url) as client:
        await client.post("/slack/channels", json={"name": "#payments", "members": ["U0ANA"]})
        await client.post("/slack/users", json={"id": "U0ANA", "name": "ana", "email": "ana@example.com"})
        await client.post(
            "/github/runs", json={"repository": "acme/checkout", "run_id": 77, "environments": ["production"]}
        )
        yield client


@pytest.fixture
async def slack(started: Sandbox, control: httpx.AsyncClient) -> AsyncWebClient:
    return AsyncWebClient(token="xoxb-right", base_url=started.slack_url, timeout=2, retry_handlers=[])


@pytest.fixture
async def github(started: Sandbox, control: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=started.github_url, timeout=2) as client:
        yield client


def app_jwt(key: rsa.RSAPrivateKey, *, lifetime_s: int = 540, issuer: str = APP_ID) -> dict[str, str]:
    now = int(time.time())
    claims = {"iat": now - 60, "exp": now + lifetime_s, "iss": issuer}
    return {"Authorization": "Bearer " + jwt.encode(claims, key, algorithm="RS256")}


async def installation(github: httpx.AsyncClient, key: rsa.RSAPrivateKey, **narrowed: Any) -> dict[str, str]:
    answer = await github.post("/app/installations/1/access_tokens", headers=app_jwt(key), json=narrowed)
    assert answer.status_code == 201, answer.text
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def metadata(delivery: str) -> dict[str, Any]:
    return {"event_type": "em_delivery", "event_payload": {"id": delivery, "key": "approval:1"}}


def card() -> list[dict[str, Any]]:
    buttons = [ButtonElement(text=verb.title(), action_id=verb, value=f"{verb}:1:1") for verb in ("approve", "decline")]
    blocks = [HeaderBlock(text="Deploy"), SectionBlock(text="checkout"), ActionsBlock(elements=[*buttons])]
    return [block.to_dict() for block in blocks]


async def counts(control: httpx.AsyncClient, service: str = "slack") -> dict[str, int]:
    answer: dict[str, int] = (await control.get(f"/{service}/counts")).json()
    return answer


async def test_a_posted_message_is_updated_in_place_and_keeps_its_metadata(
    slack: AsyncWebClient, control: httpx.AsyncClient
) -> None:
    posted = await slack.chat_postMessage(channel="#payments", text="Deploy?", blocks=card(), metadata=metadata("d1"))

    await slack.chat_update(channel=posted["channel"], ts=posted["ts"], text="Approved")

    history = await slack.conversations_history(channel=posted["channel"], include_all_metadata=True)
    [message] = history["messages"]
    [line] = (await control.get("/slack/messages", params={"channel": "#payments"})).json()
    assert message["text"] == "Approved" and "blocks" not in message
    assert message["metadata"] == metadata("d1")
    assert [(edit["text"], len(edit["blocks"])) for edit in line["edits"]] == [("Deploy?", 3)]
    assert await counts(control) == {"posts": 1, "updates": 1, "ephemerals": 0, "duplicates": 0}


async def test_an_ephemeral_message_is_in_no_history(slack: AsyncWebClient, control: httpx.AsyncClient) -> None:
    channel = (await slack.conversations_list())["channels"][0]["id"]

    await slack.chat_postEphemeral(channel=channel, user="U0ANA", text="Superseded")

    assert (await slack.conversations_history(channel=channel))["messages"] == []
    [line] = (await control.get("/slack/messages", params={"channel": channel})).json()
    assert (line["ephemeral_for"], line["text"]) == ("U0ANA", "Superseded")


async def test_history_pages_newest_first_and_excludes_the_edges_of_its_window(slack: AsyncWebClient) -> None:
    posts = [await slack.chat_postMessage(channel="#payments", text=str(i)) for i in range(5)]
    channel, oldest = posts[0]["channel"], posts[0]["ts"]

    first = await slack.conversations_history(channel=channel, oldest=oldest, limit=3)
    cursor = first["response_metadata"]["next_cursor"]
    second = await slack.conversations_history(channel=channel, oldest=oldest, limit=3, cursor=cursor)
    whole = await slack.conversations_history(channel=channel, oldest=oldest, inclusive=True)

    assert [m["text"] for m in first["messages"]] == ["4", "3", "2"]
    assert [m["text"] for m in second["messages"]] == ["1"] and not second["has_more"]
    assert len(whole["messages"]) == 5
    assert sorted({p["ts"] for p in posts}) == [p["ts"] for p in posts]


async def test_a_thread_is_read_by_its_root_and_stays_out_of_the_history(slack: AsyncWebClient) -> None:
    root = await slack.chat_postMessage(channel="#payments", text="incident")

    await slack.chat_postMessage(channel=root["channel"], thread_ts=root["ts"], text="resolved")

    thread = await slack.conversations_replies(channel=root["channel"], ts=root["ts"])
    history = await slack.conversations_history(channel=root["channel"])
    assert [m["text"] for m in thread["messages"]] == ["incident", "resolved"]
    assert [(m["text"], m["reply_count"]) for m in history["messages"]] == [("incident", 1)]


async def test_people_are_found_by_email(slack: AsyncWebClient) -> None:
    found = await slack.users_lookupByEmail(email="Ana@example.com")

    assert found["user"]["id"] == "U0ANA"
    assert (await slack.users_info(user="U0ANA"))["user"]["profile"]["email"] == "ana@example.com"
    assert (await slack.auth_test())["user_id"].startswith("U")


Refused = Callable[[AsyncWebClient], Any]
REFUSED: dict[str, Refused] = {
    "channel_not_found": lambda s: s.chat_postMessage(channel="#nowhere", text="x"),
    "is_archived": lambda s: s.chat_postMessage(channel="#old", text="x"),
    "not_in_channel": lambda s: s.chat_postMessage(channel="#private", text="x"),
    "no_text": lambda s: s.api_call("chat.postMessage", json={"channel": "#payments"}),
    "msg_too_long": lambda s: s.chat_postMessage(channel="#payments", text="x" * 40_001),
    "invalid_blocks": lambda s: s.chat_postMessage(
        channel="#payments",
        text="x",
        blocks=[{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}],
    ),
    "msg_blocks_too_long": lambda s: s.chat_postMessage(
        channel="#payments",
        text="x",
        blocks=[{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 2_900}}] * 5,
    ),
    "invalid_metadata_format": lambda s: s.chat_postMessage(
        channel="#payments", text="x", metadata={"event_type": "em_delivery"}
    ),
    "cannot_reply_to_message": lambda s: s.chat_postMessage(channel="#payments", text="x", thread_ts="1.000001"),
    "users_not_found": lambda s: s.users_lookupByEmail(email="nobody@example.com"),
    "user_not_found": lambda s: s.users_info(user="U0NOBODY"),
    "unknown_method": lambda s: s.api_call("chat.shout", json={}),
}


@pytest.mark.parametrize("error", sorted(REFUSED))
async def test_an_error_of_slacks_catalogue_surfaces_with_its_string(
    error: str, slack: AsyncWebClient, control: httpx.AsyncClient
) -> None:
    await control.post("/slack/channels", json={"name": "#old", "archived": True})
    await control.post("/slack/channels", json={"name": "#private", "bot_member": False})

    with pytest.raises(SlackApiError) as raised:
        await REFUSED[error](slack)

    assert raised.value.response["error"] == error
    assert raised.value.response.status_code == 200
    assert (await counts(control))["posts"] == 0


def buttons(count: int, *, text: int = 1, value: int = 1) -> list[ButtonElement]:
    return [ButtonElement(text="t" * text, action_id=str(i), value="v" * value) for i in range(count)]


LIMITS: dict[str, tuple[int, Callable[[int], list[Block]]]] = {
    "header": (150, lambda n: [HeaderBlock(text="x" * n)]),
    "section text": (3000, lambda n: [SectionBlock(text="x" * n)]),
    "section fields": (10, lambda n: [SectionBlock(fields=["x"] * n)]),
    "context elements": (10, lambda n: [ContextBlock(elements=[PlainTextObject(text="x")] * n)]),
    "actions elements": (25, lambda n: [ActionsBlock(elements=[*buttons(n)])]),
    "button text": (75, lambda n: [ActionsBlock(elements=[*buttons(1, text=n)])]),
    "button value": (2000, lambda n: [ActionsBlock(elements=[*buttons(1, value=n)])]),
}


@pytest.mark.parametrize("limit", sorted(LIMITS))
def test_slacks_own_sdk_agrees_where_a_block_becomes_too_big(limit: str) -> None:
    most, build = LIMITS[limit]

    assert violations([block.to_dict() for block in build(most)]) == []
    with pytest.raises(SlackObjectFormationError):
        for block in build(most + 1):
            for child in [block, *getattr(block, "elements", [])]:
                child.to_dict()


@pytest.mark.parametrize("limit", sorted(LIMITS))
def test_a_block_beyond_a_limit_is_refused_with_a_pointer(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JsonObject, "validate_json", lambda _: None)
    most, build = LIMITS[limit]

    [error] = violations([block.to_dict() for block in build(most + 1)])

    assert error.startswith("[ERROR]") and "json-pointer:/blocks/0/" in error


async def test_a_form_opens_once_and_within_three_seconds_of_its_click(
    slack: AsyncWebClient, control: httpx.AsyncClient
) -> None:
    view = {"type": "modal", "title": {"type": "plain_text", "text": "Why?"}, "blocks": []}
    fresh, old = f"{int(time.time() * 1000)}.1.{'a' * 32}", f"{int(time.time() * 1000) - 4000}.1.{'b' * 32}"

    opened = await slack.views_open(trigger_id=fresh, view=view)

    assert (await control.get("/slack/views")).json() == [opened["view"]]
    refused = {fresh: "exchanged_trigger_id", old: "expired_trigger_id", "x": "invalid_trigger_id"}
    for trigger_id, error in refused.items():
        with pytest.raises(SlackApiError, match=error):
            await slack.views_open(trigger_id=trigger_id, view=view)


@pytest.mark.parametrize(
    "changed",
    [
        {"type": "home"},
        {"title": {"type": "plain_text", "text": "x" * 25}},
        {"private_metadata": "x" * 3001},
        {"blocks": [{"type": "input", "label": {"type": "plain_text", "text": "Why?"}}]},
    ],
    ids=["type", "title", "metadata", "input"],
)
async def test_a_form_that_slack_could_not_show_is_refused(slack: AsyncWebClient, changed: dict[str, Any]) -> None:
    view = {"type": "modal", "title": {"type": "plain_text", "text": "Why?"}, "blocks": [], **changed}

    with pytest.raises(SlackApiError, match="invalid_arguments"):
        await slack.views_open(trigger_id=f"{int(time.time() * 1000)}.1.{'c' * 32}", view=view)


async def test_an_update_of_a_message_that_is_not_there_is_refused(slack: AsyncWebClient) -> None:
    channel = (await slack.conversations_list())["channels"][0]["id"]

    with pytest.raises(SlackApiError, match="message_not_found"):
        await slack.chat_update(channel=channel, ts="1.000001", text="x")


@pytest.mark.parametrize(("token", "error"), [("", "not_authed"), ("xoxb-wrong", "invalid_auth")])
async def test_a_call_without_the_right_token_is_refused(
    token: str, error: str, started: Sandbox, slack: AsyncWebClient
) -> None:
    stranger = AsyncWebClient(token=token, base_url=started.slack_url, retry_handlers=[])

    with pytest.raises(SlackApiError, match=error):
        await stranger.auth_test()


async def test_a_form_body_says_the_same_as_a_json_body(slack: AsyncWebClient, control: httpx.AsyncClient) -> None:
    blocks, form = card(), {"channel": "#payments", "text": "Deploy?"}
    json_text = {"blocks": blocks, "metadata": metadata("d2")}

    await slack.api_call("chat.postMessage", json=form | json_text)
    await slack.api_call("chat.postMessage", data=form | {k: json.dumps(v) for k, v in json_text.items()})

    lines = (await control.get("/slack/messages", params={"channel": "payments"})).json()
    assert [(line["blocks"], line["metadata"]) for line in lines] == [(blocks, metadata("d2"))] * 2


async def test_more_than_one_post_a_second_and_channel_is_limited_with_retry_after(
    slack: AsyncWebClient, control: httpx.AsyncClient
) -> None:
    await control.post("/slack/settings", json={"post_burst": 2})
    await control.post("/slack/channels", json={"name": "#other"})

    with pytest.raises(SlackApiError) as raised:
        for i in range(3):
            await slack.chat_postMessage(channel="#payments", text=str(i))
    await slack.chat_postMessage(channel="#other", text="its own bucket")
    await asyncio.sleep(float(raised.value.response.headers["Retry-After"]))
    await slack.chat_postMessage(channel="#payments", text="2")

    assert raised.value.response.status_code == 429
    assert raised.value.response.headers["Retry-After"] == "1"
    assert (await counts(control))["posts"] == 4


@pytest.mark.parametrize("retry_after", ["7", "soon", None])
async def test_a_planned_429_carries_the_planned_retry_after(
    retry_after: str | None, slack: AsyncWebClient, control: httpx.AsyncClient
) -> None:
    rule = {
        "service": "slack",
        "method": "chat.*",
        "kind": "rate_limited",
        "nth": 1,
        "retry_after": retry_after,
    }
    await control.post("/faults", json=[rule])

    with pytest.raises(SlackApiError) as raised:
        await slack.chat_postMessage(channel="#payments", text="x")
    await slack.chat_postMessage(channel="#payments", text="x")

    assert raised.value.response.headers.get("Retry-After") == retry_after
    assert raised.value.response["error"] == "ratelimited"


async def test_a_blind_retry_after_a_lost_answer_makes_a_duplicate_the_ledger_counts(
    slack: AsyncWebClient, control: httpx.AsyncClient
) -> None:
    rule = {"service": "slack", "channel": "#payments", "kind": "drop_after", "nth": 1}
    await control.post("/faults", json=[rule])

    with pytest.raises(ClientError):
        await slack.chat_postMessage(channel="#payments", text="x", metadata=metadata("d3"))
    await slack.chat_postMessage(channel="#payments", text="x", metadata=metadata("d3"))

    lost, answered = (await control.get("/slack/ledger")).json()
    assert (await counts(control))["duplicates"] == 1
    assert lost["cut"] and lost["committed_at"] and lost["status"] is None
    assert not answered["cut"] and answered["status"] == 200


async def test_a_connection_dropped_before_the_commit_stores_nothing(
    slack: AsyncWebClient, control: httpx.AsyncClient
) -> None:
    await control.post("/faults", json=[{"service": "slack", "kind": "drop_before", "bites_max": 1}])

    with pytest.raises(ClientError):
        await slack.chat_postMessage(channel="#payments", text="x")

    assert (await counts(control))["posts"] == 0


async def test_a_late_commit_lands_after_its_connection_was_closed(
    slack: AsyncWebClient, control: httpx.AsyncClient
) -> None:
    await control.post("/faults", json=[{"service": "slack", "kind": "late", "after_s": 0.3}])

    with pytest.raises(ClientError):
        await slack.chat_postMessage(channel="#payments", text="x")
    at_once = await counts(control)
    await asyncio.sleep(0.5)

    assert (at_once["posts"], (await counts(control))["posts"]) == (0, 1)


async def test_a_hanging_request_ends_when_the_client_gives_up(
    started: Sandbox, slack: AsyncWebClient, control: httpx.AsyncClient
) -> None:
    await control.post("/faults", json=[{"service": "slack", "kind": "timeout"}])
    hasty = AsyncWebClient(token="xoxb-right", base_url=started.slack_url, timeout=1, retry_handlers=[])

    with pytest.raises(TimeoutError):
        await hasty.chat_postMessage(channel="#payments", text="x")
    await asyncio.sleep(0.1)

    [entry] = (await control.get("/slack/ledger")).json()
    assert entry["cut"] and entry["committed_at"] is None


async def test_a_server_error_is_html(slack: AsyncWebClient, control: httpx.AsyncClient) -> None:
    await control.post("/faults", json=[{"service": "slack", "kind": "server_error", "status": 502}])

    with pytest.raises(SlackApiError) as raised:
        await slack.chat_postMessage(channel="#payments", text="x")

    assert raised.value.response.status_code == 502


async def test_a_fault_that_never_bit_is_visible(slack: AsyncWebClient, control: httpx.AsyncClient) -> None:
    rules = [
        {"service": "slack", "method": "chat.update", "kind": "drop_after"},
        {"service": "slack", "kind": "rate_limited", "probability": 0.5, "seed": 1},
    ]
    await control.post("/faults", json=rules)

    for _ in range(20):
        await asyncio.gather(slack.api_call("auth.test"), return_exceptions=True)

    planned = (await control.get("/faults")).json()
    assert [rule["method"] for rule in planned["never_bit"]] == ["chat.update"]
    assert 0 < planned["rules"][1]["bites"] < planned["rules"][1]["seen"] == 20
    assert (await control.post("/faults", json=[{"service": "slack", "kind": "gremlin"}])).status_code == 400


async def test_unknown_channels_and_people_come_into_being_where_that_is_configured(
    slack: AsyncWebClient, control: httpx.AsyncClient
) -> None:
    await control.post("/slack/settings", json={"auto_create": True})

    posted = await slack.chat_postMessage(channel="#brand-new", text="x")
    await slack.chat_postEphemeral(channel=posted["channel"], user="U0NEW", text="x")

    assert re.fullmatch(r"C[A-Z0-9]{10}", posted["channel"])
    assert (await slack.conversations_info(channel=posted["channel"]))["channel"]["name"] == "brand-new"


async def test_reset_returns_to_how_the_sandbox_was_started(slack: AsyncWebClient, control: httpx.AsyncClient) -> None:
    await slack.chat_postMessage(channel="#payments", text="x")
    await control.post("/faults", json=[{"service": "slack", "kind": "late"}])

    await control.post("/reset")

    assert (await control.get("/slack/messages")).json() == []
    assert (await counts(control))["posts"] == 0
    assert (await control.get("/faults")).json()["rules"] == []


async def test_an_installation_token_needs_the_apps_own_rs256_jwt(
    github: httpx.AsyncClient, app_key: rsa.RSAPrivateKey
) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path = "/app/installations/1/access_tokens"
    refused = {
        "could not be decoded": app_jwt(stranger),
        "too far in the future": app_jwt(app_key, lifetime_s=700),
        "future time at which": app_jwt(app_key, lifetime_s=-5),
        "Issuer": app_jwt(app_key, issuer="1"),
    }

    granted = await github.post(path, headers=app_jwt(app_key))

    assert granted.status_code == 201
    assert granted.json()["permissions"]["deployments"] == "write"
    for reason, headers in refused.items():
        answer = await github.post(path, headers=headers)
        assert answer.status_code == 401 and reason in answer.json()["message"]


async def test_a_decision_is_answered_204_and_seen_by_reconciliation(
    github: httpx.AsyncClient, control: httpx.AsyncClient, app_key: rsa.RSAPrivateKey
) -> None:
    token = await installation(github, app_key)
    runs = RULE.removesuffix("/deployment_protection_rule")
    before = (await github.get(f"{runs}/pending_deployments", headers=token)).json()

    decided = await github.post(RULE, headers=token, json=GATE | {"state": "approved", "comment": "by ana"})

    approvals = (await github.get(f"{runs}/approvals", headers=token)).json()
    assert decided.status_code == 204 and decided.content == b""
    assert [pending["environment"]["name"] for pending in before] == ["production"]
    assert (await github.get(f"{runs}/pending_deployments", headers=token)).json() == []
    assert [(a["state"], a["comment"], a["user"]["login"]) for a in approvals] == [
        ("approved", "by ana", "em-agent[bot]")
    ]
    assert (await control.get("/github/decisions")).json()[0]["environment"] == "production"


async def test_a_decision_sent_twice_takes_effect_once_and_is_counted(
    github: httpx.AsyncClient, control: httpx.AsyncClient, app_key: rsa.RSAPrivateKey
) -> None:
    token = await installation(github, app_key)
    lost = {
        "service": "github",
        "method": "POST */deployment_protection_rule",
        "kind": "drop_after",
        "nth": 1,
    }
    await control.post("/faults", json=[lost])

    with pytest.raises(httpx.RemoteProtocolError):
        await github.post(RULE, headers=token, json=GATE | {"state": "approved"})
    await github.post(RULE, headers=token, json=GATE | {"state": "rejected"})

    first, second = (await control.get("/github/decisions")).json()
    counted = await counts(control, "github")
    assert (first["effective"], second["effective"]) == (True, False)
    assert (counted["decisions"], counted["double_decisions"], counted["conflicting"]) == (1, 1, 1)


async def test_the_eleventh_status_report_is_refused(
    github: httpx.AsyncClient, control: httpx.AsyncClient, app_key: rsa.RSAPrivateKey
) -> None:
    token = await installation(github, app_key)

    answers = [await github.post(RULE, headers=token, json=GATE | {"comment": f"{i} of 11"}) for i in range(11)]

    assert [answer.status_code for answer in answers] == [204] * 10 + [422]
    assert answers[-1].json()["errors"][0]["resource"] == "DeploymentProtectionRule"
    assert (await counts(control, "github"))["reports"] == 10


@pytest.mark.parametrize(
    "body",
    [
        {"state": "approved"},
        GATE,
        GATE | {"state": "maybe"},
        GATE | {"state": "approved", "comment": "x" * 1_025},
        {"environment_name": "staging", "state": "approved"},
    ],
    ids=["no environment", "neither state nor comment", "unknown state", "long comment", "not waiting"],
)
async def test_a_decision_github_cannot_use_is_answered_422(
    body: dict[str, str], github: httpx.AsyncClient, control: httpx.AsyncClient, app_key: rsa.RSAPrivateKey
) -> None:
    answer = await github.post(RULE, headers=await installation(github, app_key), json=body)

    assert answer.status_code == 422
    assert {"message", "documentation_url", "status"} <= answer.json().keys()
    assert (await counts(control, "github"))["callbacks"] == 0


async def test_a_decision_needs_a_live_token_with_the_right_permission_for_a_known_run(
    github: httpx.AsyncClient, app_key: rsa.RSAPrivateKey
) -> None:
    decision = GATE | {"state": "approved"}
    token = await installation(github, app_key)
    reader = await installation(github, app_key, permissions={"actions": "read"})

    statuses = {
        "none": (await github.post(RULE, json=decision)).status_code,
        "wrong": (await github.post(RULE, json=decision, headers={"Authorization": "Bearer ghs_x"})).status_code,
        "read only": (await github.post(RULE, json=decision, headers=reader)).status_code,
        "unknown run": (await github.post(RULE.replace("77", "78"), json=decision, headers=token)).status_code,
    }

    assert statuses == {"none": 401, "wrong": 401, "read only": 403, "unknown run": 404}


async def test_a_click_is_signed_as_slack_signs_and_carries_the_button_of_the_posted_card(
    slack: AsyncWebClient, control: httpx.AsyncClient
) -> None:
    await slack.chat_postMessage(channel="#payments", text="Deploy?", blocks=card())
    [line] = (await control.get("/slack/messages")).json()

    body = sender.slack_click(line, "approve", user="U0ANA", channel=line["channel"])
    headers = sender.slack_request("secret", body)

    payload = json.loads(parse_qs(body.decode())["payload"][0])
    assert SignatureVerifier("secret").is_valid_request(body, headers)
    assert payload["actions"][0]["value"] == "approve:1:1"
    assert payload["container"]["message_ts"] == line["ts"]
    assert body != sender.slack_click(line, "approve", user="U0ANA", channel=line["channel"])


def test_a_slack_request_equals_the_official_vector() -> None:
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554"
        b"%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )

    headers = sender.slack_request("8f742231b10e8888abcd99yyyzzz85a5", body, 1531420618)

    expected = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    assert headers["X-Slack-Signature"] == expected


def resident_memory_kb(pid: int) -> int:
    path = Path(f"/proc/{pid}/status")
    if not path.exists():
        pytest.skip("memory is read from /proc")
    [line] = [line for line in path.read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1])


@pytest.fixture
async def process() -> AsyncIterator[asyncio.subprocess.Process]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "em.sandbox", "--open", stdout=asyncio.subprocess.PIPE
    )
    yield child
    if child.returncode is None:
        child.kill()
        await child.wait()


async def test_the_process_says_where_it_listens_stays_small_and_ends_on_sigterm(
    process: asyncio.subprocess.Process,
) -> None:
    assert process.stdout is not None
    ready = (await asyncio.wait_for(process.stdout.readline(), timeout=5)).decode()
    slack_url = ready.split("slack=")[1].split()[0]
    client = AsyncWebClient(token="xoxb-any", base_url=slack_url, retry_handlers=[])
    await client.chat_postMessage(channel="#demo", text="x")
    resident_kb = resident_memory_kb(process.pid)

    process.send_signal(signal.SIGTERM)

    assert await asyncio.wait_for(process.wait(), timeout=3) == 0
    assert resident_kb < 60 * 1024  # the whole idle stack has 700 MiB
