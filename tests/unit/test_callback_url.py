"""Where a gate may be answered: only where our own settings say, whatever the webhook says."""

import pytest

from approvals_svc.callback_url import check_callback, rule_url
from approvals_svc.gate_rules import UnsafeReference

API = "https://api.github.com"
PATH = "/repos/acme/checkout/actions/runs/77/deployment_protection_rule"


def check(received: str, *, api_url: str = API, repository: str = "acme/checkout", run_id: str = "77") -> None:
    check_callback(received, api_url=api_url, repository=repository, run_id=run_id)


@pytest.mark.parametrize(
    ("received", "api_url"),
    [
        (API + PATH, API),
        (API + PATH, API + "/"),
        ("https://api.github.com:443" + PATH, API),
        ("HTTPS://API.github.com" + PATH.replace("acme", "Acme"), API),
        ("https://ghe.example.com/api/v3" + PATH, "https://ghe.example.com/api/v3"),
        ("http://127.0.0.1:8123" + PATH, "http://127.0.0.1:8123"),
    ],
)
def test_callback_of_the_configured_api_is_taken(received: str, api_url: str) -> None:
    check(received, api_url=api_url)


HOSTS = [
    "http://api.github.com",
    "https://api.github.com.evil.example",
    "https://evil.example",
    "https://api.github.com.",
    "https://api.github.co",
    "https://github.com",
    "https://api.github.com:444",
    "https://api.github.com:80",
    "https://api.github.com:",
    "https://api.github.com:443443",
    "https://evil.example@api.github.com",
    "https://api.github.com@evil.example",
    "https://api.github.com:pw@evil.example",
    "https://api.github.com%40evil.example",
    "https://api.github.com\\.evil.example",
    "https://evil.example\\@api.github.com",
    "https://127.0.0.1",
    "https://169.254.169.254",
    "https://[::1]",
    "https://[::ffff:169.254.169.254]",
    "https://2130706433",
    "https://0x7f000001",
    "https://localhost",
    "https://api.gıthub.com",
    "https://ɑpi.github.com",
    "https://api。github。com",
    "https:api.github.com",
    "//api.github.com",
    "ftp://api.github.com",
    "gopher://api.github.com",
    "file://api.github.com",
    "javascript://api.github.com",
    "https://evil.example/https://api.github.com",
    "https://evil.example?https://api.github.com",
    "https://evil.example#https://api.github.com",
    " https://api.github.com",
    "https://api.github.com/api/v3",
    "https://api.github.com/x/..",
]
PATHS = [
    "",
    "/",
    PATH + "/",
    PATH + "?x=1",
    PATH + "#x",
    PATH + "\n",
    PATH + "\r\nHost: evil.example",
    PATH + "\x00",
    PATH + ";x",
    PATH + "%2f",
    "/" + PATH,
    PATH.replace("77", "78"),
    PATH.replace("77", "٧٧"),
    PATH.replace("77", "77/../78"),
    PATH.replace("77", "077"),
    PATH.replace("acme", "evil"),
    PATH.replace("acme", "acme%2fcheckout/.."),
    PATH.replace("checkout", "checkout/../../evil"),
    PATH.replace("checkout", ".."),
    PATH.replace("/repos/", "/../repos/"),
    PATH.replace("/repos/", "/./repos/"),
    PATH.replace("/actions", "\\actions"),
    PATH.replace("deployment_protection_rule", "pending_deployments"),
    PATH.replace("/repos/acme/checkout", "/user"),
]


@pytest.mark.parametrize("received", [host + PATH for host in HOSTS] + [API + path for path in PATHS] + ["", "x"])
def test_callback_of_anywhere_else_is_refused(received: str) -> None:
    with pytest.raises(UnsafeReference):
        check(received)


REPOSITORIES = [
    *("", "acme", "acme/", "/checkout", "acme/..", "acme/.", "a/b/c", "-acme/x", "acme/x y", "acme/x%2f", "acme/x\n"),
    *("ac_me/x", "é/x", "acme/x?y", "acme/x#y", "acme\\x", "a" * 40 + "/x", "acme/" + "x" * 101, "acme/x\x00"),
]


@pytest.mark.parametrize("repository", REPOSITORIES)
def test_no_url_is_built_from_a_strange_repository(repository: str) -> None:
    with pytest.raises(UnsafeReference):
        rule_url(API, repository=repository, run_id="77")


@pytest.mark.parametrize("run_id", ["", "7a", "-7", "7.0", " 7", "7\n", "٧", "7/..", "1" * 21])
def test_no_url_is_built_from_a_run_that_is_no_number(run_id: str) -> None:
    with pytest.raises(UnsafeReference):
        rule_url(API, repository="acme/checkout", run_id=run_id)


def test_refusal_never_repeats_what_it_refused() -> None:
    with pytest.raises(UnsafeReference) as refused:
        check("https://evil.example/secret-token" + PATH)

    assert "evil" not in str(refused.value)
