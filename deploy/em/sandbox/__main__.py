"""Serves the counterparts until SIGTERM; the environment names the credentials to expect."""

import argparse
import asyncio
import os
import signal
from collections.abc import Mapping

from em.sandbox.gates import GithubSettings
from em.sandbox.server import Ports, sandbox
from em.sandbox.workspace import SlackSettings


def main() -> None:
    asyncio.run(serve(_arguments(), os.environ))


async def serve(arguments: argparse.Namespace, environment: Mapping[str, str]) -> None:
    """Print one line with the three URLs when ready; with --open everything unknown comes into being."""
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    slack = SlackSettings(token=environment.get("SLACK_BOT_TOKEN") or None, auto_create=arguments.open)
    github = GithubSettings(
        app_id=environment.get("GITHUB_APP_ID") or None,
        public_key=environment.get("GITHUB_APP_PUBLIC_KEY") or None,
        auto_runs=arguments.open,
    )
    ports = Ports(slack=arguments.slack_port, github=arguments.github_port, control=arguments.control_port)
    async with sandbox(host=arguments.host, ports=ports, slack_settings=slack, github_settings=github) as started:
        urls = f"slack={started.slack_url} github={started.github_url} control={started.control_url}"
        print(f"sandbox ready {urls}", flush=True)
        await stop.wait()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m em.sandbox", description="Stand-ins for Slack and GitHub")
    for name in ("slack", "github", "control"):
        parser.add_argument(f"--{name}-port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--open", action="store_true", help="unknown channels, people and runs come into being")
    return parser.parse_args()


if __name__ == "__main__":
    main()
