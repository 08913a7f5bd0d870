"""Who wrote a commit, as far as a push tells: its author and `Co-authored-by`. Pure."""

import re

from approvals_svc.eligibility import Account
from approvals_svc.plain import plain
from shared.contracts.events import Commit

NAME_MAX_CHARACTERS = 255
AUTHORS_MAX = 50
SHA = re.compile(r"[0-9a-fA-F]{7,64}")
TRAILER = re.compile(r"^co-authored-by:[^<\n]{0,200}<([^<>\s]{3,254})>[ \t]*$", re.IGNORECASE | re.MULTILINE)
# An address that GitHub gives out in place of one's own: 123+login@..., or login@... of old.
HIDDEN = re.compile(r"(?:[0-9]+\+)?([^+@]+)@users\.noreply\.github\.com", re.IGNORECASE)


def is_sha(text: str) -> bool:
    return SHA.fullmatch(text) is not None


def authors(commit: Commit, *, platform: str) -> tuple[Account, ...]:
    """The author under the platform's name, the others under their addresses."""
    named = [Account(role="commit_authors", platform=platform, name=commit.author)] if commit.author else []
    others = [_account(address) for address in TRAILER.findall(commit.message)[:AUTHORS_MAX]]
    return tuple(dict.fromkeys(_plain(account) for account in (*named, *others)))


def _account(address: str) -> Account:
    hidden = HIDDEN.fullmatch(address)
    if hidden:
        return Account(role="commit_authors", platform="github", name=hidden[1])
    return Account(role="commit_authors", platform="email", name=address)


def _plain(account: Account) -> Account:
    name = plain(account.name, characters_max=NAME_MAX_CHARACTERS)
    return Account(role=account.role, platform=account.platform, name=name)
