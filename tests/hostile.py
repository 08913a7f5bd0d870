"""Addresses that must never be requested: hundreds of ways to write another host, and to leave a path."""

from collections.abc import Iterator

RUN = "/repos/{repository}/actions/runs/{run_id}/deployment_protection_rule"
ODD_PATHS = (
    *("", "/", "{run}/", "{run}?x=1", "{run}#x", "{run}%2f", "{run};x", "/{run}", "{run}\n", "{run}\x00", "//{run}"),
    *("/%2e%2e{run}", "/..{run}", "/.{run}", "{run}/..", "{run}/../pending_deployments", "/api/v3/..{run}"),
    *("/app/installations/1/access_tokens", "/user", "{run}%00", "{run}%0d%0aHost:%20evil.example", "\\{run}"),
)


def callbacks(base: str, *, repository: str, run_id: str, sentinel: str) -> Iterator[str]:
    """`base` is ours, `sentinel` is host:port where nobody may ever knock."""
    run = RUN.format(repository=repository, run_id=run_id)
    host, _, port = sentinel.partition(":")
    ours = base.partition("://")[2]
    for authority in _authorities(host, port, ours):
        for scheme in ("http", "https"):
            yield f"{scheme}://{authority}{run}"
    for path in ODD_PATHS:
        yield base + path.format(run=run)
        yield f"http://{sentinel}{path.format(run=run)}"
    for scheme in ("ftp", "gopher", "file", "javascript", "ws", "dict", "ldap", "data"):
        yield f"{scheme}://{sentinel}{run}"
    yield from (f"//{sentinel}{run}", f"{sentinel}{run}", f"http:{sentinel}{run}", f"http:/{sentinel}{run}", run, " ")
    for other in ("acme/other", "../admin", "acme/..", "acme/%2e%2e", "acme//checkout", "evil/checkout"):
        yield base + RUN.format(repository=other, run_id=run_id)
    for other in ("1", "0x1", "1e3", "-1", "٣", f"{run_id}/../1", f"0{run_id}", f"{run_id}%20", "1" * 40):
        yield base + RUN.format(repository=repository, run_id=other)


def _authorities(host: str, port: str, ours: str) -> Iterator[str]:
    spelled = [
        *(host, "localhost", "LOCALHOST", "localhost.", "127.1", "127.0.1", "0", "0.0", "127.127.127.127"),
        *("2130706433", "0x7f000001", "0x7f.0.0.1", "017700000001", "0177.0.0.1", "127.0.0.1.nip.io"),
        *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[0:0:0:0:0:ffff:7f00:1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]"),
        *("169.254.169.254", "[fd00:ec2::254]", "metadata.google.internal", "100.100.100.200", "evil.example"),
        *("10.0.0.1", "192.168.0.1", "172.16.0.1", "100.64.0.1", "localtest.me", "①②⑦.⓪.⓪.①", "127。0。0。1"),
    ]
    for name in spelled:
        yield f"{name}:{port}"
        yield f"{ours}@{name}:{port}"
    yield from (
        f"{ours}.{host}:{port}",
        f"{ours}%40{host}:{port}",
        f"{ours}%2f@{host}:{port}",
        f"{ours}\\@{host}:{port}",
        f"{ours}#@{host}:{port}",
        f"{ours}?@{host}:{port}",
        f"user:pw@{host}:{port}",
        f"{host}:{port}#{ours}",
        f"{host}:{port}?{ours}",
        f"{host}:{port}\t",
        f" {host}:{port}",
        f"{host}:{port}%00.{ours}",
    )
