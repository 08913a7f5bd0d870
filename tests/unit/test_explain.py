"""What each stage contributed to a median that moved."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_svc.explain import UNSTAGED, Staged, explain, profile
from metrics_svc.flow.stages import STAGES

HOUR = 3600.0


def change(**stages: float) -> Staged:
    """In hours; the lead time is their sum."""
    return Staged(
        lead_time_s=sum(stages.values()) * HOUR, stages={name: hours * HOUR for name, hours in stages.items()}
    )


def test_what_got_slower_is_what_contributed() -> None:
    before = [change(coding=4, pickup=1, review=2, merge_wait=1)] * 7
    after = [change(coding=4, pickup=6, review=2, merge_wait=1)] * 7

    found = explain(before, after)

    assert found is not None
    assert (found.before_s, found.after_s, found.before_n, found.after_n) == (8 * HOUR, 13 * HOUR, 7, 7)
    moved = {each.stage: each.change_s for each in found.contributions if abs(each.change_s) > 1e-6}
    assert moved == {"pickup": pytest.approx(5 * HOUR)}


def test_the_profile_is_that_of_the_changes_around_the_median() -> None:
    """Five of nine, the two slowest and the two fastest aside; scaled to the median of all."""
    quick = [change(coding=1)] * 2
    middle = [change(coding=4, review=6)] * 5
    slow = [change(deploy_queue=500)] * 2

    assert profile([*quick, *middle, *slow]) == {
        **dict.fromkeys(STAGES, 0.0),
        UNSTAGED: pytest.approx(0.0),
        "coding": pytest.approx(4 * HOUR),
        "review": pytest.approx(6 * HOUR),
    }


def test_what_no_stage_holds_is_named_so() -> None:
    half_known = Staged(lead_time_s=10 * HOUR, stages={"coding": 4 * HOUR})

    assert profile([half_known])[UNSTAGED] == pytest.approx(6 * HOUR)


def test_without_changes_on_one_side_nothing_is_explained() -> None:
    assert explain([], [change(coding=1)]) is None
    assert explain([change(coding=1)], []) is None


seconds = st.floats(min_value=0, max_value=1e8)
changes = st.lists(
    st.builds(Staged, lead_time_s=seconds, stages=st.dictionaries(st.sampled_from(STAGES), seconds)), min_size=1
)


@given(changes, changes)
def test_contributions_sum_to_the_difference_of_the_medians(before: list[Staged], after: list[Staged]) -> None:
    found = explain(before, after)

    assert found is not None
    assert sum(each.change_s for each in found.contributions) == pytest.approx(
        found.after_s - found.before_s, rel=1e-6, abs=1e-3
    )
    middle = sorted(each.lead_time_s for each in after)
    below, above = middle[(len(middle) - 1) // 2], middle[len(middle) // 2]
    assert found.after_s == pytest.approx((below + above) / 2, rel=1e-6, abs=1e-3)
