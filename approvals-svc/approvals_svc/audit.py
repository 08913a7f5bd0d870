"""The audit chain: each row's hash covers the one before, so that an edit, deletion or swap shows. Pure.

Canonical form as in approvals.md, section 9: UTF-8, sorted keys, no spaces, NFC, times as UTC RFC 3339.
"""

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from shared.contracts.envelope import rfc3339

FIRST_ANCHOR = hashlib.sha256(b"anchor").hexdigest()

_encoder = msgspec.json.Encoder(order="sorted")


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


class Row(Protocol):
    """A row of the table, its documents as JSON text."""

    def __getitem__(self, column: str, /) -> Any: ...


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """How far an approval's chain goes, and the hash of its last row."""

    approval_id: int
    seq: int
    head: str


class Anchor(msgspec.Struct, frozen=True, kw_only=True):
    """`approvals` is how many changed since the anchor before."""

    number: int
    at: datetime
    approvals: int
    prev_hash: str
    hash: str


class Chain:
    """Follows one approval's rows in the order of their numbers; each answer is empty, or what is wrong."""

    def __init__(self, public_id: str) -> None:
        self._seq = 0
        self._head = genesis(public_id)
        self._status = ""

    def take(self, row: Row) -> str:
        """A row of the table as it is stored: texts are hashed as they are, so that an equivalent one shows too."""
        if row["seq"] != self._seq + 1:
            return f"stands where row {self._seq + 1} must"
        if row["prev_hash"] != self._head:
            return "does not follow the row before it"
        try:
            fits = row["hash"] == row_hash(self._head, stored_fields(row))
        except (ValueError, msgspec.MsgspecError):
            fits = False
        if not fits:
            return "is not as it was written"
        self._seq, self._head, self._status = row["seq"], row["hash"], row["after"]
        return ""

    def end(self, *, seq: int, head: str, status: str) -> str:
        """Against what the approval itself says."""
        if not self._seq:
            return "has no row"
        if (self._seq, self._head) != (seq, head):
            return f"says that its last row is {seq} ({head[:12]}), but it is {self._seq} ({self._head[:12]})"
        return "" if status == self._status else f"is {status}, but its last row says {self._status}"


def genesis(public_id: str) -> str:
    return hashlib.sha256(f"approval:{public_id}".encode()).hexdigest()


def sealed(entry: Entry) -> Entry:
    """With its hash. Texts become NFC here: what is stored is what was hashed."""
    fields = {**msgspec.structs.asdict(entry), "actor": msgspec.structs.asdict(entry.actor)}
    del fields["hash"], fields["prev_hash"]
    normal = _normal(fields)
    return msgspec.structs.replace(
        entry,
        actor=msgspec.convert(normal["actor"], Actor),
        detail=normal["detail"],
        hash=row_hash(entry.prev_hash, normal),
    )


def row_hash(prev_hash: str, fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(bytes.fromhex(prev_hash) + _encoder.encode(fields)).hexdigest()


def stored_fields(row: Row) -> dict[str, Any]:
    """What the hash of a stored row covers, besides the hash before."""
    return {
        "approval_id": row["approval_id"],
        "seq": row["seq"],
        "at": rfc3339(row["at"]),
        "actor": msgspec.json.decode(row["actor"]),
        "verb": row["verb"],
        "before": row["before"],
        "after": row["after"],
        "detail": msgspec.json.decode(row["detail"]),
    }


def exported(row: Row) -> dict[str, Any]:
    """A row as it leaves us: all that its hash covers, in the form in which it does, and what its chain begins with."""
    return {
        **stored_fields(row),
        "public_id": row["public_id"],
        "prev_hash": row["prev_hash"],
        "hash": row["hash"],
    }


def next_anchor(previous: Anchor | None, heads: Sequence[Head], *, at: datetime) -> Anchor:
    """Over everything that changed since the previous one, in the order of the approvals."""
    number, prev_hash = (previous.number + 1, previous.hash) if previous else (1, FIRST_ANCHOR)
    return Anchor(
        number=number,
        at=at,
        approvals=len(heads),
        prev_hash=prev_hash,
        hash=anchor_hash(prev_hash, number, heads, at=at),
    )


def anchor_hash(prev_hash: str, number: int, heads: Sequence[Head], *, at: datetime) -> str:
    changed = [(head.approval_id, head.seq, head.head) for head in heads]
    return row_hash(prev_hash, {"number": number, "at": rfc3339(at), "changed": changed})


def canonical(value: Any) -> bytes:
    return _encoder.encode(_normal(value))


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
