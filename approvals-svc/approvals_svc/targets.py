"""Where signed webhooks may go: registered names alone, each with a plain https URL and one or two keys."""

import base64
import binascii
import ipaddress
import re
from collections.abc import Collection, Iterable, Mapping

import msgspec

from shared.contracts.subjects import TOKEN
from shared.http.outbound import is_public

SECRET_PREFIX = "whsec_"  # noqa: S105  of Standard Webhooks
KEY_MIN_BYTES, KEY_MAX_BYTES = 24, 64
KEYS_MAX = 2
# No userinfo, query, fragment, percent sign, backslash or IPv6 literal fits into this.
LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
URL = re.compile(rf"https://({LABEL}(?:\.{LABEL})*)(?::([0-9]{{1,5}}))?((?:/[A-Za-z0-9._~-]+)*/?)")
NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")  # a last label that some resolvers take for an IPv4 address
PORT_MAX = 65535


class InvalidTarget(ValueError):
    """The text names the target and what is wrong, and shows neither URL nor secret."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """`keys`: what each message is signed with; two while rotating."""

    name: str
    url: str
    keys: tuple[bytes, ...]


def read_targets(urls: Iterable[str], secrets: Iterable[str], *, private_hosts: Collection[str]) -> dict[str, Target]:
    """From `name=url` and `name=whsec_…` pairs; a name whose secret comes twice is rotating. Raises InvalidTarget."""
    keys: dict[str, tuple[bytes, ...]] = {}
    for name, secret in map(_pair, secrets):
        keys[name] = (*keys.get(name, ()), _key(name, secret))
    found: dict[str, Target] = {}
    for name, url in map(_pair, urls):
        if name in found:
            raise InvalidTarget(f"{name}: named twice")
        check_url(name, url, private_hosts)
        found[name] = Target(name=name, url=url, keys=_keys(name, keys))
    if stray := sorted(keys.keys() - found.keys()):
        raise InvalidTarget(f"{stray[0]}: there is a secret and no URL")
    return found


def check_url(name: str, url: str, private_hosts: Collection[str]) -> None:
    """Raises InvalidTarget. What a name resolves to is checked at each send."""
    parts = URL.fullmatch(url)
    if parts is None or {".", ".."} & set(parts[3].split("/")):
        raise InvalidTarget(f"{name}: must look like https://ci.acme.example/hooks")
    if parts[2] and not 0 < int(parts[2]) <= PORT_MAX:
        raise InvalidTarget(f"{name}: there is no such port")
    if parts[1] not in private_hosts and not _may_be_public(parts[1]):
        raise InvalidTarget(f"{name}: lies in no public network, and WEBHOOK_PRIVATE_HOSTS doesn't name it")


def _may_be_public(host: str) -> bool:
    """A name may; an address is asked; a number in another notation never is one."""
    if not NUMERIC.fullmatch(host.rpartition(".")[2]):
        return True
    try:
        return is_public(str(ipaddress.IPv4Address(host)))
    except ValueError:
        return False


def _pair(written: str) -> tuple[str, str]:
    name, _, value = written.partition("=")
    if not TOKEN.fullmatch(name) or not value:
        raise InvalidTarget(f"each is `name=value`, a name being {TOKEN.pattern}")
    return name, value


def _key(name: str, secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(SECRET_PREFIX) or not KEY_MIN_BYTES <= len(key) <= KEY_MAX_BYTES:
        size = f"{KEY_MIN_BYTES} to {KEY_MAX_BYTES} bytes"
        raise InvalidTarget(f"{name}: a secret is {SECRET_PREFIX} and {size} in base64")
    return key


def _keys(name: str, keys: Mapping[str, tuple[bytes, ...]]) -> tuple[bytes, ...]:
    found = keys.get(name, ())
    if not 0 < len(found) <= KEYS_MAX:
        raise InvalidTarget(f"{name}: one secret is needed, or two while rotating")
    return found
