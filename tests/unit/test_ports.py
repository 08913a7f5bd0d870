"""Ports of the stack: which are chosen, and what is said about those that are taken."""

import os
import socket
from collections.abc import Iterator

import pytest

from em.embedded import ports
from em.errors import EmError, PortTaken


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind((ports.HOST, 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_base_gives_every_program_its_own_offset() -> None:
    base = ports.free_base(ports.OFFSETS)

    chosen = ports.choose(list(ports.OFFSETS), base=base, environ={})

    assert [chosen[name] - base for name in ports.SERVICE_NAMES] == [0, 1, 2, 3, 4]
    assert chosen[ports.NATS] - base == 10
    assert len(set(chosen.values())) == len(ports.OFFSETS)


def test_the_caller_names_a_services_port() -> None:
    [port] = ports.free_ports(1)

    chosen = ports.choose(["metrics-svc"], base=None, environ={"METRICS_SVC_PORT": str(port)})

    assert chosen == {"metrics-svc": port}


def test_a_base_wins_over_the_callers_port() -> None:
    base = ports.free_base(["ingest"])

    assert ports.choose(["ingest"], base=base, environ={"INGEST_PORT": "1"}) == {"ingest": base}


def test_a_taken_port_is_told_with_who_wants_it_and_who_has_it(taken: int) -> None:
    with pytest.raises(PortTaken) as refusal:
        ports.choose(["notifier"], base=None, environ={"NOTIFIER_PORT": str(taken)})

    assert f"port {taken}, which notifier wants, is taken by pid {os.getpid()} (" in refusal.value.message
    assert "--port-base" in refusal.value.hint


def test_every_taken_port_is_told_at_once(taken: int) -> None:
    environ = {"INGEST_PORT": str(taken), "NOTIFIER_PORT": str(taken)}

    with pytest.raises(PortTaken) as refusal:
        ports.choose(["ingest", "notifier"], base=None, environ=environ)

    assert len(refusal.value.message.splitlines()) == 2


def test_an_owner_that_we_may_not_see_is_another_process() -> None:
    unseen = ports.Taken(port=8000, wanted_by="ingest", pid=None, command="")

    assert str(unseen) == "port 8000, which ingest wants, is taken by another process"


def test_a_listener_on_all_addresses_takes_the_port() -> None:
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))  # noqa: S104  # the case under test
        listener.listen()

        assert not ports.is_free(listener.getsockname()[1])


@pytest.mark.parametrize("value", ["http", "0", "65536", "-1"])
def test_a_value_that_is_no_port_is_refused_by_its_variables_name(value: str) -> None:
    with pytest.raises(EmError, match="INGEST_PORT"):
        ports.choose(["ingest"], base=None, environ={"INGEST_PORT": value})


@pytest.mark.parametrize("base", [80, 65_530])
def test_a_base_whose_range_does_not_fit_is_refused(base: int) -> None:
    with pytest.raises(EmError, match="--port-base"):
        ports.choose(["ingest"], base=base, environ={})
