"""docs/approvals.md: its policy loads, and its examples say what em says."""

import re
import shlex
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from approvals_svc.decision import STATUSES
from approvals_svc.policy_file import load
from em.cli import app
from em.commands.approvals import Status
from shared import catalog

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs/approvals.md").read_text()
POLICY, CATALOG = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
CONSOLES = re.findall(r"```console\n\$ (.*?)\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, name, text in (("POLICY_PATH", "policy.yaml", POLICY), ("CATALOG_PATH", "catalog.yaml", CATALOG)):
        (tmp_path / name).write_text(text)
        monkeypatch.setenv(variable, str(tmp_path / name))
    monkeypatch.setenv("EM_HOME", str(tmp_path))


def test_example_policy_loads_with_the_example_catalog(tmp_path: Path) -> None:
    policy = load(tmp_path / "policy.yaml", catalog.load(tmp_path / "catalog.yaml"))

    assert [rule.name for rule in policy.rules] == ["docs-only", "only-main-to-production", "production", "nudges"]


@pytest.mark.parametrize(("command", "printed"), CONSOLES, ids=[command for command, _ in CONSOLES])
def test_example_prints_what_the_page_shows(command: str, printed: str) -> None:
    ran = CliRunner().invoke(app, shlex.split(command)[1:])

    assert (ran.exit_code, ran.stdout) == (0, printed)


def test_mistake_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY.replace("outcome: deny", "outcome: maybe"))

    ran = CliRunner().invoke(app, ["policy", "explain"])

    assert ran.exit_code == 1
    assert "rules[1].outcome: Invalid enum value 'maybe'" in ran.stderr


def test_shell_knows_every_state() -> None:
    assert get_args(Status) == STATUSES
