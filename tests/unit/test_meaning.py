"""What a deployment means by a catalog, and which of several reports of one rollout counts."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_svc.meaning import Standing, origin, service_of_origin, standing_alone, standings
from shared.catalog import Catalog, Service

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
CATALOG = Catalog(
    services=(
        Service(
            name="checkout",
            repositories=("acme/checkout",),
            deployments={"argocd": ("checkout-eu", "checkout-us"), "ecs": ("shop/web",)},
        ),
        Service(name="search", repositories=("acme/search", "acme/search-web"), authoritative="argocd"),
        Service(name="mail", repositories=("acme/mail",), regions={"production": ("eu", "us", "asia")}),
    )
)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    id: str = "1"
    source: str = "github"
    repository: str = "acme/checkout"
    service_name: str = ""
    environment: str = "production"
    sha: str = "a"
    outcome: str | None = "succeeded"
    finished_at: datetime = NOON


CHECKOUT = Standing("checkout", "acme/checkout", "production")
ARGO = Report(id="2", source="argocd", repository="acme/config", service_name="checkout-eu")


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (Report(), CHECKOUT),
        (ARGO, CHECKOUT),
        (
            Report(source="ecs", repository="", service_name="shop/web"),
            CHECKOUT,
        ),
        (
            Report(source="report", repository="", service_name="Checkout"),
            CHECKOUT,
        ),
        (Report(repository="acme/ledger"), Standing("ledger", "acme/ledger", "production")),
        (
            Report(source="heroku", repository="", service_name="acme-mail"),
            Standing("acme-mail", "heroku:acme-mail@", "production"),
        ),
        (Report(outcome="failed"), None),
        (Report(outcome=None), None),
        (Report(environment="staging"), None),
        (Report(repository="acme/search"), Standing("search", "acme/search", "production", aside="not_authoritative")),
        (
            Report(source="argocd", repository="", service_name="search"),
            Standing("search", "argocd:search@", "production"),
        ),
    ],
)
def test_deployment_means_a_service_and_a_timeline(report: Report, expected: Standing | None) -> None:
    assert standing_alone(report, CATALOG) == expected


@pytest.mark.parametrize("report", [Report(), ARGO, Report(source="heroku", repository="", service_name="acme-mail")])
def test_origin_means_the_same_service(report: Report) -> None:
    standing = standing_alone(report, CATALOG)

    assert standing
    assert service_of_origin(origin(report.source, report.repository, report.service_name), CATALOG) == standing.service


def counting(*reports: Report) -> set[str]:
    return {name for name, standing in standings(reports, CATALOG).items() if standing and standing.counts}


def told_at(minutes: float, **fields: Any) -> Report:
    return Report(finished_at=NOON + timedelta(minutes=minutes), **fields)


def test_of_several_reports_of_one_rollout_one_platforms_count() -> None:
    again = msgspec.structs.replace(Report(), id="3")
    unknown = Report(id="4", source="ecs", repository="", service_name="shop/web")

    assert counting(Report(), unknown) == {"1"}
    assert counting(unknown) == {"4"}
    assert counting(ARGO, unknown) == {"2"}
    assert counting(Report(), again, ARGO) == {"2"}


def test_a_job_that_deploys_counts_where_no_deployment_is_told_of() -> None:
    deployment = Report(id="gitlab:acme/checkout:15", source="gitlab")
    job = Report(id="gitlab:acme/checkout:job:796", source="gitlab")

    assert counting(deployment, job) == {deployment.id}
    assert counting(job) == {job.id}


def test_reports_of_other_commits_environments_and_without_a_commit_are_other_rollouts() -> None:
    others = (
        msgspec.structs.replace(ARGO, sha="b"),
        msgspec.structs.replace(ARGO, id="3", environment="prod-eu"),
        msgspec.structs.replace(ARGO, id="4", sha=""),
    )

    assert counting(Report(), *others) == {"1", "2", "3", "4"}


GITHUB: dict[str, Any] = {"source": "github"}
ARGOCD: dict[str, Any] = {"source": "argocd", "repository": "", "service_name": "checkout-eu"}
ECS: dict[str, Any] = {"source": "ecs", "repository": "", "service_name": "shop/web"}


@pytest.mark.parametrize(
    ("told", "counts"),
    [
        ([(GITHUB, 0), (ARGOCD, 15)], {0}),
        ([(GITHUB, 0), (ARGOCD, -15)], {0}),
        ([(GITHUB, 0), (ARGOCD, 15.1)], {0, 1}),
        ([(GITHUB, 0), (ARGOCD, 10), (ECS, 20)], {0, 2}),
        ([(ARGOCD, 0), (ECS, 10), (ECS, 20)], {0, 2}),
        ([(ECS, 0), (GITHUB, 10), (ARGOCD, 20), (GITHUB, 40), (ARGOCD, 50)], {1, 3}),
        ([(GITHUB, 0), (GITHUB, 5), (ARGOCD, 18)], {0, 1}),
    ],
    ids=[
        *("at the limit", "before it", "beyond it", "what does not count hides nothing", "nor is a chain one rollout"),
        *("each rollout of the commit", "of one platform both count"),
    ],
)
def test_reports_of_one_rollout_end_within_a_quarter_of_an_hour_of_the_one_that_counts(
    told: list[tuple[dict[str, Any], float]], counts: set[int]
) -> None:
    reports = [told_at(minutes, id=str(number), **who) for number, (who, minutes) in enumerate(told)]

    assert counting(*reports) == {str(number) for number in counts}


REPORTS = st.lists(
    st.builds(
        lambda minutes, who, environment, sha: told_at(5 * minutes, environment=environment, sha=sha, **who),
        st.integers(0, 12),
        st.sampled_from((GITHUB, ARGOCD, ECS)),
        st.sampled_from(("production", "prod-eu")),
        st.sampled_from(("a", "b", "")),
    ),
    max_size=12,
).map(lambda reports: [msgspec.structs.replace(each, id=str(number)) for number, each in enumerate(reports)])


@given(REPORTS, st.randoms(use_true_random=False))
def test_which_reports_count_is_told_by_their_set_alone(reports: list[Report], chance: Random) -> None:
    shuffled = [*reports]
    chance.shuffle(shuffled)

    assert standings(shuffled, CATALOG) == standings(reports, CATALOG)


@given(REPORTS)
def test_a_report_counts_unless_one_of_another_platform_that_is_near_does(reports: list[Report]) -> None:
    counts = counting(*reports)

    for report in reports:
        near = {
            other.source
            for other in reports
            if other.id in counts
            and (other.environment, other.sha) == (report.environment, report.sha)
            and abs(other.finished_at - report.finished_at) <= timedelta(minutes=15)
        }
        assert (report.id in counts) == (not report.sha or near == {report.source})


def test_the_platform_that_the_catalog_names_counts_alone() -> None:
    github = Report(repository="acme/search")
    argo = Report(id="2", source="argocd", repository="", service_name="search", sha="b")

    assert counting(github, argo) == {"2"}
    assert counting(github) == set()


@pytest.mark.parametrize(
    ("order", "counts"),
    [
        ("eu us asia", {2}),
        ("asia eu us", {2}),
        ("eu us", set()),
        ("eu eu us asia", {3}),
        ("eu us asia asia eu us", {2, 5}),
        ("eu us asia eu", {2}),
    ],
)
def test_a_rollout_to_regions_counts_as_the_last_of_them_to_finish(order: str, counts: set[int]) -> None:
    reports = [
        told_at(n, id=str(n), repository="acme/mail", environment=region) for n, region in enumerate(order.split())
    ]

    assert counting(*reports) == {str(n) for n in counts}
    assert counting(*reversed(reports)) == {str(n) for n in counts}


def test_regions_are_the_environment_that_they_are_copies_of() -> None:
    standing = standing_alone(Report(repository="acme/mail", environment="eu"), CATALOG)

    assert standing == Standing("mail", "acme/mail", "production", ("eu", "us", "asia"))


def test_another_commit_in_a_region_or_none_completes_no_rollout() -> None:
    reports = [
        Report(id=sha + region, repository="acme/mail", environment=region, sha=sha)
        for sha, region in (("a", "eu"), ("b", "us"), ("a", "asia"), ("", "us"))
    ]

    assert counting(*reports) == {"us"}
