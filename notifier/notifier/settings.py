"""Settings of notifier."""

from pydantic import Field, SecretStr

from shared.settings import CatalogSettings


class Settings(CatalogSettings):
    notifier_port: int = Field(8004, description="Port of notifier's HTTP server")

    slack_bot_token: SecretStr = Field(SecretStr(""), description="Bot token (xoxb-…); empty: dry run, nothing is sent")
    slack_api_url: str = Field("https://slack.com/api/", description="Base URL of Slack's Web API")
    slack_default_channel: str = Field(
        "#engineering", description="Where a thing is told of whose service has no channel in the catalog"
    )
    slack_timeout_s: float = Field(10, gt=0, description="Seconds that one call of Slack may take")
    slack_reconcile_grace_s: float = Field(
        15, ge=0, description="Seconds beyond the timeout before an unanswered post is looked for in the channel"
    )
    slack_reconcile_pause_s: float = Field(
        10, ge=0, description="Seconds between not finding a post and looking once more before it is sent again"
    )
    fresh_for_s: float = Field(3600, gt=0, description="Seconds for which something that happened is worth telling")
