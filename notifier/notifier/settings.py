"""Settings of notifier."""

from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, model_validator

from notifier.settlement import Doubt
from notifier.webhooks import urls_of
from shared.settings import CatalogSettings


class Settings(CatalogSettings):
    notifier_port: int = Field(8004, description="Port of notifier's HTTP server")

    routes_path: Path | None = Field(
        None, description="routes.yaml; without it what needs people is told at once, the rest once a day"
    )

    slack_bot_token: SecretStr = Field(
        SecretStr(""), description="Bot token (xoxb-…); without it or SLACK_WEBHOOK_URL: dry run"
    )
    slack_webhook_url: SecretStr = Field(
        SecretStr(""),
        description="Without a token: an incoming webhook's URL, or `#channel=URL,#other=URL,URL` (last: all others)",
    )
    slack_webhook_in_doubt: Doubt = Field(
        "hold_approvals",
        description="What becomes of a webhook's post without an answer: held for a person, or `resend`",
    )
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
    slack_post_interval_s: float = Field(
        1, gt=0, description="Seconds between two posts in one channel; Slack takes about one a second"
    )
    slack_updates_per_min: float = Field(
        50, gt=0, description="Updates of messages that a minute has room for, in the whole workspace"
    )
    max_daily_slack_posts: int = Field(
        1000, ge=1, description="Posts a day; a tenth is kept for approvals and incidents, the rest waits for a digest"
    )
    slack_quota_timezone: ZoneInfo = Field(ZoneInfo("UTC"), description="Time zone of the days that the quota is for")
    templates_path: Path | None = Field(
        None, description="Directory with Jinja2 templates that take the place of notifier's own"
    )
    fresh_for_s: float = Field(3600, gt=0, description="Seconds for which something that happened is worth telling")

    agent_llm_enabled: bool = Field(
        False, description="Add a model's few words to lists that are told by schedule, where they pass the checks"
    )
    openai_base_url: str = Field(
        "https://api.openai.com/v1", pattern="^https?://", description="OpenAI-compatible endpoint of that model"
    )
    openai_api_key: SecretStr = Field(SecretStr(""), description="Its key; without one the model stays off")
    openai_model: str = Field("gpt-4o-mini", description="Name of that model")
    openai_timeout_s: float = Field(20, gt=0, description="Seconds that its answer may take")

    @model_validator(mode="after")
    def _webhooks(self) -> "Settings":
        urls_of(self.slack_webhook_url.get_secret_value())
        return self
