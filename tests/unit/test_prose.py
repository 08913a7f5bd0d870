"""What a model is told of a list, and what of its answer may be shown."""

from datetime import UTC, datetime

import pytest

from notifier import prose
from notifier.prose import Unusable
from shared.contracts.events import Bulletin, Item, Section

BULLETIN = Bulletin(
    occurred_at=datetime(2026, 3, 2, 9, tzinfo=UTC),
    about="standup",
    title="Standup of payments: 7 changes in progress",
    sections=(
        Section(
            title="Waiting for a review",
            n=3,
            items=(
                Item(
                    subject="acme/checkout#128",
                    detail="Rotate xoxb-12-secret and https://vault.example/key token=abc",
                    who="ana",
                    url="https://github.com/acme/checkout/pull/128",
                ),
            ),
        ),
    ),
)


def test_a_model_is_told_titles_and_counts_but_no_address_and_no_secret() -> None:
    assert prose.told(BULLETIN) == (
        "Standup of payments: 7 changes in progress\n"
        "Waiting for a review: 3\n"
        "- acme/checkout#128 · Rotate … and … … · ana"
    )


@pytest.mark.parametrize(
    "answer",
    [
        "3 changes wait for a review, #128 the longest.",
        "Of 7 changes in progress, 3 wait.\nLook at acme/checkout#128 first.",
        "Reviews are what holds payments up.",
    ],
)
def test_words_that_say_what_is_there_are_shown_in_one_line(answer: str) -> None:
    assert prose.checked(answer, prose.told(BULLETIN)) == " ".join(answer.split())


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("", "0 characters"),
        ("so much " * 100, "799 characters"),
        ("4 changes wait.", "a number"),
        ("12 changes wait.", "a number"),  # 128 was told, 12 was not
        ("3.5 changes wait.", "a number"),
        ("Thirty changes wait.", "a number"),
        ("It has doubled.", "a number"),
        ("٣ changes wait.", "another script"),
        ("Look at https://evil.example", "links"),
        ("Look at www.evil.example", "links"),
        ("<!channel> look", "links"),
        ("@ana look", "links"),
        ("[look](here)", "links"),
    ],
)
def test_words_that_say_anything_else_are_not(answer: str, why: str) -> None:
    with pytest.raises(Unusable, match=why):
        prose.checked(answer, prose.told(BULLETIN))
