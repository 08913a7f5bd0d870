"""What of a proposal people may change while it waits. Pure: a typed patch in, the new content out."""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from approvals_svc.actions import InvalidPayload, checked, is_ours
from approvals_svc.audit import canonical
from approvals_svc.eligibility import CATALOG, Account
from approvals_svc.model import Subject
from approvals_svc.plain import plain

VALUE_MAX_CHARACTERS = 1000
# Fields of the payload, by action. A deploy is bound to its sha and its run: nothing of it can be changed.
EDITABLE: Mapping[str, frozenset[str]] = {
    "label": frozenset({"label"}),
    "nudge": frozenset({"text"}),
    "assign_reviewer": frozenset({"reviewer"}),
    "comment_summary": frozenset({"text"}),
    "issue_create": frozenset({"title", "text"}),
}


class NotEditable(ValueError):
    """The text says which field, and what can be changed."""


def edited(subject: Subject, patch: Mapping[str, str], *, editor: str) -> Subject:
    """Raises NotEditable. Who changes what is asked has asked it."""
    allowed = EDITABLE.get(subject.action, frozenset())
    if refused := sorted(set(patch) - allowed):
        can = f"only {', '.join(sorted(allowed))}" if allowed else "nothing"
        raise NotEditable(f"{refused[0]} can't be changed: {can} of a {subject.action} can")
    if not patch:
        raise NotEditable("the patch changes nothing")
    account = Account(role="requester", platform=CATALOG, name=editor)
    involved = subject.involved if account in subject.involved else (*subject.involved, account)
    return msgspec.structs.replace(subject, payload=_patched(subject, patch), involved=involved)


def _patched(subject: Subject, patch: Mapping[str, str]) -> dict[str, Any]:
    if not is_ours(subject):
        new = {name: plain(value, characters_max=VALUE_MAX_CHARACTERS) for name, value in patch.items()}
        return {**subject.payload, **new}
    try:
        return checked(subject.action, {**subject.payload, **patch})
    except InvalidPayload as error:
        raise NotEditable(str(error)) from None


def content_hash(subject: Subject) -> str:
    """Of what is decided about; who had a part in it, and what the catalog makes of it, is no content."""
    content = msgspec.to_builtins(subject)
    for field in ("involved", "facts", "service"):
        del content[field]
    return hashlib.sha256(canonical(content)).hexdigest()
