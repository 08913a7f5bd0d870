"""`em doctor` and `em provision`: what is sound, what is broken, and what heals by itself."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from em import checks
from em.embedded import NatsServer, embedded_nats
from shared.bus.connection import open_operator
from shared.contracts.services import INGEST, METRICS_SVC, NORMALIZER
from shared.settings import ServiceSettings
from tests.e2e.test_ledger import em, em_json, release
from tests.line import Line, open_line
from tests.waiting import until


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    async with embedded_nats(tmp_path / "nats") as opened:
        yield opened


@pytest.fixture
async def site(server: NatsServer, database_url: str, tmp_path: Path, monkeypatch: Any) -> AsyncIterator[Line]:
    """A line on a NATS of its own, not yet provisioned; `em` reads that server's monitoring endpoint."""
    monkeypatch.setenv("NATS_MONITOR_URL", server.monitor_url)
    async with open_line(nats_url=server.url, database_url=database_url, prefix="site", directory=tmp_path) as opened:
        yield opened


def failed(findings: list[dict[str, str]]) -> dict[str, str]:
    return {finding["check"]: finding["remedy"] for finding in findings if finding["status"] == "FAIL"}


async def test_doctor_finds_a_provisioned_stack_sound_and_names_what_is_broken(site: Line, server: NatsServer) -> None:
    before = failed(await em_json(site, "doctor"))
    assert {"stream SITE_RAW", "durability"} <= before.keys()
    assert {*before.values()} == {"run: em provision"}

    code, text = await em(site, "provision")
    assert code == 0, text
    code, text = await em(site, "doctor")
    assert code == 0, text

    await site.fetch("UPDATE notifier.alembic_version SET version_num = '0001'")
    async with open_operator(ServiceSettings(nats_url=server.url, nats_prefix="site")) as bus:
        config = (await bus.js.stream_info("SITE_RAW")).config
        config.max_age = 3600
        await bus.js.update_stream(config)
        await bus.js.delete_consumer("SITE_EVENTS", "notifier")
    assert failed(await em_json(site, "doctor")) == {
        "schema notifier": "run: em migrate",
        "stream SITE_RAW": "run: em provision",
        "consumer notifier of SITE_EVENTS": "run: em provision",
    }
    await server.stop()
    code, text = await em(site, "doctor")
    assert code == 1
    assert "FAIL  nats:" in text
    assert "ok    database:" in text


async def test_law_1_server_that_does_not_fsync_is_refused_and_services_accept_nothing(
    site: Line, server: NatsServer
) -> None:
    await server.stop()
    configuration = Path(server.program.argv[2])
    configuration.write_text(configuration.read_text().replace("sync_interval: always, ", ""))
    await server.start()

    code, text = await em(site, "provision")
    assert code == 1
    assert "acknowledges before it fsyncs" in text
    assert "NATS_DURABILITY=attested" in text

    ready = asyncio.create_task(site.start(INGEST))
    answers: list[int] = []

    async def is_refused() -> bool:
        try:
            answers.append((await site.send_github("release", release("v1"))).status_code)
        except OSError:
            return False
        except Exception as error:
            assert "onnect" in type(error).__name__
            return False
        return answers[-1] == 503

    await until(is_refused, timeout_s=20, what="ingest accepts what may not be kept")
    ready.cancel()


async def test_N10_what_is_deleted_by_hand_is_made_anew_and_nothing_is_handled_twice(
    site: Line, tmp_path: Path
) -> None:
    code, text = await em(site, "provision")
    assert code == 0, text
    await site.start(INGEST, NORMALIZER, METRICS_SVC)
    environment = {
        **os.environ,
        "NATS_URL": site.nats_url,
        "NATS_PREFIX": "site",
        "DATABASE_URL": site.database_url,
        "EM_HOME": str(tmp_path / "em"),
    }
    healer = await asyncio.create_subprocess_exec(sys.executable, "-m", "em", "watch", env=environment)
    try:
        for number in range(10):
            await site.send_github("release", release(f"v{number}"))
        await site.settled()
        await asyncio.sleep(4)  # a round of the watch notes what was acknowledged
        async with open_operator(ServiceSettings(nats_url=site.nats_url, nats_prefix="site")) as bus:
            await bus.js.delete_consumer("SITE_RAW", NORMALIZER.name)
            await bus.js.delete_stream("SITE_EVENTS")

            async def is_healed() -> bool:
                names = {stream.config.name for stream in await bus.js.streams_info()}
                return "SITE_EVENTS" in names and bool(await bus.js.consumers_info("SITE_RAW"))

            await until(is_healed, timeout_s=10, what="nothing healed")
            info = await bus.js.consumer_info("SITE_RAW", NORMALIZER.name)
            assert info.config.opt_start_seq == 11

        await site.send_github("release", release("after"))

        async def has_arrived() -> bool:
            return await site.count("normalizer.delivery") == 11

        await until(has_arrived, timeout_s=20, what="the line did not go on")
        await site.settled()
        assert await site.count("normalizer.duplicate") == 0
    finally:
        healer.send_signal(signal.SIGTERM)
        await healer.wait()


def test_doctor_names_the_variable_of_a_source_without_a_secret() -> None:
    [finding] = checks.of_secrets({"INTEGRATIONS_GITHUB_ENABLED": "true"})
    assert (finding.status, finding.check) == ("FAIL", "source github")
    assert "GITHUB_WEBHOOK_SECRET" in finding.remedy
    assert checks.of_secrets({"SLACK_SIGNING_SECRET": "s"})[0].status == "ok"
    assert checks.of_secrets({})[0].status == "warn"


def test_doctor_judges_versions_and_tokens() -> None:
    assert checks.of_versions((3, 10, 2)).status == "FAIL"
    assert checks.of_versions((3, 12, 1)).status == "ok"
    assert checks.of_auth({"ENV": "production"}).status == "FAIL"
    assert checks.of_auth({"AUTH_ENABLED": "true", "JWT_ALGORITHM": "HS256"}).status == "warn"
