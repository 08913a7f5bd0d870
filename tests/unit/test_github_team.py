"""Teams of GitHub in a policy file, and what is known of them."""

import pytest

from approvals_svc import policy_file
from approvals_svc.github_team import Members, fresh, within
from approvals_svc.policy_file import InvalidPolicy
from shared.catalog import Catalog, Person

GROUP = "version: 1\ngroups: {{release: {{github_team: {team}}}}}\ndefault_group: release\nrules: []\n"


def test_group_of_a_team_needs_nobody_in_the_catalog_yet() -> None:
    text = GROUP.format(team="Acme/Release")
    policy = policy_file.read(text)

    policy_file.check(text, policy, Catalog())

    assert policy.groups["release"].teams == ("github:acme/release",)


@pytest.mark.parametrize("team", ["release", "acme/../admin", "acme/re lease", "acme/release/members", "-/x", "acme/"])
def test_what_is_no_team_of_an_organization_is_refused_by_field(team: str) -> None:
    with pytest.raises(InvalidPolicy, match=r"groups\.release\.github_team"):
        policy_file.read(GROUP.format(team=f'"{team}"'))


def test_members_are_people_of_the_catalog_until_they_are_too_old() -> None:
    catalog = Catalog(people=(Person(name="ana", github=("ana-k",)), Person(name="bo", github=("bo-l",))))
    known = (Members("acme/release", ("ANA-K", "stranger"), 50.0), Members("acme/old", ("bo-l",), 70.0))

    young = fresh(known, since_s=5, stale_after_s=60)

    assert [(team.name, team.members) for team in within(catalog, young).teams] == [("github:acme/release", ("ana",))]
    assert fresh(known, since_s=10, stale_after_s=60) == ()
