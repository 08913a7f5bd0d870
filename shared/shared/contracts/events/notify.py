"""Messages asked for explicitly (`em.notify`), and what became of them."""

from shared.contracts.events.base import Event


class Reply(Event, frozen=True, kw_only=True, tag="notify.reply"):
    """An answer to one person, shown to them alone where they asked."""

    team: str
    channel: str
    user: str
    text: str


class Nudge(Event, frozen=True, kw_only=True, tag="notify.nudge"):
    """A message to people: in `channel`, else in that of the service, else where everything goes.

    `person` is a name in the catalog, who is mentioned; `asked_by` says on whose behalf.
    """

    text: str
    channel: str = ""
    service: str = ""
    person: str = ""
    asked_by: str = ""


class MessageSettled(Event, frozen=True, kw_only=True, tag="message.settled"):
    """What became of a nudge, whose id is `nudge`: shown, dry_run, dead or held; `reason` where it is not shown."""

    nudge: str
    state: str
    channel: str = ""
    reason: str = ""
