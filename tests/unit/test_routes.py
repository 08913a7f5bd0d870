"""Which routes take a thing, where and when it is told, and what a file with a mistake is told."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.living import ThingKind
from notifier.placing import Place, place
from notifier.route_file import InvalidRoutes, inlined, read
from notifier.routes import DEFAULT, FIELDS, About, choose
from shared.catalog import Catalog, Service

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)  # a Wednesday
CATALOG = Catalog(services=(Service(name="checkout", slack_channel="#checkout"),))
FILE = """\
version: 1
zone: Europe/Berlin
quiet: {from: "19:00", to: "08:00", days: [sat, sun], holidays: ["2026-12-25"]}
digest: {at: "08:30"}
routes:
  - name: bots
    if: {kind: change, author_class: [bot, ai_agent]}
    tell: nobody
  - name: major
    if: {kind: incident, severity: critical}
    unless: {service: ["sandbox-*", toys]}
    channel: "#major"
    critical: true
    continue: true
  - name: payments
    if: {team: payments}
    group: {by: [kind, environment], wait: 10s}
    routes:
      - {name: wip, if: {labels: "wip*"}, tell: digest}
      - {name: docs, if: {paths: "docs/**"}, tell: nobody}
      - {name: releases, if: {kind: release}, channel: C0RELEASES, group: false, quiet: false}
"""
TREE = read(FILE)


def nested(depth: int) -> str:
    inner = "".join("routes: [{name: x, " for _ in range(depth))
    return f"version: 1\n{inner}tell: now{'}]' * depth}\n"


def told(about: About, *, now: datetime = NOW, default: str = "#all") -> list[Place]:
    return list(place({}, about, TREE, CATALOG, default=default, now=now).places)


@pytest.mark.parametrize(
    ("about", "routes"),
    [
        (About(kind="change", author_class="bot"), ["routes/bots"]),
        (About(kind="change", author_class="human"), ["routes"]),
        (About(kind="incident", severity="critical"), ["routes/major", "routes/needs-people"]),
        (About(kind="incident", severity="critical", team="payments"), ["routes/major", "routes/payments"]),
        (About(kind="incident", severity="critical", service="sandbox-7"), ["routes/needs-people"]),
        (About(kind="change", team="Payments", labels=("x", "WIP-2")), ["routes/payments/wip"]),
        (About(kind="change", team="payments", paths=("docs/a/b.md",)), ["routes/payments/docs"]),
        (About(kind="change", team="payments", paths=("src/docs/a",)), ["routes/payments"]),
        (About(kind="deployment", production=True), ["routes/production"]),
        (About(kind="deployment"), ["routes/elsewhere"]),
        (About(kind="build", state="failed", branch="topic"), ["routes/other-builds"]),
    ],
)
def test_first_that_fits_takes_it_unless_it_goes_on(about: About, routes: list[str]) -> None:
    assert [choice.route for choice in choose(TREE, about).choices] == routes


def test_each_step_says_what_kept_the_thing_out() -> None:
    steps = choose(TREE, About(kind="incident", severity="critical", service="toys")).steps

    assert steps[:4] == (
        ("routes", ""),
        ("routes/bots", "kind is not change"),
        ("routes/major", "service is sandbox-* or toys"),
        ("routes/payments", "team is not payments"),
    )


def test_critical_is_told_in_the_night_and_the_rest_in_the_morning() -> None:
    night = datetime(2026, 6, 12, 20, tzinfo=UTC)  # Friday
    major, other = told(About(kind="incident", severity="critical"), now=night)

    assert (major.to, major.how, major.due_at, major.urgent) == ("#major", "now", None, True)
    assert (other.to, other.how) == ("#all", "quiet")
    assert other.due_at == datetime(2026, 6, 15, 6, tzinfo=UTC)


def test_group_waits_for_company_and_a_child_may_take_it_back() -> None:
    [grouped] = told(About(kind="incident", team="payments", environment="eu"))
    [alone] = told(About(kind="release", team="payments"), now=datetime(2026, 6, 10, 23, tzinfo=UTC))

    assert grouped.pile == "group:routes/payments:kind=incident|environment=eu"
    assert grouped.due_at == NOW + timedelta(seconds=10)
    assert (alone.to, alone.how) == ("C0RELEASES", "now")


def test_digest_is_due_on_the_next_morning_of_its_zone() -> None:
    [found] = told(About(kind="change", team="payments", labels=("wip",)))

    assert (found.how, found.pile) == ("digest", "digest")
    assert found.due_at == datetime(2026, 6, 11, 6, 30, tzinfo=UTC)


def test_digest_waits_for_the_end_of_quiet_hours_and_has_a_pile_of_its_own() -> None:
    christmas_eve = datetime(2026, 12, 24, 12, tzinfo=UTC)
    [digest] = told(About(kind="change"), now=christmas_eve)
    [quiet] = told(About(kind="summary"), now=datetime(2026, 12, 24, 20, tzinfo=UTC))

    assert digest.due_at == quiet.due_at == datetime(2026, 12, 28, 7, tzinfo=UTC)  # Christmas is a Friday
    assert (digest.pile, quiet.pile) == ("digest", "quiet")


def test_what_no_channel_takes_and_nobody_hears_says_why() -> None:
    [nowhere] = told(About(kind="incident"), default="")
    [nobody] = told(About(kind="change", author_class="bot"))

    assert (nowhere.how, nowhere.is_told) == ("no_channel", False)
    assert (nobody.how, nobody.is_told) == ("nobody", False)


def test_a_channel_is_told_once_by_the_first_route_that_names_it() -> None:
    tree = read(
        "version: 1\nroutes:\n  - {name: a, if: {kind: incident}, channel: '#x', critical: true, continue: true}\n"
        "  - {name: b, if: {kind: incident}, channel: '#x', tell: digest}\n"
    )
    [found] = place({}, About(kind="incident"), tree, CATALOG, default="", now=NOW).places

    assert (found.route, found.how) == ("routes/a", "now")


@given(
    kind=st.sampled_from(get_args(ThingKind)),
    state=st.sampled_from(["", "failed", "passed", "open", "merged"]),
    team=st.sampled_from(["", "payments", "other"]),
    severity=st.sampled_from(["", "critical", "low"]),
    author_class=st.sampled_from(["", "human", "bot"]),
    labels=st.lists(st.sampled_from(["wip", "x"]), max_size=2).map(tuple),
    production=st.booleans(),
    now=st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC)),
    default=st.sampled_from(["", "#all"]),
)
@pytest.mark.parametrize("tree", [DEFAULT, TREE], ids=["default", "file"])
def test_everything_is_told_or_somebody_can_say_why_not(tree, kind, now, default, **fields) -> None:  # type: ignore[no-untyped-def]
    placed = place({}, About(kind=kind, **fields), tree, CATALOG, default=default, now=now)

    assert placed.places
    assert all(each.why for each in placed.places)
    assert all(each.to for each in placed.places if each.is_told)
    assert all(each.due_at is None or each.due_at > now for each in placed.places)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("routes: []\n", "line 1, the file: Object missing required field `version`"),
        ("version: 1\nroutes:\n  - if: {kind: change}\n", "line 3, routes[0]: Object missing required field `name`"),
        (
            "version: 1\nroutes:\n  - name: a\n    if: {sevrity: high}\n",
            "line 4, routes[0].if: Object contains unknown field `sevrity`",
        ),
        (
            "version: 1\nroutes:\n  - name: a\n    if:\n      kind: incidnt\n",
            "line 5, routes[0].if.kind: incidnt is",
        ),
        ("version: 1\nroutes:\n  - name: a\n    tell: later\n", "line 4, routes[0].tell: Invalid enum value 'later'"),
        ("version: 1\nroutes:\n  - name: a\n    channel: general\n", "line 4, routes[0].channel: general is neither"),
        ("version: 1\nzone: Mars/One\n", "line 2, zone: no time zone is called Mars/One"),
        ("version: 1\nquiet: {from: '19:00'}\n", "line 2, quiet: from and to belong together"),
        ("version: 1\nquiet: {from: '25:00', to: '08:00'}\n", "line 2, quiet.from: 25:00 is no time"),
        ("version: 1\nquiet: {days: [someday]}\n", "line 2, quiet.days: someday is none of mon"),
        ("version: 1\nquiet: {days: [mon, tue, wed, thu, fri, sat, sun]}\n", "line 2, quiet.days: it would always"),
        ("version: 1\ngroup: {by: [colour]}\n", "line 2, group.by: colour is none of kind"),
        ("version: 1\ngroup: {by: [kind], wait: soon}\n", "line 2, group.wait: soon is not a duration"),
        (
            "version: 1\nroutes:\n  - {name: a}\n  - {name: a}\n",
            "line 4, routes[1].name: there is another route called a",
        ),
        ("version: 1\nversion: 2\n", "line 2: version comes twice"),
        ("version: 1\nrepeat: 8d\n", "line 2, repeat: 8d is longer than 7d"),
        (nested(9), "line 2, routes[0].routes[0]"),
        ("version: 1\nroutes:\n" + "".join(f"  - {{name: r{n}}}\n" for n in range(501)), "line 503, routes[500]"),
        ("version: [\n", "line 2: "),
    ],
)
def test_mistake_is_named_by_line_and_field(text: str, problem: str) -> None:
    with pytest.raises(InvalidRoutes) as refused:
        read(text)

    assert str(refused.value).startswith(problem)


def test_every_condition_is_one_of_a_thing_and_is_told_what_it_asks() -> None:
    assert tuple(FIELDS) == About.__struct_fields__


def test_example_of_the_page_can_be_used() -> None:
    page = Path("docs/notifier.md").read_text(encoding="utf-8")
    example = page.partition("<!-- routes: an example that tests read -->\n```yaml\n")[2].partition("```")[0]

    assert [route.name for route in read(example).routes[:3]] == ["bots", "major-incidents", "payments"]


def test_calendar_beside_the_file_is_part_of_it(tmp_path: Path) -> None:
    event = "BEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20260610\r\nEND:VEVENT"
    (tmp_path / "holidays.ics").write_text(f"BEGIN:VCALENDAR\r\n{event}\r\nEND:VCALENDAR\r\n", encoding="utf-8")
    tree = read(inlined("version: 1\nquiet: {ics: holidays.ics}\ntell: now\n", tmp_path))
    [found] = place({}, About(kind="summary"), tree, CATALOG, default="#all", now=NOW).places

    assert (found.how, found.due_at) == ("quiet", datetime(2026, 6, 11, tzinfo=UTC))
