"""Signed webhooks: what arrives, what follows from the answer, and where nothing ever arrives."""

import asyncio
import base64
import ipaddress
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from approvals_svc.calls import open_client
from approvals_svc.targets import InvalidTarget, Target, read_targets
from approvals_svc.tasks import Confirmed, Delivered, GivenUp, Unknown, Webhook
from approvals_svc.webhooks import Webhooks, signed
from shared.http.outbound import PublicTransport
from tests.issuer import own_certificate
from tests.receiver import SECRETS, Receiver, local_receiver

TASK = Webhook(target="ci", message_id="msg_1", body='{"type":"approval.decided"}')
URL = "https://ci.acme.example/hooks"
KEY = SECRETS[0]
NOW = 1_760_000_000.5


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Receiver]:
    async with local_receiver(tmp_path) as opened:
        yield opened


async def sent(receiver: Receiver, *secrets: str, private_hosts: tuple[str, ...] = ("127.0.0.1",)) -> Delivered:
    pairs = [f"ci={secret}" for secret in secrets or (KEY,)]
    targets = read_targets([f"ci={receiver.url}"], pairs, private_hosts=("127.0.0.1",))
    return await sent_to(targets, private_hosts, receiver.ca_file)


async def sent_to(targets: dict[str, Target], private_hosts: tuple[str, ...], ca_file: Path) -> Delivered:
    async with open_client(public(private_hosts, ca_file)) as client:
        return await Webhooks(targets, client, clock=lambda: NOW).deliver(TASK, look_first=False)


def public(private_hosts: tuple[str, ...], ca_file: Path) -> PublicTransport:
    return PublicTransport(private_hosts, setting="WEBHOOK_PRIVATE_HOSTS", ca_file=ca_file)


async def test_message_arrives_signed_with_both_secrets_while_rotating(receiver: Receiver) -> None:
    delivered = await sent(receiver, *SECRETS)

    [came] = receiver.came
    assert delivered == Confirmed("204")
    assert (came.id, came.body, came.headers["webhook-timestamp"]) == ("msg_1", TASK.body.encode(), "1760000000")
    assert [came.is_signed_with(secret) for secret in SECRETS] == [True, True]


async def test_secret_that_is_listed_no_more_signs_no_more(receiver: Receiver) -> None:
    await sent(receiver, SECRETS[1])

    assert [receiver.came[0].is_signed_with(secret) for secret in SECRETS] == [False, True]


def test_signature_is_that_of_the_specification() -> None:
    # https://github.com/standard-webhooks/standard-webhooks, the example of every library's tests
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

    headers = signed("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', [key], 1614265330)

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 404, 422, 500, 503])
async def test_any_answer_but_success_is_tried_again_and_no_redirect_is_followed(
    receiver: Receiver, status: int
) -> None:
    receiver.answers = [status]

    assert isinstance(await sent(receiver), Unknown)
    assert len(receiver.came) == 1


async def test_receiver_that_is_gone_is_given_up(receiver: Receiver) -> None:
    receiver.answers = [410]

    assert await sent(receiver) == GivenUp("answer 410")


async def test_target_that_is_registered_no_more_gets_nothing(receiver: Receiver) -> None:
    assert await sent_to({}, ("127.0.0.1",), receiver.ca_file) == Unknown("WEBHOOK_TARGETS names no ci")


@pytest.mark.parametrize(
    ("urls", "secrets", "said"),
    [
        (["ci"], [], "each is `name=value`"),
        (["Ci=https://a.example"], [], "each is `name=value`"),
        ([f"ci={URL}"], [], "ci: one secret is needed"),
        ([f"ci={URL}"], [f"ci={KEY}"] * 3, "ci: one secret is needed, or two"),
        ([f"ci={URL}", f"ci={URL}2"], [f"ci={KEY}"], "ci: named twice"),
        ([f"ci={URL}"], [f"ci={KEY}", f"cd={KEY}"], "cd: there is a secret and no URL"),
        ([f"ci={URL}"], ["ci=whsec_c2hvcnQ="], "24 to 64 bytes"),
        ([f"ci={URL}"], ["ci=" + KEY.removeprefix("whsec_")], "24 to 64 bytes"),
        ([f"ci={URL}"], ["ci=whsec_*"], "24 to 64 bytes"),
        (["ci=https://ci.acme.example:0/"], [f"ci={KEY}"], "no such port"),
        (["ci=https://ci.acme.example:65536/"], [f"ci={KEY}"], "no such port"),
    ],
)
def test_mistake_is_named_and_neither_url_nor_secret_shown(urls: list[str], secrets: list[str], said: str) -> None:
    with pytest.raises(InvalidTarget) as mistake:
        read_targets(urls, secrets, private_hosts=())

    assert said in str(mistake.value)
    assert "acme" not in str(mistake.value)
    assert KEY not in str(mistake.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://ci.acme.example",
        "https://ci.acme.example:8443/a/b.c_d/",
        "https://xn--bcher-kva.example/",
        "https://1.1.1.1/",
    ],
)
def test_plain_public_url_is_taken(url: str) -> None:
    assert read_targets([f"ci={url}"], [f"ci={KEY}"], private_hosts=())["ci"].url == url


# ---- hostile targets: none reaches a listener that answers on every address of this machine ------------------------

PRIVATE = (
    *("127.0.0.1", "127.0.0.2", "127.1.2.3", "127.255.255.254", "10.0.0.1", "10.255.255.255"),
    "0.0.0.0",  # noqa: S104  called, not bound
    *("100.64.0.1", "100.127.255.254", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.254"),
    *("192.168.0.1", "192.168.255.254", "192.0.0.1", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.254"),
    *("198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
)
PRIVATE_6 = (
    *("::1", "::", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "2001:db8::1", "100::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1"),
    *("64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a00:1::1", "2001::1"),
)
NAMES = (
    *("localhost", "localhost.localdomain", "ip6-localhost", "metadata.google.internal", "instance-data"),
    *("kubernetes.default.svc", "postgres", "nats", "localtest.me", "127.0.0.1.nip.io", "10.0.0.1.sslip.io"),
    *("rebind.acme.example", "private.acme.example", "mixed.acme.example", "xn--lcalhost-54a"),
)


def notations(address: str) -> Iterator[str]:
    """Of an IPv4 address, as resolvers and URL parsers have been seen to take it."""
    number = int(ipaddress.IPv4Address(address))
    parts = address.split(".")
    yield from (str(number), hex(number), f"0{number:o}", str(number + 2**32))
    yield from (".".join(f"0{int(part):o}" for part in parts), ".".join(hex(int(part)) for part in parts))
    yield f"{parts[0]}.{int(parts[1]) * 65536 + int(parts[2]) * 256 + int(parts[3])}"
    yield from (f"{address}.", f"{int(parts[0])}.{parts[1]}.{int(parts[2]) * 256 + int(parts[3])}")
    yield "".join(chr(ord(c) + 0xFEE0) if c.isdigit() else c for c in address)  # full-width digits


def hostile(port: int) -> list[str]:
    """URLs that lead inside, or that look as if they led elsewhere."""
    hosts = [*PRIVATE, *(f"[{address}]" for address in PRIVATE_6), *NAMES]
    hosts += [written for address in ("127.0.0.1", "169.254.169.254", "10.0.0.1") for written in notations(address)]
    tricks = [
        *(f"https://ci.acme.example@{host}:{port}/" for host in PRIVATE[:4]),
        *(f"https://{host}:{port}#@ci.acme.example/" for host in PRIVATE[:4]),
        *(f"https://{host}:{port}\\@ci.acme.example/" for host in PRIVATE[:4]),
        *(f"https://{host}%2f@ci.acme.example:{port}/" for host in PRIVATE[:4]),
        *(f"https://{host}:{port}?.acme.example/" for host in PRIVATE[:4]),
        *(f"https://ci.acme.example:{port}@{host}/" for host in PRIVATE[:4]),
        *(
            f"{scheme}://127.0.0.1:{port}/"
            for scheme in ("http", "HTTP", "ftp", "gopher", "file", "ws", "dict", "ldap")
        ),
        *(f"//127.0.0.1:{port}/", f"https:127.0.0.1:{port}", f"https:///127.0.0.1:{port}/", f"https:/127.0.0.1:{port}"),
        *(f" https://127.0.0.1:{port}/", f"https://127.0.0.1:{port}/ ", f"https://127.0.0.1\t:{port}/"),
        *(f"https://127.0.0.1\r\nHost: a:{port}/", f"https://127.0.0.1\x00.acme.example:{port}/", "https://"),
        *(f"https://127.0.0.1:{port}/../..", f"https://ⓛocalhost:{port}/", f"https://127。0。0。1:{port}/"),
        *("https://ci.acme.example/%2e%2e/", "https://ci.acme.example/../", f"https://[::1%25lo]:{port}/"),
        *("javascript:alert(1)", f"unix:/var/run/docker.sock:{port}", f"jar:https://127.0.0.1:{port}!/", "https://."),
    ]
    return [f"https://{host}:{port}/hooks" for host in hosts] + [f"https://{host}/" for host in hosts] + tricks


NOT_EVEN_TRIED = {"no answer: NotPublic", "no answer: UnsupportedProtocol", "no URL that can be requested"}


@asynccontextmanager
async def sentinel() -> AsyncIterator[tuple[int, list[object]]]:
    """A port that counts who connects, on all addresses of both families."""
    connected: list[object] = []

    async def count(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.append(writer.get_extra_info("peername"))
        writer.close()

    server = await asyncio.start_server(count, "0.0.0.0", 0)  # noqa: S104  as many addresses as there are
    port = server.sockets[0].getsockname()[1]
    second = await asyncio.start_server(count, "::", port) if socket.has_dualstack_ipv6() else None
    yield port, connected
    for each in (server, *([second] if second else ())):
        each.close()
        await each.wait_closed()


async def resolve_inside(_: object, host: str, port: int, **__: object) -> list[object]:
    """As if whoever owns a name had turned it inwards; `mixed` answers with a public address as well."""
    addresses = ["127.0.0.1"] if "mixed" not in host else ["127.0.0.1", "1.1.1.1"]
    with suppress(ValueError):
        addresses = [str(ipaddress.ip_address(host.strip("[]")))]
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]


async def test_S11_no_hostile_target_is_ever_connected_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolve_inside)
    async with sentinel() as (port, connected), open_client(public((), own_certificate(tmp_path))) as client:
        corpus = hostile(port)
        registered = [url for url in corpus if is_registered(url)]

        for url in corpus:
            as_if_registered = {"ci": Target(name="ci", url=url, keys=(b"k" * 32,))}
            delivered = await Webhooks(as_if_registered, client).deliver(TASK, look_first=False)
            assert getattr(delivered, "reason", "") in NOT_EVEN_TRIED, (url, delivered)

    assert len(set(corpus)) == len(corpus) >= 200
    assert {url.split("/")[2].split(":")[0] for url in registered} <= set(NAMES)
    assert connected == []


def is_registered(url: str) -> bool:
    try:
        return bool(read_targets([f"ci={url}"], [f"ci={KEY}"], private_hosts=()))
    except InvalidTarget:
        return False


async def test_S11_target_in_a_private_network_is_called_only_where_a_setting_names_its_host(
    receiver: Receiver,
) -> None:
    refused = await sent(receiver, private_hosts=())

    assert refused == Unknown("no answer: NotPublic")
    assert receiver.came == []
    assert await sent(receiver) == Confirmed("204")
