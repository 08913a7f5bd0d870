"""A callback through an outage of GitHub."""

import os

from tests.office import Office
from tests.outage import answers_taken

IS_FULL = os.environ.get("SCALE") == "full"
GATES, OUTAGE_S = (10, 600) if IS_FULL else (3, 3)


async def test_law_7_callback_through_an_outage_and_ambiguous_answers_is_one_decision(office: Office) -> None:
    found = await answers_taken(office, gates=GATES, outage_s=OUTAGE_S, is_hurried=not IS_FULL)

    assert found == [1] * GATES
    rows = await office.line.fetch("SELECT state, attempts FROM approvals.effect WHERE effect_kind = 'github_gate'")
    assert {row["state"] for row in rows} == {"done"}
    assert max(row["attempts"] for row in rows) > 2
