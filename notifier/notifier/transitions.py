"""What happens where a thing goes from one state to another: a silent edit, or a word in its thread as well. Pure."""

from typing import Literal, NamedTuple

from notifier.cards import (
    ApprovalCard,
    BulletinCard,
    Card,
    DeploymentCard,
    IncidentCard,
    NewsCard,
    NudgeCard,
    SummaryCard,
)
from notifier.deciders import ENDS
from notifier.living import NEWS, ThingKind

Does = Literal["post", "dm", "edit", "note", "mention"]
ANY = "*"
# Of what waits and goes on waiting: no state, and yet something to tell.
REMINDED = "reminded"
ESCALATED = "escalated"


class Row(NamedTuple):
    """`mention`: the note names who has to look. A state that no row names is only shown: an edit."""

    kind: ThingKind
    before: str  # "": there is no message yet
    after: str
    does: tuple[Does, ...]
    why: str


TABLE: tuple[Row, ...] = (
    Row("deployment", "", ANY, ("post",), "production changes"),
    Row("deployment", ANY, "failed", ("edit", "note", "mention"), "who deployed has to look"),
    Row("deployment", ANY, ANY, ("edit",), "the card says it"),
    Row("incident", "", ANY, ("post",), "somebody is hurt"),
    Row("incident", ANY, "resolved", ("edit", "note"), "who watches the thread wants to know, and an edit is silent"),
    Row("incident", "resolved", "open", ("edit", "note"), "it is back"),
    Row("incident", ANY, ANY, ("edit",), "the card says it"),
    Row("approval", "", "pending", ("dm",), "those who can decide are asked"),
    Row("approval", "", ANY, ("post", "dm"), "it was over at once"),
    Row("approval", "pending", REMINDED, ("edit", "note", "mention"), "who has not voted is asked again"),
    Row("approval", "pending", ESCALATED, ("edit", "dm"), "who may decide now too is asked"),
    Row("approval", ANY, "dead", ("edit", "note", "dm"), "it was decided, and did not happen"),
    *(Row("approval", "pending", end, ("edit", "dm"), "who asked hears the end") for end in sorted(ENDS - {"dead"})),
    Row("approval", ANY, ANY, ("edit",), "the card says it"),
    Row("nudge", "", ANY, ("post",), "somebody asked for it"),
    Row("nudge", ANY, ANY, ("edit",), "it says the same"),
    Row("summary", "", ANY, ("post",), "a week has ended"),
    Row("summary", ANY, ANY, ("edit",), "it says the same"),
    Row("bulletin", "", ANY, ("post", "note"), "it is time, or somebody asked; the thread takes the rest"),
    Row("bulletin", ANY, ANY, ("edit",), "it says the same"),
    Row("alert", "", ANY, ("post",), "a route asks for it"),
    Row("alert", ANY, "resolved", ("edit", "note"), "an edit is silent"),
    Row("alert", ANY, ANY, ("edit",), "the card says it"),
    *(
        row
        for kind in NEWS
        if kind != "alert"
        for row in (
            Row(kind, "", ANY, ("post",), "a route asks for it"),
            Row(kind, ANY, ANY, ("edit",), "the card says it"),
        )
    ),
)


def row(kind: ThingKind, before: str, after: str) -> Row | None:
    """The first that fits; None: nothing changed."""
    if before == after:
        return None
    return next(r for r in TABLE if r.kind == kind and _fits(r.before, before) and _fits(r.after, after))


def state(card: Card) -> str:
    match card:
        case DeploymentCard() | IncidentCard() | NewsCard():
            return card.state
        case ApprovalCard():
            return card.approval.status
        case NudgeCard() | SummaryCard() | BulletinCard():
            return "told"


def _fits(pattern: str, value: str) -> bool:
    """Nothing but "" fits what is not there yet."""
    return pattern == value or (pattern == ANY and value != "")
