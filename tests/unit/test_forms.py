"""The form for a reason: what opens it, and that Slack can show it whatever is declined."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.models.views import View

from em.sandbox.blocks import view_violations
from notifier import forms
from notifier.render import render
from shared.contracts.events import ChatAction, SignedRequest
from tests.unit.test_render import REQUEST, approval, buttons

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
PRESSED = ChatAction(
    occurred_at=NOW,
    team="T1",
    user="U0BO",
    channel="C0PAY",
    callback=forms.ACTION,
    value="decline:7:2",
    trigger_id="1.2",
    signed=SignedRequest(body=b"", timestamp="", signature=""),
)


def test_the_button_of_a_card_that_needs_a_reason_opens_the_form_of_what_it_shows() -> None:
    button = buttons(render(approval(reason_required=True)))[forms.ACTION]

    wanted = forms.wanted(msgspec.structs.replace(PRESSED, value=button["value"]))

    assert wanted == forms.Wanted(approval_id=7, revision=2)


@pytest.mark.parametrize(
    "changed",
    [{"callback": "decline"}, {"value": "approve:7:2"}, {"value": "decline:7"}, {"channel": ""}, {"channel": "#pay"}],
    ids=str,
)
def test_another_button_opens_nothing(changed: dict[str, str]) -> None:
    assert forms.wanted(msgspec.structs.replace(PRESSED, **changed)) is None


@given(texts=st.tuples(st.text(), st.text(), st.text()), number=st.integers(1, 10**18 - 1))
def test_any_form_is_within_slacks_limits(texts: tuple[str, str, str], number: int) -> None:
    service, environment, subject = texts
    asked = msgspec.structs.replace(
        REQUEST, approval_id=number, service=service, environment=environment, subject=subject * 50
    )

    view = forms.view(asked, channel="C" + "0" * 31)

    assert view_violations(view) == []
    View(**view).validate_json()
