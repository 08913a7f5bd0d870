"""Cards as Slack messages: `text` decides alone (previews, watches, screen readers), the blocks say the rest. Pure."""

from typing import assert_never

import msgspec

from notifier import bulletin, evidence, forms, summary
from notifier.blocks import (
    Block,
    button,
    by,
    code,
    context,
    duration,
    listed,
    mrkdwn,
    name,
    names,
    plain,
    reason,
    section,
    short_sha,
)
from notifier.cards import ApprovalCard, BulletinCard, Card, DeploymentCard, IncidentCard, NudgeCard, SummaryCard
from notifier.mrkdwn import lines, link, moment, text
from shared.contracts.events import Approval, ApprovalDecided, ApprovalExecuted

TITLE_MAX_CHARACTERS = 300
CONFIRM_MAX_CHARACTERS = 300
DOES_MAX_CHARACTERS = 700
NUDGE_MAX_CHARACTERS = 2_500  # a section takes 3,000

DEPLOYMENT_STATES = {
    "requested": (":hourglass_flowing_sand:", "requested"),
    "started": (":rocket:", "under way"),
    "succeeded": (":white_check_mark:", "succeeded"),
    "failed": (":x:", "failed"),
    "cancelled": (":heavy_minus_sign:", "cancelled"),
    "skipped": (":heavy_minus_sign:", "skipped"),
}
INCIDENT_STATES = {"open": ":rotating_light:", "acknowledged": ":eyes:", "resolved": ":white_check_mark:"}
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


# By the bounds of its pieces `text` stays below 3,900 characters: Slack splits one above 4,000 into several messages.
class Message(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    blocks: tuple[Block, ...] = ()


def render(card: Card) -> Message:
    match card:
        case DeploymentCard():
            return _deployment(card)
        case IncidentCard():
            return _incident(card)
        case ApprovalCard():
            return _approval(card)
        case NudgeCard():
            return _nudge(card)
        case SummaryCard():
            return _summary(card)
        case BulletinCard():
            return _bulletin(card)
        case _:
            assert_never(card)


def note(card: Card, *, mention: bool) -> Message:
    """A word in the thread of a card that was edited: the same line, and who has to look."""
    whom = f"<@{card.mentioned}> " if mention and card.mentioned else ""
    return Message(text=f"{whom}{render(card).text}")


def without_blocks(message: Message) -> Message:
    """What is left where Slack refuses the blocks."""
    return Message(text=message.text)


# ---- deployments ---------------------------------------------------------------------------------------------------


def _deployment(card: DeploymentCard) -> Message:
    emoji, state = DEPLOYMENT_STATES.get(card.state, (":grey_question:", "ended, outcome unknown"))
    what = f"{name(card.service)} to {name(card.environment)}"
    took = f" after {duration(card.took)}" if card.took is not None else ""
    return Message(
        text=listed(" · ", [f"Deploy {what} {state}{took}", short_sha(card.sha), by(card.who)]),
        blocks=(
            section(f"{emoji} *Deploy {what}* {state}{took}"),
            context([code(card.sha), name(card.repository), by(card.who), _times(card), link(card.url, "details")]),
        ),
    )


def _times(card: DeploymentCard) -> str:
    at = card.finished_at or card.started_at or card.requested_at
    return moment(at) if at else ""


# ---- incidents -----------------------------------------------------------------------------------------------------


def _incident(card: IncidentCard) -> Message:
    number = f" #{card.number}" if card.number is not None else ""
    title = text(card.title, characters_max=TITLE_MAX_CHARACTERS) or "no title"
    about = f" ({name(card.service)})" if card.service else ""
    return Message(
        text=f"Incident{number} {card.state}: {title}{about}",
        blocks=(
            section(f"{INCIDENT_STATES[card.state]} *Incident{number} {card.state}*: {title}"),
            context(
                [
                    name(card.service),
                    f"{name(card.urgency)} urgency" if card.urgency else "",
                    f"opened {moment(card.opened_at)}" if card.opened_at else "",
                    f"acknowledged {moment(card.acknowledged_at)}" if card.acknowledged_at else "",
                    f"resolved {moment(card.resolved_at)}" if card.resolved_at else "",
                    by(card.who),
                    link(card.url, "details"),
                ]
            ),
        ),
    )


# ---- nudges --------------------------------------------------------------------------------------------------------


def _nudge(card: NudgeCard) -> Message:
    nudge = card.nudge
    whom = f"<@{card.mentioned}>" if card.mentioned else name(nudge.person)
    said = listed(" ", [f"{whom}:" if whom else "", lines(nudge.text, characters_max=NUDGE_MAX_CHARACTERS) or "…"])
    who = [f"Asked by {name(nudge.asked_by)}" if nudge.asked_by else "", name(nudge.service)]
    return Message(text=said, blocks=(section(f":wave: {said}"), context(who)))


# ---- weeks ---------------------------------------------------------------------------------------------------------


def _summary(card: SummaryCard) -> Message:
    told, title = card.summary, summary.title(card.summary)
    return Message(
        text=f"{title}: {summary.in_short(told)}",
        blocks=(
            section(f":bar_chart: *{title}*"),
            section(listed("\n", summary.lines(told))),
            context(summary.services(told)),
        ),
    )


# ---- lists ---------------------------------------------------------------------------------------------------------


def _bulletin(card: BulletinCard) -> Message:
    told, title = card.bulletin, bulletin.title(card.bulletin)
    short = bulletin.in_short(told.sections)
    return Message(
        text=listed(": ", [title, short]),
        blocks=(
            section(f":newspaper: *{title}*"),
            *([section(short)] if short else []),
            *map(section, bulletin.lead(told.sections)),
        ),
    )


def below(card: BulletinCard) -> list[Message]:
    """What did not fit into the card, for its thread."""
    return [Message(text=note) for note in bulletin.thread(card.bulletin.sections)]


# ---- approvals -----------------------------------------------------------------------------------------------------


def _approval(card: ApprovalCard) -> Message:
    """At most five lines above the buttons; what is asked comes first in every state."""
    approval = card.approval
    emoji = APPROVAL_STATES.get(approval.status, ":grey_question:")
    what = f"{_action(approval)} {_object(approval)}"
    if approval.status == "pending":
        short = f"{what}? {name(approval.requested_by) or 'Somebody'} asks {_quorum(approval)}, {_tally(card)}"
        title, last, rest = f"{emoji} *{what}?* #{approval.approval_id}", _deadline(approval), [_buttons(card, what)]
    else:
        short = f"{what}: {_ending(card)}"
        title, last, rest = f"{emoji} *{what}* #{approval.approval_id}", f"*{_ending(card)}*", []
    known = evidence.in_words(approval.evidence)
    lines = [_asked(approval), _does(approval), known, f"Votes: {_tally(card)}", last]
    return Message(
        text=listed(" · ", [short, short_sha(approval.sha)]),
        blocks=(section(title), section(listed("\n", lines)), *rest),
    )


def _action(approval: Approval) -> str:
    action = name(approval.action) or "act on"
    return action[:1].upper() + action[1:]


def _object(approval: Approval) -> str:
    if approval.environment:
        return f"{name(approval.service)} to {name(approval.environment)}"
    return text(approval.subject, characters_max=TITLE_MAX_CHARACTERS)


def _does(approval: Approval) -> str:
    """A subject is its requester's word; this is what would happen."""
    does = f"A yes will {text(approval.does, characters_max=DOES_MAX_CHARACTERS)}" if approval.does else ""
    return listed(" · ", [does, f"because: {reason(approval.reason)}" if approval.reason else ""])


def _asked(approval: Approval) -> str:
    who = f"Asked by {name(approval.requested_by)}" if approval.requested_by else "Asked"
    policy = listed(" ", [name(approval.policy), _quorum(approval)])
    return listed(" · ", [who, policy, code(approval.sha), name(approval.repository), link(approval.url, "details")])


def _quorum(approval: Approval) -> str:
    """`2 of release`."""
    return f"{approval.required} of {name(approval.group) or 'everybody'}"


def _tally(card: ApprovalCard) -> str:
    """`1 of 2: ana; declined by bo`."""
    agreed = f": {names(card.agreed)}" if card.agreed else ""
    declined = f"; declined by {names(card.declined)}" if card.declined else ""
    return f"{len(card.agreed)} of {card.approval.required}{agreed}{declined}"


def _deadline(approval: Approval) -> str:
    return f"Until {moment(approval.expires_at)}" if approval.expires_at else ""


def _ending(card: ApprovalCard) -> str:
    """How it ended, in words."""
    approval = card.approval
    match approval.status:
        case "auto_approved":
            return f"approved under the rule {name(approval.policy)}, without asking anybody"
        case "approved" | "executed" if approval.broken_by:
            return f"let through by {name(approval.broken_by)} alone, who broke the glass"
        case "approved" | "executed":
            return f"approved by {names(card.agreed)}" if card.agreed else "approved"
        case "rejected":
            reasons = [vote.reason for vote in approval.votes if vote.verb == "reject" and vote.reason]
            why = f" ({reason(reasons[-1])})" if reasons else ""
            return f"declined by {names(card.declined)}{why}" if card.declined else "declined"
        case "expired":
            return f"expired, {_tally(card)}"
        case "dead":
            failure = approval.failure if isinstance(approval, ApprovalExecuted) else ""
            return f"decided, but could not be carried out{listed('', [reason(failure)], first=': ')}"
        case "cancelled":
            cause = approval.cause if isinstance(approval, ApprovalDecided) else ""
            return f"cancelled{listed('', [reason(cause)], first=': ')}"
        case _:
            return name(approval.status)


def _buttons(card: ApprovalCard, what: str) -> Block:
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
                element["confirm"] = _confirm(element["text"]["text"], what)
    return {"type": "actions", "block_id": f"approval:{reference}", "elements": elements}


def _confirm(verb: str, what: str) -> Block:
    """Slack takes 300 characters; escaped text is never cut, and the card says it anyway."""
    said = f"{what}." if len(what) < CONFIRM_MAX_CHARACTERS else "As the card says."
    return {
        "title": plain(f"{verb} for production?"),
        "text": mrkdwn(said),
        "confirm": plain(verb),
        "deny": plain("Not now"),
    }
