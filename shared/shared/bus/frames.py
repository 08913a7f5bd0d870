"""Publications as NATS writes them on the wire (HPUB: subject, reply, header block, body)."""

from collections.abc import Mapping

_END = b"\r\n"
_BREAKS = str.maketrans("\r\n", "  ")


def header_block(headers: Mapping[str, str]) -> bytes:
    """Without the blank line that ends it, so that a batch can add its own. Line breaks in values become blanks."""
    lines = [f"{name}: {value}\r\n" for name, value in headers.items() if value]
    text = "".join(lines)
    if text.count("\r") != len(lines) or text.count("\n") != len(lines):
        text = "".join([f"{name}: {value.translate(_BREAKS)}\r\n" for name, value in headers.items() if value])
    return b"NATS/1.0\r\n" + text.encode()


def publication(subject: str, reply: str, block: bytes, body: bytes) -> tuple[bytes, bytes, bytes]:
    """The frame in parts: the body is not copied."""
    size = len(block) + 2
    return b"HPUB %b %b %d %d\r\n%b\r\n" % (subject.encode(), reply.encode(), size, size + len(body), block), body, _END
