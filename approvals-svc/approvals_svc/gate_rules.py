"""What a gate is checked against, and by what it is found again, whichever platform it waits at."""

from collections.abc import Set

import msgspec

ENVIRONMENT_MAX_CHARACTERS = 255  # GitHub's and GitLab's own limit


class UnsafeReference(ValueError):
    """Something of a gate that no URL of ours is built from; the text says why, not what it was."""


class GateRules(msgspec.Struct, frozen=True, kw_only=True):
    """`github_installations` empty: every installation of the App. `gitlab_is_answered`: there is a token for it."""

    github_api_url: str
    acting_origins: Set[str]
    github_installations: Set[str] = frozenset()
    gitlab_is_answered: bool = False


def run_reference(run_id: str) -> str:
    return f"run:{run_id}"


def deployment_reference(deployment_id: str) -> str:
    return f"deployment:{deployment_id}"


def change_reference(number: int) -> str:
    return f"change:{number}"


def check_environment(name: str) -> None:
    """Raises UnsafeReference."""
    if not 0 < len(name) <= ENVIRONMENT_MAX_CHARACTERS or not name.isprintable():
        raise UnsafeReference("the environment's name can't be one of a platform's")
