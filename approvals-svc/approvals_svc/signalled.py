"""What a signal of metrics-svc proposes, by the policy's section `signals`. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from approvals_svc.actions import SIGNAL
from approvals_svc.policy import SignalRule
from approvals_svc.proposing import Asked
from approvals_svc.tasks import Comment, Issue, Label, NudgeTask, Reviewer, WebhookAction
from shared.contracts.events import MetricSignalled

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The earlier em-agent's names of rules, by ours of signals.
RULES: Mapping[str, str] = {
    "stale_change": "stale_pr",
    "change_without_review": "pr_without_review",
    "change_without_ticket": "no_ticket_link",
    "wip_limit_exceeded": "wip_limit_exceeded",
}
SIGNALS: Mapping[str, str] = {rule: signal for signal, rule in RULES.items()}
SUBJECTS: Mapping[str, str] = {
    "stale_pr": "{subject} is stale",
    "pr_without_review": "{subject} waits for a first review",
    "no_ticket_link": "{subject} names no ticket",
    "wip_limit_exceeded": "{subject} has too much in progress",
}


def asked(event: MetricSignalled, rule_name: str, rule: SignalRule) -> Asked:
    """Nobody is behind it, so nobody is excluded from deciding."""
    return Asked(
        source=SIGNAL,
        key=f"signal:{rule_name}:{event.id}",
        action=rule.action,
        subject=SUBJECTS[rule_name].format(subject=event.subject),
        payload=payload(event, rule_name, rule),
        requested_by=f"signal {rule_name}",
        reason=event.detail,
        signal=rule_name,
    )


def payload(event: MetricSignalled, rule_name: str, rule: SignalRule) -> dict[str, Any]:
    """What the signal knows, and then what the rule adds or says otherwise."""
    return {**_known(event, SUBJECTS[rule_name].format(subject=event.subject), rule.action), **rule.payload}


def _known(event: MetricSignalled, short: str, action: str) -> dict[str, Any]:
    repository, _, number = event.subject.rpartition("#")
    change = {"repository": repository, "number": int(number)} if number.isdecimal() and repository else {}
    text = ". ".join(part for part in (short, event.detail, event.url) if part)
    match action:
        case NudgeTask.kind:
            return {"text": text, "service": event.service, **({"person": event.author} if event.author else {})}
        case Comment.kind:
            return {**change, "text": text}
        case Label.kind | Reviewer.kind:
            return change
        case Issue.kind:
            return {"title": short, "text": text, **({"repository": repository} if change else {})}
        case WebhookAction.kind:
            return {"type": event.kind, "data": msgspec.to_builtins(event)}
        case _:
            return {}


def example(rule_name: str) -> MetricSignalled:
    """Such a signal: the limit of what is in progress is about a service, all others about a change."""
    about_service = rule_name == "wip_limit_exceeded"
    return MetricSignalled(
        occurred_at=EPOCH,
        signal=SIGNALS[rule_name],
        service="checkout",
        team="",
        subject="checkout" if about_service else "acme/checkout#7",
        since=EPOCH,
    )
