"""Tokens that a CI mints for its run, in place of a signature: see `shared.identity.runs`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import msgspec

from ingest.headers import Headers
from ingest.schemes.base import TRUST, Evidence, SignatureInvalid, SignatureStale
from shared.identity.issuers import Unproven, Untimely
from shared.identity.runs import TrustedRuns


class Oidc:
    """Fails closed. The claims travel as evidence."""

    def __init__(self) -> None:
        self._runs = TrustedRuns()

    def applies(self, headers: Headers, secrets: Sequence[bytes]) -> bool:
        """A bearer that has the three parts of a JWT, where some issuer is trusted."""
        is_jwt = _bearer(headers).count(b".") == 2
        return is_jwt and any(secret.startswith(TRUST) for secret in secrets)

    def verify(self, headers: Headers, body: bytes, secrets: Sequence[bytes], now: datetime) -> Evidence:
        with _rejections():
            token = _bearer(headers).decode("latin-1")
            run = self._runs.prove(token, [secret.decode() for secret in secrets], now.timestamp())
        return Evidence(slot=run.entry, sender=msgspec.json.encode(run.said).decode())


@contextmanager
def _rejections() -> Iterator[None]:
    try:
        yield
    except Untimely as error:
        raise SignatureStale(str(error)) from None
    except Unproven as error:
        raise SignatureInvalid(str(error)) from None


def _bearer(headers: Headers) -> bytes:
    scheme, _, token = headers.single("authorization").partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""
