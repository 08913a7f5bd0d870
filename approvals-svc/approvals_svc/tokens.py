"""Issues tokens: an access token of minutes, and a refresh token that works once and belongs to a session.

Refused
├── LoginRefused     unknown name or wrong password: nobody learns which
├── RefreshRefused   unknown, expired, revoked, or used before
├── TooManyAttempts  of this account lately; or of all, right now
└── NotIssuing       this service has no key to sign with
"""

import asyncio
import hashlib
import hmac
import secrets
import time
from datetime import timedelta
from uuid import UUID, uuid4

import msgspec

from approvals_svc import token_store, users
from approvals_svc.settings import Settings
from approvals_svc.users import PASSWORD_MAX_CHARACTERS, Account, Users
from shared.db import Connection, Pool
from shared.db.polling import look_every
from shared.identity.own import InvalidKey, Keyring, SigningKey
from shared.telemetry import logs, metrics

log = logs.get(__name__)

ATTEMPTS_MAX = 5
ATTEMPTS_WITHIN = timedelta(minutes=1)
WAITING_MAX = 32  # one password is checked at a time: each takes 19 MiB and some hundredths of a second
SECRET_BYTES = 32
TIDY_EVERY_S = 600.0
TIDY_MAX = 1000


class Refused(Exception):
    """Nothing is issued."""


class LoginRefused(Refused):
    pass


class RefreshRefused(Refused):
    pass


class TooManyAttempts(Refused):
    def __init__(self, *, retry_after_s: int) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s


class NotIssuing(Refused):
    pass


class Issued(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer, in the words of RFC 6749."""

    access_token: str
    expires_in: int
    role: str
    token_type: str = msgspec.field(default_factory=lambda: "Bearer")
    refresh_token: str = ""


class Tokens:
    """Raises InvalidKey and InvalidUsers: a service that could let nobody in says so at its start."""

    def __init__(self, settings: Settings, pool: Pool) -> None:
        self._pool = pool
        self._users_path = settings.users_path
        self._access_s = settings.jwt_access_token_expire_minutes * 60
        self._refresh_lifetime = timedelta(days=settings.jwt_refresh_token_expire_days)
        self._key = signing_key(settings)
        self._one = asyncio.Lock()
        self._waiting = 0
        users.load(self._users_path)

    async def log_in(self, name: str, password: str, *, refreshable: bool) -> Issued:
        """Raises LoginRefused, TooManyAttempts, NotIssuing, InvalidUsers."""
        if self._key is None:
            raise NotIssuing
        account = await self._authenticated(name, password)
        if account is None:
            metrics.auth_logins.labels("refused").inc()
            log.info("login.refused")
            raise LoginRefused
        metrics.auth_logins.labels("ok").inc()
        log.info("login.accepted", account=account.name, role=account.role)
        if not refreshable:
            return self._issued(self._key, account)
        session_id, secret = uuid4(), secrets.token_urlsafe(SECRET_BYTES)
        async with self._pool.acquire() as connection:
            await token_store.start_session(
                connection,
                session_id,
                account=account.name,
                credential=_digest(account.hash),
                refresh_hash=_digest(secret),
                lifetime=self._refresh_lifetime,
            )
        return self._issued(self._key, account, refresh_token=f"{session_id}.{secret}")

    async def refresh(self, token: str) -> Issued:
        """A revocation is committed before the refusal is answered.

        Raises RefreshRefused, NotIssuing, InvalidUsers.
        """
        if self._key is None:
            raise NotIssuing
        session_id, secret = _parts(token)
        known = users.load(self._users_path)
        async with self._pool.acquire() as connection, connection.transaction():
            account = await self._of_session(connection, session_id, secret, known)
            if account:
                new = secrets.token_urlsafe(SECRET_BYTES)
                await token_store.rotate(
                    connection, session_id, refresh_hash=_digest(new), lifetime=self._refresh_lifetime
                )
        if account is None:
            metrics.auth_refreshes.labels("refused").inc()
            raise RefreshRefused
        metrics.auth_refreshes.labels("ok").inc()
        return self._issued(self._key, account, refresh_token=f"{session_id}.{new}")

    async def run(self, stop: asyncio.Event) -> None:
        """Forgets what is over."""
        await look_every(TIDY_EVERY_S, self._tidy, stop, name="sessions")

    async def _tidy(self) -> None:
        async with self._pool.acquire() as connection:
            await token_store.forget(connection, attempts_older=ATTEMPTS_WITHIN, limit=TIDY_MAX)

    async def _authenticated(self, name: str, password: str) -> Account | None:
        """An attempt counts from before it is checked until it turns out to be right."""
        if self._waiting >= WAITING_MAX:
            raise self._limited(1)
        self._waiting += 1
        try:
            async with self._one:
                return await self._checked(users.load(self._users_path), name, password)
        finally:
            self._waiting -= 1

    async def _checked(self, known: Users, name: str, password: str) -> Account | None:
        account_hash = _digest(name)
        async with self._pool.acquire() as connection:
            tried_at = await token_store.note_attempt(
                connection, account_hash, attempts_max=ATTEMPTS_MAX, within=ATTEMPTS_WITHIN
            )
        if tried_at is None:
            raise self._limited(int(ATTEMPTS_WITHIN.total_seconds()))
        account = await asyncio.to_thread(known.verify, name, password[:PASSWORD_MAX_CHARACTERS])
        if account:
            async with self._pool.acquire() as connection:
                await token_store.forgive_attempt(connection, account_hash, tried_at=tried_at)
        return account

    async def _of_session(self, tx: Connection, session_id: UUID, secret: str, known: Users) -> Account | None:
        """Whose it is, if this is its valid token: role and password are asked of the users file again."""
        session = await token_store.lock_session(tx, session_id)
        if session is None or session.is_over:
            return None
        account = known.accounts.get(session.account)
        if not hmac.compare_digest(session.refresh_hash, _digest(secret)):
            metrics.auth_refreshes.labels("reused").inc()
            log.warning("session.reused", account=session.account, session=str(session_id))
        elif account and hmac.compare_digest(session.credential, _digest(account.hash)):
            return account
        await token_store.revoke(tx, session_id)
        return None

    def _issued(self, key: SigningKey, account: Account, *, refresh_token: str = "") -> Issued:
        minted = key.mint(subject=account.name, role=account.role, lifetime_s=self._access_s, now=int(time.time()))
        return Issued(access_token=minted, expires_in=self._access_s, role=account.role, refresh_token=refresh_token)

    def _limited(self, retry_after_s: int) -> TooManyAttempts:
        metrics.auth_logins.labels("limited").inc()
        return TooManyAttempts(retry_after_s=retry_after_s)


def signing_key(settings: Settings) -> SigningKey | None:
    """None: this service issues nothing. Raises InvalidKey, also for a key whose tokens nobody would accept."""
    hs256 = settings.jwt_algorithm == "HS256"
    secret = (settings.jwt_secret_key if hs256 else settings.jwt_private_key).get_secret_value()
    if not secret:
        return None
    key = SigningKey.of(settings.jwt_algorithm, secret)
    if not hs256 and settings.jwt_public_key and key.name not in Keyring.of(settings):
        raise InvalidKey("JWT_PRIVATE_KEY: its public half is not in JWT_PUBLIC_KEY, so nobody would accept its tokens")
    return key


def status(settings: Settings) -> str:
    """What /health says."""
    if signing_key(settings) is None:
        return "not issued: JWT_PRIVATE_KEY is missing"
    return "issued" if settings.users_path else "not issued: USERS_PATH names nobody"


def _parts(token: str) -> tuple[UUID, str]:
    head, _, secret = token.partition(".")
    try:
        return UUID(head), secret
    except ValueError:
        raise RefreshRefused from None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
