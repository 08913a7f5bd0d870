"""Settings of approvals-svc."""

from pathlib import Path
from urllib.parse import urlsplit

from jwt.algorithms import RSAAlgorithm
from jwt.exceptions import InvalidKeyError
from pydantic import Field, SecretStr, model_validator

from shared.settings import CatalogSettings


class Settings(CatalogSettings):
    approvals_svc_port: int = Field(8003, description="Port of approvals-svc's HTTP server")
    policy_path: Path | None = Field(
        None, description="policy.yaml; without it one person who didn't ask must agree to everything"
    )
    slack_signing_secret: SecretStr = Field(
        SecretStr(""), description="Slack's signing secret, comma list while rotating; without it no click votes"
    )
    github_api_url: str = Field("https://api.github.com", description="GitHub's API; callbacks go nowhere else")
    github_app_id: str = Field("", description="The GitHub App that answers deployment protection rules")
    github_app_private_key: SecretStr = Field(SecretStr(""), description="The App's private key, PEM")

    @property
    def slack_signing_secrets(self) -> tuple[str, ...]:
        listed = self.slack_signing_secret.get_secret_value().split(",")
        return tuple(secret.strip() for secret in listed if secret.strip())

    @property
    def github_app_key(self) -> str:
        """PEM; `\\n` written out, as one-line environment files have it, counts as a line break."""
        return self.github_app_private_key.get_secret_value().replace("\\n", "\n")

    @model_validator(mode="after")
    def _check_github(self) -> "Settings":
        url = urlsplit(self.github_api_url)
        if url.scheme not in ("http", "https") or not url.hostname or url.username or url.query or url.fragment:
            raise ValueError("GITHUB_API_URL must look like https://api.github.com")
        if self.env == "production" and url.scheme != "https":
            raise ValueError("GITHUB_API_URL must be https when ENV=production")
        if bool(self.github_app_id) != bool(self.github_app_key):
            raise ValueError("GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY need each other")
        if self.github_app_key:
            _check_key(self.github_app_key)
        return self


def _check_key(pem: str) -> None:
    try:
        RSAAlgorithm(RSAAlgorithm.SHA256).prepare_key(pem)
    except (InvalidKeyError, ValueError, TypeError):
        raise ValueError("GITHUB_APP_PRIVATE_KEY is not an RSA key in PEM") from None
