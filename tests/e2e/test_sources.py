"""Sources as their operators meet them: one request moves a metric, and `em` sends, reports, explains and scaffolds."""

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from shared.contracts.services import INGEST, METRICS_SVC, NORMALIZER
from tests.line import Line, open_line
from tests.waiting import until

ROOT = Path(__file__).parent.parent.parent
TOKEN = "report-test-token"


@pytest.fixture
async def shop_line(nats_url: str, database_url: str, prefix: str, tmp_path: Path) -> AsyncIterator[Line]:
    environment = {"REPORT_WEBHOOK_SECRET": TOKEN, "FLUX_WEBHOOK_SECRET": "flux-secret", "AUTH_ENABLED": "false"}
    async with open_line(
        nats_url=nats_url, database_url=database_url, prefix=prefix, directory=tmp_path, environment=environment
    ) as line:
        await line.start(INGEST, NORMALIZER, METRICS_SVC)
        yield line


async def em(line: Line, *arguments: str, **environment: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "em", *arguments),
        env={
            "PATH": "/usr/bin:/bin",
            "EM_HOME": str(line.directory / "em"),
            "INGEST_PORT": line.url(INGEST).rpartition(":")[2],
            "REPORT_WEBHOOK_SECRET": TOKEN,
            "FLUX_WEBHOOK_SECRET": "flux-secret",
            **environment,
        },
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def deployments(line: Line, service: str) -> Any:
    answer = await line.http.get(line.url(METRICS_SVC, f"/v1/dora?service={service}"))
    rows = answer.json()["rows"] if answer.is_success else []
    return next((row["n"] for row in rows if row["metric"] == "deployment_frequency"), None)


async def test_one_request_moves_a_metric_within_a_second(shop_line: Line) -> None:
    line = shop_line
    body = {"report": "deployment", "service": "checkout", "environment": "production", "outcome": "succeeded"}
    url = line.url(INGEST, "/webhooks/report")
    answer = await line.http.post(url, json=body, headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 202
    accepted_at = time.monotonic()

    async def is_counted() -> bool:
        return bool(await deployments(line, "checkout") == 1)

    await until(is_counted, timeout_s=5, what="the metric did not move")
    assert time.monotonic() - accepted_at < 1

    code, text = await em(
        line, "report", "deployment", "--service", "checkout", "--environment", "production", "--outcome", "failed"
    )
    assert code == 0, text
    assert '"understood"' in text
    code, text = await em(
        line, "report", "incident", "--service", "checkout", "--id", "INC-1", "--status", "opened", "--severity", "high"
    )
    assert code == 0, text
    code, text = await em(line, "report", "deployment", "--environment", "production")
    assert code == 1
    assert "service or repository is needed" in text


async def test_em_sends_a_sample_and_explains_a_refusal(shop_line: Line) -> None:
    line = shop_line

    code, text = await em(line, "send", "flux", "--example", "progressing")
    assert (code, "202" in text) == (0, True), text
    code, text = await em(line, "doctor", "--source", "flux")
    assert code == 0, text
    code, text = await em(line, "send", "flux", FLUX_WEBHOOK_SECRET="another")
    assert (code, "401" in text) == (1, True), text
    code, text = await em(line, "doctor", "--source", "flux")
    assert code == 1
    assert "signature: no match" in text
    assert "FLUX_WEBHOOK_SECRET" in text
    assert "another" not in text
    code, text = await em(line, "send", "teleport")
    assert code == 1
    assert "there is no source teleport" in text
    code, text = await em(line, "send", "cloudwatch", CLOUDWATCH_TOPIC_ARNS="arn:aws:sns:eu-west-1:1:x")
    assert code == 1
    assert "CLOUDWATCH_TOPIC_ARNS is not set" in text


def test_new_source_passes_the_conformance_suite_as_it_is_scaffolded(tmp_path: Path) -> None:
    """In a copy of this checkout, as a contributor would."""
    kept = ("ingest", "normalizer", "shared", "deploy", "tests", "docs", "metrics-svc")
    for name in kept:
        shutil.copytree(
            ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
        )
    for name in ("README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": ":".join(str(tmp_path / name) for name in (*kept, ".")),
        "EM_HOME": str(tmp_path / ".em"),
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    made = run("em", "new-source", "teleport", "--title", "Teleport")
    assert made.returncode == 0, made.stdout + made.stderr
    tested = run("pytest", "tests/contracts/test_sources.py", "-q", "-p", "no:cacheprovider", "-k", "teleport")
    assert tested.returncode == 0, tested.stdout[-3000:]
    assert int(tested.stdout.split(" passed")[0].split()[-1]) > 20
    again = run("em", "new-source", "teleport")
    assert again.returncode == 1
    assert "there is a source teleport already" in again.stderr + again.stdout


def test_scrub_takes_people_prose_and_secrets_out(tmp_path: Path) -> None:
    captured = {
        "sender": {"login": "jane-real", "email": "jane@real.example", "avatar_url": "https://real.example/a.png"},
        "pull_request": {"user": {"login": "jane-real"}, "body": "Please look at this", "number": 7},
        "webhook_secret": "hunter2",
        "note": "ping jane@real.example",
        "token_like": "ghp_0123456789abcdefghijABCDEFGHIJ",
    }
    path = tmp_path / "captured.json"
    path.write_text(json.dumps(captured))

    done = subprocess.run(
        [sys.executable, "-m", "em", "fixture", "scrub", str(path)],
        env={"PATH": "/usr/bin:/bin", "EM_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    told = json.loads(done.stdout)
    assert "real" not in done.stdout
    assert "hunter2" not in done.stdout
    assert "ghp_" not in done.stdout
    assert told["sender"]["login"] == told["pull_request"]["user"]["login"] == "ana"
    assert told["pull_request"] == {"user": {"login": "ana"}, "body": "Text", "number": 7}
