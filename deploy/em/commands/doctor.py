"""`em doctor`: is everything as it must be, and if not, what to do."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from em.commands.environment import adopt_stack, home
from em.screen import SCREEN

if TYPE_CHECKING:
    from em.checks import Finding

FAILED = 1


def doctor(
    source: Annotated[str, typer.Option(help="Of this source alone: why its deliveries are refused.")] = "",
    metrics: Annotated[bool, typer.Option("--metrics", help="Which DORA numbers exist, and what would help.")] = False,
    url: Annotated[
        str, typer.Option(help="Of ingest (--source) or metrics-svc (--metrics); by default the stack that runs here.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Check database, NATS, rights, durability, secrets, clocks and versions. Exit code: 0 sound, 1 something fails."""
    adopt_stack()
    if source:
        findings = _of_source(source, url)
    elif metrics:
        findings = _of_metrics(url)
    else:
        findings = asyncio.run(_findings())
    if as_json:
        import msgspec

        SCREEN.out.out(json.dumps(msgspec.to_builtins(findings), indent=2))
    else:
        for finding in findings:
            _show(finding)
    if any(finding.status == "FAIL" for finding in findings):
        raise typer.Exit(FAILED)


def _of_source(source: str, url: str) -> "list[Finding]":
    from em import checks

    base = url or f"http://127.0.0.1:{os.environ.get('INGEST_PORT') or '8000'}"
    return checks.of_source(source, _ask("ingest", base, "/health")["integrations"])


def _of_metrics(url: str) -> "list[Finding]":
    from em import checks

    base = url or f"http://127.0.0.1:{os.environ.get('METRICS_SVC_PORT') or '8002'}"
    return checks.of_metrics(_ask("metrics-svc", base, "/v1/dora/health"))


def _ask(service: str, base: str, path: str) -> Any:
    """With EM_TOKEN, where the stack asks for one."""
    import httpx

    from em.errors import EmError

    token = os.environ.get("EM_TOKEN", "")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = httpx.get(f"{base.rstrip('/')}{path}", headers=headers, timeout=5, trust_env=False)
        if path == "/health" or answer.is_success:
            return answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise EmError(f"{service} does not answer at {base}: {error}", hint="start it, or name it: --url") from None
    hint = "set EM_TOKEN to a viewer's token: em token" if answer.status_code == 401 else f"em logs {service}"
    raise EmError(f"{service} answered {answer.status_code} to {path}", hint=hint)


async def _findings() -> "list[Finding]":
    from em import checks

    root = home().root
    found = [checks.of_versions(sys.version_info[:3]), checks.of_disk(str(root if root.exists() else root.parent))]
    found += [*checks.of_secrets(os.environ), checks.of_auth(os.environ)]
    found += await _collect("database", "DATABASE_URL", _of_database())
    return found + await _collect("nats", "NATS_URL", _of_bus())


async def _collect(check: str, variable: str, findings: "AsyncIterator[Finding]") -> "list[Finding]":
    """A server that is away is one line, not the end."""
    from em.checks import Finding

    found = []
    try:
        async for finding in findings:
            found.append(finding)
    except Exception as error:  # whatever it is, the other checks still run
        detail = str(error) or type(error).__name__
        found.append(Finding(check=check, status="FAIL", detail=detail, remedy=f"check {variable}, and that it runs"))
    return found


async def _of_database() -> "AsyncIterator[Finding]":
    from em import checks
    from shared.db.url import normalise

    async for finding in checks.of_database(normalise(os.environ.get("DATABASE_URL", ""))):
        yield finding


async def _of_bus() -> "AsyncIterator[Finding]":
    from em import checks
    from shared.bus.connection import open_operator
    from shared.settings import OperatorSettings, load

    settings = load(OperatorSettings)
    async with open_operator(settings) as bus:
        async for finding in checks.of_bus(bus, settings):
            yield finding


def _show(finding: "Finding") -> None:
    remedy = f"  → {finding.remedy}" if finding.status != "ok" else ""
    SCREEN.line(f"{finding.status:<4}  {finding.check}: {finding.detail}{remedy}")
