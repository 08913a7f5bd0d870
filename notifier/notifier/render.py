"""Cards as Slack messages: `text` decides alone (previews, watches, screen readers), the blocks say the rest. Pure."""

from datetime import timedelta
from typing import assert_never

import msgspec

from notifier.blocks import (
    Block,
    button,
    by,
    code,
    context,
    listed,
    mrkdwn,
    name,
    names,
    plain,
    reason,
    section,
    short_sha,
)
from notifier.cards import ApprovalCard, Card, DeploymentCard, IncidentCard
from notifier.mrkdwn import link, moment, text
from shared.contracts.events import Approval, ApprovalExecuted

TITLE_MAX_CHARACTERS = 300

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
    "executed": ":white_check_mark:",
    "rejected": ":no_entry:",
    "expired": ":hourglass:",
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
        case _:
            assert_never(card)


def without_blocks(message: Message) -> Message:
    """What is left where Slack refuses the blocks."""
    return Message(text=message.text)


# ---- deployments ---------------------------------------------------------------------------------------------------


def _deployment(card: DeploymentCard) -> Message:
    emoji, state = DEPLOYMENT_STATES.get(card.state, (":grey_question:", "ended, outcome unknown"))
    what = f"{name(card.service)} to {name(card.environment)}"
    took = f" after {_duration(card.took)}" if card.took is not None else ""
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


def _duration(length: timedelta) -> str:
    minutes, seconds = divmod(int(length.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


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


# ---- approvals -----------------------------------------------------------------------------------------------------


def _approval(card: ApprovalCard) -> Message:
    """At most five lines above the buttons; what is asked comes first in every state."""
    approval = card.approval
    emoji = APPROVAL_STATES.get(approval.status, ":grey_question:")
    what = f"{_action(approval)} {name(approval.service)} to {name(approval.environment)}"
    if approval.status == "pending":
        short = f"{what}? {name(approval.requested_by) or 'Somebody'} asks {_quorum(approval)}, {_tally(card)}"
        title, last, rest = f"{emoji} *{what}?* #{approval.approval_id}", _deadline(approval), [_buttons(card, what)]
    else:
        short = f"{what}: {_ending(card)}"
        title, last, rest = f"{emoji} *{what}* #{approval.approval_id}", f"*{_ending(card)}*", []
    lines = [_asked(approval), f"Votes: {_tally(card)}", last]
    return Message(
        text=listed(" · ", [short, short_sha(approval.sha)]),
        blocks=(section(title), section(listed("\n", lines)), *rest),
    )


def _action(approval: Approval) -> str:
    action = name(approval.action) or "act on"
    return action[:1].upper() + action[1:]


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
        case _:
            return name(approval.status)


def _buttons(card: ApprovalCard, what: str) -> Block:
    """The values name the revision: a click on an outdated card must not count for what it doesn't show."""
    reference = f"{card.approval.approval_id}:{card.approval.revision}"
    elements = [
        button("Approve", action="approve", value=f"approve:{reference}", style="primary"),
        button("Decline", action="decline", value=f"decline:{reference}", style="danger"),
    ]
    if card.production:
        for element in elements:
            element["confirm"] = _confirm(element["text"]["text"], what)
    return {"type": "actions", "block_id": f"approval:{reference}", "elements": elements}


def _confirm(verb: str, what: str) -> Block:
    return {
        "title": plain(f"{verb} for production?"),
        "text": mrkdwn(f"{what}."),
        "confirm": plain(verb),
        "deny": plain("Not now"),
    }
