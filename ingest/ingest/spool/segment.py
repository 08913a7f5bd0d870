"""The format of a segment file: records one behind the other, each of which proves that it is whole.

A record is `magic, length of content, crc32 of content, crc32 of the three before` and the content (MessagePack of
subject, headers, body). The header has a checksum of its own so that the length of a damaged content can be trusted;
where the header is damaged, the next magic is looked for.
"""

import mmap
import struct
import zlib
from collections.abc import Iterator

import msgspec

from shared.contracts.envelope import Outgoing

Content = bytes | mmap.mmap

MAGIC = b"\xe1EMS"
_PREFIX = struct.Struct(">4sII")
_CHECK = struct.Struct(">I")
HEADER_BYTES = _PREFIX.size + _CHECK.size

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Outgoing)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Where it stands in its file; `message` None: damaged."""

    start: int
    end: int
    message: Outgoing | None


def encode(message: Outgoing) -> bytes:
    content = _encoder.encode(message)
    prefix = _PREFIX.pack(MAGIC, len(content), zlib.crc32(content))
    return prefix + _CHECK.pack(zlib.crc32(prefix)) + content


def records(file: Content, *, at: int = 0) -> Iterator[Record]:
    """In order, from the one at `at`. One that is not complete is not yielded: nobody was told that it is kept."""
    while (content := _content_at(file, at)) is not None:
        start, end, crc = content
        if start > at:  # what lies before it had a damaged header
            yield Record(start=at, end=start, message=None)
        body = file[start + HEADER_BYTES : end]
        yield Record(start=start, end=end, message=_message(body) if zlib.crc32(body) == crc else None)
        at = end


def _content_at(file: Content, at: int) -> tuple[int, int, int] | None:
    """(start, end, crc32) of the first record at or behind `at` whose header is whole and content is there."""
    while at + HEADER_BYTES <= len(file):
        prefix = file[at : at + _PREFIX.size]
        magic, length, crc = _PREFIX.unpack(prefix)
        (check,) = _CHECK.unpack_from(file, at + _PREFIX.size)
        if magic == MAGIC and check == zlib.crc32(prefix):
            end = at + HEADER_BYTES + length
            return (at, end, crc) if end <= len(file) else None
        at = file.find(MAGIC, at + 1)
        if at < 0:
            return None
    return None


def _message(content: bytes) -> Outgoing | None:
    try:
        return _decoder.decode(content)
    except msgspec.DecodeError:
        return None
