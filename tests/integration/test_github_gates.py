"""GitHub's gate against the counterpart's HTTP API: one effective decision whatever happens, and none by accident."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.contracts.events import DeploymentRequested
from tests.gatehouse import SHA, Gatehouse, opened, waiting_run
from tests.hostile import callbacks
from tests.waiting import until

pytestmark = pytest.mark.asyncio

RULE = "POST */deployment_protection_rule"
KIND = "github_gate"


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[Gatehouse]:
    async with opened(database_url, tmp_path) as running:
        yield running


async def in_haste(house: Gatehouse, *numbers: int) -> None:
    """Without the pauses between tries."""

    async def is_done() -> bool:
        await house.pool.execute("UPDATE effect SET next_at = now() WHERE state = 'pending'")
        house.effects.wake()
        left = "SELECT count(*) FROM effect WHERE approval_id = ANY($1::bigint[]) AND state IN ('pending', 'leased')"
        return not await house.pool.fetchval(left, list(numbers))

    await until(is_done, timeout_s=30, what="an effect waits still")


def place(event: DeploymentRequested) -> dict[str, Any]:
    assert event.gate
    return {"repository": event.repository, "run_id": int(event.gate.run_id)}


async def test_outage_with_ambiguous_answers_leads_to_one_effective_decision_each(house: Gatehouse, scale: int) -> None:
    """Nothing works at first, then every other call; some answers are lost, and some calls land late."""
    numbers = [await house.ask(house.github_event(environment="staging")) for _ in range(20 * scale)]
    await house.fail("github", "server_error", "*", bites_max=30)
    await house.fail("github", "drop_after", RULE, probability=0.3, seed=1, bites_max=20 * scale)
    await house.fail("github", "drop_before", RULE, probability=0.3, seed=2, bites_max=20 * scale)
    await house.fail("github", "late", RULE, probability=0.2, seed=3, bites_max=5 * scale, after_s=0.05)
    await house.fail("github", "server_error", "GET *", probability=0.3, seed=4, bites_max=20 * scale)

    for index, number in enumerate(numbers):
        await house.vote(number, "bo", verb="approve" if index % 2 else "reject")
    await in_haste(house, *numbers)

    counted = await house.look("/github/counts")
    assert (counted["decisions"], counted["conflicting"]) == (len(numbers), 0)
    assert (await house.look("/faults"))["never_bit"] == []
    statuses = [(await house.show(number)).status for number in numbers]
    assert statuses == ["rejected", "executed"] * (len(numbers) // 2)


async def test_answer_is_not_given_to_another_attempt_of_the_run(house: Gatehouse) -> None:
    event = house.github_event(environment="staging")
    number = await house.ask(event)
    await house.pool.execute("UPDATE approval SET created_at = created_at - interval '1 minute'")
    await house.fail("github", "drop_before", RULE, nth=1)
    await house.tell("/github/ends", place(event))

    await house.vote(number, "bo")
    await in_haste(house, number)

    assert (await house.effect(number, KIND))["result"] == "its run was started again since, and that asks anew"
    assert await house.look("/github/decisions") == []


async def test_answer_that_comes_too_late_says_who_answered_instead(house: Gatehouse) -> None:
    event = house.github_event(environment="staging")
    number = await house.ask(event)
    await house.fail("github", "drop_before", RULE, nth=1)
    review = {"login": "cy-m", "state": "approved"}
    await house.tell("/github/gate-reviews", place(event) | {"environment": "staging", "review": review})

    await house.vote(number, "bo")
    await in_haste(house, number)

    last = (await house.said())[-1]
    assert (last["kind"], last["status"]) == ("approval.executed", "dead")
    assert last["failure"] == "nothing waits there any more: cy-m answered"


async def test_run_that_ended_meanwhile_is_not_answered(house: Gatehouse) -> None:
    event = house.github_event(environment="staging")
    number = await house.ask(event)
    await house.fail("github", "drop_before", RULE, nth=1)
    await house.tell("/github/ends", place(event) | {"conclusion": "cancelled"})

    await house.vote(number, "bo")
    await in_haste(house, number)

    assert (await house.effect(number, KIND))["result"] == "its run is over: cancelled"


@pytest.mark.parametrize("status", [403, 404, 422])
@pytest.mark.parametrize("verb", ["approve", "reject"])
async def test_refusal_ends_dead_and_people_are_told(house: Gatehouse, status: int, verb: str) -> None:
    await house.fail("github", "server_error", RULE, status=status)
    number = await house.ask(house.github_event(environment="staging"))

    await house.vote(number, "bo", verb=verb)
    ended = await house.ended(number)

    last = (await house.said())[-1]
    assert (await house.effect(number, KIND))["state"] == "dead"
    assert ended.status == ("dead" if verb == "approve" else "rejected")
    assert (last["kind"], last["failure"]) == ("approval.executed", f"answer {status}")
    assert await house.look("/github/decisions") == []


async def test_installation_that_is_not_listed_asks_nobody(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path, installations={"31"}) as house:
        await house.receive(house.github_event())

        assert await house.held() == ["GITHUB_INSTALLATIONS does not name this installation of the App"]


FORGED = {
    "creator": ({"creator": "di-n", "actor": "ana-k"}, {"creator": "cy-m"}, "the deployment was created by cy-m"),
    "actor": ({"actor": "di-n"}, {"actor": "cy-m"}, "the run was started by cy-m"),
    "attempt": ({"actor": "di-n"}, {"triggering_actor": "cy-m"}, "the run was started by cy-m"),
    "commit": ({"sha": "0" * 40}, {"sha": SHA}, "the run is of another commit"),
    "no commit": ({"sha": ""}, {"sha": SHA}, "the run is of another commit"),
    "environment": ({}, {"environments": ["production"]}, "the deployment is to another environment"),
    "run": ({"deployment_id": ""}, {"actor": "cy-m", "deployment_id": None}, "the run was started by cy-m"),
    "id": ({"deployment_id": "5/statuses"}, {"deployment_id": None}, "the deployment id is not a number"),
}


@pytest.mark.parametrize(("said", "true", "reason"), FORGED.values(), ids=FORGED)
async def test_S24_yes_is_bound_to_what_was_decided_about(
    house: Gatehouse, said: dict[str, Any], true: dict[str, Any], reason: str
) -> None:
    """`said` by whoever owns the bus, `true` at GitHub."""
    event = house.github_event(environment="staging")
    await house.tell("/github/runs", waiting_run(event) | true)
    await house.receive(msgspec.structs.replace(event, **said))
    number = await house.pool.fetchval("SELECT max(id) FROM approval")

    await house.vote(number, "bo")
    ended = await house.ended(number)

    assert ended.status == "dead"
    assert await house.look("/github/decisions") == []
    last = (await house.said())[-1]
    assert last["kind"] == "approval.executed" and reason in last["failure"]


async def test_S24_deployment_of_another_commit_does_not_stand_in_for_the_one_that_runs(house: Gatehouse) -> None:
    """Each is true by itself: the run that waits, and a deployment that is harmless."""
    event, harmless = house.github_event(environment="staging"), house.github_event(environment="staging")
    await house.tell("/github/runs", waiting_run(harmless) | {"sha": "0" * 40})
    await house.tell("/github/runs", waiting_run(event))
    await house.receive(msgspec.structs.replace(event, deployment_id=harmless.deployment_id))
    number = await house.pool.fetchval("SELECT max(id) FROM approval")

    await house.vote(number, "bo")

    assert (await house.ended(number)).status == "dead"
    assert (await house.effect(number, KIND))["result"] == (
        "the deployment is of another commit than what was decided about"
    )


async def test_accounts_and_machines_are_compared_whatever_their_case(house: Gatehouse) -> None:
    event = house.github_event(environment="staging", creator="GitHub-Actions[bot]", actor="Ana-K")
    number = await house.ask(event)
    true = {"creator": "github-actions[bot]", "actor": "ana-k", "triggering_actor": "ANA-K"}
    await house.tell("/github/runs", waiting_run(event) | true)

    await house.vote(number, "bo")

    assert (await house.ended(number)).status == "executed"


async def test_no_is_told_without_a_look(house: Gatehouse) -> None:
    event = house.github_event(environment="staging")
    await house.tell("/github/runs", waiting_run(event) | {"sha": "0" * 40})
    await house.receive(event)
    number = await house.pool.fetchval("SELECT max(id) FROM approval")

    await house.vote(number, "bo", verb="reject")

    assert (await house.ended(number)).status == "rejected"
    assert [each["state"] for each in await house.look("/github/decisions")] == ["rejected"]


@pytest.mark.parametrize("call", ["GET */actions/runs/*", "GET */deployments/*"])
async def test_github_that_can_not_be_asked_is_asked_later_and_told_nothing(house: Gatehouse, call: str) -> None:
    number = await house.ask(house.github_event(environment="staging"))
    await house.fail("github", "server_error", call)

    await house.vote(number, "bo")
    await until(lambda: tried(house, number), timeout_s=20, what="GitHub was not asked")
    before = await house.look("/github/decisions")
    await house.control.delete("/faults")
    await in_haste(house, number)

    assert before == []
    assert (await house.show(number)).status == "executed"
    assert len(await house.look("/github/decisions")) == 1


async def tried(house: Gatehouse, number: int) -> bool:
    effect = await house.effect(number, KIND)
    return bool(effect["attempts"]) and effect["state"] == "pending"


async def test_answer_kept_before_it_was_bound_is_given(house: Gatehouse) -> None:
    """An effect that waits while the service is replaced by this one."""
    event = house.github_event(environment="staging")
    number = await house.ask(event)
    await house.tell("/github/runs", waiting_run(event) | {"sha": "0" * 40})
    await house.fail("github", "server_error", "*", nth=1)
    await house.vote(number, "bo")
    await until(lambda: tried(house, number), timeout_s=20, what="GitHub was not asked")

    await house.pool.execute("UPDATE effect SET payload = payload - 'bound' WHERE approval_id = $1", number)
    await in_haste(house, number)

    assert (await house.show(number)).status == "executed"


async def test_opening_a_gate_calls_nobody_and_takes_one_transaction(house: Gatehouse) -> None:
    """From webhook to pending there is nothing to wait for but the database."""
    number = await house.ask(house.github_event())

    assert (await house.show(number)).status == "pending"
    assert await house.look("/github/ledger") == []


class Sentinel:
    def __init__(self) -> None:
        self.knocks = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.knocks += 1
        writer.close()


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[Sentinel, str]]:
    sentinel = Sentinel()
    server = await asyncio.start_server(sentinel.answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield sentinel, f"127.0.0.1:{port}"


async def test_S11_no_hostile_callback_is_ever_connected_to(house: Gatehouse) -> None:
    """Of an environment that nobody is asked about: what gets past the check is answered at once."""
    event = house.github_event(environment="auto")
    assert event.gate
    async with listening() as (sentinel, address):
        hostile = list(
            dict.fromkeys(
                callbacks(
                    house.counterparts.github_url,
                    repository=event.repository,
                    run_id=event.gate.run_id,
                    sentinel=address,
                )
            )
        )
        for index, url in enumerate(hostile):
            gate = msgspec.structs.replace(event.gate, callback_url=url)
            await house.receive(msgspec.structs.replace(event, gate=gate, id=f"hostile-{index}"))
        house.effects.wake()
        await asyncio.sleep(1)

        assert len(hostile) >= 200
        assert sentinel.knocks == 0
        assert len(await house.held()) == len(hostile)
        assert await house.look("/github/ledger") == []


async def test_true_callback_among_them_is_taken(house: Gatehouse) -> None:
    event = house.github_event(environment="auto")
    assert event.gate
    url = f"{house.counterparts.github_url}/repos/{event.repository}/actions/runs/{event.gate.run_id}"
    gate = msgspec.structs.replace(event.gate, callback_url=f"{url}/deployment_protection_rule")

    number = await house.ask(msgspec.structs.replace(event, gate=gate))

    assert (await house.ended(number)).status == "executed"
