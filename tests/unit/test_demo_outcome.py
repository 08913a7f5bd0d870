"""The end of the demo: sums, agreement with the story, the reasons for a failure, and a page that is safe."""

import io
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from em.demo.cases import Key, List, compared, expected_cases
from em.demo.outcome import (
    ApprovalLine,
    Conversation,
    Outcome,
    RunLine,
    boards_of,
    chat_message,
    dora_of,
    reasons,
    summary,
)
from em.demo.page import page
from em.demo.performance import conversations
from em.demo.report import render
from em.demo.send import Sent
from em.demo.story import Story, tell
from em.demo.truth import expected_dora, expected_excluded
from em.sandbox.workspace import identifier

HOSTILE = '<script>alert("x")</script>'


@pytest.fixture(scope="module")
def good() -> Outcome:
    story = tell(5, datetime(2026, 5, 4, 8, 30, tzinfo=UTC))
    truth = expected_dora(story)
    asked = story.gates[0].deployment
    line = ApprovalLine(
        service="ledger",
        environment="production",
        sha=asked.sha,
        requester=HOSTILE,
        outcome="approved",
        votes=(HOSTILE,),
    )
    message = {"ts": f"{story.end.timestamp():.6f}", "text": f"*Deployed* {HOSTILE} by <@U06INESOKA>", "edits": [{}]}
    return Outcome(
        story=story,
        sent=Sent(sent=107, accepted=102, duplicate=5, handshakes=2, seconds=1.0),
        dispositions={"events": 90, "ignored": 10, "dead": 0},
        dora=truth,
        expected_dora=truth,
        approvals={"requested": 6, "approved": 4, "rejected": 1, "callbacks": 5},
        slack={"posts": 9, "updates": 12, "duplicates": 0},
        seconds=12.34,
        held_back={HOSTILE: 3},
        approval_lines=(line,),
        conversations=(Conversation(name=HOSTILE, messages=(chat_message(message),)),),
        boards=boards_of(story),
        urls={HOSTILE: f"javascript:{HOSTILE}"},
        excluded=expected_excluded(story),
        expected_excluded=expected_excluded(story),
        cases=compared(expected_cases(story), found(story)),
        runs=tuple(run_line(run.service.name, 200 if run.goes_on else 403, run.goes_on) for run in story.runs),
    )


def run_line(service: str, status: int, must_go_on: bool, callbacks: int = 1) -> RunLine:
    return RunLine(service=service, status=status, said=HOSTILE, must_go_on=must_go_on, callbacks=callbacks)


def found(story: Story) -> dict[List, dict[Key, Any]]:
    """As the service would list it, if it says what the story says."""
    rows: dict[List, dict[Key, Any]] = {"deployments": {}, "changes": {}, "incidents": {}, "teams": {}}
    for each in expected_cases(story):
        if each.row is not None:
            rows[each.where].setdefault((each.id, each.service), {}).update(each.row)
    return rows


def test_the_summary_has_the_promised_keys_and_adds_up_by_itself(good: Outcome) -> None:
    told = summary(good)

    deliveries, dispositions = told["deliveries"], told["dispositions"]
    assert list(told) == [
        *("deliveries", "dispositions", "adds_up", "dora", "expected_dora", "edge_cases", "approvals", "runs", "slack"),
        "seconds",
    ]
    assert deliveries == {"sent": 105, "accepted": 100, "duplicate": 5, "rejected": 0}
    assert deliveries["accepted"] == sum(dispositions.values())
    assert told["adds_up"] is True
    assert reasons(good) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dispositions": {"events": 89, "ignored": 10, "dead": 0}}, "do not add up"),
        ({"dispositions": {"events": 89, "ignored": 10, "dead": 1}}, "dead letters"),
        ({"slack": {"posts": 9, "updates": 12, "duplicates": 1}}, "posted twice"),
        ({"dora": {}}, "the story says"),
        ({"excluded": {}}, "left out are"),
    ],
)
def test_each_fault_has_its_sentence(good: Outcome, change: dict[str, Any], words: str) -> None:
    assert any(words in reason for reason in reasons(replace(good, **change)))


def test_one_different_metric_is_named(good: Outcome) -> None:
    search = {**good.dora["search"], "change_fail_rate": {"value": 0.5, "n": 31}}

    found = reasons(replace(good, dora={**good.dora, "search": search}))

    assert len(found) == 1
    assert found[0].startswith("search: change_fail_rate is 0.5 (n = 31), the story says ")


def test_an_edge_case_that_differs_is_named_with_what_was_found(good: Outcome) -> None:
    rows = found(good.story)
    rollback = next(each for each in expected_cases(good.story) if each.case == "a rollback by name")
    rows["deployments"][rollback.id, "mailer"] |= {"kind": "normal"}
    staging = next(each for each in expected_cases(good.story) if each.row is None)
    rows["deployments"][staging.id, staging.service] = {"kind": "normal", "failed": False}

    cases = {case.name: case for case in compared(expected_cases(good.story), rows)}

    assert [name for name, case in cases.items() if case.differs] == sorted([rollback.case, staging.case])
    [said] = cases[rollback.case].differs
    assert said.startswith(f"mailer {rollback.id} is {{'kind': 'normal'")
    assert reasons(replace(good, cases=list(cases.values())))


def test_the_answer_of_the_api_becomes_value_and_n() -> None:
    row = {"service": "ledger", "metric": "change_fail_rate", "value": 0.2, "unit": "ratio", "n": 5}
    answer = {"rows": [row, {**row, "metric": "deployment_days"}]}

    assert dora_of(answer) == {"ledger": {"change_fail_rate": {"value": 0.2, "n": 5}}}


def test_the_page_is_self_contained_and_escapes_everything(good: Outcome) -> None:
    html = page(good)

    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert 'href="javascript:' not in html
    assert " src=" not in html
    assert "@import" not in html
    assert "url(" not in html
    assert "@Ines Okafor" in html


def test_the_page_says_what_went_wrong(good: Outcome) -> None:
    html = page(replace(good, slack={"posts": 9, "updates": 12, "duplicates": 2}))

    assert "2 Slack messages were posted twice." in html
    assert "Every delivery is accounted for" not in html


def test_the_terminal_shows_one_screen(good: Outcome) -> None:
    out = io.StringIO()

    render(good, Console(file=out, width=120))

    assert "100 accepted = 90 events + 10 ignored + 0 dead" in out.getvalue()
    assert out.getvalue().count("\n") <= 60
    assert "a rollback by name mailer" in out.getvalue()


@pytest.mark.parametrize(
    "run",
    [
        run_line("mailer", 403, must_go_on=True),
        run_line("mailer", 200, must_go_on=False),
        run_line("mailer", 422, must_go_on=True),
        run_line("mailer", 200, must_go_on=True, callbacks=0),
        run_line("mailer", 200, must_go_on=True, callbacks=2),
    ],
    ids=["stopped", "went on", "refused", "not called back", "called back twice"],
)
def test_run_that_does_not_do_as_the_story_has_it_fails_the_demo(good: Outcome, run: RunLine) -> None:
    [reason] = reasons(replace(good, runs=(run,)))

    assert reason.startswith(f"mailer: its run was answered {run.status}")


def test_runs_are_told_at_the_end_and_in_the_summary(good: Outcome) -> None:
    screen = io.StringIO()
    render(good, Console(file=screen, width=200))

    assert "1 went on, 1 stopped, 2 signed callbacks" in screen.getvalue()
    assert [run["goes_on"] for run in summary(good)["runs"]] == [run.goes_on for run in good.runs]


def test_the_busiest_channel_and_the_person_who_was_asked_most_are_shown() -> None:
    asked, other = identifier("D", "U06INESOKA"), identifier("D", "U06TOMASLI")
    seen = {"C1": "#payments", "C2": "#search", asked: "@ines", other: "@tomas"}
    rows = [
        {"ts": f"{number}.0", "text": str(number), "channel": channel, "channel_name": seen[channel]}
        for number, channel in enumerate(["C2", "C1", other, asked, "C1", asked])
    ]

    rows.append({**rows[3], "ephemeral_for": "U06TOMASLI"})

    shown = conversations(rows)

    assert [(each.name, [message.lines for message in each.messages]) for each in shown] == [
        ("#payments", [["1"], ["4"]]),
        ("Ines Okafor, alone", [["3"], ["5"]]),
    ]
