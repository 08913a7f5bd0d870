"""The steps of docs/gates.md, as they stand there, run by a shell against the service: yes, no, and our restart."""

import asyncio
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from shared.contracts.services import APPROVALS_SVC
from tests.office import PASSWORD, Office
from tests.runs import SHA, github_run, gitlab_run
from tests.waiting import until

PAGE = Path(__file__).parents[2] / "docs/gates.md"
BLOCKS = re.findall(r"^```(?:yaml|groovy)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
LINES_MAX = 10
EXIT_S = 30


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A process and what its platform puts into its environment."""

    argv: tuple[str, ...]
    environment: dict[str, str]


async def github(office: Office, block: str) -> Step:
    """https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax: how a step is run."""
    [step] = yaml.safe_load(block)
    run = (await github_run(office, environment=None)).given
    asked = {
        "ACTIONS_ID_TOKEN_REQUEST_URL": run["request_url"],
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": run["request_token"],
    }
    return Step(argv=("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]), environment=asked)


async def gitlab(office: Office, block: str) -> Step:
    [job] = yaml.safe_load(block).values()
    [(variable, asked)] = job["id_tokens"].items()
    run = await gitlab_run(office, environment=job["environment"]["name"], aud=asked["aud"])
    return Step(argv=("sh", "-ec", "\n".join(job["script"])), environment={variable: run.given["token"]})


async def jenkins(office: Office, block: str) -> Step:
    """Groovy keeps what stands between three quotes, but for backslashes."""
    [script] = re.findall(r"sh '''(.*?)'''", block, re.DOTALL)
    assert "\\" not in script
    build = {"GIT_COMMIT": SHA, "BUILD_USER_EMAIL": "ana@acme.example", "BUILD_TAG": "jenkins-checkout-7"}
    return Step(argv=("sh", "-xec", script), environment={**build, "CLIENT_USR": "jenkins", "CLIENT_PSW": PASSWORD})


async def argocd(office: Office, block: str) -> Step:
    job = yaml.safe_load(block.replace("{{ .Values.revision }}", SHA))
    [container] = job["spec"]["template"]["spec"]["containers"]
    em, *arguments = container["command"]
    assert (em, container["envFrom"]) == ("em", [{"secretRef": {"name": "em-agent"}}])
    secret = {"EM_CLIENT_ID": "jenkins", "EM_CLIENT_SECRET": PASSWORD}
    return Step(argv=(sys.executable, "-m", "em", *arguments), environment=secret)


STEPS = dict(zip((github, gitlab, jenkins, argocd), BLOCKS, strict=True))
every_step = pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)


@every_step
def test_step_has_at_most_ten_lines(step: Callable[..., Any]) -> None:
    assert len(STEPS[step].splitlines()) <= LINES_MAX


@every_step
@pytest.mark.parametrize("verb", ["approve", "decline"])
async def test_step_goes_on_after_a_yes_and_fails_after_a_no(
    office: Office, step: Callable[..., Any], verb: str, tmp_path: Path
) -> None:
    running = await start(office, await step(office, STEPS[step]), tmp_path)

    await decide(office, verb)
    exit_code, printed = await ended(running)

    assert exit_code == (0 if verb == "approve" else 1), printed
    assert ("approved: by" if verb == "approve" else "rejected: by bo") in printed
    assert (await office.show(1))["status"] == ("executed" if verb == "approve" else "rejected")
    assert "eyJ" not in printed
    assert PASSWORD not in printed


@every_step
async def test_step_waits_through_our_restart(office: Office, step: Callable[..., Any], tmp_path: Path) -> None:
    running = await start(office, await step(office, STEPS[step]), tmp_path)

    await office.line.servers[APPROVALS_SVC.name].kill()
    await asyncio.sleep(1)
    await office.line.start(APPROVALS_SVC)
    await decide(office, "approve")

    assert (await ended(running))[0] == 0


@every_step
async def test_step_fails_where_it_can_not_ask(office: Office, step: Callable[..., Any], tmp_path: Path) -> None:
    found = await step(office, STEPS[step])
    secrets = ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "EM_TOKEN", "CLIENT_PSW", "EM_CLIENT_SECRET")
    wrong = {name: "wrong" if name in secrets else value for name, value in found.environment.items()}

    running = await start(office, msgspec.structs.replace(found, environment=wrong), tmp_path, asks=False)

    assert (await ended(running))[0] not in (0, None)
    assert await office.line.count("approvals.approval") == 0


@pytest.mark.parametrize(
    ("environment", "arguments"),
    [
        ({"EM_TOKEN": "wrong"}, ()),
        ({}, ()),
        ({"EM_CLIENT_ID": "jenkins", "EM_CLIENT_SECRET": "wrong"}, ()),
        ({"EM_TOKEN": "any"}, ("--url", "http://127.0.0.1:1", "--within", "0")),
    ],
    ids=["token", "no token", "login", "nobody answers"],
)
async def test_em_gate_tells_trouble_from_a_no(
    office: Office, environment: dict[str, str], arguments: tuple[str, ...], tmp_path: Path
) -> None:
    step = Step(argv=(sys.executable, "-m", "em", "gate", *arguments), environment=environment)

    exit_code, printed = await ended(await start(office, step, tmp_path, asks=False))

    assert (exit_code, "error:" in printed) == (2, True), printed


async def test_em_gate_gives_up_when_nobody_decides_in_time(office: Office, tmp_path: Path) -> None:
    run = await github_run(office, environment="staging")
    argv = (sys.executable, "-m", "em", "gate", "--within", "0.02")
    running = await start(office, Step(argv=argv, environment={"EM_TOKEN": run.given["token"]}), tmp_path)

    exit_code, printed = await ended(running)
    assert (exit_code, "nobody decided in time" in printed) == (2, True), printed


async def start(office: Office, step: Step, directory: Path, *, asks: bool = True) -> asyncio.subprocess.Process:
    """Returns when it has asked. `EM` and `EM_URL` are the one value of a step that everybody changes."""
    url = office.line.url(APPROVALS_SVC)
    running = await asyncio.create_subprocess_exec(
        *step.argv,
        cwd=directory,
        env={
            "PATH": os.environ["PATH"],
            "CURL_CA_BUNDLE": str(office.line.directory / "ci.pem"),
            "EM": url,
            "EM_URL": url,
            **step.environment,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    if asks:
        await until(lambda: _has_asked(office), timeout_s=15, what="the step did not ask")
    return running


async def _has_asked(office: Office) -> bool:
    return await office.line.count("approvals.approval") == 1 and await office.metric("approvals_waiters") == 1


async def decide(office: Office, verb: str) -> None:
    for person in ("bo", "cy") if verb == "approve" else ("bo",):
        assert (await office.vote(1, person, verb)).status_code == 200


async def ended(running: asyncio.subprocess.Process) -> tuple[int | None, str]:
    async with asyncio.timeout(EXIT_S):
        printed, _ = await running.communicate()
    return running.returncode, printed.decode()
