"""The manifest of the Slack app: the rights that the code needs, no more, and where Slack sends."""

import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import notifier
from em.cli import app
from em.sandbox.slack_methods import METHODS
from em.sandbox.slack_methods import SCOPES as SLACKS
from em.slack_manifest import InvalidUrl, manifest
from notifier.scopes import EVENTS, SCOPES, bot_scopes

FAMILIES = "api|auth|bots|chat|conversations|files|reactions|team|usergroups|users|views"
METHOD = re.compile(rf'"((?:{FAMILIES})\.[a-zA-Z.]+)"')


def called() -> set[str]:
    sources = Path(str(notifier.__file__)).parent.glob("*.py")
    return {method for file in sources if file.name != "scopes.py" for method in METHOD.findall(file.read_text())}


def test_every_method_that_the_code_calls_has_its_rights_and_no_other_has_any() -> None:
    assert called() == set(SCOPES), "notifier/scopes.py names what a token needs for each method"


def test_the_rights_are_those_that_slack_asks_for() -> None:
    granted = set(bot_scopes())

    assert set(SCOPES) <= set(METHODS)
    assert [method for method in SCOPES if method in SLACKS and not set(SLACKS[method]) & granted] == []


def test_the_app_subscribes_to_the_events_that_the_docs_name() -> None:
    page = (Path(__file__).parents[2] / "docs/sources/slack.md").read_text()
    [paragraph] = [each for each in page.split("\n\n") if each.startswith("**Events to choose.**")]

    assert sorted(EVENTS) == sorted(re.findall("`([a-z_]+)`", paragraph))


@pytest.mark.parametrize(
    "url", ["https://em.example.com", "https://em.example.com/", "https://em.example.com/webhooks/slack"]
)
def test_all_of_slack_goes_to_one_address(url: str) -> None:
    written = manifest(url)

    addresses = [
        written["features"]["slash_commands"][0]["url"],
        written["settings"]["event_subscriptions"]["request_url"],
        written["settings"]["interactivity"]["request_url"],
    ]
    assert addresses == ["https://em.example.com/webhooks/slack"] * 3


@pytest.mark.parametrize(
    "url", ["http://em.example.com", "em.example.com", "https://", "https://u:p@x.example", "https://x/?a=1"]
)
def test_an_address_that_slack_could_not_send_to_is_refused(url: str) -> None:
    with pytest.raises(InvalidUrl):
        manifest(url)


def test_em_init_slack_prints_yaml() -> None:
    done = CliRunner().invoke(app, ["init", "slack", "--url", "https://em.example.com"])

    assert yaml.safe_load(done.stdout) == manifest("https://em.example.com")
