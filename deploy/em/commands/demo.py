"""`em demo`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from em.commands.environment import home
from em.commands.stack import PortBase

Attach = Annotated[
    bool, typer.Option("--attach", help="Use a demo stack that runs elsewhere (compose), found by its environment.")
]

Prepare = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Only write catalog, policy and this environment file, for such a stack."),
]


def demo(port_base: PortBase = None, attach: Attach = False, prepare: Prepare = None) -> None:
    """Start the stack with stand-ins for Slack and GitHub, send signed traffic, show what comes out."""
    if prepare:
        from em.demo.elsewhere import write_environment

        write_environment(home(), prepare)
        return
    from em.demo.run import run

    run(home(), port_base=port_base, environ=os.environ, attach=attach)
