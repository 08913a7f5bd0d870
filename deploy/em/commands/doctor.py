"""`em doctor`: is everything as it must be, and if not, what to do."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated

import typer

from em.commands.environment import adopt_stack, home
from em.screen import SCREEN

if TYPE_CHECKING:
    from em.checks import Finding

FAILED = 1


def doctor(as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
    """Check database, NATS, rights, durability, secrets, clocks and versions. Exit code: 0 sound, 1 something fails."""
    adopt_stack()
    findings = asyncio.run(_findings())
    if as_json:
        import msgspec

        SCREEN.out.out(json.dumps(msgspec.to_builtins(findings), indent=2))
    else:
        for finding in findings:
            _show(finding)
    if any(finding.status == "FAIL" for finding in findings):
        raise typer.Exit(FAILED)


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
