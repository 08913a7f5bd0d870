"""The policy file and what it asks: first match wins, and what isn't known never makes it ask for less."""

from datetime import timedelta
from pathlib import Path

import pytest

from approvals_svc.eligibility import electorate, slack_users
from approvals_svc.policy import Facts, Policy, Requirement, decide_policy
from approvals_svc.policy_file import InvalidPolicy, load, read
from shared.catalog import Catalog, Person

CATALOG = Catalog(
    people=(
        Person(name="ana", github=("ana-k", "ana-second"), slack=("U0ANA",)),
        Person(name="bo", github=("bo-l",), slack=("U0BO", "U0BO2")),
        Person(name="cy", slack=("U0CY",)),
        Person(name="di", github=("di-m",)),
    ),
    bots=("dependabot[bot]",),
)
POLICY = """\
version: 3
groups:
  release: {people: [ana, bo, cy]}
rules:
  - name: production-deploys
    if: {action: deploy, environment: [production, "live-*"]}
    outcome: require
    requires: {group: release, count: 2}
    separation: [requester]
    expires: {after: 4h}
  - name: everything-else
    if: {action: deploy}
    outcome: require
    requires: {group: release}
"""


def asked(environment: str) -> Requirement:
    return decide_policy(read(POLICY, CATALOG), Facts(action="deploy", environment=environment))


def test_first_matching_rule_decides_and_the_trace_says_why() -> None:
    production = asked("production")
    staging = asked("staging")

    assert (production.rule, production.count, production.expires_after_s) == ("production-deploys", 2, 4 * 3600)
    assert production.people == ("ana", "bo", "cy")
    assert staging.rule == "everything-else"
    assert staging.trace == (
        "production-deploys: the environment staging is none of production, live-*",
        "everything-else: matched",
    )


@pytest.mark.parametrize("environment", ["live-eu", "Production", "LIVE-us", ""])
def test_glob_other_case_and_unknown_environment_match(environment: str) -> None:
    assert asked(environment).rule == "production-deploys"


def test_without_a_match_one_person_must_agree_within_a_day() -> None:
    asked_for = decide_policy(read(POLICY, CATALOG), Facts(action="delete"))

    assert (asked_for.rule, asked_for.count, asked_for.people) == ("default", 1, None)
    assert asked_for.expires_after_s == timedelta(hours=24).total_seconds()


def test_without_a_file_one_person_must_agree_within_a_day() -> None:
    assert load(None, CATALOG) == Policy()
    assert decide_policy(Policy(), Facts(action="deploy", environment="production")).count == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("group: release, count", "group: relese, count", "line 8, rules[0].requires.group: no group is called relese"),
        ("count: 2", "count: 4", "line 8, rules[0].requires.count: 4 of a group of 3 can never agree"),
        ("count: 2", "count: 0", "line 8, rules[0].requires.count: Expected `int` >= 1"),
        ("[ana, bo, cy]", "[ana, zoe]", "line 3, groups.release.people: no person in the catalog is called zoe"),
        ("after: 4h", "after: 4 hours", "line 10, rules[0].expires.after: 4 hours is not a duration"),
        ("after: 4h", "after: 31d", "line 10, rules[0].expires.after: 31d is longer than a gate waits"),
        ("[requester]", "[]", "line 9, rules[0].separation: Expected `array` of length >= 1"),
        ("[requester]", "[nobody]", "line 9, rules[0].separation[0]: Invalid enum value 'nobody'"),
        ("outcome: require", "outcome: auto", "line 7, rules[0].outcome: Invalid enum value 'auto'"),
        ("everything-else", "production-deploys", "line 11, rules[1].name: there is another rule"),
        ("separation:", "seperation:", "line 5, rules[0]: Object contains unknown field `seperation`"),
        ("version: 3", "version: [", "line 3: expected ',' or ']'"),
    ],
)
def test_mistake_in_the_file_is_named_by_line_and_field(old: str, new: str, message: str) -> None:
    broken = POLICY.replace(old, new, 1)

    with pytest.raises(InvalidPolicy) as refused:
        read(broken, CATALOG)

    assert str(refused.value).startswith(message)


def test_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "absent.yaml", tmp_path / "bytes.yaml"):
        with pytest.raises(InvalidPolicy, match=path.name):
            load(path, CATALOG)


def may_decide(requirement: Requirement, *requesters: str) -> set[str]:
    return set(electorate(CATALOG, requirement, platform="github", requesters=requesters).allowed)


def test_requester_is_excluded_under_every_account_of_theirs() -> None:
    for login in ("ana-k", "ANA-K", "ana-second"):
        assert may_decide(asked("production"), login) == {"bo", "cy"}


def test_creator_and_sender_are_both_excluded() -> None:
    assert may_decide(asked("production"), "ana-k", "bo-l") == {"cy"}


def test_who_has_no_account_to_compare_with_may_be_an_unknown_requester() -> None:
    allowed = electorate(CATALOG, asked("production"), platform="github", requesters=("stranger",))

    assert allowed.allowed == {"ana", "bo"}
    assert "may be stranger" in allowed.obstacle("cy")


def test_bot_that_asks_excludes_nobody() -> None:
    assert may_decide(asked("production"), "Dependabot[bot]") == {"ana", "bo", "cy"}


def test_without_a_group_everybody_in_the_catalog_but_the_requester_may_decide() -> None:
    requirement = decide_policy(Policy(), Facts(action="deploy"))

    assert may_decide(requirement, "di-m") == {"ana", "bo", "cy"}


def test_account_of_nobody_never_decides() -> None:
    voters = electorate(CATALOG, decide_policy(Policy(), Facts(action="deploy")), platform="github", requesters=())

    assert voters.obstacle("") == "this account belongs to nobody in the catalog"
    assert slack_users(CATALOG, voters) == ("U0ANA", "U0BO", "U0BO2", "U0CY")
