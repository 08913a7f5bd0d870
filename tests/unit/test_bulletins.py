"""Lists in chat: what a message shows, what its thread takes, what is only counted."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from em.sandbox.blocks import violations
from notifier import bulletin
from notifier.cards import BulletinCard
from notifier.render import below, render
from shared.contracts.events import Bulletin, Item, Section

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)


def stale(count: int) -> Section:
    lines = (
        Item(
            subject=f"acme/checkout#{number}",
            detail=f"Retry the card charge {number} times",
            who="ana",
            at=MONDAY - timedelta(days=number),
            url=f"https://github.com/acme/checkout/pull/{number}",
        )
        for number in range(1, count + 1)
    )
    return Section(title="Untouched for long", n=count, items=tuple(lines))


def told(*sections: Section) -> Bulletin:
    return Bulletin(occurred_at=MONDAY, about="standup", title="Standup of payments", sections=sections)


def test_thirty_stale_changes_are_one_message_and_the_thread_has_those_without_room() -> None:
    card = BulletinCard(bulletin=told(stale(30)))

    lead, notes = render(card), below(card)

    shown = str(lead.blocks)
    assert lead.text == "Standup of payments: 30 untouched for long"
    assert len(lead.blocks) <= 50 and "*Untouched for long*: 30" in shown and "and 20 more in the thread" in shown
    named = [number for number in range(1, 31) if f"#{number}>" in shown + "".join(note.text for note in notes)]
    assert named == [*range(1, 31)]
    assert sum(note.text.count("• ") for note in notes) == 20


def test_a_section_that_was_cut_before_says_how_many_are_left() -> None:
    section = Section(title="Merged", n=240, items=stale(4).items)

    assert bulletin.lead([section])[0].endswith("and 236 more")
    assert bulletin.reply("Standup", [section]).endswith("and 236 more")


def test_a_section_without_lines_is_counted_in_an_answer_and_left_out_of_a_message() -> None:
    nothing = Section(title="Waiting for a review", n=0)

    assert bulletin.reply("Triage", [nothing]) == "Triage\n*Waiting for a review*: 0"
    assert bulletin.lead([nothing]) == []


TEXTS = st.text(max_size=400) | st.sampled_from(["<!channel> " * 30, "&" * 400, "*" * 400, "<@U1>|" * 60])
LINES = st.builds(Item, subject=TEXTS, detail=TEXTS, who=TEXTS, url=TEXTS | st.just("https://a.example/" + "x" * 290))
SECTIONS = st.builds(
    Section, title=TEXTS, items=st.lists(LINES, max_size=14).map(tuple), n=st.none() | st.integers(0, 500)
)


@settings(deadline=None)
@given(st.lists(SECTIONS, max_size=6), TEXTS)
def test_whatever_is_listed_fits_into_slack_and_mentions_nobody(sections: list[Section], title: str) -> None:
    event = Bulletin(occurred_at=MONDAY, about="week", title=title, sections=tuple(sections))
    lead, notes = render(BulletinCard(bulletin=event)), below(BulletinCard(bulletin=event))

    assert violations(list(lead.blocks)) == []
    assert sum(len(str(block)) for block in lead.blocks) <= 12_000
    texts = [lead.text, *(note.text for note in notes), bulletin.reply(title, sections)]
    assert all(len(text) <= 3_900 for text in texts) and len(notes) <= bulletin.NOTES_MAX + 1
    assert not any(mention in str(lead.blocks) + "".join(texts) for mention in ("<!channel", "<!here", "<@"))
