"""Proves origin as each platform does: what `em send`, the demo and tests put into the headers of a delivery."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping

from ingest.schemes import (
    Buildkite,
    Grafana,
    HmacBase64,
    HmacHex,
    HmacList,
    HmacNamed,
    Linear,
    Scheme,
    SignedOrToken,
    SlackV0,
    StandardWebhooks,
    Token,
)
from ingest.schemes.base import SIGNING_KEY


class Unsignable(ValueError):
    """Nobody but the platform can sign like this."""


def sign(scheme: Scheme, body: bytes, secret: str, now: float | None = None) -> dict[str, str]:
    """Headers that prove the origin of these bytes. Raises Unsignable."""
    at = str(int(time.time() if now is None else now))
    match scheme:
        case HmacHex(header=header, prefix=prefix):
            return {header: prefix.decode() + _hex(secret, body)}
        case HmacBase64(header=header):
            return {header: base64.b64encode(_digest(secret.encode(), body)).decode()}
        case HmacNamed(header=header):
            return {header: f"sha256={_hex(secret, body)}"}
        case HmacList(header=header, version=version):
            return {header: version.decode() + _hex(secret, body)}
        case Linear(header=header):
            return {header: _hex(secret, body)}
        case SlackV0():
            signed = b"v0:" + at.encode() + b":" + body
            return {"x-slack-request-timestamp": at, "x-slack-signature": f"v0={_hex(secret, signed)}"}
        case StandardWebhooks():
            return _standard(body, secret, at)
        case Buildkite(header=header):
            return {header: f"timestamp={at},signature={_hex(secret, at.encode() + b'.' + body)}"}
        case Grafana(header=header):
            return {header: _hex(secret, body)}
        case Token(headers=headers):
            return {headers[0]: secret} if headers else {"authorization": f"Bearer {secret}"}
        case SignedOrToken(signed=StandardWebhooks(), token=token) if not secret.startswith(SIGNING_KEY.decode()):
            return sign(token, body, secret, now)
        case SignedOrToken(signed=signed):
            return sign(signed, body, secret, now)
        case _:
            raise Unsignable(f"only the platform itself can sign with {type(scheme).__name__}")


def _standard(body: bytes, secret: str, at: str) -> dict[str, str]:
    id_ = f"msg_{hashlib.sha256(body).hexdigest()[:24]}"
    key = base64.b64decode(secret.removeprefix(SIGNING_KEY.decode()))
    digest = _digest(key, b".".join((id_.encode(), at.encode(), body)))
    return {
        "webhook-id": id_,
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def _hex(secret: str, signed: bytes) -> str:
    return _digest(secret.encode(), signed).hex()


def _digest(key: bytes, signed: bytes) -> bytes:
    return hmac.digest(key, signed, "sha256")


def fresh(scheme: Scheme, body: bytes, now: float) -> bytes:
    """The body with the present time in it, for the platform that signs the time there (Linear)."""
    if not isinstance(scheme, Linear):
        return body
    told: Mapping[str, object] = json.loads(body)
    return json.dumps({**told, "webhookTimestamp": int(now * 1000)}).encode()
