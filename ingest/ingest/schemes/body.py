"""HMACs over the body alone. Nothing in them tells when: the store of delivery ids is the defence against replay."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from ingest.headers import Headers
from ingest.schemes.base import Evidence, SignatureInvalid, decoded, hex_after, matching_slot

SIGNATURES_MAX = 16
ALGORITHMS = {b"sha1": "sha1", b"sha256": "sha256", b"sha512": "sha512"}


class HmacHex(msgspec.Struct, frozen=True, kw_only=True):
    """HMAC-SHA256 in lower-case hex behind a fixed prefix, which may be none. `alias` is another name of the header."""

    header: str
    prefix: bytes = b""
    alias: str = ""

    def verify(self, headers: Headers, body: bytes, secrets: Sequence[bytes], now: datetime) -> Evidence:
        header = self.alias if self.alias and not headers.has(self.header) else self.header
        return Evidence(slot=matching_slot([hex_after(self.prefix, headers.single(header))], body, secrets))

    def applies(self, headers: Headers, secrets: Sequence[bytes]) -> bool:
        return headers.has(self.header) or bool(self.alias and headers.has(self.alias))


class HmacBase64(msgspec.Struct, frozen=True, kw_only=True):
    """HMAC-SHA256 in base64 (Heroku)."""

    header: str

    def verify(self, headers: Headers, body: bytes, secrets: Sequence[bytes], now: datetime) -> Evidence:
        return Evidence(slot=matching_slot([decoded(headers.single(self.header))], body, secrets))


class HmacNamed(msgspec.Struct, frozen=True, kw_only=True):
    """`<algorithm>=<hex>`: the header names SHA-1, SHA-256 or SHA-512 (Flux). As HMACs all three are sound."""

    header: str

    def verify(self, headers: Headers, body: bytes, secrets: Sequence[bytes], now: datetime) -> Evidence:
        name, _, _ = headers.single(self.header).partition(b"=")
        algorithm = ALGORITHMS.get(name)
        if algorithm is None:
            raise SignatureInvalid(self.header)
        signature = hex_after(name + b"=", headers.single(self.header))
        return Evidence(slot=matching_slot([signature], body, secrets, algorithm))

    def applies(self, headers: Headers, secrets: Sequence[bytes]) -> bool:
        return headers.has(self.header)


class HmacList(msgspec.Struct, frozen=True, kw_only=True):
    """A comma list of `v1=<hex>`: while rotating, the sender signs with every live key (PagerDuty, CircleCI)."""

    header: str
    version: bytes = b"v1="

    def verify(self, headers: Headers, body: bytes, secrets: Sequence[bytes], now: datetime) -> Evidence:
        values = headers.single(self.header).split(b",")[:SIGNATURES_MAX]
        known = [value.strip() for value in values if value.strip().startswith(self.version)]
        if not known:
            raise SignatureInvalid(self.header)
        return Evidence(slot=matching_slot([hex_after(self.version, value) for value in known], body, secrets))
