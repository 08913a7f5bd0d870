"""Signature schemes against published vectors and hostile variants of good ones."""

import hashlib
import hmac
from datetime import UTC, datetime

import pytest

from ingest.headers import Headers
from ingest.schemes import HmacHex, HmacList, Rejection, SignatureInvalid, SignatureStale, SlackV0
from ingest.source import declared

NOW = datetime(2026, 5, 1, tzinfo=UTC)
GITHUB = HmacHex(header="x-hub-signature-256", prefix=b"sha256=")
# GitHub's documentation, "Testing the webhook payload validation".
GITHUB_SECRET = b"It's a Secret to Everybody"
GITHUB_BODY = b"Hello, World!"
GITHUB_SIGNATURE = b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"


def headers(**named: bytes) -> Headers:
    return Headers((name.replace("_", "-").encode(), value) for name, value in named.items())


def test_github_vector_of_the_documentation_is_accepted() -> None:
    evidence = GITHUB.verify(headers(x_hub_signature_256=GITHUB_SIGNATURE), GITHUB_BODY, [GITHUB_SECRET], NOW)

    assert evidence.slot == 0


def test_slot_of_the_matching_secret_is_told_while_rotating() -> None:
    given = headers(x_hub_signature_256=GITHUB_SIGNATURE)

    assert GITHUB.verify(given, GITHUB_BODY, [b"new", GITHUB_SECRET], NOW).slot == 1


def test_law_7_nothing_is_accepted_without_a_secret() -> None:
    forged = b"sha256=" + hmac.digest(b"no secret is configured", GITHUB_BODY, hashlib.sha256).hex().encode()

    with pytest.raises(SignatureInvalid):
        GITHUB.verify(headers(x_hub_signature_256=forged), GITHUB_BODY, [], NOW)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        GITHUB_SIGNATURE[:-1],
        GITHUB_SIGNATURE + b"0",
        GITHUB_SIGNATURE.upper(),
        b"sha256=" + GITHUB_SIGNATURE[7:].upper(),
        GITHUB_SIGNATURE[7:],
        b"sha1=" + GITHUB_SIGNATURE[7:],
        b"sha512=" + GITHUB_SIGNATURE[7:],
        b"sha256=sha256=" + GITHUB_SIGNATURE[14:],
        GITHUB_SIGNATURE + b"," + GITHUB_SIGNATURE,
        b"sha256=" + b"\xff" * 64,
        b"sha256=" + "１".encode() * 64,
        b"sha256=" + b"-" * 64,
    ],
)
def test_malformed_signature_is_invalid_and_never_an_exception_of_another_kind(value: bytes) -> None:
    with pytest.raises(SignatureInvalid):
        GITHUB.verify(headers(x_hub_signature_256=value), GITHUB_BODY, [GITHUB_SECRET], NOW)


def test_every_flipped_bit_of_a_body_is_noticed() -> None:
    given = headers(x_hub_signature_256=GITHUB_SIGNATURE)
    for position in range(len(GITHUB_BODY) * 8):
        flipped = bytearray(GITHUB_BODY)
        flipped[position // 8] ^= 1 << position % 8
        with pytest.raises(SignatureInvalid):
            GITHUB.verify(given, bytes(flipped), [GITHUB_SECRET], NOW)


def pagerduty(*secrets: bytes, body: bytes = b"{}") -> bytes:
    return b", ".join(b"v1=" + hmac.digest(secret, body, hashlib.sha256).hex().encode() for secret in secrets)


def test_any_signature_of_the_list_may_match_any_secret() -> None:
    scheme = HmacList(header="x-pagerduty-signature")
    given = headers(x_pagerduty_signature=b"v2=abc," + pagerduty(b"other", b"ours"))

    assert scheme.verify(given, b"{}", [b"older", b"ours"], NOW).slot == 1


def test_list_without_a_known_version_is_invalid() -> None:
    scheme = HmacList(header="x-pagerduty-signature")

    with pytest.raises(SignatureInvalid):
        scheme.verify(headers(x_pagerduty_signature=b"v2=" + b"0" * 64), b"{}", [b"ours"], NOW)


def slack(timestamp: bytes, secret: bytes = b"s", body: bytes = b"payload=1") -> Headers:
    digest = hmac.digest(secret, b"v0:" + timestamp + b":" + body, hashlib.sha256).hex()
    return headers(x_slack_request_timestamp=timestamp, x_slack_signature=f"v0={digest}".encode())


@pytest.mark.parametrize("skew_s", [-300, -299, 0, 299, 300])
def test_slack_signature_within_300_seconds_is_accepted_in_both_directions(skew_s: int) -> None:
    timestamp = str(int(NOW.timestamp()) - skew_s).encode()

    evidence = SlackV0().verify(slack(timestamp), b"payload=1", [b"s"], NOW)

    assert evidence.timestamp == timestamp.decode()


@pytest.mark.parametrize("skew_s", [-301, 301, 10**6])
def test_slack_signature_older_or_newer_than_300_seconds_is_stale(skew_s: int) -> None:
    timestamp = str(int(NOW.timestamp()) - skew_s).encode()

    with pytest.raises(SignatureStale):
        SlackV0().verify(slack(timestamp), b"payload=1", [b"s"], NOW)


@pytest.mark.parametrize("timestamp", [b"", b"abc", b" 1", b"1.0", b"+1", b"-1", b"9" * 40, "１２".encode(), b"\xff"])
def test_slack_timestamp_that_is_no_plain_number_is_invalid_even_when_signed(timestamp: bytes) -> None:
    with pytest.raises(SignatureInvalid):
        SlackV0().verify(slack(timestamp), b"payload=1", [b"s"], NOW)


def test_header_that_came_twice_with_different_values_is_not_picked_from() -> None:
    doubled = Headers([(b"x-hub-signature-256", GITHUB_SIGNATURE), (b"X-Hub-Signature-256", b"sha256=0")])

    with pytest.raises(Rejection):
        GITHUB.verify(doubled, GITHUB_BODY, [GITHUB_SECRET], NOW)


def test_publish_wait_leaves_half_a_second_of_the_platforms_limit() -> None:
    waits = {name: source.publish_wait_s for name, source in declared().items()}

    assert waits.items() >= {"github": 8.0, "pagerduty": 4.5, "slack": 2.5}.items()


# ---- GitLab's external status checks -------------------------------------------------------------------------------

CHECK = b'{"object_kind":"merge_request","external_approval_rule":{"id":7}}'
SHARED = b"shared with the check"


def test_signature_of_a_status_check_decides_alone_whatever_else_is_configured() -> None:
    scheme = declared()["gitlab"].scheme
    signature = hmac.digest(SHARED, CHECK, hashlib.sha256).hex().encode()
    secrets = [b"token of the hook", b"whsec_dGhlIGhvb2sncyBzaWduaW5nIGtleQ==", SHARED]

    assert scheme.verify(headers(x_gitlab_signature=signature), CHECK, secrets, NOW).slot == 2
    for wrong in (signature[:-1] + b"0", b"", b"sha256=" + signature):
        with pytest.raises(Rejection):
            scheme.verify(headers(x_gitlab_signature=wrong, x_gitlab_token=SHARED), CHECK, secrets, NOW)
    with pytest.raises(Rejection):
        scheme.verify(headers(x_gitlab_signature=signature), CHECK + b" ", secrets, NOW)


def test_status_check_without_a_shared_secret_is_refused() -> None:
    with pytest.raises(Rejection):
        declared()["gitlab"].scheme.verify(headers(x_gitlab_event=b"Merge Request Hook"), CHECK, [SHARED], NOW)
