"""Request headers as bytes, with the two rules that every scheme needs."""

import re
from collections.abc import Iterable

PRINTABLE = re.compile(rb"[\x20-\x7e]{0,256}")
DELIVERY_ID = re.compile(r"[\x21-\x7e]{1,200}")  # sources.md 1.5; anything else is replaced by the body's hash


class Headers:
    """Names are lower case; values are bytes as they came. `url_token` is the one that came in the URL, if any."""

    def __init__(self, raw: Iterable[tuple[bytes, bytes]], url_token: bytes = b"") -> None:
        self.url_token = url_token
        self._values: dict[bytes, bytes] = {}
        self._contradictory: set[bytes] = set()
        for given, value in raw:
            name = given.lower()
            if self._values.setdefault(name, value) != value:
                self._contradictory.add(name)

    def single(self, name: str) -> bytes:
        """Empty when the header is absent or came twice with different values: neither is guessed."""
        key = name.encode()
        return b"" if key in self._contradictory else self._values.get(key, b"")

    def text(self, name: str) -> str:
        """Printable ASCII of at most 256 characters, else nothing: header values travel on the bus."""
        value = self.single(name)
        return value.decode("ascii") if PRINTABLE.fullmatch(value) else ""

    def has(self, name: str) -> bool:
        return name.encode() in self._values
