"""The format of a segment file: records one behind the other, each of which proves that it is whole.

A record is `magic, length of content, crc32 of content, crc32 of the three before` and the content (MessagePack of
subject, headers, body). The header has a checksum of its own so that the length of a damaged content can be trusted;
where the header is damaged, the next whole record is looked for.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Protocol

import msgspec

from shared.contracts.envelope import Outgoing

MAGIC = b"\xe1EMS"
_PREFIX = struct.Struct(">4sII")
_CHECK = struct.Struct(">I")
HEADER_BYTES = _PREFIX.size + _CHECK.size

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Outgoing)


class Content(Protocol):
    """What a segment holds: `bytes`, or a file that is read piece by piece."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes: ...

    def find(self, sought: bytes, start: int, /) -> int: ...


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Where it stands in its file; `message` None: damaged."""

    start: int
    end: int
    message: Outgoing | None

    @property
    def size(self) -> int:
        return self.end - self.start


class _Header(msgspec.Struct, frozen=True):
    end: int
    crc: int


def encode(message: Outgoing) -> bytes:
    content = _encoder.encode(message)
    prefix = _PREFIX.pack(MAGIC, len(content), zlib.crc32(content))
    return prefix + _CHECK.pack(zlib.crc32(prefix)) + content


def records(file: Content, *, at: int = 0) -> Iterator[Record]:
    """In order, from the one at `at`; what lies between two whole ones, or behind the last, is one that is damaged.

    A torn tail is not yielded: nobody was told that it is kept. It is a header that is whole before a content that is
    not, or less than a header. A damaged header is no torn tail: it may be that of a record somebody was told of.
    """
    while at + HEADER_BYTES <= len(file):
        header = _header_at(file, at)
        if header is None:
            record = Record(start=at, end=_next_whole(file, at + 1), message=None)
        elif header.end <= len(file):
            record = Record(start=at, end=header.end, message=_message(file, at, header))
        else:
            return
        yield record
        at = record.end


def _header_at(file: Content, at: int) -> _Header | None:
    raw = file[at : at + HEADER_BYTES]
    if len(raw) < HEADER_BYTES:
        return None
    magic, length, crc = _PREFIX.unpack_from(raw)
    (check,) = _CHECK.unpack_from(raw, _PREFIX.size)
    if magic != MAGIC or check != zlib.crc32(raw[: _PREFIX.size]):
        return None
    return _Header(at + HEADER_BYTES + length, crc)


def _next_whole(file: Content, at: int) -> int:
    """The end of the file where there is none. What only looks like a header, in somebody's body, must hide nothing:
    its content is checked as well."""
    while (at := file.find(MAGIC, at)) >= 0:
        header = _header_at(file, at)
        if header and header.end <= len(file) and _message(file, at, header):
            return at
        at += 1
    return len(file)


def _message(file: Content, at: int, header: _Header) -> Outgoing | None:
    content = file[at + HEADER_BYTES : header.end]
    if zlib.crc32(content) != header.crc:
        return None
    try:
        return _decoder.decode(content)
    except msgspec.DecodeError:
        return None
