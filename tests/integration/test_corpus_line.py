"""All recorded payloads through ingest and normalizer: accepted once, archived byte for byte, none dead."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from em.sandbox.signing import fresh, sign
from ingest.schemes import Linear, SignedOrToken, SlackV0, StandardWebhooks
from ingest.source import declared
from shared.contracts.services import INGEST, NORMALIZER
from tests.backends import own_database
from tests.contracts.test_sources import HOSTILE, signable
from tests.line import Line, open_line
from tests.provisioning import provisioned, removed

SECRET = "corpus-test-secret"
SIGNING_SECRET = "whsec_Y29ycHVzLXRlc3Qtc2VjcmV0LTMyLWJ5dGVzLWxvbmc="
SECRETS = {
    "pagerduty": f"{SECRET},old-corpus-test-secret",
    "gitlab": f"{SECRET},{SIGNING_SECRET}",
    "standard_webhooks": f"acme={SIGNING_SECRET}",
    "cloudwatch": "arn:aws:sns:EXAMPLE",
}


class Payload(msgspec.Struct, frozen=True):
    file: str
    route: str
    mode: str
    headers: dict[str, str]
    body: bytes


def payloads(corpus: Path) -> list[Payload]:
    found = []
    for entry in json.loads((corpus / "manifest.json").read_text()):
        if entry["mode"] != "optional":
            told = json.loads((corpus / entry["file"]).read_text())
            headers, body = signed_now(entry["route"], told["headers"], told["body"].encode())
            found.append(Payload(entry["file"], entry["route"], entry["mode"], headers, body))
    return found


def signed_now(route: str, headers: dict[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
    """What signs the time was recorded years ago: it is signed again, as the platform would."""
    scheme = declared()[route].scheme
    timed = scheme.signed if isinstance(scheme, SignedOrToken) else scheme
    if not isinstance(timed, Linear | SlackV0 | StandardWebhooks):
        return headers, body
    now = time.time()
    body = fresh(timed, body, now)
    proof = sign(timed, body, SIGNING_SECRET if isinstance(timed, StandardWebhooks) else SECRET, now)
    kept = {name: value for name, value in headers.items() if name.lower() not in proof}
    return {**kept, **proof}, body


@pytest.fixture(scope="module")
async def open_to_all(
    nats_url: str, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Line]:
    """ingest with a secret for every source, and normalizer."""
    environment = {
        name: SECRETS.get(source.name, SECRET) for source in declared().values() for name in source.secrets[:1]
    }
    await provisioned(nats_url, "corpus")
    async with (
        own_database(postgres_url) as database_url,
        open_line(
            nats_url=nats_url,
            database_url=database_url,
            prefix="corpus",
            directory=tmp_path_factory.mktemp("corpus"),
            environment=environment,
        ) as line,
    ):
        await line.start(INGEST, NORMALIZER)
        yield line
    await removed(nats_url, "corpus")


async def post(line: Line, payload: Payload) -> httpx.Response:
    url = line.url(INGEST, f"/webhooks/{payload.route}")
    return await line.http.post(url, content=payload.body, headers=payload.headers)


async def test_all_recorded_payloads_are_accepted_once_archived_whole_and_none_is_dead(
    open_to_all: Line, corpus: Path
) -> None:
    line = open_to_all
    known = payloads(corpus)
    first = {each.file: await post(line, each) for each in known}
    again = {each.file: await post(line, each) for each in known}
    await line.settled(timeout_s=60)

    refused = {file: answer.status_code for file, answer in first.items() if not answer.is_success}
    assert refused == {each.file: 401 for each in known if each.mode == "translate"}
    accepted = [each for each in known if each.mode == "full"]
    assert [file for file, answer in again.items() if b'"accepted"' in answer.content] == []
    rows = await line.fetch(
        "SELECT source, disposition, reason, body FROM normalizer.delivery"
        " JOIN normalizer.body ON body.delivery_id = delivery.id"
    )
    handshakes = [each for each in accepted if not first[each.file].content or "challenge" in first[each.file].text]
    assert [(row["source"], row["reason"]) for row in rows if row["disposition"] == "dead"] == []
    kept = {bytes(row["body"]) for row in rows if row["body"]}
    lost = [each.file for each in accepted if each.body not in kept and each.route != "slack" and each.body]
    assert lost == []
    assert len(rows) >= len({(each.route, each.body) for each in accepted}) - len(handshakes)


async def test_hostile_bodies_of_signed_senders_are_archived_with_a_reason_and_stop_nobody(open_to_all: Line) -> None:
    """Not JSON, of another type, too deep, in another encoding: nothing is lost because it was not understood."""
    line = open_to_all
    before = await line.count("normalizer.delivery")
    sent = 0
    for source in signable():
        secret = SIGNING_SECRET if isinstance(source.scheme, StandardWebhooks) else SECRET
        route = "standard/acme" if source.named else source.name
        for number, hostile in enumerate(HOSTILE):
            if isinstance(source.scheme, Linear):
                break  # its body holds the time that is signed
            body = hostile + b" " * number
            answer = await line.http.post(
                line.url(INGEST, f"/webhooks/{route}"), content=body, headers=sign(source.scheme, body, secret)
            )
            refused = answer.status_code == 422 and source.name == "report"
            assert answer.is_success or refused, (source.name, hostile[:20], answer.status_code)
            sent += not refused
    await line.settled(timeout_s=60)

    assert await line.count("normalizer.delivery") == before + sent
    assert not line.servers[NORMALIZER.name].crashed()
    reasons = await line.fetch("SELECT count(*) FROM normalizer.delivery WHERE disposition = 'dead' AND reason = ''")
    assert reasons[0]["count"] == 0


async def test_twenty_equal_deliveries_at_once_are_one(open_to_all: Line, corpus: Path) -> None:
    line = open_to_all
    [payload] = [each for each in payloads(corpus) if each.file == "flux/flux.v1beta1.events.1.json"]
    body = payload.body + b" "
    proof = sign(declared()["flux"].scheme, body, SECRET)
    headers: dict[str, Any] = {**{n: v for n, v in payload.headers.items() if n.lower() != "x-signature"}, **proof}
    before = await line.messages("RAW")

    url = line.url(INGEST, "/webhooks/flux")
    answers = await asyncio.gather(*(line.http.post(url, content=body, headers=headers) for _ in range(20)))

    assert sorted(answer.json()["status"] for answer in answers) == ["accepted"] + ["duplicate"] * 19
    assert await line.messages("RAW") == before + 1


async def test_token_in_the_url_is_taken_where_the_platform_has_no_other_place(open_to_all: Line) -> None:
    line = open_to_all

    async def status(path: str, body: bytes = b'{"repo":{"name":"x"},"head":{}}') -> int:
        return (await line.http.post(line.url(INGEST, path), content=body)).status_code

    assert await status(f"/webhooks/codecov/{SECRET}") == 202
    assert await status(f"/webhooks/codecov?token={SECRET}") == 202
    assert await status("/webhooks/codecov/wrong") == 401
    assert await status("/webhooks/codecov") == 401
    assert await status(f"/webhooks/datadog?token={SECRET}") == 401
    assert await status(f"/webhooks/datadog/{SECRET}") == 404
    assert await status("/webhooks/alertmanager", b"{}") == 401


async def test_named_sender_has_a_secret_of_its_own(open_to_all: Line) -> None:
    line = open_to_all
    body = b'{"type":"invoice.paid"}'
    proof = sign(StandardWebhooks(), body, SIGNING_SECRET)

    async def status(name: str) -> int:
        url = line.url(INGEST, f"/webhooks/{name}")
        return (await line.http.post(url, content=body, headers=proof)).status_code

    assert await status("standard/acme") == 202
    assert await status("standard/other") == 404
    assert await status("standard") == 404
    assert await status("standard_webhooks") == 404


async def test_sender_of_cloudevents_may_ask_first(open_to_all: Line) -> None:
    asking = {"WebHook-Request-Origin": "events.acme.example"}

    allowed = await open_to_all.http.options(open_to_all.url(INGEST, "/webhooks/cloudevents"), headers=asking)
    other = await open_to_all.http.options(open_to_all.url(INGEST, "/webhooks/github"), headers=asking)

    assert (allowed.status_code, allowed.headers["webhook-allowed-origin"]) == (200, "*")
    assert other.status_code == 405


async def test_health_lists_every_integration_and_why_it_refused_last(open_to_all: Line) -> None:
    line = open_to_all
    stale = sign(SlackV0(), b"payload=1", SECRET, time.time() - 400)
    await line.http.post(line.url(INGEST, "/webhooks/slack"), content=b"payload=1", headers=stale)
    await line.http.post(line.url(INGEST, "/webhooks/heroku"), content=b"{}")

    integrations = (await line.http.get(line.url(INGEST, "/health"))).json()["integrations"]

    assert {key.partition("/")[0] for key in integrations} == {
        source.named or name for name, source in declared().items()
    }
    assert integrations["slack"]["last"]["refused_because"].startswith("stale: x-slack-request-timestamp is -40")
    assert integrations["heroku"]["last"]["refused_because"] == "signature: no match"
    assert SECRET not in str(integrations)


async def test_report_says_what_was_understood_or_what_is_wrong(open_to_all: Line) -> None:
    line = open_to_all
    bearer = {"Authorization": f"Bearer {SECRET}"}

    async def report(**fields: Any) -> httpx.Response:
        body = json.dumps({"report": "deployment", "environment": "production", **fields}).encode()
        return await line.http.post(line.url(INGEST, "/webhooks/report"), content=body, headers=bearer)

    good = await report(service="checkout", outcome="succeeded", id="r-1")
    again = await report(service="checkout", outcome="succeeded", id="r-1")
    nobody = await report(outcome="succeeded")
    misspelt = await report(service="checkout", outcome="great")

    assert good.status_code == 202
    assert good.json()["understood"]["service"] == "checkout"
    assert again.json()["status"] == "duplicate"
    assert (nobody.status_code, nobody.json()["detail"]) == (422, "service or repository is needed")
    assert misspelt.status_code == 422
    assert "$.outcome" in misspelt.json()["detail"]
    assert misspelt.headers["content-type"] == "application/problem+json"
