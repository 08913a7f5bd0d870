"""The form that asks who declines for a reason. Pure.

approvals-svc reads it from Slack's signed bytes: field, callback and private metadata are what it looks for.
"""

import re

import msgspec

from notifier.blocks import Block, name, plain, section
from notifier.mrkdwn import text
from shared.contracts.events import Approval, ChatAction

ACTION = "decline_with_reason"  # the button that opens it
CALLBACK = "decline"
FIELD = "reason"
VALUE = re.compile(r"decline:([1-9][0-9]{0,17}):([1-9][0-9]{0,8})")
CHANNEL = re.compile(r"[A-Z0-9]{1,32}")
REASON_MAX_CHARACTERS = 1000
SUBJECT_MAX_CHARACTERS = 300


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody pressed the button: on which approval, as its card showed it."""

    approval_id: int
    revision: int

    @property
    def thing(self) -> str:
        return f"approval:{self.approval_id}"


def wanted(action: ChatAction) -> Wanted | None:
    """None for another button, and for one that carries what none of ours carries."""
    found = VALUE.fullmatch(action.value) if action.callback == ACTION else None
    if found is None or not CHANNEL.fullmatch(action.channel):
        return None
    return Wanted(approval_id=int(found[1]), revision=int(found[2]))


def view(approval: Approval, *, channel: str) -> Block:
    """A modal, https://docs.slack.dev/surfaces/modals. Answers about the vote go to `channel`."""
    about = f"{name(approval.service)} to {name(approval.environment)}"
    subject = text(approval.subject, characters_max=SUBJECT_MAX_CHARACTERS)
    return {
        "type": "modal",
        "callback_id": CALLBACK,
        "private_metadata": f"decline:{approval.approval_id}:{approval.revision}:{channel}",
        "title": plain(f"Decline #{approval.approval_id}"[:24]),
        "submit": plain("Decline"),
        "close": plain("Not now"),
        "blocks": [
            section(f"*{about}*\n{subject}"),
            {
                "type": "input",
                "block_id": FIELD,
                "label": plain("Why?"),
                "element": {
                    "type": "plain_text_input",
                    "action_id": FIELD,
                    "multiline": True,
                    "min_length": 1,
                    "max_length": REASON_MAX_CHARACTERS,
                },
            },
        ],
    }


def instead(approval: Approval) -> str:
    """What to do where the form can't be opened any more: Slack allows it for three seconds after the click."""
    return f"The form could not be opened in time. Say: `/em decline {approval.approval_id} <reason>`"
