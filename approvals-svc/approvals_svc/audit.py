"""The audit chain: each row's hash covers the one before, so that an edit, deletion or swap shows. Pure.

Canonical form as in approvals.md, section 9: UTF-8, sorted keys, no spaces, NFC, times as UTC RFC 3339.
"""

import hashlib
import json
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from shared.contracts.envelope import rfc3339


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who did it: a person of the catalog as far as known, the account, and where."""

    person: str
    identity: str
    surface: str


SYSTEM = Actor(person="", identity="approvals-svc", surface="system")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    approval_id: int
    seq: int
    at: datetime
    actor: Actor
    verb: str
    before: str
    after: str
    detail: dict[str, str]
    prev_hash: str
    hash: str = ""


def genesis(public_id: str) -> str:
    return hashlib.sha256(f"approval:{public_id}".encode()).hexdigest()


def sealed(entry: Entry) -> Entry:
    return msgspec.structs.replace(entry, hash=_hash(entry))


def first_bad(entries: Sequence[Entry], *, public_id: str, seq: int, head: str) -> int | None:
    """Number of the first row that is not as it was written, given the head on the approval; None: all are."""
    previous = genesis(public_id)
    for number, entry in enumerate(entries, start=1):
        if entry.seq != number or entry.prev_hash != previous or entry.hash != _hash(entry):
            return number
        previous = entry.hash
    return None if (len(entries), previous) == (seq, head) else len(entries) + 1


def canonical(value: Any) -> bytes:
    return json.dumps(_normal(value), ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _hash(entry: Entry) -> str:
    fields = msgspec.structs.asdict(entry)
    del fields["hash"], fields["prev_hash"]
    fields["actor"] = msgspec.structs.asdict(entry.actor)
    return hashlib.sha256(bytes.fromhex(entry.prev_hash) + canonical(fields)).hexdigest()


def _normal(value: Any) -> Any:
    match value:
        case str():
            return unicodedata.normalize("NFC", value)
        case datetime():
            return rfc3339(value)
        case dict():
            return {_normal(key): _normal(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_normal(inner) for inner in value]
        case _:
            return value
