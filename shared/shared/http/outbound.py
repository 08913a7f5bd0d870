"""Requests that leave for public addresses only, on the very address that was checked: a name may answer twice."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import certifi
import httpx

# What some Python versions call global: protocol assignments, site-local addresses, and IPv6 that carries IPv4
# (compatible, NAT64, 6to4, Teredo).
REFUSED = tuple(
    map(
        ipaddress.ip_network,
        (
            *("192.0.0.0/24", "192.88.99.0/24", "fec0::/10"),
            *("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"),
        ),
    )
)


def is_public(text: str) -> bool:
    address: IPv4Address | IPv6Address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    is_refused = any(address in network for network in REFUSED)
    return address.is_global and not address.is_multicast and not is_refused


class NotPublic(httpx.ConnectError):
    """The name has an address that is not gone to."""


class PublicTransport(httpx.AsyncBaseTransport):
    """https alone. `private_hosts`, a list that `setting` holds, may lie in a private network; `ca_file`: certificates
    trusted as well.

    Raises NotPublic.
    """

    def __init__(self, private_hosts: Collection[str], *, setting: str, ca_file: Path | None = None) -> None:
        context = ssl.create_default_context(cafile=certifi.where())
        if ca_file is not None:
            context.load_verify_locations(ca_file)
        self._private_hosts = private_hosts
        self._setting = setting
        self._transport = httpx.AsyncHTTPTransport(verify=context, trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The name stays in the Host header and in TLS."""
        if request.url.scheme != "https":
            raise httpx.UnsupportedProtocol("only https is requested")
        host = request.url.host
        address = await self._address(host, request.url.port or 443)
        pinned = httpx.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": host},
        )
        return await self._transport.handle_async_request(pinned)

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def _address(self, host: str, port: int) -> str:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpx.ConnectError(f"{host} has no address: {error.strerror}") from None
        addresses = [str(address[0]) for *_, address in found]
        if host not in self._private_hosts and not all(map(is_public, addresses)):
            raise NotPublic(f"{host} lies in no public network, and {self._setting} doesn't name it")
        return addresses[0]
