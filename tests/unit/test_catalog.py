"""The catalog: what a platform's reference means, and errors with line and field."""

from pathlib import Path

import pytest

from shared.catalog import Catalog, InvalidCatalog, load, read

TEXT = """\
version: 1
teams:
  - {name: payments, slack_channel: "#payments", members: [ana]}
people:
  - {name: ana, github: [Ana-K], slack: [U1]}
services:
  - name: checkout
    team: payments
    repositories: [acme/checkout, acme/checkout-web]
    incident_services: {pagerduty: [P1]}
  - name: Ledger
    slack_channel: "#ledger"
    production: ["^eu-live$"]
"""
CATALOG = read(TEXT)


def test_repository_means_its_service_in_any_case() -> None:
    assert CATALOG.service_of_repository("Acme/Checkout-Web") == "checkout"


def test_repository_without_an_entry_is_a_service_of_its_own_name() -> None:
    assert Catalog().service_of_repository("acme/search") == "search"


def test_incident_service_is_known_by_id_or_by_name_and_never_guessed() -> None:
    assert CATALOG.service_of_incident("pagerduty", "P1", "whatever") == "checkout"
    assert CATALOG.service_of_incident("pagerduty", "P9", "ledger") == "Ledger"
    assert CATALOG.service_of_incident("pagerduty", "P9", "mail") is None


@pytest.mark.parametrize(
    ("environment", "production"),
    [
        ("production", True),
        ("Production", True),
        ("prod-eu", True),
        ("live/eu", True),
        ("preproduction", False),
        ("products", False),
        ("staging", False),
        ("", False),
    ],
)
def test_production_is_told_by_the_default_pattern(environment: str, production: bool) -> None:
    assert CATALOG.is_production("checkout", environment) is production


def test_production_of_a_service_may_be_its_own_pattern() -> None:
    assert CATALOG.is_production("Ledger", "eu-live")
    assert not CATALOG.is_production("Ledger", "production")


def test_channel_is_the_services_own_else_its_teams_else_none() -> None:
    assert [CATALOG.channel_of(s) for s in ("Ledger", "checkout", "mail")] == ["#ledger", "#payments", ""]


def test_person_is_known_by_any_identity_in_any_case() -> None:
    person = CATALOG.person("github", "ana-k")

    assert person is not None
    assert person == CATALOG.person("slack", "u1")


@pytest.mark.parametrize(
    ("broken", "line", "field"),
    [
        (TEXT.replace("team: payments", "team: paymnts"), 8, "services[0].team"),
        (TEXT.replace("members: [ana]", "members: [anna]"), 3, "teams[0].members"),
        (TEXT.replace("team: payments", "taem: payments"), 7, "services[0]"),
        (TEXT.replace('["^eu-live$"]', '["("]'), 13, "services[1].production"),
        (TEXT.replace("[Ana-K]", "7"), 5, "people[0].github"),
        (TEXT.replace("services:", "services: ["), 7, ""),
    ],
)
def test_error_names_the_line_and_the_field(broken: str, line: int, field: str) -> None:
    with pytest.raises(InvalidCatalog) as refused:
        read(broken)

    assert f"line {line}" in str(refused.value)
    assert field in str(refused.value)


def test_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidCatalog, match="none.yaml"):
        load(tmp_path / "none.yaml")


def test_without_a_file_the_catalog_is_empty() -> None:
    assert load(None) == Catalog()
