"""Cards as Slack messages: `text` decides alone (previews, watches, screen readers), the blocks say the rest. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, assert_never

import msgspec

from notifier import bulletin, evidence, fit, forms, summary
from notifier.blocks import (
    Block,
    button,
    by,
    context,
    duration,
    listed,
    mrkdwn,
    name,
    plain,
    reason,
    section,
    short_sha,
)
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
from notifier.mrkdwn import Mrkdwn, lines, link, mention, moment, text
from notifier.templates import Pieces, Templates
from shared.contracts.events import Approval, ApprovalDecided, ApprovalExecuted

TITLE_MAX_CHARACTERS = 300
# Of an approval: the first 140 characters of its text decide alone, and its buttons begin within 900.
NAME_MAX_CHARACTERS = 40
SUBJECT_MAX_CHARACTERS = 120
DOES_MAX_CHARACTERS = 140
REASON_MAX_CHARACTERS = 100
VOTERS_SHOWN = 3
SHORT = {"action": 12, "service": 24, "environment": 16, "who": 16, "group": 12}
NUDGE_MAX_CHARACTERS = 2_500

DEPLOYMENT_STATES = {
    "requested": (":hourglass_flowing_sand:", "requested"),
    "started": (":rocket:", "under way"),
    "succeeded": (":white_check_mark:", "succeeded"),
    "failed": (":x:", "failed"),
    "cancelled": (":heavy_minus_sign:", "cancelled"),
    "skipped": (":heavy_minus_sign:", "skipped"),
}
INCIDENT_STATES = {"open": ":rotating_light:", "acknowledged": ":eyes:", "resolved": ":white_check_mark:"}
NEWS_KINDS = {"change": "Change", "build": "Build", "alert": "Alert", "quality": "Quality gate", "release": "Release"}
NEWS_STATES = {
    "merged": ":white_check_mark:",
    "closed": ":heavy_minus_sign:",
    "failed": ":x:",
    "firing": ":rotating_light:",
    "resolved": ":white_check_mark:",
    "warning": ":warning:",
    "published": ":package:",
}
APPROVAL_STATES = {
    "pending": ":raised_hand:",
    "approved": ":white_check_mark:",
    "auto_approved": ":white_check_mark:",
    "executed": ":white_check_mark:",
    "rejected": ":no_entry:",
    "expired": ":hourglass:",
    "cancelled": ":no_entry:",
    "revoked": ":no_entry:",
    "superseded": ":arrows_counterclockwise:",
    "dead": ":warning:",
}


OURS = Templates()
PARAGRAPHS = re.compile(r"\n\s*\n")


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`broadcast`: what stands in a thread is shown in its channel as well."""

    text: str
    blocks: tuple[Block, ...] = ()
    broadcast: bool = False

    def __post_init__(self) -> None:
        """Plain text from here on: msgspec writes no subclass of `str`."""
        if type(self.text) is not str:
            msgspec.structs.force_setattr(self, "text", str(self.text))


def render(card: Card, templates: Templates = OURS) -> Message:
    match card:
        case DeploymentCard():
            return _message(templates.pieces("deployment", _deployment(card)))
        case IncidentCard():
            return _message(templates.pieces("incident", _incident(card)))
        case ApprovalCard():
            buttons = [_buttons(card)] if card.approval.status == "pending" else []
            return _message(templates.pieces("approval", _approval(card)), *buttons)
        case NudgeCard():
            return _message(templates.pieces("nudge", _nudge(card)))
        case SummaryCard():
            return _message(templates.pieces("summary", _summary(card)))
        case BulletinCard():
            return _message(templates.pieces("bulletin", _bulletin(card)))
        case NewsCard():
            return _message(templates.pieces("news", _news(card)))
        case _:
            assert_never(card)


def note(card: Card, *, mentioned: bool, templates: Templates = OURS) -> Message:
    """A word in the thread of a card that was edited: the same line, and who has to look."""
    whom = mention(card.mentioned) if mentioned else ""
    said = render(card, templates).text
    return Message(text=fit.cut(listed(" ", [whom, said]), fit.TEXT_MAX))


def below(card: Card) -> list[Message]:
    """What did not fit into the card, for its thread."""
    match card:
        case BulletinCard():
            return [Message(text=note) for note in bulletin.thread(card.bulletin.sections)]
        case ApprovalCard() if card.approval.status == "pending":
            said = evidence.below(card.approval)
            return [Message(text=fit.cut(said, fit.TEXT_MAX))] if said else []
        case _:
            return []


def without_blocks(message: Message) -> Message:
    """What is left where Slack refuses the blocks."""
    return Message(text=message.text)


def _message(pieces: Pieces, *more: Block) -> Message:
    words = [pieces.title or "", *PARAGRAPHS.split(pieces.body or "")]
    sections = [section(each.strip()) for each in words if each.strip()]
    small = [context([pieces.context])] if pieces.context is not None else []
    return Message(
        text=fit.cut(pieces.text, fit.TEXT_MAX),
        blocks=fit.fitted([*sections, *small, *more]),
    )


# ---- values of templates ---------------------------------------------------------------------------------------------


def _deployment(card: DeploymentCard) -> Mapping[str, Any]:
    emoji, state = DEPLOYMENT_STATES.get(card.state, (":grey_question:", "ended, outcome unknown"))
    at = card.finished_at or card.started_at or card.requested_at
    return {
        "emoji": emoji,
        "service": name(card.service),
        "environment": name(card.environment),
        "repository": name(card.repository),
        "state": state,
        "took": duration(card.took) if card.took is not None else "",
        "sha": short_sha(card.sha),
        "who": name(card.who),
        "at": moment(at) if at else "",
        "details": link(card.url, "details"),
    }


def _incident(card: IncidentCard) -> Mapping[str, Any]:
    return {
        "emoji": INCIDENT_STATES[card.state],
        "number": card.number,
        "state": card.state,
        "title": text(card.title, characters_max=TITLE_MAX_CHARACTERS) or "no title",
        "service": name(card.service),
        "urgency": name(card.urgency),
        "opened_at": moment(card.opened_at) if card.opened_at else "",
        "acknowledged_at": moment(card.acknowledged_at) if card.acknowledged_at else "",
        "resolved_at": moment(card.resolved_at) if card.resolved_at else "",
        "who": name(card.who),
        "details": link(card.url, "details"),
    }


def _nudge(card: NudgeCard) -> Mapping[str, Any]:
    nudge = card.nudge
    said = lines(nudge.text, characters_max=NUDGE_MAX_CHARACTERS)
    return {
        "whom": mention(card.mentioned) or name(nudge.person),
        "said": said if said.strip() else "…",
        "asked_by": name(nudge.asked_by),
        "service": name(nudge.service),
    }


def _summary(card: SummaryCard) -> Mapping[str, Any]:
    told = card.summary
    return {
        "title": Mrkdwn(summary.title(told)),
        "in_short": Mrkdwn(summary.in_short(told)),
        "lines": [Mrkdwn(line) for line in summary.lines(told) if line],
        "services": [Mrkdwn(service) for service in summary.services(told)],
    }


def _bulletin(card: BulletinCard) -> Mapping[str, Any]:
    told = card.bulletin
    return {
        "title": Mrkdwn(bulletin.title(told)),
        "in_short": Mrkdwn(bulletin.in_short(told.sections)),
        "prose": told.prose,
        "sections": [Mrkdwn(markup) for markup in bulletin.lead(told.sections)],
    }


def _news(card: NewsCard) -> Mapping[str, Any]:
    return {
        "emoji": NEWS_STATES.get(card.state, ":small_blue_diamond:"),
        "kind": NEWS_KINDS[card.kind],
        "state": name(card.state),
        "title": text(card.title, characters_max=TITLE_MAX_CHARACTERS),
        "where": name(card.repository) or name(card.service),
        "number": card.number,
        "service": name(card.service),
        "who": name(card.who),
        "at": moment(card.at),
        "details": link(card.url, "details"),
    }


def _approval(card: ApprovalCard) -> Mapping[str, Any]:
    """`does`: a subject is its requester's word; this is what would happen."""
    approval = card.approval
    return {
        "emoji": APPROVAL_STATES.get(approval.status, ":grey_question:"),
        "pending": approval.status == "pending",
        "number": approval.approval_id,
        "what": Mrkdwn(_what(approval)),
        "in_short": Mrkdwn(_in_short(approval)),
        "requester": _named(approval.requested_by),
        "policy": _named(approval.policy),
        "quorum": Mrkdwn(_quorum(approval)),
        "sha": short_sha(approval.sha),
        "repository": _named(approval.repository),
        "details": link(approval.url, "details"),
        "does": text(approval.does, characters_max=DOES_MAX_CHARACTERS),
        "reason": text(approval.reason, characters_max=REASON_MAX_CHARACTERS),
        "evidence": Mrkdwn(evidence.in_words(approval)),
        "tally": Mrkdwn(_tally(card)),
        "ending": Mrkdwn(_ending(card)),
        "expires_at": moment(approval.expires_at) if approval.expires_at else "",
    }


# ---- approvals -------------------------------------------------------------------------------------------------------


def _what(approval: Approval) -> str:
    """In words that are escaped already, as all below."""
    said = dict.fromkeys(SHORT, NAME_MAX_CHARACTERS)
    return _said(approval, {**said, "subject": SUBJECT_MAX_CHARACTERS})


def _in_short(approval: Approval) -> str:
    """`Deploy checkout to production? cy asks 2 of release · 84 lines (S) · 1 of 20 failed`: what a watch shows."""
    subject = sum(SHORT[part] for part in ("service", "environment")) + len(" to ")
    who = text(approval.requested_by, characters_max=SHORT["who"]) or "Somebody"
    asks = f"{_said(approval, {**SHORT, 'subject': subject})}? {who} asks {_quorum(approval, SHORT['group'])}"
    return listed(" · ", [asks, evidence.size(approval.evidence), evidence.risk(approval)])


def _said(approval: Approval, characters: Mapping[str, int]) -> str:
    """At most so many of each part."""
    action = text(approval.action, characters_max=characters["action"]) or "act on"
    what = text(approval.subject, characters_max=characters["subject"])
    if approval.environment:
        service = text(approval.service, characters_max=characters["service"])
        what = Mrkdwn(f"{service} to {text(approval.environment, characters_max=characters['environment'])}")
    return f"{action[:1].upper()}{action[1:]} {what}"


def _quorum(approval: Approval, characters_max: int = NAME_MAX_CHARACTERS) -> str:
    """`2 of release`."""
    return f"{approval.required} of {text(approval.group, characters_max=characters_max) or 'everybody'}"


def _named(value: str) -> Mrkdwn:
    return text(value, characters_max=NAME_MAX_CHARACTERS)


def _tally(card: ApprovalCard) -> str:
    """`1 of 2: ana; declined by bo`; to ana herself `1 of 2, you; declined by bo`."""
    others = [person for person in card.agreed if person != card.you]
    you = ", you" if len(others) < len(card.agreed) else ""
    agreed = f"{you}{' and ' if you else ': '}{_people(others)}" if others else you
    declined = f"; declined by {_voters(card, card.declined)}" if card.declined else ""
    return f"{len(card.agreed)} of {card.approval.required}{agreed}{declined}"


def _voters(card: ApprovalCard, people: Sequence[str]) -> str:
    return _people(["you" if person == card.you else person for person in people])


def _people(people: Sequence[str]) -> str:
    more = [f"{len(people) - VOTERS_SHOWN} more"] if len(people) > VOTERS_SHOWN else []
    return ", ".join([*map(_named, people[:VOTERS_SHOWN]), *more])


def _ending(card: ApprovalCard) -> str:
    """How it ended, in words."""
    approval = card.approval
    match approval.status:
        case "auto_approved":
            return f"approved under the rule {name(approval.policy)}, without asking anybody"
        case "approved" | "executed" if approval.broken_by:
            return f"let through by {name(approval.broken_by)} alone, who broke the glass"
        case "approved" | "executed":
            return f"approved by {_voters(card, card.agreed)}" if card.agreed else "approved"
        case "rejected":
            reasons = [vote.reason for vote in approval.votes if vote.verb == "reject" and vote.reason]
            why = f" ({reason(reasons[-1])})" if reasons else ""
            return f"declined by {_voters(card, card.declined)}{why}" if card.declined else "declined"
        case "expired":
            return f"expired, {_tally(card)}"
        case "dead":
            failure = approval.failure if isinstance(approval, ApprovalExecuted) else ""
            return f"decided, but could not be carried out{listed('', [reason(failure)], first=': ')}"
        case "cancelled" | "revoked" if isinstance(approval, ApprovalDecided):
            said = listed(" ", [approval.status, by(approval.ended_by)])
            return f"{said}{listed('', [reason(approval.cause or approval.why)], first=': ')}"
        case _:
            return name(approval.status)


def _buttons(card: ApprovalCard) -> Block:
    """The values name the revision: a click on an outdated card must not count for what it doesn't show."""
    reference = f"{card.approval.approval_id}:{card.approval.revision}"
    decline = forms.ACTION if card.approval.reason_required else "decline"
    elements = [
        button("Approve", action="approve", value=f"approve:{reference}", style="primary"),
        button("Decline", action=decline, value=f"decline:{reference}", style="danger"),
    ]
    if card.production:
        for element in elements:
            if element["action_id"] != forms.ACTION:  # a form is asked anyway
                element["confirm"] = _confirm(element["text"]["text"], _what(card.approval))
    return {"type": "actions", "block_id": f"approval:{reference}", "elements": elements}


def _confirm(verb: str, what: str) -> Block:
    return {
        "title": plain(f"{verb} for production?"),
        "text": mrkdwn(f"{what}."),
        "confirm": plain(verb),
        "deny": plain("Not now"),
    }
