"""What is said of a channel that takes nothing any more. Pure."""

from notifier.mrkdwn import lines
from notifier.render import Message
from shared.catalog import Catalog

TEXT_MAX = 1_000


def barred(channel: str, error: str, catalog: Catalog) -> Message:
    """For whoever owns what is told there."""
    services = [service.name for service in catalog.services if service.slack_channel == channel]
    teams = [team.name for team in catalog.teams if team.slack_channel == channel]
    whose = ", ".join(sorted({*services, *teams}))
    owned = f" It is the channel of {whose}." if whose else ""
    return Message(
        text=lines(
            f"Nothing can be posted in {channel} ({error}).{owned} Its messages come here until it takes them again:"
            " invite the app, bring the channel back, or name another one in the catalog or the routes.",
            characters_max=TEXT_MAX,
        )
    )
