"""Serves the counterparts until SIGTERM; the environment names the credentials to expect."""

import argparse
import asyncio
import os
import signal
from collections.abc import Mapping

from em.sandbox.blocked import GitlabSettings
from em.sandbox.certificate import Certificate
from em.sandbox.ci import CiSettings
from em.sandbox.gates import GithubSettings
from em.sandbox.server import Ports, sandbox
from em.sandbox.workspace import SlackSettings


def main() -> None:
    asyncio.run(serve(_arguments(), os.environ))


async def serve(arguments: argparse.Namespace, environment: Mapping[str, str]) -> None:
    """Print one line with the URLs when ready; with --open everything unknown comes into being."""
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    slack = SlackSettings(token=environment.get("SLACK_BOT_TOKEN") or None, auto_create=arguments.open)
    github = GithubSettings(
        app_id=environment.get("GITHUB_APP_ID") or None,
        public_key=environment.get("GITHUB_APP_PUBLIC_KEY") or None,
        auto_runs=arguments.open,
    )
    gitlab = GitlabSettings(token=environment.get("GITLAB_TOKEN") or None)
    pair = [environment.get(name) for name in ("CI_CERTIFICATE", "CI_KEY")]
    ci = CiSettings(
        certificate=Certificate(*map(str, pair)) if all(pair) else None,
        callback_secret=environment.get("CI_CALLBACK_SECRET", ""),
        url=environment.get("CI_URL", ""),
    )
    ports = Ports(
        slack=arguments.slack_port,
        github=arguments.github_port,
        gitlab=arguments.gitlab_port,
        ci=arguments.ci_port,
        control=arguments.control_port,
    )
    async with sandbox(
        host=arguments.host,
        ports=ports,
        slack_settings=slack,
        github_settings=github,
        gitlab_settings=gitlab,
        ci_settings=ci,
    ) as started:
        urls = {
            "slack": started.slack_url,
            "github": started.github_url,
            "gitlab": started.gitlab_url,
            "ci": started.ci_url,
            "control": started.control_url,
        }
        listed = " ".join(f"{name}={url}" for name, url in urls.items())
        print(f"sandbox ready {listed}", flush=True)
        await stop.wait()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m em.sandbox", description="Stand-ins for Slack, GitHub, GitLab and a CI"
    )
    for name in ("slack", "github", "gitlab", "ci", "control"):
        parser.add_argument(f"--{name}-port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--open", action="store_true", help="unknown channels, people and runs come into being")
    return parser.parse_args()


if __name__ == "__main__":
    main()
