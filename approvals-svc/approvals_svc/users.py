"""The users file: who may log in here, one line each, `name:role:argon2id hash`; `em users` writes it."""

import base64
import os
import re
import secrets
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import msgspec

from shared.settings import InvalidConfiguration
from shared.settings.oidc import ROLES

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
HASH = re.compile(r"(\$argon2id\$v=19\$m=(\d{1,6}),t=(\d{1,2}),p=(\d{1,2})\$)[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+")
PASSWORD_MIN_CHARACTERS = 12
PASSWORD_MAX_CHARACTERS = 1024
MEMORY_KIB, ITERATIONS, LANES = 19 * 1024, 2, 1  # OWASP's cheat sheet on storing passwords
MEMORY_MAX_KIB = 128 * 1024  # a service has 256 MiB
PARAMETERS = f"$argon2id$v=19$m={MEMORY_KIB},t={ITERATIONS},p={LANES}$"
SALT_BYTES = 16
HASH_BYTES = 32
SECRET_MODE = 0o600


class InvalidUsers(InvalidConfiguration):
    """The text names file and line, never what stands there."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    role: str
    hash: str


class Users:
    def __init__(self, accounts: Iterable[Account] = ()) -> None:
        self.accounts = {account.name: account for account in accounts}

    def verify(self, name: str, password: str) -> Account | None:
        """As slow for a name that nobody has. Takes its time: not for the event loop."""
        account = self.accounts.get(name)
        is_right = _matches(password, account.hash if account else self._decoy())
        return account if account and is_right else None

    def _decoy(self) -> str:
        """Costs what the file's first line costs."""
        first = next(iter(self.accounts.values()), None)
        found = HASH.fullmatch(first.hash) if first else None
        return _decoy(found[1] if found else PARAMETERS)


def load(path: Path | None) -> Users:
    """Nobody, without a file to read. Raises InvalidUsers."""
    if path is None:
        return Users()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidUsers(f"USERS_PATH: {path} can't be read: {type(error).__name__}") from None
    accounts: dict[str, Account] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        account = _account(line.strip(), where=f"{path}, line {number}")
        if account.name in accounts:
            raise InvalidUsers(f"{path}, line {number}: {account.name} stands there twice")
        accounts[account.name] = account
    return Users(accounts.values())


def save(path: Path, users: Users) -> None:
    """Replaces the file as a whole; only its owner may read a new one."""
    mode = path.stat().st_mode & 0o777 if path.exists() else SECRET_MODE
    new = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, SECRET_MODE), "w", encoding="utf-8") as file:
        file.writelines(f"{each.name}:{each.role}:{each.hash}\n" for each in users.accounts.values())
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def hashed(password: str) -> str:
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    function = Argon2id(
        salt=secrets.token_bytes(SALT_BYTES),
        length=HASH_BYTES,
        iterations=ITERATIONS,
        lanes=LANES,
        memory_cost=MEMORY_KIB,
    )
    return function.derive_phc_encoded(password.encode())


def _account(line: str, *, where: str) -> Account:
    name, _, rest = line.partition(":")
    role, _, digest = rest.partition(":")
    if not NAME.fullmatch(name):
        raise InvalidUsers(f"{where}: a name has 1 to 64 letters, digits and . _ @ -")
    if role not in ROLES:
        raise InvalidUsers(f"{where}: the role must be one of {', '.join(ROLES)}")
    found = HASH.fullmatch(digest)
    if found is None or int(found[2]) > MEMORY_MAX_KIB:
        raise InvalidUsers(f"{where}: no argon2id hash of at most {MEMORY_MAX_KIB} KiB follows: write it with em users")
    return Account(name=name, role=role, hash=digest)


def _matches(password: str, digest: str) -> bool:
    from cryptography.exceptions import InvalidKey
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    try:
        Argon2id.verify_phc_encoded(password.encode(), digest)
    except (InvalidKey, ValueError):  # not right, or not possible
        return False
    return True


@lru_cache(maxsize=8)
def _decoy(parameters: str) -> str:
    """A hash of nothing that anybody knows."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(size)).rstrip(b"=").decode() for size in (SALT_BYTES, HASH_BYTES)
    )
    return f"{parameters}{salt}${digest}"
