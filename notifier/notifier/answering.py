"""What notifier itself answers to who typed a command."""

from collections.abc import Mapping

from notifier import gather_store, preference_store, reason_store, timelines, usage
from notifier.mrkdwn import text
from notifier.preference_store import UNSAID, Preferences, Setting
from shared.catalog import Catalog
from shared.contracts.commands import Invocation
from shared.contracts.events import ChatCommand
from shared.db import Connection

NOTHING_WAITS = "Nothing waits for the digest of this channel, or of your teams."
REASONS_SHOWN = 10
WHY_MAX_CHARACTERS = 200
PROBLEM_MAX_CHARACTERS = 500
NAME_MAX_CHARACTERS = 120
PLATFORMS = ("slack", "github", "gitlab", "gitea", "bitbucket", "azure_devops", "pagerduty", "email")
SETTINGS: Mapping[str, Setting] = {"mentions": "mentions", "dms": "dms"}
UNKNOWN = "your votes don't count. Ask whoever keeps catalog.yaml to add it to your name there."


async def answered(tx: Connection, command: ChatCommand, invocation: Invocation, catalog: Catalog) -> str:
    """What is said at once; empty where it is said later."""
    if invocation.problem:
        return text(invocation.problem, characters_max=PROBLEM_MAX_CHARACTERS)
    match invocation.command and invocation.command.name:
        case "incident post":
            return await timelines.post(tx, command, invocation, catalog)
        case "digest now":
            return await _digest(tx, command, catalog)
        case "explain":
            return await _explained(tx, invocation.given["event"])
        case "whoami":
            return await _whoami(tx, command.user, catalog)
        case "prefs":
            return await _prefs(tx, command.user, invocation.given.get("setting", ""))
        case _:
            return usage.answer(invocation, typed=command.text)


async def _digest(tx: Connection, command: ChatCommand, catalog: Catalog) -> str:
    """Of this channel, and of those of the person's teams."""
    if not catalog.is_member(command.user):
        return "Only who is in the catalog with a Slack account may post for all."
    person = catalog.person("slack", command.user)
    teams = [team for team in catalog.teams if person and person.name in team.members]
    channels = [command.channel, *(team.slack_channel for team in teams if team.slack_channel)]
    waiting = await gather_store.hasten_digests(tx, channels)
    where = ", ".join(text(channel, characters_max=NAME_MAX_CHARACTERS) for channel in sorted(waiting))
    return f"What waited for the digest is told now: {sum(waiting.values())} in {where}." if waiting else NOTHING_WAITS


async def _explained(tx: Connection, event_or_thing: str) -> str:
    name = text(event_or_thing, characters_max=NAME_MAX_CHARACTERS)
    found = await reason_store.of(tx, event_or_thing.replace("\x00", ""))
    if not found:
        return f"Nothing is known of {name}: give an event's id, or a thing, such as incident:slack:K7Q2M4XZ."
    lines = [_line(**each) for each in found[-REASONS_SHOWN:]]
    more = [f"and {len(found) - REASONS_SHOWN} before"] if len(found) > REASONS_SHOWN else []
    return "\n".join([f"Why people were, or were not, told of {name}:", *more, *lines])


async def _whoami(tx: Connection, user: str, catalog: Catalog) -> str:
    """A vote counts for the person that the catalog knows by this account, so strangers are told whom to ask."""
    person = catalog.person("slack", user)
    wants = _wants((await preference_store.of(tx, [user])).get(user, UNSAID))
    if person is None:
        return f"The catalog knows nobody by your Slack account {_name(user)}: {UNKNOWN}\n{wants}"
    accounts = [
        f"• {platform}: {', '.join(map(_name, names))}"
        for platform in PLATFORMS
        if (names := person.identities(platform))
    ]
    teams = [_name(team.name) for team in catalog.teams if person.name in team.members]
    of_teams = f", of {', '.join(teams)}" if teams else ""
    return "\n".join([f"You are {_name(person.name)}{of_teams}.", *accounts, wants])


async def _prefs(tx: Connection, user: str, setting: str) -> str:
    """`mentions off`; nothing asks how it stands."""
    name, _, wanted = setting.lower().partition(" ")
    if setting:
        if name not in SETTINGS or wanted not in ("on", "off"):
            return f"Say {' or '.join(f'`/em prefs {each} off`' for each in SETTINGS)}, or `on`."
        await preference_store.say(tx, user, SETTINGS[name], wanted=wanted == "on")
    return _wants((await preference_store.of(tx, [user])).get(user, UNSAID))


def _wants(preferences: Preferences) -> str:
    return f"Mentions are {_on(preferences.mentions)}, direct messages are {_on(preferences.dms)} (`/em prefs`)."


def _name(value: str) -> str:
    return text(value, characters_max=NAME_MAX_CHARACTERS)


def _on(wanted: bool) -> str:
    return "on" if wanted else "off"


def _line(*, kind: str, decision: str, why: str, channel: str, route: str, **_: object) -> str:
    where = f" in {text(channel, characters_max=NAME_MAX_CHARACTERS)}" if channel else ""
    by = f" (route {text(route, characters_max=NAME_MAX_CHARACTERS)})" if route else ""
    return f"• {kind}: {decision}{where}, {text(why, characters_max=WHY_MAX_CHARACTERS)}{by}"
