"""The environment that a command works in."""

import os

from em.home import Home, read_json


def home() -> Home:
    return Home.find(os.environ)


def adopt_stack() -> None:
    """Let a command reach the stack that runs here; what the caller set wins."""
    for name, value in read_json(home().environment).items():
        if not os.environ.get(f"{name}_FILE"):
            os.environ.setdefault(name, value)
