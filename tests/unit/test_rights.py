"""Law 5, S17: what each NATS user may do, as the contracts have it, and how a server and a stack are told."""

import json
import re

import pytest

from em.credentials import new_seed
from em.nats_users import users_file
from em.stack import _of_extra, _of_service
from shared.contracts.rights import OPERATOR, USERS, rights_of
from shared.contracts.services import APPROVALS_SVC, INGEST, METRICS_SVC, NORMALIZER, NOTIFIER, SERVICES
from shared.contracts.streams import DURABLES
from shared.contracts.subjects import Subjects

SUBJECTS = Subjects("acme")
OF_SERVICES = {service.name: rights_of(service.name, SUBJECTS) for service in SERVICES}


def test_law_5_service_hears_nothing_but_its_own_inbox() -> None:
    assert {name: rights.subscribe for name, rights in OF_SERVICES.items()} == {
        name: (f"_INBOX_{name}.>",) for name in OF_SERVICES
    }


def test_law_5_service_says_only_what_it_owns() -> None:
    said = {
        name: sorted(subject for subject in rights.publish if not subject.startswith("$"))
        for name, rights in OF_SERVICES.items()
    }

    assert said[INGEST.name] == ["acme.raw.>"]
    assert said[METRICS_SVC.name] == ["acme.dead.metrics_svc", "acme.events.metric.>", "acme.notify"]
    assert said[APPROVALS_SVC.name] == ["acme.dead.approvals_svc", "acme.events.approval.>", "acme.notify"]
    assert said[NOTIFIER.name] == ["acme.dead.notifier", "acme.events.message.>"]
    assert {"acme.dead.normalizer", "acme.replay.>", "acme.events.change.>"} <= set(said[NORMALIZER.name])
    assert not {"acme.events.>", "acme.events.approval.>", "acme.events.metric.>"} & set(said[NORMALIZER.name])


def test_S17_service_asks_jetstream_only_for_its_own_durables_raw_and_the_proof() -> None:
    for name, rights in OF_SERVICES.items():
        durables = {f"ACME_{durable.stream}.{name}" for durable in DURABLES if durable.name == name}
        allowed = {f"$JS.API.CONSUMER.{verb}.{durable}" for durable in durables for verb in ("MSG.NEXT", "INFO")}
        allowed |= {f"$JS.ACK.{durable}.>" for durable in durables} | {"$JS.API.DIRECT.GET.KV_ACME_DURABILITY.>"}
        allowed |= {"$JS.API.STREAM.INFO.ACME_RAW"} if name in (INGEST.name, NORMALIZER.name) else set()
        allowed |= {"$O.ACME_BODIES.>"} if name == INGEST.name else set()
        reads_bodies = {f"$JS.API.DIRECT.GET.OBJ_ACME_BODIES{end}" for end in ("", ".>")}
        allowed |= reads_bodies if name == NORMALIZER.name else set()
        assert {subject for subject in rights.publish if subject.startswith("$")} == allowed, name


def test_unknown_user_has_no_rights() -> None:
    with pytest.raises(LookupError):
        rights_of("somebody", SUBJECTS)


def test_server_is_told_public_keys_and_the_same_rights() -> None:
    seeds = {user: new_seed() for user in USERS}

    text = users_file(seeds, SUBJECTS)

    assert not [user for user, seed in seeds.items() if seed in text]
    lists = [tuple(json.loads(found)) for found in re.findall(r"allow: (\[.*\])", text)]
    expected = [rights_of(user, SUBJECTS) for user in USERS]
    assert lists == [part for rights in expected for part in (rights.publish, rights.subscribe)]
    assert len(set(re.findall(r"nkey: (U[A-Z2-7]{55})", text))) == len(USERS)


def test_law_5_process_of_a_service_is_given_its_own_login_alone() -> None:
    logins = {f"{service.variable}_DATABASE_URL": service.name for service in SERVICES if service.schema}
    environment = {
        **logins,
        "METRICS_SVC_DATABASE_URL_FILE": "/somewhere",
        "DATABASE_URL": "administrator",
        "JWT_PRIVATE_KEY": "mints",
        "JWT_PUBLIC_KEY": "verifies",
        "NATS_NKEY_SEED": "own",
    }

    given = {service.name: _of_service(service, environment) for service in SERVICES}

    own = {"JWT_PUBLIC_KEY": "verifies", "NATS_NKEY_SEED": "own"}
    assert given[INGEST.name] == own
    assert given[NOTIFIER.name] == {**own, "NOTIFIER_DATABASE_URL": NOTIFIER.name}
    assert [name for name, each in given.items() if "JWT_PRIVATE_KEY" in each] == [APPROVALS_SVC.name]
    assert _of_extra(environment) == {"JWT_PUBLIC_KEY": "verifies"}


def test_service_without_a_login_of_its_own_shares_the_database() -> None:
    shared = {"DATABASE_URL": "of all"}

    assert _of_service(METRICS_SVC, shared) == shared
    assert _of_service(INGEST, shared) == {}


def test_operator_may_do_what_provisioning_and_repairs_need_and_nothing_of_the_system() -> None:
    rights = rights_of(OPERATOR, SUBJECTS)

    assert set(rights.publish) == {"$JS.API.>", "$JS.ACK.>", "$KV.>", "$O.ACME_BODIES.>", "acme.>"}
    assert rights.subscribe == ("_INBOX_operator.>",)
