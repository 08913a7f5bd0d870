"""What the stack consists of: NATS, PostgreSQL, the steps that prepare them, the five services."""

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from em import credentials
from em.embedded import ports as port_plan
from em.embedded.nats import nats_program
from em.embedded.ports import HOST
from em.embedded.postgres import postgres_program, prepare_cluster
from em.home import Home
from em.nats_users import users_file
from em.program import Plan, Program, Ready
from ingest.spool.persistence import FORGETFUL, file_system
from shared.contracts.rights import OPERATOR
from shared.contracts.services import APPROVALS_SVC, SERVICES, Service
from shared.contracts.subjects import Subjects

STEP_DEADLINE_S = 180.0
SERVICE_DEADLINE_S = 60.0

# Given by the caller or made here, the commands of em need these too.
REMEMBERED = (
    *("NATS_URL", "NATS_PREFIX", "NATS_DURABILITY", "NATS_MONITOR_URL", "NATS_NKEY_SEED", "DATABASE_URL"),
    *("JWT_ALGORITHM", "JWT_SECRET_KEY", *credentials.JWT_KEYS, *credentials.WEBHOOK_SECRETS),
)


@dataclass(frozen=True, kw_only=True)
class Extra:
    """What a caller adds: programs that start beside NATS, and variables that win over the caller's environment."""

    programs: tuple[Program, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    urls: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What an extra may build on. `environment`: what the services would get without it, logins apart."""

    home: Home
    ports: Mapping[str, int]
    environment: Mapping[str, str]


AddExtra = Callable[[Ground], Extra]
Logins = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, kw_only=True)
class Stack:
    """`environment`: the variables that make this stack (with secrets); programs also inherit the caller's."""

    plan: Plan
    environment: Mapping[str, str]


def build(home: Home, *, port_base: int | None, environ: Mapping[str, str], add: AddExtra | None) -> Stack:
    """Finds free ports, makes credentials, and creates the database cluster at the first time."""
    ports = port_plan.choose(_port_names(environ, demo=add is not None), base=port_base, environ=environ)
    servers, addresses, logins = _servers(home, ports, Subjects(environ.get("NATS_PREFIX") or "em"))
    own = {"ENV": "development", "HOST": HOST, "USERS_PATH": str(home.users), **addresses, **_spool(home)}
    own |= credentials.development(home, environ)
    given = {name: value for name, value in environ.items() if value}
    environment = own | given | addresses | _service_ports(ports)
    extra = add(Ground(home=home, ports=ports, environment=_of_extra(environment))) if add else Extra()
    for name in extra.environment:
        environment.pop(f"{name}_FILE", None)
    environment |= extra.environment
    known = {*own, *extra.environment, *_service_ports(ports), *REMEMBERED}
    urls = {service.folder: f"http://{HOST}:{ports[service.folder]}" for service in SERVICES}
    urls |= {program.name: program.url for program in servers} | dict(extra.urls)
    return Stack(
        plan=Plan(waves=_waves(home, [*servers, *extra.programs], ports, environment, logins), ports=ports, urls=urls),
        environment={name: value for name, value in environment.items() if name in known},
    )


def _spool(home: Home) -> dict[str, str]:
    """Below the stack's own state, unless that lies in memory: there nothing can be promised."""
    return {} if file_system(home.root) in FORGETFUL else {"SPOOL_DIR": str(home.root / "spool")}


def python_program(
    home: Home, name: str, arguments: tuple[str, ...], *, environment: Mapping[str, str], ready: Ready, port: int = 0
) -> Program:
    """`python -P`: a file of the current directory must not shadow a module."""
    return Program(
        name=name,
        argv=(sys.executable, "-P", *arguments),
        env=environment,
        cwd=str(Path.cwd()),
        log_path=str(home.log(name)),
        ready=ready,
        port=port,
        url=f"http://{HOST}:{port}" if port else "",
    )


def _port_names(environ: Mapping[str, str], *, demo: bool) -> list[str]:
    names = list(port_plan.SERVICE_NAMES)
    if not environ.get("NATS_URL"):
        names += [port_plan.NATS, port_plan.NATS_MONITOR]
    if not environ.get("DATABASE_URL"):
        names.append(port_plan.POSTGRES)
    return names + list(port_plan.SANDBOX_NAMES if demo else ())


def _servers(home: Home, ports: Mapping[str, int], subjects: Subjects) -> tuple[list[Program], dict[str, str], Logins]:
    """The embedded servers that got a port, the operator's variables that lead to them, and each service's own."""
    programs: list[Program] = []
    addresses: dict[str, str] = {}
    logins: dict[str, dict[str, str]] = {service.name: {} for service in SERVICES}
    if port_plan.NATS in ports:
        monitor_port = ports[port_plan.NATS_MONITOR]
        seeds = credentials.nats_seeds(home)
        program = nats_program(
            home.nats,
            port=ports[port_plan.NATS],
            monitor_port=monitor_port,
            log=home.log("nats"),
            users=users_file(seeds, subjects),
        )
        programs.append(program)
        addresses |= {"NATS_URL": program.url, "NATS_MONITOR_URL": f"http://{HOST}:{monitor_port}"}
        addresses["NATS_NKEY_SEED"] = seeds[OPERATOR]
        for service in SERVICES:
            logins[service.name]["NATS_NKEY_SEED"] = seeds[service.name]
    if port_plan.POSTGRES in ports:
        cluster = prepare_cluster(home.postgres)
        port = ports[port_plan.POSTGRES]
        programs.append(postgres_program(cluster, port=port, log=home.log("postgres")))
        addresses["DATABASE_URL"] = cluster.dsn(port)
        for name, password in credentials.database_passwords(home).items():
            logins[name][_own_url(name)] = cluster.dsn_of(name, password, port)
    return programs, addresses, logins


def _own_url(service: str) -> str:
    return f"{service.upper()}_DATABASE_URL"


def _service_ports(ports: Mapping[str, int]) -> dict[str, str]:
    return {variable: str(ports[name]) for name, variable in port_plan.VARIABLES.items()}


def _waves(
    home: Home,
    first: Sequence[Program],
    ports: Mapping[str, int],
    environment: Mapping[str, str],
    logins: Logins,
) -> tuple[tuple[Program, ...], ...]:
    own = {name: url for login in logins.values() for name, url in login.items() if name.endswith("_DATABASE_URL")}
    bootstrap = _step(home, "migrate-bootstrap", ("migrate", "--bootstrap"), {**environment, **own})
    provision = _step(home, "provision", ("provision",), environment)
    migrate = _step(home, "migrate", ("migrate",), environment)
    watch = _em_program(home, "watch", ("watch",), environment)
    services = tuple(
        _service(home, service, ports[service.folder], _of_service(service, {**environment, **logins[service.name]}))
        for service in SERVICES
    )
    return tuple(first), (bootstrap, provision), (migrate,), (*services, watch)


def _of_service(service: Service, environment: Mapping[str, str]) -> dict[str, str]:
    """Without what is the operator's or another service's alone. Who has a login doesn't get the administrator's."""
    own = _own_url(service.name)
    needs_shared = service.schema and not any(name in environment for name in (own, f"{own}_FILE"))
    foreign = {_own_url(other.name) for other in SERVICES if other is not service}
    if service is not APPROVALS_SVC:
        foreign |= {"JWT_PRIVATE_KEY"}
    return _without(environment, {*foreign, *(() if needs_shared else ("DATABASE_URL",))})


def _of_extra(environment: Mapping[str, str]) -> dict[str, str]:
    logins = {_own_url(service.name) for service in SERVICES}
    return _without(environment, {"JWT_PRIVATE_KEY", "NATS_NKEY_SEED", "DATABASE_URL", *logins})


def _without(environment: Mapping[str, str], withheld: Collection[str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.removesuffix("_FILE") not in withheld}


def _step(home: Home, name: str, arguments: tuple[str, ...], environment: Mapping[str, str]) -> Program:
    return replace(_em_program(home, name, arguments, environment), once=True)


def _em_program(home: Home, name: str, arguments: tuple[str, ...], environment: Mapping[str, str]) -> Program:
    return python_program(
        home,
        name,
        ("-m", "em", *arguments),
        environment={**environment, "EM_HOME": str(home.root)},
        ready=Ready(deadline_s=STEP_DEADLINE_S),
    )


def _service(home: Home, service: Service, port: int, environment: Mapping[str, str]) -> Program:
    ready = Ready(url=f"http://{HOST}:{port}/ready", deadline_s=SERVICE_DEADLINE_S)
    return python_program(home, service.folder, ("-m", service.name), environment=environment, ready=ready, port=port)
