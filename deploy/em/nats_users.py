"""The users of a NATS server, as its configuration names them: public keys with their rights, nothing secret."""

import json
from collections.abc import Mapping

import nkeys

from shared.contracts.rights import rights_of
from shared.contracts.subjects import Subjects


def users_file(seeds: Mapping[str, str], subjects: Subjects) -> str:
    """A file for `include` in nats.conf; `seeds` by user."""
    users = "\n".join(_user(user, seed, subjects) for user, seed in seeds.items())
    return f"authorization {{\n  timeout: 5\n  users: [\n{users}\n  ]\n}}\n"


def _user(user: str, seed: str, subjects: Subjects) -> str:
    rights = rights_of(user, subjects)
    return (
        f"    # {user}\n"
        f"    {{ nkey: {_public(seed)}, permissions: {{\n"
        f"      publish: {{ allow: {json.dumps(rights.publish)} }}\n"
        f"      subscribe: {{ allow: {json.dumps(rights.subscribe)} }}\n"
        f"    }} }}"
    )


def _public(seed: str) -> str:
    return str(nkeys.from_seed(seed.encode()).public_key.decode())
