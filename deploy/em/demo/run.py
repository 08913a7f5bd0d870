"""`em demo`: a fresh stack with stand-ins, the story, and what came of it on one screen and one page."""

import asyncio
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import typer

from em import launch
from em.counterparts import PAGE, counterparts
from em.demo.cast import SERVICES
from em.demo.elsewhere import attached, write_rules
from em.demo.outcome import Outcome, reasons, summary
from em.demo.page import page
from em.demo.performance import Performance
from em.demo.report import render
from em.demo.story import tell
from em.errors import AlreadyRunning
from em.home import Home
from em.screen import SCREEN

SEED = 7
SUMMARY = "summary.json"

Stack = tuple[Mapping[str, str], Mapping[str, str]]  # addresses; environment with the secrets


def run(home: Home, *, port_base: int | None, environ: Mapping[str, str], attach: bool = False) -> None:
    """Exits 1, saying why, when the sums or a metric are not what the story knows them to be."""
    began = time.monotonic()
    urls, environment = attached(environ) if attach else _start(home, port_base=port_base, environ=environ)
    story = tell(SEED, datetime.now(UTC), github_api_url=urls["github-sandbox"])
    SCREEN.line(f"a story of 60 days, {len(SERVICES)} services, {len(story.deliveries)} deliveries")
    outcome = asyncio.run(
        Performance(story, urls=urls, environment=environment, progress=SCREEN.line).play(began=began)
    )
    _leave(home, outcome)
    render(outcome, SCREEN.out)
    SCREEN.line(f"page: {home.demo / PAGE}    summary: {home.demo / SUMMARY}")
    if not attach:
        SCREEN.line("the stack stays up; stop it with: make down")
    if reasons(outcome):
        raise typer.Exit(1)


def _start(
    home: Home, *, port_base: int | None, environ: Mapping[str, str]
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """A stack on data of its own, made anew: what `em up` keeps is not touched."""
    already = launch.running(home)
    if already and already.environment.get("DEMO") != "true":
        raise AlreadyRunning("a stack runs here that is not the demo's", hint="stop it first: make down")
    if already:
        SCREEN.line("stopping the demo that runs here")
        launch.down(home, progress=SCREEN.progress)
    data = home.demo / "data"
    shutil.rmtree(data, ignore_errors=True)
    write_rules(home)
    with SCREEN.busy("starting NATS, PostgreSQL, the five services and the stand-ins"):
        stack = launch.up(
            replace(home, data=data), port_base=port_base, environ=environ, progress=SCREEN.progress, add=counterparts
        )
    return stack.urls, stack.environment


def _leave(home: Home, outcome: Outcome) -> None:
    home.demo.mkdir(parents=True, exist_ok=True)
    (home.demo / SUMMARY).write_text(json.dumps(summary(outcome), indent=2) + "\n", encoding="utf-8")
    (home.demo / PAGE).write_text(page(outcome), encoding="utf-8")
