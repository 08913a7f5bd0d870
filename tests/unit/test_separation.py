"""Separation of duties over identities as they grow: whoever had a part, under whatever account, doesn't decide."""

from approvals_svc.eligibility import electorate
from approvals_svc.policy import Terms
from tests.identities import bypasses, graphs

GRAPHS = 500


def test_law_7_nobody_who_had_a_part_under_any_account_is_counted(scale: int) -> None:
    found = [bypasses(graph, seed=seed) for seed, graph in enumerate(graphs(GRAPHS * scale, seed=1))]

    assert [each for each in found if each] == []


def test_whoever_had_no_part_decides_in_most_of_them() -> None:
    """Else the test above would say nothing."""
    free = [electorate(graph.catalog, Terms(), graph.involved).allowed for graph in graphs(GRAPHS, seed=1)]

    assert sum(map(bool, free)) > GRAPHS / 2
