"""Whether what waits at a platform is what was decided about. Pure.

Requests for a gate come over the bus, where nobody signed them: before a yes is told, the platform is asked itself.
"""

from collections.abc import Collection, Sequence

import msgspec

from approvals_svc.eligibility import Account
from approvals_svc.policy import Role

STARTERS: Collection[Role] = ("requester", "run_actor")
CREATORS: Collection[Role] = ("requester", "deployment_creator")
OTHERWISE = "than what was decided about"


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """As the approval has it. `creators` and `starters` are accounts whose people were told apart from who decides.

    `deployment_id` empty: the request named none, so only the run is compared.
    """

    deployment_id: str
    sha: str
    creators: tuple[str, ...]
    starters: tuple[str, ...]


def names(involved: Sequence[Account], roles: Collection[Role]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(account.name for account in involved if account.role in roles))


def is_among(login: str, accounts: Sequence[str]) -> bool:
    """Platforms don't tell the cases of names apart."""
    return bool(login) and login.lower() in {account.lower() for account in accounts}


def deployment_differs(bound: Bound, *, environment: str, found_sha: str, found_environment: str, creator: str) -> str:
    """Why it is not the deployment that was decided about, or nothing."""
    if not bound.sha or found_sha != bound.sha:
        return f"the deployment is of another commit {OTHERWISE}"
    if found_environment != environment:
        return f"the deployment is to another environment {OTHERWISE}"
    if not is_among(creator, bound.creators):
        return f"the deployment was created by {creator or 'nobody'}, and nobody was told"
    return ""


def run_differs(bound: Bound, *, head_sha: str, starters: Sequence[str]) -> str:
    """Why it is not the run that was decided about, or nothing. `starters`: who began it, and its newest attempt."""
    if not bound.sha or head_sha != bound.sha:
        return f"the run is of another commit {OTHERWISE}"
    if not starters:
        return "nobody is named who started the run"
    if unknown := [login for login in starters if not is_among(login, bound.starters)]:
        return f"the run was started by {unknown[0]}, and nobody was told"
    return ""
