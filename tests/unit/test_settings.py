"""Settings: accepted forms, refusals, and errors that name variables and keep secrets."""

from pathlib import Path

import pytest

from ingest.settings import Settings as IngestSettings
from shared.db.url import InvalidDatabaseUrl, normalise
from shared.settings import InvalidSettings, ServiceSettings, load


def test_file_variable_holds_a_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k" * 32 + "\n")
    monkeypatch.setenv("JWT_SECRET_KEY_FILE", str(tmp_path / "key"))

    assert load(ServiceSettings).jwt_secret_key.get_secret_value() == "k" * 32


def test_file_that_is_not_there_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET_KEY_FILE", "/nowhere/at/all")

    with pytest.raises(InvalidSettings, match="JWT_SECRET_KEY_FILE"):
        load(ServiceSettings)


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"ENV": "production"}, "AUTH_ENABLED"),
        ({"ENV": "production", "DEMO": "true"}, "DEMO"),
        ({"ENV": "staging"}, "ENV"),
        ({"AUTH_ENABLED": "true"}, "JWT_PUBLIC_KEY"),
        ({"AUTH_ENABLED": "true", "JWT_ALGORITHM": "HS256", "JWT_SECRET_KEY": "tooshort"}, "JWT_SECRET_KEY"),
        ({"INGEST_PORT": "eighty"}, "INGEST_PORT"),
        ({"WEBHOOK_ALLOW_UNSIGNED": "gihtub"}, "gihtub"),
        ({"INTEGRATIONS_GITHUB_ENABLED": "perhaps"}, "INTEGRATIONS_GITHUB_ENABLED"),
    ],
)
def test_wrong_setting_is_named_and_its_secret_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], named: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(InvalidSettings) as refused:
        load(IngestSettings)

    assert named in str(refused.value)
    assert "tooshort" not in str(refused.value)


def test_unsigned_senders_are_refused_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ENV": "production", "AUTH_ENABLED": "true", "JWT_PUBLIC_KEY": "pem"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WEBHOOK_ALLOW_UNSIGNED", "github")

    with pytest.raises(InvalidSettings, match="WEBHOOK_ALLOW_UNSIGNED"):
        load(IngestSettings)


@pytest.mark.parametrize("value", ["github,slack", '["github", "slack"]', " github , slack "])
def test_list_may_be_written_with_commas_or_as_json(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("WEBHOOK_ALLOW_UNSIGNED", value)

    assert load(IngestSettings).webhook_allow_unsigned == ("github", "slack")


def test_source_is_enabled_by_its_secret_and_disabled_by_its_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_WEBHOOK_SECRET", "new, old")
    monkeypatch.setenv("PAGERDUTY_WEBHOOK_SECRET", "s")
    monkeypatch.setenv("INTEGRATIONS_PAGERDUTY_ENABLED", "false")

    integrations = load(IngestSettings).integrations

    assert integrations["github"].secrets == (b"new", b"old")
    assert [name for name, each in integrations.items() if each.enabled] == ["github"]


def test_secrets_of_all_its_variables_are_live_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_SIGNING_SECRET", "new")
    monkeypatch.setenv("SLACK_WEBHOOK_SECRET", "old")

    assert load(IngestSettings).integrations["slack"].secrets == (b"new", b"old")


@pytest.mark.parametrize(
    "url", ["postgres://h/d", "postgresql://h/d", "postgresql+psycopg://h/d", "postgresql+asyncpg://h/d"]
)
def test_every_common_database_url_is_accepted(url: str) -> None:
    assert normalise(url) == "postgresql://h/d"


@pytest.mark.parametrize("url", ["", "mysql://u:pw@h/d", "h/d"])
def test_other_database_urls_are_refused_without_showing_the_password(url: str) -> None:
    with pytest.raises(InvalidDatabaseUrl) as refused:
        normalise(url)

    assert "pw" not in str(refused.value)
