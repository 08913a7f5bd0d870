"""Messages asked for explicitly (`em.notify`), and what became of them."""

import msgspec

from shared.contracts.events.base import Event, Instant


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One thing of a list: what it is called, where it can be seen, and since when, or when, and whose it is."""

    subject: str
    detail: str = ""
    who: str = ""
    at: Instant | None = None
    url: str = ""


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """`n` is how many there are, of which `items` are the first; null for a section that counts nothing."""

    title: str
    items: tuple[Item, ...] = ()
    n: int | None = None


class Reply(Event, frozen=True, kw_only=True, tag="notify.reply"):
    """An answer to one person, shown to them alone where they asked."""

    team: str
    channel: str
    user: str
    text: str
    sections: tuple[Section, ...] = ()


class Bulletin(Event, frozen=True, kw_only=True, tag="notify.bulletin"):
    """One message of several sections: in `channel`, else in that of the team, else where everything goes.

    `about`: standup, triage, sprint or week. `user` asked for it, in the channel `asked_in`, and hears where it is; a
    schedule did where it is empty. Worth telling until `until`. `prose`: a model's words about it, which notifier adds
    after checking them.
    """

    about: str
    title: str
    sections: tuple[Section, ...]
    team: str = ""
    channel: str = ""
    user: str = ""
    asked_in: str = ""
    until: Instant | None = None
    prose: str = ""


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
