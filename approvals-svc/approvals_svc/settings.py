"""Settings of approvals-svc."""

from pathlib import Path
from urllib.parse import urlsplit

from jwt.algorithms import RSAAlgorithm
from jwt.exceptions import InvalidKeyError
from pydantic import Field, SecretStr, model_validator

from approvals_svc.targets import InvalidTarget, Target, read_targets
from shared.settings import CatalogSettings, CommaList


class Settings(CatalogSettings):
    approvals_svc_port: int = Field(8003, description="Port of approvals-svc's HTTP server")
    approvals_sla_s: float = Field(
        14_400, gt=0, description="How long an approval may wait before approvals_sla_breached and the report count it"
    )
    policy_path: Path | None = Field(
        None, description="policy.yaml; without it one person who didn't ask must agree to everything"
    )
    slack_signing_secret: SecretStr = Field(
        SecretStr(""), description="Slack's signing secret, comma list while rotating; without it no click votes"
    )
    github_api_url: str = Field("https://api.github.com", description="GitHub's API; callbacks go nowhere else")
    github_app_id: str = Field("", description="The GitHub App that answers deployment protection rules")
    github_app_private_key: SecretStr = Field(SecretStr(""), description="The App's private key, PEM")
    github_installations: str = Field(
        "", description="Ids of the App's installations that are answered, comma list; empty: every one"
    )
    github_reports: bool = Field(True, description="Show at GitHub how far the approval of a waiting deployment is")
    github_sweep_s: int = Field(
        60, ge=0, le=3600, description="Seconds between looks for deployments whose webhook never came; 0: never"
    )
    github_sweep_status: str = Field(
        "waiting", description="The status GitHub is asked for to list them; empty: its newest runs are gone through"
    )
    github_teams_stale_s: int = Field(
        3600,
        ge=60,
        le=86_400,
        description="How long members of a GitHub team count, where they can't be read again",
    )
    gitlab_api_url: str = Field("https://gitlab.com/api/v4", description="GitLab's API; answers go nowhere else")
    gitlab_token: SecretStr = Field(
        SecretStr(""), description="Token (scope api) of the user that votes; without it nobody is asked of its gates"
    )
    gitlab_represented_as: str = Field(
        "", description="The approval rule that vote counts for, where its user belongs to several"
    )
    gitlab_starts_job: bool = Field(True, description="Start a deployment's job at GitLab once it is approved")

    report_oidc_trust: CommaList = Field(
        (), description="Whose runs may ask for gates, as they may report: `<issuer>|<repository pattern>`, by commas"
    )
    webhook_targets: CommaList = Field(
        (), description="Where signed webhooks may go: `name=https://…`, by commas; nothing else is ever called"
    )
    webhook_target_secrets: SecretStr = Field(
        SecretStr(""), description="`name=whsec_…` of each target, by commas; a name comes twice while rotating"
    )
    webhook_private_hosts: CommaList = Field(
        (), description="Hosts of targets that may lie in a private network; others are called on public addresses only"
    )
    webhook_ca_file: Path | None = Field(
        None, description="Certificates (PEM) that vouch for targets beside the public ones"
    )

    embeddings_url: str = Field(
        "",
        description="OpenAI-compatible endpoint, e.g. https://api.openai.com/v1, that makes vectors of titles and "
        "paths; without it they are made here and nothing leaves",
    )
    embeddings_model: str = Field("text-embedding-3-small", description="Its model")
    embeddings_api_key: SecretStr = Field(SecretStr(""), description="Its key")
    embeddings_timeout_s: float = Field(2, gt=0, le=10, description="Seconds that it may take")
    max_daily_rag_searches: int = Field(
        5000, ge=0, description="Searches per day (UTC) of all people together, by /v1/search and ask"
    )

    opa_url: str = Field(
        "", description="Open Policy Agent's address; it is asked where a rule of the policy says opa: true"
    )

    users_path: Path | None = Field(None, description="Who may log in, written by em users; without it nobody may")
    jwt_private_key: SecretStr = Field(
        SecretStr(""), description="Ed25519 private key, PEM, that signs tokens (EdDSA); without it none are issued"
    )
    jwt_access_token_expire_minutes: int = Field(60, ge=1, le=1440, description="How long an access token is valid")
    jwt_refresh_token_expire_days: int = Field(
        7, ge=1, le=90, description="How long a refresh token is valid; each use gives a new one"
    )

    @property
    def slack_signing_secrets(self) -> tuple[str, ...]:
        listed = self.slack_signing_secret.get_secret_value().split(",")
        return tuple(secret.strip() for secret in listed if secret.strip())

    @property
    def github_installation_ids(self) -> frozenset[str]:
        return frozenset(listed.strip() for listed in self.github_installations.split(",") if listed.strip())

    @property
    def github_app_key(self) -> str:
        """PEM; `\\n` written out, as one-line environment files have it, counts as a line break."""
        return self.github_app_private_key.get_secret_value().replace("\\n", "\n")

    @property
    def targets(self) -> dict[str, Target]:
        secrets = self.webhook_target_secrets.get_secret_value().split(",")
        given = [secret.strip() for secret in secrets if secret.strip()]
        return read_targets(self.webhook_targets, given, private_hosts=self.webhook_private_hosts)

    @model_validator(mode="after")
    def _check_targets(self) -> "Settings":
        try:
            _ = self.targets
        except InvalidTarget as error:
            raise ValueError(f"WEBHOOK_TARGETS, WEBHOOK_TARGET_SECRETS: {error}") from None
        return self

    @model_validator(mode="after")
    def _check_platforms(self) -> "Settings":
        for name, url in (("GITHUB_API_URL", self.github_api_url), ("GITLAB_API_URL", self.gitlab_api_url)):
            _check_url(name, url, is_production=self.env == "production")
        if self.opa_url:
            _check_url("OPA_URL", self.opa_url, is_production=self.env == "production" and not _is_here(self.opa_url))
        if bool(self.github_app_id) != bool(self.github_app_key):
            raise ValueError("GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY need each other")
        if self.github_app_key:
            _check_key(self.github_app_key)
        return self


def _check_url(name: str, written: str, *, is_production: bool) -> None:
    url = urlsplit(written)
    if url.scheme not in ("http", "https") or not url.hostname or url.username or url.query or url.fragment:
        raise ValueError(f"{name} must look like https://api.example.com")
    if is_production and url.scheme != "https":
        raise ValueError(f"{name} must be https when ENV=production")


def _is_here(url: str) -> bool:
    """A sidecar: what never leaves the machine needs no TLS."""
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")


def _check_key(pem: str) -> None:
    try:
        RSAAlgorithm(RSAAlgorithm.SHA256).prepare_key(pem)
    except (InvalidKeyError, ValueError, TypeError):
        raise ValueError("GITHUB_APP_PRIVATE_KEY is not an RSA key in PEM") from None
