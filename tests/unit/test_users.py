"""The users file, and `em users` that writes it: hashes alone, and no name that anybody could tell from another."""

import os
import pty
import select
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from approvals_svc import users
from approvals_svc.users import Account, InvalidUsers, Users

PASSWORD = "correct horse battery"
HASH = users.hashed(PASSWORD)


def test_password_of_its_account_alone_is_right() -> None:
    known = Users([Account(name="ana", role="approver", hash=HASH), Account(name="bo", role="viewer", hash=HASH[::-1])])

    assert known.verify("ana", PASSWORD) == known.accounts["ana"]
    assert known.verify("ana", PASSWORD + " ") is None
    assert known.verify("ANA", PASSWORD) is None
    assert known.verify("bo", PASSWORD) is None
    assert Users().verify("ana", PASSWORD) is None


def test_same_password_twice_has_different_hashes_of_the_declared_cost() -> None:
    assert users.hashed(PASSWORD) != HASH
    assert HASH.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize("accounts", [[], [Account(name="ana", role="viewer", hash=HASH)]])
def test_unknown_name_costs_what_a_known_one_costs(accounts: list[Account]) -> None:
    """In processor time, and far from nothing, which is what a lookup alone would cost."""
    known = Users([Account(name="ana", role="viewer", hash=HASH)])

    wrong = min(_cost(known, "ana") for _ in range(3))
    unknown = min(_cost(Users(accounts), "nobody") for _ in range(3))

    assert wrong / 2 < unknown < wrong * 2


def _cost(known: Users, name: str) -> float:
    began = time.process_time()
    known.verify(name, "a wrong password")
    return time.process_time() - began


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("ana", "role"),
        (f"ana:root:{HASH}", "role"),
        (f"a b:viewer:{HASH}", "name"),
        ("ana:viewer:hunter2", "argon2id"),
        ("ana:viewer:$argon2i$v=19$m=19456,t=2,p=1$AAAA$AAAA", "argon2id"),
        ("ana:viewer:$argon2id$v=19$m=999999,t=2,p=1$AAAAAAAAAAA$AAAA", "argon2id"),
        (f"first:viewer:{HASH}", "twice"),
    ],
)
def test_line_that_can_not_be_used_is_named_and_not_shown(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "users"
    path.write_text(f"# people\n\nfirst:viewer:{HASH}\n{line}\n")

    with pytest.raises(InvalidUsers, match=says) as refused:
        users.load(path)

    assert "line 4" in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert "argon2id$" not in str(refused.value)


def test_missing_file_is_a_mistake_and_no_path_is_nobody(tmp_path: Path) -> None:
    with pytest.raises(InvalidUsers, match="USERS_PATH"):
        users.load(tmp_path / "users")

    assert users.load(None).accounts == {}


def em_users(path: Path, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "em", "users", *arguments, "--file", str(path)]
    return subprocess.run(command, input=typed, capture_output=True, text=True, timeout=60)


def test_em_users_adds_lists_and_removes(tmp_path: Path) -> None:
    path = tmp_path / "users"

    assert em_users(path, "add", "ana", "--role", "approver", typed=f"{PASSWORD}\n").returncode == 0
    assert em_users(path, "add", "bo", typed=f"{PASSWORD}\n").returncode == 0
    assert em_users(path, "list").stdout == "ana approver\nbo viewer\n"
    assert users.load(path).verify("ana", PASSWORD)
    assert PASSWORD not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    path.chmod(0o640)
    assert em_users(path, "remove", "bo").returncode == 0
    assert em_users(path, "list").stdout == "ana approver\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert em_users(path, "remove", "bo").returncode == 1


@pytest.mark.parametrize(
    ("arguments", "typed"),
    [
        (("add", "ana", "--role", "root"), PASSWORD),
        (("add", "a:b"), PASSWORD),
        (("add", "ana"), "short"),
        (("add", "ana"), ""),
        (("add", "ana", PASSWORD), ""),
        (("add", "ana", "--password", PASSWORD), ""),
    ],
)
def test_em_users_refuses(tmp_path: Path, arguments: tuple[str, ...], typed: str) -> None:
    done = em_users(tmp_path / "users", *arguments, typed=typed)

    assert done.returncode in (1, 2)
    assert not (tmp_path / "users").exists()


def test_password_is_not_echoed_while_it_is_typed(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "em", "users", "add", "ana", "--file", str(tmp_path / "users")]
    shown = b""
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as child:
        for prompts in (1, 2):
            while shown.count(b": ") < prompts:
                assert select.select([ours], [], [], 30)[0], shown
                shown += os.read(ours, 1024)
            os.write(ours, f"{PASSWORD}\n".encode())
        assert child.wait(timeout=30) == 0
    while select.select([ours], [], [], 0)[0]:
        shown += os.read(ours, 1024)
    os.close(ours)
    os.close(theirs)

    assert users.load(tmp_path / "users").verify("ana", PASSWORD)
    assert PASSWORD.encode() not in shown
