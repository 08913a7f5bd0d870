"""Shortcut: what happens to stories. One delivery holds all that one click of a person changed."""

import re
from typing import Any

import msgspec

from normalizer.bodies import moment, read
from normalizer.disposition import Disposition, Events, Ignored
from normalizer.times import Spelling
from normalizer.tolerant import Id, needed_id, text, when
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import Ticket, TicketClosed, TicketCreated, TicketUpdated

STORY = "story"
ACTIONS: dict[str, type[Ticket]] = {"create": TicketCreated, "update": TicketUpdated, "delete": TicketClosed}
NO_FACT = frozenset(
    {
        "branch",
        "commit",
        "custom-field",
        "epic",
        "epic-comment",
        "group",
        "iteration",
        "label",
        "milestone",
        "objective",
        "project",
        "pull-request",
        "reaction",
        "story-comment",
        "story-link",
        "story-task",
        "workflow-state",
    }
)
WORKSPACE = re.compile(r"https://[^/]+/([^/]+)/story/")


class _FlagChange(msgspec.Struct):
    new: bool | None = None


class _StateChange(msgspec.Struct):
    new: Id = None
    old: Id = None


class _TimeChange(msgspec.Struct):
    new: Spelling = None


class _Changes(msgspec.Struct):
    completed: _FlagChange | None = None
    started: _FlagChange | None = None
    workflow_state_id: _StateChange | None = None
    completed_at: _TimeChange | None = None


class _Head(msgspec.Struct):
    entity_type: str | None = None
    action: str | None = None


class _Story(msgspec.Struct):
    """Only a story that was just created is shown whole; of others the body tells what changed."""

    id: Id
    name: str | None = None
    story_type: str | None = None
    app_url: str | None = None
    workflow_state_id: Id = None
    requested_by_id: str | None = None
    owner_ids: list[str] | None = None
    label_ids: list[Id] | None = None
    changes: _Changes | None = None


class _Reference(msgspec.Struct):
    id: Id = None
    entity_type: str | None = None
    name: str | None = None
    type: str | None = None


class _Body(msgspec.Struct):
    actions: list[msgspec.Raw]
    changed_at: Spelling = None
    member_id: str | None = None
    references: list[_Reference] | None = None


def translate(delivery: RawDelivery) -> Disposition:
    """An event per story, in the order of the body. `primary_id` may be a pull request's. Raises Untranslatable."""
    body = read(delivery.body, _Body)
    heads = [read(bytes(action), _Head) for action in body.actions]
    found = tuple(
        _ticket(kind, head.action or "", read(bytes(action), _Story), body, delivery)
        for head, action in zip(heads, body.actions, strict=True)
        if head.entity_type == STORY and (kind := ACTIONS.get(head.action or ""))
    )
    if found:
        return Events(found)
    known = all(head.entity_type in NO_FACT for head in heads)
    return Ignored("no_fact" if known else "unknown_event")


def _ticket(kind: type[Ticket], action: str, story: _Story, body: _Body, delivery: RawDelivery) -> Ticket:
    id_ = needed_id("actions[].id", story.id)
    at = moment("changed_at", body.changed_at)
    changes = story.changes or _Changes()
    moved = changes.workflow_state_id or _StateChange()
    current = moved.new if moved.new is not None else story.workflow_state_id
    deleted = kind is TicketClosed
    state = "closed" if deleted else _state(kind, changes, _reference(body, "workflow-state", current).type)
    closes = deleted or (kind is TicketUpdated and state == "closed")
    completed_at = moment("changes.completed_at.new", (changes.completed_at or _TimeChange()).new)
    reason: dict[str, Any] = {"reason": "deleted" if deleted else ""} if closes else {}
    return (TicketClosed if closes else kind)(
        **when(delivery, at),
        project=_workspace(story),
        key=f"sc-{id_}",
        ticket_id=id_,
        title=story.name or "",
        ticket_type=story.story_type or "",
        state=state,
        status=_status(body, current),
        status_before=_status(body, moved.old),
        action=action,
        author=story.requested_by_id or "",
        assignee=next(iter(story.owner_ids or ()), ""),
        actor=body.member_id or "",
        labels=tuple(name for label in story.label_ids or () if (name := _reference(body, "label", label).name)),
        opened_at=at if kind is TicketCreated else None,
        closed_at=(completed_at or at) if state == "closed" else None,
        url=story.app_url or "",
        **reason,
    )


def _state(kind: type[Ticket], changes: _Changes, type_: str | None) -> str:
    """Empty where the body doesn't tell: an estimate of a story that was done long ago may have changed."""
    if changes.completed and changes.completed.new is not None:
        return "closed" if changes.completed.new else "open"
    if type_:
        return "closed" if type_ == "done" else "open"
    # What is started, or no longer is, can't be done without a change of `completed` as well.
    return "open" if kind is TicketCreated or changes.started else ""


def _status(body: _Body, id: Id) -> str:
    """The state's name; its id where the references leave it out, so that a move is not lost."""
    return _reference(body, "workflow-state", id).name or text(id)


def _reference(body: _Body, entity_type: str, id: Id) -> _Reference:
    for reference in body.references or ():
        if text(id) and text(reference.id) == text(id) and reference.entity_type == entity_type:
            return reference
    return _Reference()


def _workspace(story: _Story) -> str:
    """Told by the address alone; of projects and teams an update says nothing."""
    match = WORKSPACE.match(story.app_url or "")
    return match[1] if match else ""
