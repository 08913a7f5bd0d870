"""The demo's story: the same for the same seed, complete before its end, and true in its own terms."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import msgspec
import pytest
import yaml

from em.demo.cases import expected_cases
from em.demo.cast import SERVICES, catalog, policy
from em.demo.facts import Push, Repository
from em.demo.story import SLEEPER_LEAD, Delivery, Story, shuffled, tell
from em.demo.truth import expected_dora, expected_excluded

SEED = 7
NOW = datetime(2026, 6, 18, 14, 3, 22, 480_000, tzinfo=UTC)


@pytest.fixture(scope="module")
def story() -> Story:
    return tell(SEED, NOW)


def test_equal_seed_and_time_give_equal_bytes(story: Story) -> None:
    again = tell(SEED, NOW)

    assert again.deliveries == story.deliveries
    assert shuffled(again, 1) == shuffled(story, 1)


def test_another_seed_is_another_story(story: Story) -> None:
    assert tell(SEED + 1, NOW).deliveries[40:60] != story.deliveries[40:60]


def test_there_are_enough_deliveries_of_every_source_in_event_order(story: Story) -> None:
    times = [delivery.occurred_at for delivery in story.deliveries]

    assert len(story.deliveries) >= 2_500
    assert {d.source for d in story.deliveries} == {"github", "pagerduty", "slack", "argocd", "heroku", "report"}
    assert times == sorted(times)
    assert {d.expect for d in story.deliveries} == {"events", "ignored", "handshake"}


def test_nothing_happens_outside_the_window(story: Story) -> None:
    assert story.end == NOW.replace(microsecond=0)
    assert story.end - story.start == timedelta(days=60)
    assert all(story.start <= d.occurred_at < story.end for d in story.deliveries if not of_a_sleeper(d))
    assert all(story.start - SLEEPER_LEAD <= d.occurred_at < story.end for d in story.deliveries)
    assert all(d.occurred_at.microsecond == 0 for d in story.deliveries)


def of_a_sleeper(delivery: Delivery) -> bool:
    """Who is deployed again after more than sixty days began before the window."""
    return any(service.repository.encode() in delivery.body for service in SERVICES if service.sleeps_days)


def test_every_body_is_compact_json_and_every_delivery_has_an_id_of_its_own(story: Story) -> None:
    for delivery in story.deliveries:
        assert msgspec.json.encode(msgspec.json.decode(delivery.body)) == delivery.body

    ids = Counter((d.source, d.delivery_id) for d in story.deliveries)
    assert max(ids.values()) == 1


def test_pushes_of_a_repository_never_share_a_second(story: Story) -> None:
    for repository in story.repositories:
        times = repository.pushed_at()
        assert len(times) == len(set(times))


def test_changes_ship_in_a_deployment_at_or_after_their_merge(story: Story) -> None:
    """In the same repository, but for those that it names."""
    pushed_at = {push.after: at for repository in story.repositories for push, at in pushes_of(repository)}
    for repository in story.repositories:
        shipped = [(d, change) for d in repository.production() for change in d.ships]
        for deployment, change in shipped:
            assert change.merge_sha is not None
            if not any(change is each for each in deployment.listed):
                sha = deployment.revisions.get(change.repository, deployment.sha)
                assert pushed_at[change.merge_sha] <= pushed_at[sha]
        assert len(shipped) == len({(change.repository, change.number) for _, change in shipped})


def pushes_of(repository: Repository) -> list[tuple[Push, datetime]]:
    """What was promoted is as far as main was then."""
    main = [(push, push.at) for push in repository.main]
    return main + [(p, max(each.at for each in repository.main if each.at <= p.at)) for p in repository.promotions]


def test_what_merged_but_is_in_no_deployment_is_newer_than_all_of_them(story: Story) -> None:
    shipped = {id(change) for repository in story.repositories for d in repository.production() for change in d.ships}
    for repository in story.repositories:
        changes = [change for change in repository.changes if change.merge_sha and not change.nobodys]
        waiting = [change for change in changes if id(change) not in shipped]
        assert waiting or repository.service.name not in ("checkout", "ledger", "search")
        assert all(c.merged_at > d.created_at for c in waiting if c.merged_at for d in repository.production())


def test_incidents_open_within_a_day_of_their_cause_and_before_the_next_deployment(story: Story) -> None:
    for repository in story.repositories:
        for incident in repository.incidents:
            before = [d for d in repository.production() if d.ended_at < incident.opened_at]
            if incident.cause is None:
                assert incident.opened_at - before[-1].ended_at > timedelta(hours=24)
            elif incident.named:
                assert before[-1] is not incident.cause
            elif incident.traced:
                assert incident.cause.sha[:12] in str(incident.steps)
            else:
                assert before[-1] is incident.cause
                assert incident.opened_at - before[-1].ended_at < timedelta(hours=24)


def test_the_truth_has_something_to_say_about_every_metric_of_every_service(story: Story) -> None:
    truth = expected_dora(story)

    assert set(truth) == {service.name for service in SERVICES}
    for metrics in truth.values():
        assert all(metric["n"] for metric in metrics.values())
        assert all(metric["value"] for metric in metrics.values())
        assert (metrics["deployment_frequency"]["n"] or 0) >= 4
    assert len({str(metrics) for metrics in truth.values()}) == len(truth)


@pytest.mark.parametrize("kind", ["rollback", "revert", "hotfix", "redeploy", "attempt"])
def test_deployments_of_every_kind_occur(story: Story, kind: str) -> None:
    assert any(d.kind == kind for repository in story.repositories for d in repository.deployments)


def test_every_service_had_a_failed_deployment_that_recovered(story: Story) -> None:
    for service in SERVICES:
        production = [d for r in story.repositories if r.service.name == service.name for d in r.production()]
        failed = [d for d in production if d.failed]
        assert failed
        assert all(d.recovered_at and d.recovered_at > d.ended_at for d in failed)


def test_a_rollback_brings_back_a_sha_that_was_live_and_is_not_now(story: Story) -> None:
    for repository in story.repositories:
        production = repository.production()
        for place, deployment in enumerate(production):
            if deployment.kind == "rollback" and repository.service.platform != "heroku":  # by name there
                assert deployment.sha in [d.sha for d in production[: place - 1]]
                assert deployment.sha != production[place - 1].sha


def test_the_live_part_asks_six_times_and_lets_one_incident_come_and_go(story: Story) -> None:
    events = Counter(d.event for d in story.live)

    assert len(story.gates) == 6
    assert events["deployment_protection_rule"] == 6
    assert events["incident.triggered"] == events["incident.resolved"] == 1
    assert events["app_mention"] > 0
    assert {gate.outcome for gate in story.gates} == {"approved", "rejected", "pending"}


def test_older_asks_exist_that_nobody_should_be_bothered_with(story: Story) -> None:
    assert sum(d.event == "deployment_protection_rule" for d in story.history) >= 5


def test_gates_name_the_callback_of_the_given_platform() -> None:
    story = tell(SEED, NOW, github_api_url="http://127.0.0.1:4321/")
    asks = [msgspec.json.decode(d.body) for d in story.live if d.event == "deployment_protection_rule"]

    for ask in asks:
        url = urlsplit(ask["deployment_callback_url"])
        run_id = ask["workflow_run"]["id"]
        assert url.netloc == "127.0.0.1:4321"
        assert url.path == f"/repos/{ask['repository']['full_name']}/actions/runs/{run_id}/deployment_protection_rule"


def test_sending_order_displaces_history_a_little_and_keeps_the_live_part_last(story: Story) -> None:
    order = shuffled(story, 1)
    live = [d for d in order if d.occurred_at >= story.live_since]
    firsts = list({d.delivery_id: d for d in live}.values())

    assert {d.delivery_id for d in order} == {d.delivery_id for d in story.deliveries}
    assert len(order) > len(story.deliveries) * 1.04
    assert order[-len(live) :] == live
    assert firsts == list(story.live)
    assert order[: len(story.history)] != list(story.history)


def test_some_facts_are_sent_before_the_push_they_are_about(story: Story) -> None:
    order = [(d.event, msgspec.json.decode(d.body)) for d in shuffled(story, 1)]
    pushed = {body["after"]: place for place, (event, body) in reversed([*enumerate(order)]) if event == "push"}
    told = [(body["deployment"]["sha"], place) for place, (event, body) in enumerate(order) if "deployment" in body]
    built = [(body["workflow_run"]["head_sha"], n) for n, (event, body) in enumerate(order) if event == "workflow_run"]

    assert any(pushed[sha] > place for sha, place in built)
    assert any(pushed[sha] > place for sha, place in told)


def test_every_edge_case_is_told_of_what_the_platforms_say(story: Story) -> None:
    bodies = b"".join(d.body for d in story.deliveries)
    expected = expected_cases(story)

    assert len({each.case for each in expected}) >= 50
    assert {each.where for each in expected} == {"changes", "deployments", "incidents", "teams"}
    assert all(each.id.rsplit(":", 1)[-1].encode() in bodies for each in expected if each.where == "incidents")


def test_what_is_left_out_has_every_reason_that_the_story_can_show(story: Story) -> None:
    reasons = {reason for counts in expected_excluded(story).values() for reason in counts}

    assert reasons == {
        *("seed", "long_gap", "skewed", "unlinked_changes", "unlinked_incidents"),
        *("redeploys", "unknown_environment", "not_authoritative", "other_regions"),
    }


def test_catalog_and_policy_name_the_same_people(story: Story) -> None:
    known, rules = yaml.safe_load(catalog(story.end)), yaml.safe_load(policy())
    people = {person["name"] for person in known["people"]}

    assert set(rules["groups"]["release"]["people"]) <= people
    assert all(set(team["members"]) <= people for team in known["teams"])
    told = {r.service.full_name for r in story.repositories}
    assert {name for service in known["services"] for name in service["repositories"]} == told
