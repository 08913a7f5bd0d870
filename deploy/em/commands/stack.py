"""`em up` and `em down`."""

import os
from typing import Annotated

import typer

from em.commands.environment import home
from em.errors import AlreadyRunning
from em.screen import SCREEN

PortBase = Annotated[int | None, typer.Option(metavar="N", help="Use the ports from N on instead of the usual ones.")]


def up(
    port_base: PortBase = None,
    demo: Annotated[bool, typer.Option("--demo", help="With stand-ins for Slack and GitHub (DEMO=true).")] = False,
) -> None:
    """Start NATS, PostgreSQL and the five services, and wait until all are ready."""
    from em import launch
    from em.counterparts import counterparts

    here = home()
    already = launch.running(here)
    if already and demo and already.environment.get("DEMO") != "true":
        raise AlreadyRunning("the stack runs here without the stand-ins", hint="stop it first: em down")
    if already:
        SCREEN.line("already running:")
        SCREEN.urls(dict(already.urls))
        return
    with SCREEN.busy("starting"):
        started = launch.up(
            here,
            port_base=port_base,
            environ=os.environ,
            progress=SCREEN.progress,
            add=counterparts if demo else None,
        )
    SCREEN.line("ready:")
    SCREEN.urls(dict(started.urls))
    SCREEN.line("stop it with: em down")


def down() -> None:
    """Stop what `em up` or `em demo` started, and wait until it is gone."""
    from em import launch

    with SCREEN.busy("stopping"):
        was_running = launch.down(home(), progress=SCREEN.progress)
    SCREEN.line("stopped" if was_running else "nothing was running")
