"""`em approvals`: a person's decision from a shell ends where every other does."""

import asyncio
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.contracts.services import APPROVALS_SVC
from tests.office import TOKEN_KEY, Office

pytestmark = pytest.mark.asyncio


async def em(office: Office, directory: Path, *words: str, **environment: str) -> tuple[int, str]:
    """Exit code and all that was printed."""
    known = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "PYTHONPATH")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "em", "approvals", *words),
        env={**known, "EM_HOME": str(directory), "JWT_ALGORITHM": "HS256", "JWT_SECRET_KEY": TOKEN_KEY, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


def at(office: Office) -> tuple[str, str]:
    return "--url", office.line.url(APPROVALS_SVC)


async def test_votes_from_a_shell_decide_as_any_others(office: Office, tmp_path: Path) -> None:
    number = await office.gate()

    first = await em(office, tmp_path, "approve", str(number), "--as", "bo", "--reason", "looked at it", *at(office))
    same_key = ("approve", str(number), "--as", "cy", "--key", "k-1", *at(office))
    second = await em(office, tmp_path, *same_key)
    again = await em(office, tmp_path, *same_key)

    assert first == (0, f"#{number} is pending, 1 more needed\n")
    assert second == (0, f"#{number} is approved\n")
    assert again == (0, f"#{number} is approved, as said before\n")
    shown = await office.show(number)
    assert [(vote["person"], vote["reason"]) for vote in shown["votes"]] == [("bo", "looked at it"), ("cy", "")]
    assert (await office.callback())["state"] == "approved"


async def test_refusal_says_why_and_ends_with_1(office: Office, tmp_path: Path) -> None:
    number = await office.gate()

    code, told = await em(office, tmp_path, "approve", str(number), "--as", "ana", *at(office))

    assert code == 1
    assert "refused (403): " in told and "asked" in told
    assert (await office.show(number))["votes"] == []


async def test_who_asked_takes_it_back_and_then_nobody_votes(office: Office, tmp_path: Path) -> None:
    number = await office.gate()

    taken_back = await em(office, tmp_path, "cancel", str(number), "--as", "ana", *at(office))
    late = await em(office, tmp_path, "decline", str(number), "--as", "bo", *at(office))

    assert taken_back == (0, f"#{number} is cancelled\n")
    assert late[0] == 1 and "refused (409)" in late[1]


async def test_without_a_token_or_a_server_it_says_what_is_missing(office: Office, tmp_path: Path) -> None:
    nobody = await em(office, tmp_path, "approve", "1", *at(office))
    nowhere = await em(office, tmp_path, "approve", "1", "--as", "bo", "--url", "http://127.0.0.1:9")
    unset = await em(office, tmp_path, "modify", "1", "--set", "label", "--as", "bo", *at(office))

    assert nobody[0] == nowhere[0] == unset[0] == 1
    assert "EM_TOKEN is not set" in nobody[1] and "--as PERSON" in nobody[1]
    assert "http://127.0.0.1:9" in nowhere[1] and "does not answer" in nowhere[1]
    assert "--set field=value" in unset[1]


async def test_report_is_the_same_over_http_and_in_a_shell(office: Office, tmp_path: Path) -> None:
    number = await office.gate()
    await office.vote(number, "bo")
    await office.vote(number, "cy")
    start = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    url = office.line.url(APPROVALS_SVC, "/v1/reports/approvals")

    answer = await office.line.http.get(url, params={"from": start}, headers=office.token("ana", "viewer"))
    refused = await office.line.http.get(url, params={"from": "2100-01-01"}, headers=office.token("ana", "viewer"))
    database = {"DATABASE_URL": office.line.database_url}
    code, printed = await em(office, tmp_path, "report", "--from", start, "--json", **database)
    _, table = await em(office, tmp_path, "report", "--from", start, **database)

    [team] = answer.json()["teams"]
    assert (team["team"], team["asked"], team["decided"], team["broken"]) == ("payments", 1, 1, [])
    assert (code, json.loads(printed)["teams"]) == (0, [team])
    assert "payments" in table and "checkout" in table
    assert (refused.status_code, refused.json()["type"].rsplit("/", 1)[-1]) == (422, "invalid-span")
