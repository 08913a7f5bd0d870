"""`em demo`."""

import os
from typing import Annotated

import typer

from em.commands.environment import home
from em.commands.stack import PortBase

Attach = Annotated[
    bool, typer.Option("--attach", help="Use a demo stack that runs elsewhere (compose), found by its environment.")
]


def demo(port_base: PortBase = None, attach: Attach = False) -> None:
    """Start the stack with stand-ins for Slack and GitHub, send signed traffic, show what comes out."""
    from em.demo.run import run

    run(home(), port_base=port_base, environ=os.environ, attach=attach)
