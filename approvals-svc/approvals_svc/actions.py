"""What we carry out ourselves when it is agreed to: what each kind needs, and the task that does it. Pure."""

import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from approvals_svc import callbacks
from approvals_svc.callback_url import is_repository
from approvals_svc.decision import allows
from approvals_svc.model import Approval, Subject
from approvals_svc.plain import plain, storable
from approvals_svc.tasks import Comment, Issue, Label, NudgeTask, Reviewer, Task, WebhookAction
from shared.contracts.ids import step_of_entity
from shared.contracts.services import APPROVALS_SVC
from shared.contracts.subjects import TOKEN

API = "api"
SIGNAL = "signal"
SOURCES = frozenset({API, SIGNAL})
NUMBER_MAX = 2**31 - 1
TEXT_MAX_CHARACTERS = 4000
WORDS_MAX_CHARACTERS = 600
CLOCKS_DIFFER = timedelta(minutes=5)


class InvalidPayload(ValueError):
    """`fields` lists each field with what is wrong."""

    def __init__(self, fields: list[dict[str, str]]) -> None:
        super().__init__("; ".join(f"{each['field']}: {each['problem']}" for each in fields))
        self.fields = fields


def _repository(value: str) -> str:
    if not is_repository(value):
        raise ValueError("owner/name is needed")
    return value


def _line(value: str) -> str:
    return plain(value, characters_max=TEXT_MAX_CHARACTERS)


def _lines(value: str) -> str:
    """Lines stay lines. What begins a comment in Markdown could pass for a marker of ours, so it is written out."""
    kept = "".join(c for c in value if c == "\n" or unicodedata.category(c) not in ("Cc", "Cs"))
    return kept.replace("<!--", "&lt;!--").strip()


def _filled(value: str) -> str:
    if not value:
        raise ValueError("it is empty")
    return value


Repository = Annotated[str, Field(max_length=140), AfterValidator(_repository)]
Number = Annotated[int, Field(strict=True, ge=1, le=NUMBER_MAX)]
Login = Annotated[str, Field(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})$")]
LabelName = Annotated[str, Field(max_length=50), AfterValidator(_line), AfterValidator(_filled)]
Title = Annotated[str, Field(max_length=256), AfterValidator(_line), AfterValidator(_filled)]
Text = Annotated[str, Field(max_length=TEXT_MAX_CHARACTERS), AfterValidator(_lines)]
FilledText = Annotated[Text, AfterValidator(_filled)]


Target = Annotated[str, Field(pattern=f"^{TOKEN.pattern}$")]
EventType = Annotated[str, Field(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)*$", max_length=100)]
Channel = Annotated[str, Field(pattern=r"^(#[a-z0-9_-]{1,80}|[CG][A-Z0-9]{2,20})$")]
Name = Annotated[str, Field(max_length=100), AfterValidator(_line)]
Document = Annotated[dict[str, Any], AfterValidator(storable)]


class Payload(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CommentPayload(Payload):
    repository: Repository
    number: Number
    text: FilledText


class LabelPayload(Payload):
    repository: Repository
    number: Number
    label: LabelName


class ReviewerPayload(Payload):
    repository: Repository
    number: Number
    reviewer: Login


class IssuePayload(Payload):
    repository: Repository
    title: Title
    text: Text = ""


class WebhookPayload(Payload):
    target: Target
    type: EventType = "em.action"
    data: Document


class NudgePayload(Payload):
    """Without a text it is the proposal's subject; without `channel` and `service` it goes where everything goes."""

    text: Text = ""
    channel: Channel = ""
    service: Name = ""
    person: Name = ""

    @model_validator(mode="after")
    def _one_place(self) -> "NudgePayload":
        if self.channel and self.service:
            raise ValueError("channel or service, not both")
        return self


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """`words` say what would be done, for whoever decides; `does` and `once` are for the page of docs."""

    payload: type[Payload]
    task: Callable[[Approval], Task]
    words: Callable[[Mapping[str, Any]], str]
    does: str
    once: str


def checked(action: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The payload of a kind as it will be carried out. Raises InvalidPayload."""
    try:
        found = KINDS[action].payload.model_validate(dict(payload))
    except ValidationError as error:
        fields = [{"field": ".".join(map(str, each["loc"])), "problem": each["msg"]} for each in error.errors()]
        raise InvalidPayload(fields) from None
    return found.model_dump(exclude_defaults=True)


def in_words(action: str, payload: Mapping[str, Any]) -> str:
    """What would be done; nothing for what we don't carry out."""
    kind = KINDS.get(action)
    if kind is None:
        return ""
    known = dict.fromkeys(kind.payload.model_fields, "") | dict(payload)
    return plain(kind.words(known), characters_max=WORDS_MAX_CHARACTERS)


def is_ours(subject: Subject) -> bool:
    """Whether we carry it out: others may call their actions as they like."""
    return subject.source in SOURCES and subject.action in KINDS


def carry_out(approval: Approval) -> tuple[Task, ...]:
    """The task of a yes, if it is ours to do; a no has none."""
    if not is_ours(approval.subject) or not allows(approval.status, approval.decision):
        return ()
    return (KINDS[approval.subject.action].task(approval),)


# ---- the kinds -----------------------------------------------------------------------------------------------------


def marker(approval: Approval) -> str:
    """Nobody sees it, and no other text of ours holds it."""
    return f"<!-- em-agent {approval.public_id} -->"


def _since(approval: Approval) -> datetime:
    return (approval.decided_at or approval.created_at) - CLOCKS_DIFFER


def _comment(approval: Approval) -> Comment:
    payload = approval.subject.payload
    return Comment(**payload, marker=marker(approval), since=_since(approval))


def _webhook(approval: Approval) -> WebhookAction:
    payload = WebhookPayload.model_validate(approval.subject.payload)
    return WebhookAction(
        target=payload.target,
        message_id=callbacks.message_id(approval, WebhookAction.kind),
        body=callbacks.message(payload.type, at=approval.decided_at or approval.created_at, told=payload.data),
    )


def _nudge(approval: Approval) -> NudgeTask:
    subject = approval.subject
    payload = NudgePayload.model_validate(subject.payload)
    return NudgeTask(
        id=step_of_entity(
            service=APPROVALS_SVC.name, entity=f"nudge:{approval.public_id}", revision=approval.revision, step="asked"
        ),
        text=payload.text or subject.subject,
        channel=payload.channel,
        service=payload.service,
        person=payload.person,
        asked_by=subject.requested_by,
        origin=approval.origin,
    )


def _nudge_in_words(payload: Mapping[str, Any]) -> str:
    place = payload["channel"] or f"the channel of {payload['service'] or 'all'}"
    return f"tell {payload['person'] or 'everybody'} in {place}: {payload['text'] or 'the subject'}"


def _issue(approval: Approval) -> Issue:
    payload = {"text": "", **approval.subject.payload}
    return Issue(**payload, marker=marker(approval), since=_since(approval))


KINDS: Mapping[str, Kind] = {
    Comment.kind: Kind(
        payload=CommentPayload,
        task=_comment,
        words="comment on {repository}#{number}: {text}".format_map,
        does="comments on a change or an issue",
        once="the comment carries the approval's public id, hidden, and is looked for by it",
    ),
    Label.kind: Kind(
        payload=LabelPayload,
        task=lambda approval: Label(**approval.subject.payload),
        words="label {repository}#{number} with {label}".format_map,
        does="adds a label to a change or an issue",
        once="labels are compared; one that is there is not added",
    ),
    Reviewer.kind: Kind(
        payload=ReviewerPayload,
        task=lambda approval: Reviewer(**approval.subject.payload),
        words="ask {reviewer} to review {repository}#{number}".format_map,
        does="asks somebody for a review",
        once="reviewers are compared; who is asked, or has reviewed since, is not asked again",
    ),
    Issue.kind: Kind(
        payload=IssuePayload,
        task=_issue,
        words="open an issue in {repository}: {title}. {text}".format_map,
        does="opens an issue",
        once="the issue carries the approval's public id, hidden, and is looked for among the newest",
    ),
    WebhookAction.kind: Kind(
        payload=WebhookPayload,
        task=_webhook,
        words="send {type} to {target}: {data}".format_map,
        does="sends a signed webhook to a target of `WEBHOOK_TARGETS`",
        once="every try has the same `webhook-id` and body, by which the receiver knows it again",
    ),
    NudgeTask.kind: Kind(
        payload=NudgePayload,
        task=_nudge,
        words=_nudge_in_words,
        does="posts a message in Slack, by notifier",
        once="notifier is asked under one id, posts it once, and says so; a dry run has not told anybody",
    ),
}
