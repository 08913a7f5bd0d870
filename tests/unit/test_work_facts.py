"""What events of builds, tickets and quality become as rows, and whose they are."""

from typing import Any

import pytest

from metrics_svc import work
from shared.catalog import Catalog, read
from shared.contracts.events import BuildFinished, TicketClosed, TicketUpdated
from tests.shipping import CATALOG, at, stamped
from tests.working import built, covered, gated, ticket

LISTED = read("""\
services:
  - name: checkout
    repositories: [acme/checkout]
    deployments: {heroku: [acme-checkout]}
    ticket_projects: {jira: [CHK]}
    quality_projects: {sonarqube: [acme_checkout]}
""")


@pytest.mark.parametrize(
    ("catalog", "event", "expected"),
    [
        (CATALOG, built(1, 1)[1], "checkout"),
        (Catalog(), built(1, 1, repository="acme/search")[1], "search"),
        (LISTED, built(1, 1, source="heroku", repository="", name="acme-checkout")[1], "checkout"),
        (LISTED, built(1, 1, source="azure_devops", repository="", name="nightly")[1], None),
        (LISTED, built(1, 1, source="azure_devops", repository="", name="Checkout")[1], "checkout"),
        (LISTED, built(1, 1, source="azure_devops", repository="", name="")[1], None),
        (LISTED, ticket(TicketUpdated, 1, 1), "checkout"),
        (CATALOG, ticket(TicketUpdated, 1, 1), None),
        (Catalog(), ticket(TicketUpdated, 1, 1), "CHK"),
        (CATALOG, ticket(TicketUpdated, 1, 1, source="github", project="acme/checkout"), "checkout"),
        (CATALOG, covered(1, 80.0), "checkout"),
        (LISTED, gated(1, "passed"), "checkout"),
        (CATALOG, gated(1, "passed"), None),
    ],
)
def test_catalog_says_whose_a_row_is(catalog: Catalog, event: Any, expected: str | None) -> None:
    kinds = ((work.BUILD, work.builds), (work.TICKET, work.tickets), (work.QUALITY, work.reports))
    [told] = [(kind, str(row["origin"])) for kind, rows in kinds for row in rows([event])]

    assert work.service_of(*told, catalog) == expected


@pytest.mark.parametrize(
    ("state", "before", "status", "started"),
    [
        ("open", "", "To Do", False),
        ("open", "To Do", "Selected", True),
        ("open", "To Do", "To Do", False),
        ("open", "", "In Progress", True),
        ("open", "", "in_review", True),
        ("open", "", "Doing", True),
        ("open", "", "opened", False),
        ("open", "", "Not started", False),
        ("closed", "To Do", "Done", False),
        ("", "500001", "500002", False),
    ],
)
def test_ticket_starts_where_it_leaves_a_status_and_is_open_still(
    state: str, before: str, status: str, started: bool
) -> None:
    [row] = work.statuses([ticket(TicketUpdated, 1, 1, state=state, status_before=before, status=status)])

    assert row["started"] is started


def test_ticket_is_known_by_its_id_through_a_move_and_else_by_its_key() -> None:
    moved = [ticket(TicketUpdated, 7, 1), ticket(TicketUpdated, 7, 2, project="OPS", key="OPS-3")]
    github = ticket(TicketClosed, 7, 1, source="github", project="acme/checkout", key="#7", ticket_id="")

    ids = [row["id"] for row in work.tickets([*moved, github])]
    assert ids == ["jira:10007", "jira:10007", "github:acme/checkout:#7"]


def test_end_that_says_how_a_build_ended_is_newer_than_one_that_does_not() -> None:
    known = built(1, 1, outcome="failed")[1]
    unknown = stamped(BuildFinished(occurred_at=at(2), repository="acme/checkout", build_id="1", outcome="unknown"))

    versions = [str(row["finish_version"]) for row in work.builds([known, unknown])]
    assert versions[0] > versions[1]
