"""The policy file and what it asks: first match wins, and what isn't known never makes it ask for less."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals_svc.eligibility import Account, electorate, slack_users
from approvals_svc.policy import ROLES, Facts, Policy, Requirement, Role, Terms, UnsafePath, decide_policy
from approvals_svc.policy_file import InvalidPolicy, check, load, read
from approvals_svc.quorum import Seats, in_words
from shared.catalog import Catalog, Person, Team
from shared.catalog.globs import is_any_path

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
CATALOG = Catalog(
    teams=(Team(name="sre", members=("di",)),),
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
  sre: {teams: [sre]}
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
EXTRAS = """\
version: 1
groups: {release: {people: [ana, bo]}, sre: {teams: [sre]}}
freezes:
  year-end: {zone: Europe/Berlin, from: 2026-12-20 00:00, to: 2027-01-04 08:00, except: [{service: status-page}]}
rules:
  - {name: docs, if: {action: deploy, paths_only: ["docs/**"], author_class: human}, outcome: auto, freeze: [year-end]}
  - {name: no-fridays, if: {action: deploy, risk: high}, outcome: deny}
  - name: rest
    if: {size: {max: 100}}
    outcome: require
    requires: {and: [{group: release, count: 2}, {or: [{group: sre}, {person: cy}]}]}
    distinct_groups: true
    reject: {count: 2, reason: required}
    expires: {after: 2h, on_expire: escalate}
    ladder: {remind: 50%, escalate: {at: 80%, to: sre}}
    freeze: [year-end]
"""


def decided(text: str, *, now: datetime = NOW, **facts: object) -> Requirement:
    return decide_policy(read(text), msgspec.convert({"action": "deploy", **facts}, Facts), version=7, now=now)


def asked(environment: str) -> Requirement:
    return decided(POLICY, environment=environment)


def test_first_matching_rule_decides_and_the_trace_says_why() -> None:
    production = asked("production")
    staging = asked("staging")

    assert (production.rule, production.version, production.terms.expires_after_s) == (
        "production-deploys",
        7,
        4 * 3600,
    )
    assert production.terms.requires == Seats(group="release", count=2, people=("ana", "bo", "cy"))
    assert staging.rule == "everything-else"
    assert staging.trace == (
        "production-deploys: environment staging is not one of production, live-*",
        "everything-else: matched",
    )


@pytest.mark.parametrize("environment", ["live-eu", "Production", "LIVE-us", ""])
def test_glob_other_case_and_unknown_environment_match(environment: str) -> None:
    assert asked(environment).rule == "production-deploys"


def test_unknown_fact_is_false_for_auto_and_true_for_require_and_deny() -> None:
    unknown = decided(EXTRAS)
    known = decided(EXTRAS, paths=["docs/a.md", "docs/b/c.md"], author_class="human")

    assert (unknown.outcome, unknown.trace) == ("deny", ("docs: author class is not known", "no-fridays: matched"))
    assert (known.outcome, known.rule) == ("auto", "docs")
    assert decided(EXTRAS, risk="low").rule == "rest"
    assert decided(EXTRAS, risk="low", size=101).trace[-1] == "default: denied, for no rule matched"


def test_one_path_outside_is_not_docs_only() -> None:
    for paths in (["docs/a.md", "src/a.py"], ["docs"], [], None):
        assert decided(EXTRAS, paths=paths, author_class="human", risk="low").rule == "rest"


@pytest.mark.parametrize("path", ["docs/../src/x", "/docs/x", "docs//x", "./docs/x", ""])
def test_path_that_does_not_lead_down_is_refused(path: str) -> None:
    with pytest.raises(UnsafePath):
        Facts(action="deploy", paths=(path,))


@pytest.mark.parametrize(
    ("glob", "path", "matches"),
    [
        ("docs/**", "docs/a", True),
        ("docs/**", "docs/a/b", True),
        ("docs/**", "docs", False),
        ("docs/*", "docs/a/b", False),
        ("**/*.md", "README.md", True),
        ("**/*.md", "a/b/README.md", True),
        ("src/**/test_*", "src/test_a", True),
        ("src/**/test_*", "src/a/b/test_c", True),
        ("src/**/test_*", "lib/test_c", False),
        ("DOCS/**", "docs/a", False),
        ("*", "a", True),
        ("*", "a/b", False),
    ],
)
def test_star_stays_in_its_folder(glob: str, path: str, *, matches: bool) -> None:
    assert is_any_path([glob], path) is matches


def test_exception_does_not_hold_in_a_freeze_but_its_own() -> None:
    frozen = datetime(2026, 12, 24, tzinfo=UTC)
    docs = {"paths": ["docs/a"], "author_class": "human", "risk": "low"}

    held = decided(EXTRAS, now=frozen, **docs)
    excepted = decided(EXTRAS, now=frozen, service="status-page", **docs)

    assert held.trace[0] == "docs: frozen by year-end until 2027-01-04 07:00 UTC"
    assert [freeze.name for freeze in held.freezes] == ["year-end"]
    assert (excepted.rule, excepted.freezes) == ("docs", ())


def test_opa_is_asked_only_where_the_rule_could_be_an_exception() -> None:
    """All that it asks is known, and there is no freeze: what OPA says of the rest is no better than a guess."""
    text = POLICY.replace("    separation: [requester]\n", "    opa: true\n    freeze: [may]\n", 1).replace(
        "rules:", "freezes: {may: {zone: UTC, from: 2026-05-02 00:00, to: 2026-06-01 00:00}}\nrules:"
    )

    known, unknown = decided(text, environment="production"), decided(text)
    frozen = decided(text, environment="production", now=NOW + timedelta(days=2))
    other = decided(text, environment="staging")

    assert [each.asks_opa for each in (known, unknown, frozen, other)] == [True, False, False, False]
    assert {each.outcome for each in (known, unknown, frozen)} == {"require"}
    assert known.trace[-1] == "OPA: asked"
    assert unknown.trace[-1] == "OPA: not asked, environment is not known"
    assert frozen.trace[-1] == "OPA: not asked, frozen by may until 2026-06-01 00:00 UTC"


def test_terms_are_as_written() -> None:
    terms = decided(EXTRAS, risk="low").terms

    assert in_words(terms.requires) == "2 of release and (1 of sre or 1 of cy)"
    assert (terms.distinct_groups, terms.rejects, terms.reason_required) == (True, 2, True)
    assert (terms.on_expire, terms.remind_at, terms.escalate_at) == ("escalate", 0.5, 0.8)
    assert terms.escalate_to == Seats(group="sre", people=(), teams=("sre",))
    assert (terms.separation, asked("production").terms.separation) == (ROLES, ("requester",))


def test_without_a_match_the_default_group_is_asked_or_it_is_denied() -> None:
    denied = decided(POLICY, action="delete")
    defaulted = decided("default_group: release\n" + POLICY, action="delete")

    assert (denied.rule, denied.outcome) == ("default", "deny")
    assert (defaulted.outcome, in_words(defaulted.terms.requires)) == ("require", "1 of release")


def test_without_a_file_one_person_must_agree_within_a_day() -> None:
    assert load(None, CATALOG) == Policy()
    requirement = decide_policy(Policy(), Facts(action="deploy", environment="production"), version=1, now=NOW)
    assert (requirement.outcome, requirement.terms.requires) == ("require", Seats())
    assert requirement.terms.expires_after_s == timedelta(hours=24).total_seconds()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("group: release, count", "group: relese, count", "line 9, rules[0].requires.group: no group is called relese"),
        ("count: 2", "count: 4", "line 9, rules[0].requires.count: 4 of a group of 3 can never agree"),
        ("count: 2", "count: 0", "line 9, rules[0].requires.count: Expected `int` >= 1"),
        ("[ana, bo, cy]", "[ana, zoe]", "line 3, groups.release.people: no person in the catalog is called zoe"),
        ("[sre]", "[sre, ops]", "line 4, groups.sre.teams: no team in the catalog is called ops"),
        ("{group: release, count: 2}", "{group: sre, count: 2}", "line 9, rules[0].requires: 2 of sre can never agree"),
        ("{group: release, count: 2}", "{person: zoe}", "line 9, rules[0].requires: 1 of zoe can never agree"),
        ("{group: release, count: 2}", "{person: ana, group: sre}", "line 9, rules[0].requires: needs exactly one of"),
        ("{group: release, count: 2}", "{and: []}", "line 9, rules[0].requires: needs exactly one of"),
        ("{group: release, count: 2}", "{person: ana, count: 2}", "line 9, rules[0].requires.count: only a group"),
        (
            "{group: release, count: 2}",
            "{and: [{group: sre}, {or: [{group: release}, {group: x}]}]}",
            "line 9, rules[0].requires.and[1].or[1].group: no group is called x",
        ),
        ("after: 4h", "after: 4 hours", "line 11, rules[0].expires.after: 4 hours is not a duration"),
        ("after: 4h", "after: 31d", "line 11, rules[0].expires.after: 31d is longer than a gate waits"),
        ("after: 4h", "after: 4h, on_expire: approve", "line 11, rules[0].expires.on_expire: approve needs allow_"),
        ("after: 4h", "after: 4h, on_expire: escalate", "line 11, rules[0].expires.on_expire: escalate needs ladder"),
        ("[requester]", "[]", "line 10, rules[0].separation: Expected `array` of length >= 1"),
        ("[requester]", "[nobody]", "line 10, rules[0].separation[0]: Invalid enum value 'nobody'"),
        ("outcome: require", "outcome: auto", "line 9, rules[0].requires: outcome auto asks nobody"),
        ("separation: [requester]", "opa: 1", "line 10, rules[0].opa: Expected `bool | null`"),
        (
            "rules:",
            "rules:\n  - {name: x, outcome: deny, opa: true}",
            "line 6, rules[0].opa: outcome deny asks nobody",
        ),
        (
            "rules:",
            "rules:\n  - {name: x, outcome: require, requires: {group: sre}, opa: true, if: {branch: main}}",
            "line 6, rules[0].if: an exception needs a condition beside",
        ),
        ("outcome: require", "outcome: maybe", "line 8, rules[0].outcome: Invalid enum value 'maybe'"),
        ("everything-else", "production-deploys", "line 12, rules[1].name: there is another rule"),
        ("separation:", "seperation:", "line 6, rules[0]: Object contains unknown field `seperation`"),
        ("separation: [requester]", "freeze: [xmas]", "line 10, rules[0].freeze: no freeze is called xmas"),
        ("separation: [requester]", "ladder: {remind: 5}", "line 10, rules[0].ladder.remind: Expected `str`"),
        ("separation: [requester]", "ladder: {remind: 100%}", "line 10, rules[0].ladder.remind: 100% is not a part"),
        ("separation: [requester]", "outcome: deny", "line 10: outcome comes twice"),
        ("version: 3", "version: [", "line 3: expected ',' or ']'"),
        ("version: 3", "version: 0", "line 1, version: Expected `int` >= 1"),
        ("rules:", "freezes: {x: {zone: Mars, from: mon 00:00, to: tue 00:00}}\nrules:", "line 5, freezes.x.zone: no"),
        ("rules:", "freezes: {x: {zone: UTC, from: mon 00:00, to: 12}}\nrules:", "line 5, freezes.x.to: Expected"),
        ("rules:", "freezes: {x: {zone: UTC, from: mon 9, to: tue 9}}\nrules:", "line 5, freezes.x.from: mon 9 is"),
        (
            "rules:",
            "freezes: {x: {zone: UTC, from: 2026-12-20, to: 2026-12-19}}\nrules:",
            "line 5, freezes.x.to: it ends before it begins",
        ),
        (
            "rules:",
            "rules:\n  - {name: x, outcome: auto, if: {labels: safe}}",
            "line 6, rules[0].if: an exception needs a condition beside",
        ),
        ("rules:", "signals: {stale: {}}\nrules:", "line 5, signals.stale: no rule of signals is called stale: no_"),
        ("rules:", "signals: {stale_pr: {cooldown: 2w}}\nrules:", "line 5, signals.stale_pr.cooldown: 2w is not"),
        ("rules:", "signals: {stale_pr: {action: deploy}}\nrules:", "line 5, signals.stale_pr.action: deploy is"),
        (
            "rules:",
            "signals: {stale_pr: {action: label}}\nrules:",
            "line 5, signals.stale_pr.with: a label of this signal lacks or mistakes label: Field required",
        ),
        (
            "rules:",
            "signals: {wip_limit_exceeded: {action: comment_summary}}\nrules:",
            "line 5, signals.wip_limit_exceeded.with: a comment_summary of this signal lacks or mistakes repository",
        ),
        ("rules:", "rules:\n  - {name: x, outcome: auto}", "line 6, rules[0].if: an exception needs"),
        ("rules:", "rules:\n  - {name: x, outcome: require}", "line 6, rules[0]: outcome require needs requires"),
    ],
)
def test_mistake_in_the_file_is_named_by_line_and_field(old: str, new: str, message: str) -> None:
    broken = POLICY.replace(old, new, 1)

    with pytest.raises(InvalidPolicy) as refused:
        check(broken, read(broken), CATALOG)

    assert str(refused.value).startswith(message)


def test_file_with_more_ways_to_agree_than_can_be_looked_at_is_refused() -> None:
    ways = ", ".join(["{or: [{group: sre}, {group: release}]}"] * 7)

    with pytest.raises(InvalidPolicy, match="more than 64 ways to agree"):
        read(POLICY.replace("{group: release, count: 2}", f"{{and: [{ways}]}}"))


def test_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "absent.yaml", tmp_path / "bytes.yaml"):
        with pytest.raises(InvalidPolicy, match=path.name):
            load(path, CATALOG)


def accounts(*names: str, role: Role = "requester") -> list[Account]:
    return [Account(role=role, platform="github", name=name) for name in names]


def may_decide(requirement: Requirement, *requesters: str) -> set[str]:
    return set(electorate(CATALOG, requirement.terms, accounts(*requesters)).allowed)


def test_requester_is_excluded_under_every_account_of_theirs() -> None:
    for login in ("ana-k", "ANA-K", "ana-second"):
        assert may_decide(asked("production"), login) == {"bo", "cy"}


def test_creator_and_sender_are_both_excluded() -> None:
    assert may_decide(asked("production"), "ana-k", "bo-l") == {"cy"}


@pytest.mark.parametrize("role", ROLES)
def test_everybody_who_had_a_part_is_excluded_where_the_rule_says_so(role: Role) -> None:
    separated = electorate(CATALOG, asked("staging").terms, accounts("ana-k", role=role))
    only_requester = electorate(CATALOG, asked("production").terms, accounts("ana-k", role=role))

    assert "ana" not in separated.allowed
    assert "as ana-k" in separated.obstacle("ana")
    assert ("ana" in only_requester.allowed) is (role != "requester")


def test_who_has_no_account_to_compare_with_may_be_an_unknown_requester() -> None:
    allowed = electorate(CATALOG, asked("production").terms, accounts("stranger"))

    assert allowed.allowed == {"ana", "bo"}
    assert "may be stranger" in allowed.obstacle("cy")


def test_bot_that_asks_excludes_nobody() -> None:
    assert may_decide(asked("production"), "Dependabot[bot]") == {"ana", "bo", "cy"}


def test_without_a_group_everybody_in_the_catalog_but_the_requester_may_decide() -> None:
    voters = electorate(CATALOG, Terms(), accounts("di-m"))

    assert voters.allowed == {"ana", "bo", "cy"}
    assert voters.requesters == {"di"}


def test_account_of_nobody_never_decides() -> None:
    voters = electorate(CATALOG, Terms(), ())

    assert voters.obstacle("") == "this account belongs to nobody in the catalog"
    assert slack_users(CATALOG, voters) == ("U0ANA", "U0BO", "U0BO2", "U0CY")


def test_people_of_the_group_that_is_escalated_to_may_take_every_seat() -> None:
    terms = decided(EXTRAS, risk="low").terms
    only = msgspec.structs.replace(terms, requires=Seats(group="release", people=("ana", "bo")))

    assert electorate(CATALOG, only, ()).allowed == {"ana", "bo"}
    assert electorate(CATALOG, only, (), is_escalated=True).allowed == {"ana", "bo", "di"}


LOGINS = ("l0", "l1", "l2", "l3", "l4", "l5", "l6", "unheard-of")


@given(
    st.lists(st.lists(st.sampled_from(LOGINS[:7]), max_size=3, unique=True), min_size=1, max_size=5),
    st.lists(st.tuples(st.sampled_from(ROLES), st.sampled_from(LOGINS)), max_size=6),
)
def test_nobody_who_had_a_part_may_decide_whatever_the_accounts(
    owned: list[list[str]], parts: list[tuple[Role, str]]
) -> None:
    """Accounts are somebody's, nobody's or (a mistake in a catalog) of two people."""
    people = tuple(Person(name=f"p{index}", github=tuple(logins)) for index, logins in enumerate(owned))
    catalog = Catalog(people=people)
    involved = [Account(role=role, platform="github", name=name) for role, name in parts]

    allowed = electorate(catalog, Terms(), involved).allowed

    names = {name for _, name in parts}
    for person in people:
        if names & set(person.github):
            assert person.name not in allowed
        if not person.github and any(catalog.person("github", name) is None for name in names):
            assert person.name not in allowed
