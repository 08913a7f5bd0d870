"""Where a gate is answered: rebuilt from our own settings. The URL that came from outside is compared, never requested.

The rules are those of approvals.md, section 7.1.
"""

import re
from typing import NamedTuple

from approvals_svc.gate_rules import UnsafeReference

REPOSITORY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}")
NUMBER = re.compile(r"[0-9]{1,20}")
# No userinfo, query, fragment, percent sign or backslash fits into this; IPv6 literals don't either.
PLAIN_URL = re.compile(r"(https?)://([A-Za-z0-9.-]{1,253})(?::([0-9]{1,5}))?((?:/[A-Za-z0-9._-]+)+)", re.IGNORECASE)
DEFAULT_PORTS = {"http": 80, "https": 443}


class _Parts(NamedTuple):
    scheme: str
    host: str
    port: int
    path: str


def is_repository(name: str) -> bool:
    """owner/name, as it may stand in a path."""
    return bool(REPOSITORY.fullmatch(name)) and name.rpartition("/")[2] not in (".", "..")


def repository_url(api_url: str, repository: str) -> str:
    """Raises UnsafeReference."""
    if not is_repository(repository):
        raise UnsafeReference("the repository's name is not owner/name")
    return f"{api_url.rstrip('/')}/repos/{repository}"


def run_url(api_url: str, *, repository: str, run_id: str) -> str:
    """URL of a workflow run in the API. Raises UnsafeReference."""
    url = repository_url(api_url, repository)
    if not NUMBER.fullmatch(run_id):
        raise UnsafeReference("the run id is not a number")
    return f"{url}/actions/runs/{run_id}"


def deployment_url(api_url: str, *, repository: str, deployment_id: str) -> str:
    """Raises UnsafeReference."""
    url = repository_url(api_url, repository)
    if not NUMBER.fullmatch(deployment_id):
        raise UnsafeReference("the deployment id is not a number")
    return f"{url}/deployments/{deployment_id}"


def rule_url(api_url: str, *, repository: str, run_id: str) -> str:
    """Where the answer goes. Raises UnsafeReference."""
    return f"{run_url(api_url, repository=repository, run_id=run_id)}/deployment_protection_rule"


def check_callback(received: str, *, api_url: str, repository: str, run_id: str) -> None:
    """Raises UnsafeReference unless the received URL names the very place where we answer anyway."""
    expected = _parts(rule_url(api_url, repository=repository, run_id=run_id))
    found = _parts(received)
    if expected is None:
        raise UnsafeReference("the configured API has no plain URL")
    if found is None:
        raise UnsafeReference("the callback is not a plain URL")
    for part, named, ours in zip(_Parts._fields, found, expected, strict=True):
        if named != ours:
            raise UnsafeReference(f"the callback has another {part} than the configured API's")


def _parts(url: str) -> _Parts | None:
    """Lower case throughout: GitHub's owners and repositories don't tell cases apart."""
    found = PLAIN_URL.fullmatch(url)
    if not found:
        return None
    scheme, host, port, path = found[1].lower(), found[2].lower(), found[3], found[4].lower()
    return _Parts(scheme, host, int(port) if port else DEFAULT_PORTS[scheme], path)
