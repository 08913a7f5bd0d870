"""What `em doctor` looks at: each check is told in one line, with what to do; one that breaks stops no other."""

import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import asyncpg
import msgspec

from em import durability
from em.errors import EmError
from ingest.source import declared
from shared.bus import Bus
from shared.bus.durability import read as read_proof
from shared.bus.provision import SERVER_VERSION_MIN, durable_config, stream_config
from shared.contracts.services import SERVICES
from shared.contracts.streams import DURABLES, STREAMS
from shared.db.migrate import newest_revisions
from shared.db.pool import own_url
from shared.settings import OperatorSettings

Status = Literal["ok", "warn", "FAIL"]

POSTGRES_MIN = 150_000
SKEW_MAX = timedelta(seconds=30)
DISK_MIN_BYTES = 2 * 1024**3
_AT = "SELECT version_num FROM {schema}.alembic_version"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    check: str
    status: Status
    detail: str
    remedy: str = ""


def ok(check: str, detail: str) -> Finding:
    return Finding(check=check, status="ok", detail=detail)


def judge(check: str, holds: bool, detail: str, remedy: str, *, otherwise: Status = "FAIL") -> Finding:
    return ok(check, detail) if holds else Finding(check=check, status=otherwise, detail=detail, remedy=remedy)


def of_versions(python: Sequence[int]) -> Finding:
    text = ".".join(map(str, python[:3]))
    return judge("python", (3, 11) <= tuple(python[:2]) <= (3, 14), text, "use Python 3.11 to 3.14")


def of_secrets(environ: Mapping[str, str]) -> list[Finding]:
    """Per source that is on: is its secret there."""
    found = []
    for source in declared().values():
        has_secret = any(environ.get(name) or environ.get(f"{name}_FILE") for name in source.secrets)
        wanted = environ.get(source.flag_variable, "").lower() in ("1", "true", "yes", "on")
        if wanted or has_secret:
            remedy = f"set {source.secrets[0]}: without it every delivery is answered 401"
            detail = "has its secret" if has_secret else "is enabled without a secret"
            found.append(judge(f"source {source.name}", has_secret, detail, remedy))
    remedy = "set the secret of at least one source, e.g. GITHUB_WEBHOOK_SECRET"
    return found or [Finding(check="sources", status="warn", detail="no source is on", remedy=remedy)]


# What a refusal's reason asks for, by its first word (ingest's metric labels).
REMEDIES = {
    "signature": "compare the secret at the platform with {secret}; does a proxy in between change bodies or headers?",
    "stale": "set this machine's clock right (NTP); else the platform's retries come too late",
    "rate": "raise SOURCE_RATE_PER_S, or find out why it sends so much",
    "size": "raise MAX_PAYLOAD_BYTES, or have the platform send less",
    "encoding": "send bodies without Content-Encoding",
    "not_on_disk": "em doctor: is NATS there, and has SPOOL_DIR room?",
    "overload": "add a replica of ingest, or raise IN_FLIGHT_MAX_REQUESTS",
    "key": "let ingest reach the issuer of the key, or wait until it answers",
    "unacceptable": "the answer named the field: send it right",
}


def of_source(source: str, integrations: Mapping[str, Any]) -> list[Finding]:
    """What ingest says of it (`/health`): is it on, has it its secret, what was accepted and refused last, and why."""
    found: list[Finding] = []
    mine = {key: each for key, each in integrations.items() if key == source or key.startswith(f"{source}/")}
    for key, each in mine.items():
        last, secret = each["last"], each["secret"]
        remedy = f"set {secret}" if not each["configured"] else f"INTEGRATIONS_{source.upper()}_ENABLED=true"
        on = each["enabled"] and each["configured"]
        found.append(judge(f"{key} is on", on, "yes" if on else "no: without a secret or switched off", remedy))
        found.append(ok(f"{key} accepted last", last["accepted_at"] or "nothing since ingest began"))
        if last["refused_at"]:
            because = last["refused_because"]
            remedy = REMEDIES.get(because.partition(":")[0], "see ingest's log").format(secret=secret)
            newer = last["refused_at"] > (last["accepted_at"] or "")
            status: Status = "FAIL" if newer else "warn"
            detail = f"{last['refused_at']}, {because}"
            found.append(Finding(check=f"{key} refused last", status=status, detail=detail, remedy=remedy))
    return found or [
        Finding(
            check=source,
            status="FAIL",
            detail="ingest knows no such source",
            remedy=f"one of {', '.join(integrations)}",
        )
    ]


def of_auth(environ: Mapping[str, str]) -> Finding:
    on = environ.get("AUTH_ENABLED", "").lower() in ("1", "true", "yes", "on")
    if on and environ.get("JWT_ALGORITHM") == "HS256":
        remedy = "JWT_ALGORITHM=EdDSA: with HS256 every service that verifies could also mint"
        return Finding(check="tokens", status="warn", detail="HS256", remedy=remedy)
    production = environ.get("ENV") == "production"
    remedy = "set AUTH_ENABLED=true: /v1 answers everybody"
    return judge("tokens", on or not production, "required" if on else "not required", remedy)


def of_disk(path: str) -> Finding:
    free = shutil.disk_usage(path).free
    return judge("disk", free > DISK_MIN_BYTES, f"{free / 1024**3:.1f} GiB free", "make room: a full disk stops NATS")


def of_clock(check: str, theirs: datetime, ours: datetime) -> Finding:
    skew = abs(theirs - ours)
    detail = f"{skew.total_seconds():.1f} s from this machine's"
    return judge(check, skew <= SKEW_MAX, detail, "set the clocks by NTP: signatures and deadlines go by them")


async def of_database(url: str) -> AsyncIterator[Finding]:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        version = connection.get_server_version()
        number = await connection.fetchval("SELECT current_setting('server_version_num')::int")
        yield judge("database", number >= POSTGRES_MIN, f"PostgreSQL {version.major}", "15 or newer is needed")
        for name in ("fsync", "full_page_writes", "synchronous_commit"):
            value = await connection.fetchval("SELECT current_setting($1)", name)
            yield judge(
                f"database {name}", value != "off", value, f"set {name} = on: a commit must survive a power cut"
            )
        yield of_clock("database clock", await connection.fetchval("SELECT clock_timestamp()"), datetime.now(UTC))
        async for finding in _of_schemas(connection):
            yield finding
        yield await _of_logins(connection)
        has_vector = await connection.fetchval("SELECT true FROM pg_extension WHERE extname = 'vector'")
        yield judge(
            "extension vector",
            bool(has_vector),
            "there" if has_vector else "missing",
            "em migrate --bootstrap, where pgvector is installed; precedents stay off without it",
            otherwise="warn",
        )
    finally:
        await connection.close()


async def _of_schemas(connection: asyncpg.Connection) -> AsyncIterator[Finding]:
    for schema, newest in newest_revisions().items():
        there = await connection.fetchval("SELECT to_regclass($1)::text", f"{schema}.alembic_version")
        at = await connection.fetchval(_AT.format(schema=schema)) if there else None
        yield judge(f"schema {schema}", at == newest, f"at {at or 'nothing'}, newest {newest}", "run: em migrate")
    for service in (service for service in SERVICES if service.schema):
        there = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", service.name)
        yield judge(f"role {service.name}", bool(there), "there" if there else "missing", "run: em migrate --bootstrap")
        foreign = await connection.fetchval(
            "SELECT count(*) FROM unnest($2::text[]) AS s WHERE to_regnamespace(s) IS NOT NULL"
            " AND has_schema_privilege($1, s, 'USAGE')",
            service.name if there else "public",
            [other.schema for other in SERVICES if other.schema and other is not service],
        )
        if there and foreign:
            remedy = f"REVOKE USAGE of other schemas from {service.name}"
            yield Finding(check=f"role {service.name}", status="FAIL", detail="enters other schemas", remedy=remedy)


async def _of_logins(connection: asyncpg.Connection) -> Finding:
    """Who has a password logs in by itself; where we may not see that, who has a URL here."""
    names = [service.name for service in SERVICES if service.schema]
    try:
        rows = await connection.fetch("SELECT rolname FROM pg_authid WHERE rolpassword IS NOT NULL")
        own = {row["rolname"] for row in rows}
    except asyncpg.InsufficientPrivilegeError:
        own = {service.name for service in SERVICES if service.schema and own_url(service)}
    without = [name for name in names if name not in own]
    detail = "each service has its own" if not without else f"shared by SET ROLE: {', '.join(without)}"
    remedy = "set <SERVICE>_DATABASE_URL: a shared login isolates mistakes, not attackers"
    return judge("database logins", not without, detail, remedy, otherwise="warn")


async def of_bus(bus: Bus, settings: OperatorSettings) -> AsyncIterator[Finding]:
    version = bus.connection.connected_server_version
    floor = f"{SERVER_VERSION_MIN[0]}.{SERVER_VERSION_MIN[1]} or newer is needed"
    yield judge("nats", (version.major, version.minor) >= SERVER_VERSION_MIN, f"NATS {version}", floor)
    for stream in STREAMS:
        yield await _of_stream(bus, stream.name)
    for durable in DURABLES:
        yield await _of_durable(bus, durable.label)
    async for finding in _of_durability(bus, settings):
        yield finding
    has_user = bool(settings.nats_nkey_seed.get_secret_value())
    status: Status = "FAIL" if settings.env == "production" else "warn"
    remedy = "make users with: em credentials; without them every service may say everything"
    yield judge("nats users", has_user, "on" if has_user else "none", remedy, otherwise=status)


async def _of_stream(bus: Bus, name: str) -> Finding:
    stream = next(stream for stream in STREAMS if stream.name == name)
    wanted = stream_config(stream, bus.subjects)
    try:
        found = (await bus.js.stream_info(wanted.name or "")).config
    except Exception as error:  # one broken line must not hide the others
        return Finding(check=f"stream {wanted.name}", status="FAIL", detail=str(error), remedy="run: em provision")
    fields = ("subjects", "retention", "storage", "discard", "max_age", "max_bytes", "duplicate_window", "allow_atomic")
    drifted = [field for field in fields if (getattr(found, field) or None) != (getattr(wanted, field) or None)]
    detail = f"differs from the contract: {', '.join(drifted)}" if drifted else "as the contract says"
    return judge(f"stream {wanted.name}", not drifted, detail, "run: em provision")


async def _of_durable(bus: Bus, label: str) -> Finding:
    durable = next(durable for durable in DURABLES if durable.label == label)
    wanted = durable_config(durable, bus.subjects)
    check = f"consumer {durable.name} of {bus.subjects.stream(durable.stream)}"
    try:
        info = await bus.js.consumer_info(bus.subjects.stream(durable.stream), durable.name)
    except Exception as error:  # as above
        return Finding(check=check, status="FAIL", detail=str(error), remedy="run: em provision")
    fields = ("ack_wait", "max_deliver", "max_ack_pending")
    drifted = [field for field in fields if getattr(info.config, field) != getattr(wanted, field)]
    single = [info.config.filter_subject] if info.config.filter_subject else []
    if {*(info.config.filter_subjects or single)} != {*(wanted.filter_subjects or ())}:
        drifted.append("filter_subjects")
    detail = f"differs from the contract: {', '.join(drifted)}" if drifted else f"{info.num_pending} pending"
    return judge(check, not drifted, detail, "run: em provision")


async def _of_durability(bus: Bus, settings: OperatorSettings) -> AsyncIterator[Finding]:
    proof = await read_proof(bus.js, bus.subjects)
    detail = f"{proof.how} at {proof.checked_at:%Y-%m-%d %H:%M}" if proof else "not proven: services accept nothing"
    yield judge("durability", proof is not None, detail, "run: em provision")
    for url in settings.nats_monitor_url:
        try:
            seen = durability.varz(url)
        except EmError as error:
            yield Finding(check=f"nats at {url}", status="warn", detail=error.message, remedy=error.hint)
            continue
        always = durability.syncs_always(seen)
        said = "fsyncs before it acknowledges" if always else "acknowledges before it fsyncs"
        yield judge(f"nats {seen.get('server_name')}", always, said, "set sync_interval: always")
        now = datetime.fromisoformat(f"{str(seen['now'])[:19]}+00:00")
        yield of_clock(f"nats {seen.get('server_name')} clock", now, datetime.now(UTC))


def of_metrics(health: Mapping[str, Any]) -> list[Finding]:
    """From `/v1/dora/health`: a line for each number that does not exist, and for each thing that a line would mend."""
    found = []
    for service in health["services"]:
        name = service["service"]
        there = [metric["metric"] for metric in service["metrics"] if metric["exists"]]
        found.append(ok(name, f"{len(there)} of {len(service['metrics'])} numbers exist: {', '.join(there) or 'none'}"))
        found += [
            Finding(check=f"{name} {metric['metric']}", status="warn", detail=metric["why_not"], remedy="see below")
            for metric in service["metrics"]
            if not metric["exists"]
        ]
        found += [_of_finding(name, finding) for finding in service["findings"]]
    return found + [_of_finding("incidents", finding) for finding in health["unowned"]]


def _of_finding(check: str, finding: Mapping[str, Any]) -> Finding:
    what = " ".join(part for part in (finding["finding"].replace("_", " "), finding["detail"]) if part)
    return Finding(
        check=check,
        status="warn",
        detail=f"{what}: {finding['count']} ({finding['share']:.0%})",
        remedy=finding["fix"],
    )
