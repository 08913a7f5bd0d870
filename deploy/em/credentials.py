"""Development credentials: generated once, kept in `.em/secrets.json` with mode 0600."""

import base64
import os
import secrets
from collections.abc import Callable, Mapping

import nkeys
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from em.home import Home, read_json, write_json
from em.sandbox.certificate import self_signed
from shared.contracts.rights import USERS
from shared.contracts.services import SERVICES

WEBHOOK_SECRETS = (
    "GITHUB_WEBHOOK_SECRET",
    "PAGERDUTY_WEBHOOK_SECRET",
    "SLACK_SIGNING_SECRET",
    "REPORT_WEBHOOK_SECRET",
)
JWT_KEYS = ("JWT_PRIVATE_KEY", "JWT_PUBLIC_KEY")
GITHUB_APP_KEYS = ("GITHUB_APP_PRIVATE_KEY", "GITHUB_APP_PUBLIC_KEY")
CI_KEYS = ("CI_CERTIFICATE", "CI_KEY")
# Platforms that only the demo's story has.
STORY_SECRETS = ("ARGOCD_WEBHOOK_SECRET", "HEROKU_WEBHOOK_SECRET")
RSA_BITS = 2048

Pair = tuple[str, str]


def development(home: Home, environ: Mapping[str, str]) -> dict[str, str]:
    """What the services need and the environment does not name. Keys come in pairs: half a pair is not completed."""
    kept: dict[str, str] = read_json(home.secrets)
    for name in WEBHOOK_SECRETS:
        kept.setdefault(name, secrets.token_hex(32))
    _keep_pair(kept, JWT_KEYS, _ed25519)
    write_json(home.secrets, kept)
    groups = (*((name,) for name in WEBHOOK_SECRETS), JWT_KEYS)
    wanted = [group for group in groups if not any(_is_given(name, environ) for name in group)]
    return {name: kept[name] for group in wanted for name in group}


def counterparts(home: Home) -> dict[str, str]:
    """What the sandbox's platforms expect: Slack's bot token, an App key (RSA, as GitHub's), GitLab's token,
    what vouches for the CI and what signs callbacks to it. And the secrets of those who send in the demo alone."""
    kept: dict[str, str] = read_json(home.secrets)
    for name in STORY_SECRETS:
        kept.setdefault(name, secrets.token_hex(32))
    kept.setdefault("SLACK_BOT_TOKEN", f"xoxb-{secrets.token_hex(16)}")
    kept.setdefault("GITLAB_TOKEN", f"glpat-{secrets.token_hex(16)}")
    kept.setdefault("CI_CALLBACK_SECRET", f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}")
    _keep_pair(kept, GITHUB_APP_KEYS, _rsa)
    _keep_pair(kept, CI_KEYS, self_signed)
    write_json(home.secrets, kept)
    single = ("SLACK_BOT_TOKEN", "GITLAB_TOKEN", "CI_CALLBACK_SECRET")
    return {name: kept[name] for name in (*single, *GITHUB_APP_KEYS, *CI_KEYS, *STORY_SECRETS)}


def password(home: Home) -> str:
    """Of a PostgreSQL that somebody else starts with it."""
    kept: dict[str, str] = read_json(home.secrets)
    kept.setdefault("POSTGRES_PASSWORD", secrets.token_hex(16))
    write_json(home.secrets, kept)
    return kept["POSTGRES_PASSWORD"]


def nats_seeds(home: Home) -> dict[str, str]:
    """One nkey seed per user of the contracts."""
    kept: dict[str, str] = read_json(home.secrets)
    for user in USERS:
        kept.setdefault(f"NATS_NKEY_SEED_{user.upper()}", new_seed())
    write_json(home.secrets, kept)
    return {user: kept[f"NATS_NKEY_SEED_{user.upper()}"] for user in USERS}


def database_passwords(home: Home) -> dict[str, str]:
    """One password per service with a schema, by its name."""
    kept: dict[str, str] = read_json(home.secrets)
    names = {service.name: f"{service.variable}_DATABASE_PASSWORD" for service in SERVICES if service.schema}
    for name in names.values():
        kept.setdefault(name, secrets.token_hex(16))
    write_json(home.secrets, kept)
    return {service: kept[name] for service, name in names.items()}


def new_seed() -> str:
    return str(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER).decode())


def _is_given(name: str, environ: Mapping[str, str]) -> bool:
    return bool(environ.get(name) or environ.get(f"{name}_FILE"))


def _keep_pair(kept: dict[str, str], names: tuple[str, ...], generate: Callable[[], Pair]) -> None:
    if not all(name in kept for name in names):
        kept.update(zip(names, generate(), strict=True))


def _ed25519() -> Pair:
    return _pem(ed25519.Ed25519PrivateKey.generate())


def _rsa() -> Pair:
    return _pem(rsa.generate_private_key(public_exponent=65_537, key_size=RSA_BITS))


def _pem(key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey) -> Pair:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()
