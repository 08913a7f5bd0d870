"""Starts the counterparts and their control port, in this process, on given or free ports."""

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

import msgspec
from aiohttp import web

from em.sandbox.blocked import GitlabSettings
from em.sandbox.ci import Ci, CiSettings
from em.sandbox.control import Control
from em.sandbox.exchange import Exchange
from em.sandbox.gates import GithubSettings
from em.sandbox.github import Github
from em.sandbox.gitlab import API, Gitlab
from em.sandbox.slack import Slack
from em.sandbox.workspace import SlackSettings

SHUTDOWN_TIMEOUT_S = 0.2


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """0 takes a free one."""

    slack: int = 0
    github: int = 0
    gitlab: int = 0
    ci: int = 0
    control: int = 0


class Sandbox(NamedTuple):
    """Base URLs: `slack_url` ends in /api/ as a Slack client's base URL does, the others have no slash.

    `ci_certificate`: PEM that vouches for `ci_url`, the only one with https.
    """

    slack_url: str = ""
    github_url: str = ""
    gitlab_url: str = ""
    ci_url: str = ""
    ci_certificate: str = ""
    control_url: str = ""


@asynccontextmanager
async def sandbox(
    *,
    host: str = "127.0.0.1",
    ports: Ports | None = None,
    slack_settings: SlackSettings | None = None,
    github_settings: GithubSettings | None = None,
    gitlab_settings: GitlabSettings | None = None,
    ci_settings: CiSettings | None = None,
) -> AsyncIterator[Sandbox]:
    ports = ports or Ports()
    exchange = Exchange()
    slack = Slack(exchange, slack_settings or SlackSettings())
    github = Github(exchange, github_settings or GithubSettings())
    gitlab = Gitlab(exchange, gitlab_settings or GitlabSettings())
    ci = Ci(ci_settings or CiSettings())
    control = Control(exchange, slack, github, gitlab, ci)
    async with AsyncExitStack() as stack:
        stack.callback(exchange.reset)
        slack_url = await _serve(stack, slack.application(), host, ports.slack)
        github_url = await _serve(stack, github.application(), host, ports.github)
        gitlab_url = await _serve(stack, gitlab.application(), host, ports.gitlab)
        ci_url = await _serve(stack, ci.application(), host, ports.ci, tls=ci.tls())
        ci.url = ci.url or ci_url
        control_url = await _serve(stack, control.application(), host, ports.control)
        yield Sandbox(f"{slack_url}/api/", github_url, f"{gitlab_url}{API}", ci.url, ci.certificate, control_url)


async def _serve(
    stack: AsyncExitStack, app: web.Application, host: str, port: int, *, tls: ssl.SSLContext | None = None
) -> str:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT_S)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, host, port, ssl_context=tls).start()
    address = runner.addresses[0]
    return f"{'https' if tls else 'http'}://{address[0]}:{address[1]}"
