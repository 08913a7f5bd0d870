"""The catalog: what a platform's reference means, and errors with line and field."""

from datetime import UTC, datetime
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


def test_example_of_the_documentation_is_a_catalog() -> None:
    page = Path("docs/catalog.md").read_text(encoding="utf-8")

    catalog = read(page.partition("```yaml\n")[2].partition("```")[0])

    [checkout] = catalog.services
    assert catalog.service_of_deployment("argocd", "", "checkout-eu") == "checkout"
    assert catalog.authoritative("checkout") == "argocd"
    assert catalog.service_of_alert("prometheus", "CheckoutLatencyHigh") == "checkout"
    fields = {line.split("|")[1] for line in page.splitlines() if line.startswith("| `")}
    told = {name.strip(" `") for cell in fields for name in cell.split(",")}
    assert {field for field in checkout.__struct_fields__ if field != "name"} == told


def test_alert_counts_only_where_a_service_lists_its_rule() -> None:
    catalog = read("services: [{name: checkout, alerts: {prometheus: ['Checkout.*']}}]")

    assert catalog.service_of_alert("prometheus", "CheckoutSlow") == "checkout"
    assert catalog.service_of_alert("prometheus", "DiskFull") is None
    assert catalog.service_of_alert("grafana", "CheckoutSlow") is None
    with pytest.raises(InvalidCatalog, match=r"services\[0\].alerts.prometheus: not a pattern"):
        read("services:\n  - name: checkout\n    alerts: {prometheus: ['(']}")


PROJECTS = read("""\
services:
  - name: checkout
    repositories: [acme/checkout]
    ticket_projects: {jira: [CHK, Shop], linear: [CHE]}
    quality_projects: {sonarqube: [acme_checkout]}
  - name: ledger
""")


@pytest.mark.parametrize(
    ("tracker", "project", "expected"),
    [
        ("jira", "CHK", "checkout"),
        ("jira", "shop", "checkout"),
        ("linear", "CHK", None),
        ("jira", "Ledger", "ledger"),
        ("github", "acme/checkout", "checkout"),
        ("gitlab", "acme/search", "search"),
        ("jira", "", None),
    ],
)
def test_project_of_a_tracker_is_known_by_its_key_or_its_repository(
    tracker: str, project: str, expected: str | None
) -> None:
    assert PROJECTS.service_of_ticket(tracker, project) == expected


@pytest.mark.parametrize(
    ("project", "expected"),
    [("acme_checkout", "checkout"), ("Acme_Checkout", "checkout"), ("ledger", "ledger"), ("x", None)],
)
def test_project_of_a_tool_is_known_by_its_key(project: str, expected: str | None) -> None:
    assert PROJECTS.service_of_quality("sonarqube", project) == expected


def test_without_a_catalog_a_project_is_a_service_of_its_name() -> None:
    assert (Catalog().service_of_ticket("jira", "CHK"), Catalog().service_of_ticket("jira", "")) == ("CHK", None)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [("[OPS, chk]", "chk is a project of checkout already"), ('[" "]', "a project without a key")],
)
def test_project_belongs_to_one_service(keys: str, problem: str) -> None:
    first = "services:\n  - {name: checkout, ticket_projects: {jira: [CHK]}}\n"
    text = f"{first}  - name: x\n    ticket_projects:\n      jira: {keys}\n"

    with pytest.raises(InvalidCatalog, match=problem) as refused:
        read(text)

    assert "line 5, services[1].ticket_projects.jira" in str(refused.value)


REGIONS = """\
services:
  - name: checkout
    regions:
      production: [eu-west-1, us-east-1]
"""


def test_region_is_the_environment_that_it_is_a_copy_of() -> None:
    catalog = read(REGIONS)

    assert catalog.environment_of("checkout", "us-east-1") == "production"
    assert catalog.is_production("checkout", "us-east-1")
    assert catalog.regions_of("checkout", "us-east-1") == ("eu-west-1", "us-east-1")
    assert catalog.environment_of("ledger", "us-east-1") == "us-east-1"
    assert not catalog.is_production("ledger", "us-east-1")


@pytest.mark.parametrize(
    ("line", "problem"),
    [("[]", "no environment is a region of it"), ("[us-east-1]", "us-east-1 is a region of production already")],
)
def test_region_is_of_one_environment(line: str, problem: str) -> None:
    with pytest.raises(InvalidCatalog, match=problem) as refused:
        read(f"{REGIONS}      canary: {line}\n")

    assert "line 5, services[0].regions.canary" in str(refused.value)


SHARED = read("""\
services:
  - {name: checkout, repositories: [acme/mono], paths: ["services/checkout/**", libs/money/, "*.sql"]}
  - {name: search, repositories: [acme/mono], paths: ["**/search/*.rs"], production: ["^search-prod$"]}
  - {name: rest, repositories: [acme/mono], production: ["^rest-prod$"]}
""")


@pytest.mark.parametrize(
    ("files", "services"),
    [
        (["services/checkout/cart/total.go"], {"checkout"}),
        (["libs/money/round.go"], {"checkout"}),
        (["libs/moneybox/round.go"], set()),
        (["schema.sql"], {"checkout"}),
        (["db/schema.sql"], set()),
        (["search/main.rs"], {"search"}),
        (["services/search/main.rs", "libs/money"], {"search", "checkout"}),
        (["services/search/src/main.rs"], set()),
        ([], set()),
        (None, {"checkout", "search"}),
    ],
)
def test_change_is_of_the_services_whose_paths_it_touches(files: list[str] | None, services: set[str]) -> None:
    """The one without paths is of everything."""
    assert set(SHARED.services_of_change("Acme/Mono", files)) == {*services, "rest"}


def test_a_repository_of_one_service_asks_for_no_files() -> None:
    assert CATALOG.services_of_change("acme/checkout", ["x"]) == ("checkout",)
    assert Catalog().services_of_change("acme/mail", ["x"]) == ("mail",)


@pytest.mark.parametrize(
    ("service_name", "environment", "service"),
    [
        ("", "production", "checkout"),
        ("", "search-prod", "search"),
        ("", "staging", "checkout"),
        ("Search", "staging", "search"),
        ("unheard-of", "rest-prod", "rest"),
    ],
)
def test_deployment_from_a_shared_repository_is_known_by_its_name_or_its_environment(
    service_name: str, environment: str, service: str
) -> None:
    assert SHARED.service_of_deployment("github", "acme/mono", service_name, environment) == service


TENURES = """\
teams: [{name: payments}, {name: discovery}]
services:
  - name: checkout
    team: payments
    earlier_teams:
      - {team: discovery, until: 2026-03-01}
      - {team: payments, until: 2026-04-01}
      - {team: discovery, until: 2026-05-01}
"""


def test_tenures_follow_each_other_and_the_last_has_no_end() -> None:
    catalog = read(TENURES)
    march, april, may = (datetime(2026, month, 1, tzinfo=UTC) for month in (3, 4, 5))

    assert catalog.tenures("payments", "checkout") == [(march, april), (may, None)]
    assert catalog.tenures("discovery", "checkout") == [(None, march), (april, may)]
    assert catalog.tenures("payments", "mail") == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("team: payments, until", "team: nobody, until", r"line 7, services\[0\].earlier_teams\[1\].team: no team"),
        ("2026-05-01", "2026-02-01", r"line 8, services\[0\].earlier_teams\[2\].until: is not after"),
        ("2026-05-01", "soon", "earlier_teams"),
    ],
)
def test_tenure_is_of_a_known_team_and_after_the_one_before(old: str, new: str, problem: str) -> None:
    with pytest.raises(InvalidCatalog, match=problem):
        read(TENURES.replace(old, new))


def test_label_of_an_unknown_team_is_told_by_its_line() -> None:
    with pytest.raises(InvalidCatalog, match=r"line 2, labels\[0\].visible_to: no team is called gone"):
        read("version: 1\nlabels: [{name: security, visible_to: [gone]}]\n")
