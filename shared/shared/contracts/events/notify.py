"""Messages asked for explicitly (`em.notify`)."""

from shared.contracts.events.base import Event


class Reply(Event, frozen=True, kw_only=True, tag="notify.reply"):
    """An answer to one person, shown to them alone where they asked."""

    team: str
    channel: str
    user: str
    text: str
