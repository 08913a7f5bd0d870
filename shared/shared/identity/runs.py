"""Tokens that a CI mints for its run (OpenID Connect): who trusts an issuer names it and whose runs it may speak for.

Any repository of a public CI can get a token for any audience, so an issuer alone is not enough: what a trust entry
allows is `<issuer>|<pattern>`, the pattern being matched against the repository of the run (else its subject).
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from shared.identity.issuers import Issuer, Unproven, issuer_of

AUDIENCE = "em-agent"
TRUST = "https://"  # what begins like this, of a list with secrets in it, is an entry
# What issuers call the same thing: GitHub Actions, GitLab CI; others say it in `sub` alone.
CLAIMS = {
    "repository": ("repository", "project_path"),
    "environment": ("environment",),
    "actor": ("actor", "user_login"),
    "sha": ("sha",),
    "ref": ("ref",),
    "run": ("run_id", "pipeline_id"),
    "attempt": ("run_attempt", "job_id"),
}
# By which an issuer is known for what it is, wherever it stands.
PLATFORMS = {"project_path": "gitlab", "repository": "github"}


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Whose token it is. `entry` is the index of what allows it, `said` holds the CLAIMS that are there."""

    issuer: str
    platform: str
    entry: int
    said: dict[str, str]


class TrustedRuns:
    """Remembers what it learnt of issuers."""

    def __init__(self) -> None:
        self._issuers: dict[str, Issuer] = {}

    def prove(self, token: str, entries: Sequence[str], now: float) -> Run:
        """Signature, issuer, audience, times and pattern must all hold; seconds since 1970.

        Raises Unproven, and KeyNeeded until the issuer's documents were learnt.
        """
        issuer = issuer_of(token)
        trusted = [(index, pattern) for index, (name, pattern) in enumerate(map(_entry, entries)) if name == issuer]
        if not trusted:
            raise Unproven("iss")
        claims = self._issuers.setdefault(issuer, Issuer(issuer)).claims(token, audience=AUDIENCE, now=now)
        said = _said(claims)
        who = said.get("repository") or str(claims.get("sub", ""))
        for index, pattern in trusted:
            if pattern and fnmatchcase(who, pattern):
                platform = next((name for claim, name in PLATFORMS.items() if claim in claims), "")
                return Run(issuer=issuer, platform=platform, entry=index, said=said)
        raise Unproven("repository")


def are_trusted(issuer: str, entries: Sequence[str]) -> bool:
    """Whether some of its runs are: then nothing else can prove who asks."""
    return any(name == issuer for name, _ in map(_entry, entries))


def _entry(written: str) -> tuple[str, str]:
    """`<issuer>|<pattern>`; an entry without a pattern allows nothing."""
    issuer, _, pattern = written.partition("|") if written.startswith(TRUST) else ("", "", "")
    return issuer, pattern


def _said(claims: Mapping[str, Any]) -> dict[str, str]:
    found = {
        name: next((str(claims[claim]) for claim in spellings if claims.get(claim)), "")
        for name, spellings in CLAIMS.items()
    }
    return {name: value for name, value in found.items() if value.isascii() and value.isprintable() and value}
