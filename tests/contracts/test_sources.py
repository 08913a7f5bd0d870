"""One conformance suite that every source passes, also the next one: two files and one folder, nothing else."""

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from em.sandbox.signing import Unsignable, fresh, sign
from ingest.headers import DELIVERY_ID, Headers
from ingest.schemes import Evidence, Linear, Rejection, SignedOrToken, SlackV0, StandardWebhooks, Token
from ingest.source import Source, declared
from normalizer.disposition import Events, Untranslatable
from normalizer.translation import translate, translations
from shared.contracts.subjects import TOKEN
from shared.contracts.vocabulary import Outcome
from tests.translations import FIXTURES, Fixture, fixtures, outcome, read

NOW = datetime(2026, 5, 1, tzinfo=UTC)
SECRET = "whsec_b3VyIG93biBzZWNyZXQgb2YgdGVzdHM="
OTHER = "whsec_YW5vdGhlciBzZWNyZXQgb2YgdGVzdHM="
PLAIN, OTHER_PLAIN = "our own secret", "another secret"
HOSTILE = (
    b"",
    b"null",
    b"[]",
    b"{}",
    b"7",
    b'"text"',
    b"not json",
    b"\xff\xfe\x00",
    "{}".encode("utf-16"),
    b"\xef\xbb\xbf{}",
    b'{"a":NaN}',
    b'{"a":1e999}',
    b'{"id":1' + b"0" * 400 + b"}",
    b'{"a":"\\ud800"}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"payload=%7B%7D",
    b"x=1",
)


def secret_of(source: Source) -> str:
    standard = isinstance(source.scheme, StandardWebhooks)
    return SECRET if standard else PLAIN


def other_secret_of(source: Source) -> str:
    return OTHER if isinstance(source.scheme, StandardWebhooks) else OTHER_PLAIN


def accepted(source: Source, headers: dict[str, str], body: bytes, *secrets: str, now: datetime = NOW) -> bool:
    given = Headers((name.encode(), value.encode()) for name, value in headers.items())
    try:
        source.scheme.verify(given, body, [secret.encode() for secret in secrets], now)
    except Rejection:
        return False
    return True


def sample(source: Source) -> bytes:
    body = next(fixture.content for fixture in fixtures(source.name).values() if fixture.content)
    return fresh(source.scheme, body, NOW.timestamp())


def every() -> list[Source]:
    return list(declared().values())


def signable() -> list[Source]:
    """All but those whose signature nobody but the platform can make: they have their published vectors."""
    found = []
    for source in every():
        try:
            sign(source.scheme, b"", secret_of(source), NOW.timestamp())
        except Unsignable:
            continue
        found.append(source)
    return found


by_name = pytest.mark.parametrize("source", every(), ids=lambda source: source.name)
signed_by_us = pytest.mark.parametrize("source", signable(), ids=lambda source: source.name)
each_fixture = pytest.mark.parametrize(
    ("name", "fixture"),
    [
        pytest.param(source, fixture, id=f"{source}-{stem}")
        for source in declared()
        for stem, fixture in fixtures(source).items()
    ],
)


@pytest.mark.parametrize("name", sorted({*declared(), *translations()}))
def test_source_has_a_declaration_a_translation_fixtures_and_a_page(name: str) -> None:
    missing = [
        part
        for part, present in {
            f"ingest/ingest/sources/{name}.py": name in declared(),
            f"normalizer/normalizer/sources/{name}.py": name in translations(),
            f"tests/fixtures/{name}/": any((FIXTURES / name).glob("*.json")),
            f"docs/sources/{name}.md": (Path("docs/sources") / f"{name}.md").is_file(),
        }.items()
        if not present
    ]

    assert missing == []


@by_name
def test_declaration_is_named_as_its_file_and_fits_a_subject(source: Source) -> None:
    assert declared()[source.name] is source
    assert TOKEN.fullmatch(source.name)
    assert not {*source.aliases} & {*declared()}
    assert 0.5 < source.limit_s <= 30


@each_fixture
def test_fixture_becomes_what_it_says(name: str, fixture: Fixture) -> None:
    assert outcome(fixture.delivery(name)) == fixture.becomes


@by_name
def test_fixtures_show_events_and_what_becomes_none(source: Source) -> None:
    becomes = [fixture.becomes for fixture in fixtures(source.name).values()]

    assert any("events" in each for each in becomes)
    assert any("events" not in each for each in becomes)


@signed_by_us
def test_good_proof_is_accepted_the_old_secret_too_while_rotating(source: Source) -> None:
    body = sample(source)
    headers = sign(source.scheme, body, secret_of(source), NOW.timestamp())

    assert accepted(source, headers, body, secret_of(source))
    assert accepted(source, headers, body, other_secret_of(source), secret_of(source))


@signed_by_us
def test_missing_wrong_and_foreign_proof_is_refused(source: Source) -> None:
    body = sample(source)
    good = sign(source.scheme, body, secret_of(source), NOW.timestamp())

    assert not accepted(source, {}, body, secret_of(source))
    assert not accepted(source, good, body)
    assert not accepted(source, good, body, other_secret_of(source))
    for name, value in good.items():
        for spoiled in ("", value[:-1], value + "0", value.upper() + "x", "sha1=" + value, value[5:], " "):
            assert not accepted(source, {**good, name: spoiled}, body, secret_of(source)), (name, spoiled)


@signed_by_us
def test_signature_covers_every_bit(source: Source) -> None:
    if isinstance(source.scheme, Token):
        return
    body = sample(source)
    secret = SECRET if is_standard(source) else secret_of(source)
    good = sign(source.scheme, body, secret, NOW.timestamp())
    assert accepted(source, good, body, secret)
    draw = random.Random(source.name)
    for _ in range(64):
        flipped = bytearray(body)
        flipped[draw.randrange(len(flipped))] ^= 1 << draw.randrange(8)
        assert not accepted(source, good, bytes(flipped), secret)


@signed_by_us
def test_no_near_miss_of_a_signature_or_token_is_accepted(source: Source, scale: int) -> None:
    """A hundred a source, ten thousand at full scale: one character changed, moved, doubled or left out."""
    secret = SECRET if is_standard(source) and not isinstance(source.scheme, SignedOrToken) else secret_of(source)
    body = sample(source)
    good = sign(source.scheme, body, secret, NOW.timestamp())
    draw = random.Random(source.name)
    for _ in range(100 if scale == 1 else 10_000):
        name = draw.choice([each for each in good if "timestamp" not in each and each != "webhook-id"])
        forged = near_miss(good[name], draw)
        if forged.strip() != good[name]:
            assert not accepted(source, {**good, name: forged}, body, secret), forged


def near_miss(value: str, draw: random.Random) -> str:
    start = max(value.rfind("="), value.rfind(" "), value.rfind(",")) + 1 if "=" in value[:-3] or " " in value else 0
    at = draw.randrange(start, len(value))
    match draw.randrange(6):
        case 0:
            return value[:at] + draw.choice("0123456789abcdefABCDEF+/-_") + value[at + 1 :]
        case 1:
            return value[:at] + value[at + 1 :]
        case 2:
            return value[: at + 1] + value[at:]
        case 3:
            return value[:at] + value[at].swapcase() + value[at + 1 :]
        case 4:
            return value[:at] + "\u00e9" + value[at + 1 :]
        case _:
            return value[: max(at, 1) - 1] + value[at : at + 1] + value[max(at, 1) - 1 : at] + value[at + 1 :]


@signed_by_us
def test_a_good_token_never_rescues_a_bad_signature(source: Source) -> None:
    if not isinstance(source.scheme, SignedOrToken):
        return
    body = sample(source)
    secret = SECRET if is_standard(source) else PLAIN
    signed = sign(source.scheme.signed, body, OTHER if is_standard(source) else OTHER_PLAIN, NOW.timestamp())
    token = sign(source.scheme.token, body, PLAIN)

    assert accepted(source, token, body, PLAIN)
    assert not accepted(source, {**token, **signed}, body, secret, PLAIN)


@signed_by_us
def test_old_and_future_signatures_are_refused_where_the_time_is_signed(source: Source) -> None:
    scheme = source.scheme.signed if isinstance(source.scheme, SignedOrToken) else source.scheme
    if not isinstance(scheme, Linear | SlackV0 | StandardWebhooks):
        return
    body = sample(source)
    secret = SECRET if isinstance(scheme, StandardWebhooks) else PLAIN
    good = sign(scheme, body, secret, NOW.timestamp())
    tolerance = 60 if isinstance(scheme, Linear) else 300

    assert accepted(source, good, body, secret, now=NOW + timedelta(seconds=tolerance - 1))
    assert not accepted(source, good, body, secret, now=NOW + timedelta(seconds=tolerance + 1))
    assert not accepted(source, good, body, secret, now=NOW - timedelta(seconds=tolerance + 1))


def is_standard(source: Source) -> bool:
    scheme = source.scheme.signed if isinstance(source.scheme, SignedOrToken) else source.scheme
    return isinstance(scheme, StandardWebhooks)


@by_name
def test_equal_bytes_have_one_delivery_id_and_two_states_of_one_thing_have_two(source: Source) -> None:
    ids = [fixture.delivery(source.name).delivery for fixture in fixtures(source.name).values()]

    assert ids == [fixture.delivery(source.name).delivery for fixture in fixtures(source.name).values()]
    assert all(DELIVERY_ID.fullmatch(each) for each in ids)
    assert len(set(ids)) == len(ids)


@by_name
@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_body_is_read_and_translated_or_dead_never_a_crash(source: Source, body: bytes) -> None:
    for headers in ({}, next(iter(fixtures(source.name).values())).headers):
        sent = read(source.name, headers, body, Evidence(slot=0))
        try:
            disposition = translate(sent)
        except Untranslatable:
            continue
        assert not isinstance(disposition, Events) or disposition.events


@each_fixture
def test_any_field_of_another_type_or_missing_is_an_event_ignored_or_dead(
    name: str, fixture: Fixture, scale: int
) -> None:
    """Nothing but Untranslatable leaves a translation, whatever a signed sender sends."""
    if isinstance(fixture.body, str):
        return
    for changed in mutated(fixture.body, random.Random(name), rounds=30 if scale == 1 else 1000):
        sent = read(name, fixture.headers, json.dumps(changed).encode(), Evidence(slot=0))
        try:
            disposition = translate(sent)
        except Untranslatable:
            continue
        for event in disposition.events if isinstance(disposition, Events) else ():
            assert event.occurred_at.tzinfo is not None
            assert getattr(event, "outcome", "unknown") in Outcome.__args__  # type: ignore[attr-defined]


ODD: tuple[object, ...] = (
    None,
    "",
    0,
    -1,
    10**30,
    1.5,
    True,
    [],
    {},
    "\x00",
    "é" * 300,
    [None],
    {"a": 1},
    "0001-01-01",
    "tomorrow",
)


def mutated(body: object, draw: random.Random, *, rounds: int) -> list[object]:
    found = []
    for _ in range(rounds):
        copy = json.loads(json.dumps(body))
        at, key = draw.choice(list(places(copy)))
        if draw.random() < 0.3:
            del at[key]
        else:
            at[key] = draw.choice(ODD)
        found.append(copy)
    return found


def places(node: object) -> list[tuple[Any, Any]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [(node, key) for key, _ in inner] + [place for _, value in inner for place in places(value)]
