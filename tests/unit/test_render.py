"""Cards: what they say, within Slack's limits, and without anything that others smuggled in."""

import html
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from em.sandbox.blocks import characters, violations
from notifier import usage
from notifier.cards import ApprovalCard, Card, DeploymentCard, IncidentCard, NudgeCard, SummaryCard
from notifier.evidence import below, in_words, risk, size
from notifier.mrkdwn import lines, link, moment, text
from notifier.render import Message, note, render, without_blocks
from shared.contracts.commands import COMMANDS, parse
from shared.contracts.events import (
    ApprovalDecided,
    ApprovalExecuted,
    ApprovalNumbers,
    ApprovalRequested,
    ApprovalSummarized,
    Evidence,
    Nudge,
    OpenIncident,
    Precedent,
    ServiceApprovals,
    ShippedChange,
    Vote,
)

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
OURS = re.compile(r"<!date\^\d+\^\{date_short_pretty\} \{time\}\|[0-9: -]+ UTC>|<https?://[^<>|]+\|[^<>|]+>")
HOSTILE = "<!channel> <@U1> <#C1|x> <http://evil.example|click> &amp; |`*_~"

DEPLOYMENT = DeploymentCard(
    service="checkout",
    environment="production",
    repository="acme/checkout",
    state="succeeded",
    sha="1a2b3c4d5e6f",
    who="ana-k",
    url="https://github.example/acme/checkout/actions/runs/7",
    requested_at=NOW,
    started_at=NOW + timedelta(seconds=5),
    finished_at=NOW + timedelta(seconds=257),
)
INCIDENT = IncidentCard(
    title="Payments fail",
    number=12,
    service="checkout",
    urgency="high",
    state="acknowledged",
    who="bo",
    url="https://pagerduty.example/Q1",
    opened_at=NOW,
    acknowledged_at=NOW + timedelta(minutes=1),
    resolved_at=None,
)
QUIET = ApprovalNumbers(asked=0, decided=0, declined=0, auto=0, expired=0, p50_s=None, p90_s=None, over_sla=0)
REQUEST = ApprovalRequested(
    occurred_at=NOW,
    approval_id=7,
    revision=2,
    version=1,
    status="pending",
    action="deploy",
    subject="acme/checkout@1a2b3c4",
    service="checkout",
    environment="production",
    repository="acme/checkout",
    sha="1a2b3c4d5e6f",
    url="https://github.example/acme/checkout/actions/runs/7",
    requested_by="cy",
    policy="production-deploys",
    group="release",
    required=2,
    votes=(Vote(person="ana", verb="approve"),),
    expires_at=NOW + timedelta(hours=4),
)


def approval(**changes: Any) -> ApprovalCard:
    return ApprovalCard(approval=msgspec.structs.replace(REQUEST, **changes), production=True)


def markup(message: Message) -> str:
    return "\n".join([message.text, *_texts(message.blocks)])


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("text"), str):
            yield node["text"]
        node = list(node.values())
    if isinstance(node, list | tuple):
        for child in node:
            yield from _texts(child)


def buttons(message: Message) -> dict[str, dict[str, Any]]:
    elements = [e for block in message.blocks if block["type"] == "actions" for e in block["elements"]]
    return {element["action_id"]: element for element in elements}


def test_a_deployment_card_names_service_environment_outcome_duration_revision_and_person() -> None:
    message = render(DEPLOYMENT)

    assert message.text == "Deploy checkout to production succeeded after 4 min 12 s · 1a2b3c4 · by ana-k"
    assert "acme/checkout" in markup(message)
    assert "<https://github.example/acme/checkout/actions/runs/7|details>" in markup(message)


def test_an_incident_card_names_title_service_urgency_and_state() -> None:
    message = render(INCIDENT)

    assert message.text == "Incident #12 acknowledged: Payments fail (checkout)"
    assert "high urgency" in markup(message)
    assert "by bo" in markup(message)


def test_a_pending_approval_says_what_who_how_many_and_until_when_and_can_be_answered() -> None:
    message = render(approval())

    assert message.text == "Deploy checkout to production? cy asks 2 of release · 1 of 2: ana · 1a2b3c4"
    assert "production-deploys 2 of release" in markup(message)
    assert "Votes: 1 of 2: ana · until <!date^" in markup(message)
    assert f"<!date^{int((NOW + timedelta(hours=4)).timestamp())}^" in markup(message)
    assert {action: button["value"] for action, button in buttons(message).items()} == {
        "approve": "approve:7:2",
        "decline": "decline:7:2",
    }


def test_action_says_what_a_yes_does_beside_what_its_requester_calls_it() -> None:
    does = "label acme/web#7 with stale <!here>"
    message = render(approval(action="label", subject="A favour", environment="", does=does, reason="it waits"))

    assert message.text.startswith("Label A favour? ")
    assert "A yes will label acme/web#7 with stale &lt;!here&gt; · because: it waits" in markup(message)


def test_nudge_mentions_whom_it_is_for_and_keeps_its_lines() -> None:
    nudge = Nudge(occurred_at=NOW, text="Look <!here>\nplease", person="bo", asked_by="ana")

    message = render(NudgeCard(nudge=nudge, mentioned="U0BO"))

    assert message.text == "<@U0BO>: Look &lt;!here&gt;\nplease"
    assert "Asked by ana" in markup(message)


@pytest.mark.parametrize("blank", ["", " ", "\n\n", "\u202e\n"])
def test_nudge_without_words_is_still_a_message(blank: str) -> None:
    nudge = Nudge(occurred_at=NOW, text=blank)

    assert render(NudgeCard(nudge=nudge)).text == "…"


def summary(
    *,
    team: str = "payments",
    numbers: ApprovalNumbers = QUIET,
    services: tuple[ServiceApprovals, ...] | None = None,
) -> ApprovalSummarized:
    return ApprovalSummarized(
        occurred_at=NOW,
        team=team,
        week=date(2026, 6, 29),
        sla_s=14_400.0,
        numbers=numbers,
        services=(ServiceApprovals(service="checkout", numbers=numbers),) if services is None else services,
    )


def test_week_of_approvals_says_what_waited_and_who_broke_the_glass() -> None:
    numbers = ApprovalNumbers(
        asked=12,
        decided=9,
        declined=2,
        auto=3,
        expired=0,
        p50_s=1500.0,
        p90_s=10_800.0,
        over_sla=1,
        broken=(7, 9),
        broken_n=2,
        pending=1,
        oldest=19,
        oldest_s=7200.0,
    )

    message = render(SummaryCard(summary=summary(numbers=numbers)))

    assert message.text == (
        "Approvals of payments, week of 2026-06-29: 12 asked · 9 decided, 2 of them declined · 3 by a rule"
    )
    assert "Half decided within 25 min 0 s, nine of ten within 3 h 0 min · 1 waited longer than 4 h 0 min" in markup(
        message
    )
    assert "Glass broken: #7, #9" in markup(message)
    assert "1 waited at its end, #19 the longest: 2 h 0 min" in markup(message)
    assert "checkout 12 asked, 1 too late" in markup(message)


def test_production_asks_for_confirmation_and_others_dont() -> None:
    elsewhere = msgspec.structs.replace(approval(), production=False)

    assert all("confirm" in button for button in buttons(render(approval())).values())
    assert not any("confirm" in button for button in buttons(render(elsewhere)).values())


SHOWN = Evidence(
    changes_n=2,
    lines=84,
    size="S",
    changes=(ShippedChange(number=12, title="Sum in cents", author="ana-k", author_class="ai_assisted", lines=70),),
    direct_commits=1,
    deployments=20,
    failed=1,
    incidents=(OpenIncident(title="Payments fail", opened_at=NOW, urgency="high"),),
    incidents_n=1,
    coverage=81.04,
    coverage_base=82.5,
    gate="failed",
    checks_of="branch",
    precedents=tuple(
        Precedent(approval_id=n, subject="x", similarity=0.5, decision="approved", decided_at=NOW, outcome=outcome)
        for n, outcome in enumerate(("healthy", "healthy", "rolled_back"))
    ),
)


def test_a_watch_shows_verb_service_environment_who_size_and_risk_of_an_approval() -> None:
    message = render(approval(evidence=SHOWN))

    assert message.text == (
        "Deploy checkout to production? cy asks 2 of release · 84 lines (S) · 1 incident open · 1 of 2: ana · 1a2b3c4"
    )


def test_an_approval_shows_its_evidence_in_one_line_and_the_rest_in_its_thread() -> None:
    card = approval(evidence=SHOWN, risk="low")

    assert "\n2 changes, 84 lines (S) · low risk · 1 of 20 deployments failed · :fire: 1 incident open" in markup(
        render(card)
    )
    assert below(card.approval).split("\n") == [
        "*2 changes, 84 lines (S)*",
        "• #12 Sum in cents · ana-k (ai assisted) · 70 lines",
        "and 1 more",
        "and 1 commit of no change",
        "*How it stands*: 1 of 20 deployments in 30 days failed"
        " · coverage 81.0 % (-1.5), quality gate failed of its branch",
        "*1 incident open*",
        f"• Payments fail · high · since {moment(NOW)}",
        "*3 like it*: 2 healthy, 1 rolled back",
        "• #0 x · approved · healthy",
        "• #1 x · approved · healthy",
        "• #2 x · approved · rolled back",
    ]


@pytest.mark.parametrize(
    ("evidence", "size_", "line"),
    [
        (Evidence(), "", ""),
        (Evidence(commits=3), "3 commits", "3 commits"),
        (Evidence(commits=0, is_back=True), "back to before", "goes back to an earlier commit"),
        (Evidence(changes_n=200, commits=500, is_cut=True), "more than 200 changes", "more than 200 changes"),
        (Evidence(changes_n=1, lines=12_345, size="XL"), "12k lines (XL)", "1 change, 12345 lines (XL)"),
    ],
)
def test_what_is_not_known_is_not_in_the_evidence(evidence: Evidence, size_: str, line: str) -> None:
    assert (size(evidence), in_words(approval(evidence=evidence).approval)) == (size_, line)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"evidence": Evidence(deployments=20, failed=1)}, "1 of 20 failed"),
        ({"evidence": Evidence(incidents_n=2, gate="failed", deployments=9, failed=8)}, "2 incidents open"),
        ({"evidence": Evidence(gate="failed"), "risk": "low"}, "gate failed, low risk"),
        ({"risk": "x" * 40}, f"{'x' * 17}… risk"),
        ({"evidence": Evidence(gate="passed")}, ""),
    ],
)
def test_of_the_risk_the_worst_comes_first_and_what_has_no_room_is_left_to_the_card(
    changes: dict[str, Any], said: str
) -> None:
    assert risk(approval(**changes).approval) == said


@pytest.mark.parametrize(
    ("changes", "ending"),
    [
        ({"status": "approved", "votes": (Vote(person="ana", verb="approve"),)}, "approved by ana"),
        (
            {"status": "rejected", "votes": (Vote(person="bo", verb="reject", reason="freeze"),)},
            "declined by bo (freeze)",
        ),
        ({"status": "expired"}, "expired, 1 of 2: ana"),
        ({"status": "executed"}, "approved by ana"),
    ],
)
def test_an_ended_approval_has_no_buttons_and_says_how_it_ended(changes: dict[str, Any], ending: str) -> None:
    message = render(approval(**changes))

    assert not buttons(message)
    assert message.text == f"Deploy checkout to production: {ending} · 1a2b3c4"
    assert f"*{ending}*" in markup(message)


def test_a_decision_that_could_not_be_carried_out_says_why() -> None:
    given = {name: getattr(REQUEST, name) for name in REQUEST.__struct_fields__}
    dead = ApprovalExecuted(**{**given, "status": "dead"}, effect="github", failure="GitHub answered 404")

    message = render(ApprovalCard(approval=dead, production=True))

    assert "could not be carried out: GitHub answered 404" in message.text


@pytest.mark.parametrize(
    ("status", "how", "said"),
    [
        ("cancelled", {"cause": "cy-m rejected it at github"}, "cancelled: cy-m rejected it at github"),
        ("cancelled", {"ended_by": "dee", "why": "wrong sha"}, "cancelled by dee: wrong sha"),
        ("cancelled", {}, "cancelled"),
        ("revoked", {"ended_by": "dee"}, "revoked by dee"),
    ],
)
def test_what_ended_without_votes_says_by_whom_and_why(status: str, how: dict[str, Any], said: str) -> None:
    given = {name: getattr(REQUEST, name) for name in REQUEST.__struct_fields__}
    ended = ApprovalDecided(**{**given, "status": status}, **how)

    message = render(ApprovalCard(approval=ended, production=True))

    assert message.text == f"Deploy checkout to production: {said} · 1a2b3c4"


def approvals(words: st.SearchStrategy[str]) -> st.SearchStrategy[ApprovalCard]:
    votes = st.builds(Vote, person=words, verb=st.sampled_from(["approve", "reject"]), reason=words)
    return st.builds(
        approval,
        status=st.sampled_from(["pending", "approved", "rejected", "expired", "executed", "strange"]),
        action=words,
        subject=words,
        does=words,
        reason=words,
        service=words,
        environment=words,
        repository=words,
        sha=words,
        url=words,
        requested_by=words,
        risk=words,
        policy=words,
        group=words,
        votes=st.lists(votes, max_size=30).map(tuple),
    )


def cards(words: st.SearchStrategy[str]) -> st.SearchStrategy[Card]:
    told = {"service": words, "who": words, "url": words}
    deployments = st.builds(
        lambda **fields: msgspec.structs.replace(DEPLOYMENT, **fields),
        environment=words,
        repository=words,
        state=words,
        sha=words,
        **told,
    )
    incidents = st.builds(
        lambda **fields: msgspec.structs.replace(INCIDENT, **fields), title=words, urgency=words, **told
    )
    said = st.builds(Nudge, occurred_at=st.just(NOW), text=words, person=words, asked_by=words, service=words)
    weeks = st.builds(
        lambda team, services: SummaryCard(
            summary=summary(team=team, services=tuple(ServiceApprovals(service=s, numbers=QUIET) for s in services))
        ),
        team=words,
        services=st.lists(words, max_size=30),
    )
    return st.one_of(approvals(words), deployments, incidents, weeks, st.builds(NudgeCard, nudge=said))


WORDS = st.one_of(
    st.text(max_size=200),
    st.text(alphabet="<>&|!@#`*\n\u202e\u200d👩🇩", max_size=400),
    st.just(HOSTILE),
    st.just("<" * 5000),
    st.just("https://x.example/" + "a<b>|" * 500),
)


@settings(max_examples=300, deadline=None)
@given(card=cards(WORDS))
def test_no_text_of_others_becomes_a_mention_or_a_link_and_all_limits_hold(card: Card) -> None:
    message = render(card)

    assert not re.search("[<>]", OURS.sub("", markup(message)))
    assert len(message.text) <= 3_900
    assert violations(list(message.blocks)) == []
    assert characters(list(message.blocks)) <= 12_000
    assert without_blocks(message).text
    assert msgspec.json.decode(msgspec.json.encode(note(card, mentioned=True)), type=Message).text.endswith(
        message.text
    )
    assert msgspec.json.decode(msgspec.json.encode(message), type=Message) == message


@settings(max_examples=200, deadline=None)
@given(card=approvals(WORDS), known=st.sampled_from([None, SHOWN]))
def test_whatever_it_is_called_an_approval_is_decided_at_a_glance(card: ApprovalCard, known: Evidence | None) -> None:
    """140 characters of text; five lines and 900 characters, as a reader sees them, above the buttons."""
    asked = msgspec.structs.replace(card.approval, status="pending", evidence=known)
    message = render(msgspec.structs.replace(card, approval=asked))

    *words, buttons = message.blocks
    lines = [line for block in words for line in block["text"]["text"].split("\n")]
    assert buttons["type"] == "actions"
    assert len(lines) <= 5
    assert sum(len(_seen(line)) for line in lines) <= 900
    if known:
        assert "84 lines (S) · 1 incident open" in _seen(message.text)[:140]


def _seen(markup: str) -> str:
    return html.unescape(re.sub(r"<[^<>|]*\|([^<>]*)>", r"\1", markup))


def test_injected_mentions_do_not_survive() -> None:
    for card in (
        msgspec.structs.replace(DEPLOYMENT, who=HOSTILE, environment=HOSTILE),
        msgspec.structs.replace(INCIDENT, title=HOSTILE),
        approval(requested_by=HOSTILE, votes=(Vote(person=HOSTILE, verb="reject", reason=HOSTILE),)),
        approval(evidence=Evidence(changes_n=1, lines=1, size=HOSTILE, gate=HOSTILE)),
    ):
        message = render(card)

        assert not re.search(r"<[!@#](?!date)|<http://evil", markup(message))
        assert "&lt;!channel&gt;" in markup(message)


@pytest.mark.parametrize("size", [1, 2, 5, 6, 10, 50])
@given(value=st.text(alphabet="ab&<>é👩\u200d🚀🇩🇪e\u0301", max_size=60))
def test_a_cut_text_is_never_too_long_nor_cut_inside_an_entity(size: int, value: str) -> None:
    cut = text(value, characters_max=size)

    assert len(cut) <= size
    assert re.fullmatch(r"(?:[^&<>]|&(?:amp|lt|gt);)*", cut)
    assert not cut.removesuffix("…").endswith("\u200d") or not cut.endswith("…")


def test_a_family_and_a_flag_are_kept_or_cut_as_a_whole() -> None:
    assert text("a👩\u200d🚀b", characters_max=4) == "a…"
    assert text("a🇩🇪🇫🇷", characters_max=4) == "a🇩🇪…"


def test_invisible_and_turning_characters_are_dropped() -> None:
    assert text("a\x00b\u202ec\ud800d\r\ne", characters_max=20) == "abcd e"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.example/?x=1&y=2", "<https://a.example/?x=1&amp;y=2|it>"),
        ("https://a.example/<b>|c", "<https://a.example/%3Cb%3E%7Cc|it>"),
        ("javascript:alert(1)", "it"),
        ("https://", "it"),
        ("", "it"),
        ("https://a.example/" + "x" * 3000, "it"),
    ],
)
def test_only_addresses_of_the_web_become_links(url: str, shown: str) -> None:
    assert link(url, "it") == shown


def test_lines_of_a_reply_stay_lines_and_are_escaped() -> None:
    assert lines("one <!here>\ntwo", characters_max=100) == "one &lt;!here&gt;\ntwo"
    assert lines("aaaa\nbbbb\ncccc", characters_max=12) == "aaaa\nbbbb\n…"


def test_help_names_every_command_and_an_unknown_word_gets_the_nearest() -> None:
    shown = usage.answer(parse(""), typed="")
    guess = usage.answer(parse("aprove 7"), typed="aprove 7")

    assert all(f"/em {command.name}" in shown for command in COMMANDS)
    assert guess.startswith("There is no command aprove. Did you mean `/em approve`?")
    assert "<" not in usage.answer(parse("<!channel>"), typed="<!channel>")


def test_help_explains_one_command_with_who_may_use_it_and_names_what_is_gone() -> None:
    assert usage.answer(parse("help DECLINE"), typed="help DECLINE") == (
        "• `/em decline &lt;number&gt; [reason]` Vote against an approval. Also: `reject`. For who the policy asks."
    )
    assert "Did you mean `/em dora`?" in usage.answer(parse("help dorra"), typed="help dorra")
    assert "There is no command okr. It is gone:" in usage.answer(parse("okr list"), typed="okr list")
