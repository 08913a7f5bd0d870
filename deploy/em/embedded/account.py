"""With whose rights PostgreSQL can run here: it refuses root."""

import os
import shutil
import subprocess
from pathlib import Path

from em.errors import EmbeddedUnusable
from em.program import Account

UNPRIVILEGED = 65534
NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
TRY_TIMEOUT_S = 20


def choose_account(binary: Path, directory: Path) -> Account:
    """Found by trying: an unprivileged uid, else a user namespace. `directory` comes to belong to the choice."""
    if os.geteuid() != 0:
        return Account()
    os.chown(directory, UNPRIVILEGED, UNPRIVILEGED)
    unprivileged = Account(uid=UNPRIVILEGED)
    if _runs(unprivileged, str(binary), "--version") and _may_write(unprivileged, directory):
        return unprivileged
    os.chown(directory, 0, 0)
    namespace = Account(prefix=NAMESPACE)
    if shutil.which(NAMESPACE[0]) and _runs(namespace, str(binary), "--version"):
        return namespace
    raise EmbeddedUnusable(
        "PostgreSQL refuses to run as root, an unprivileged user cannot reach its binaries or "
        f"{directory}, and user namespaces are not allowed here",
        hint="run em as an ordinary user, or set DATABASE_URL to a PostgreSQL server",
    )


def give(account: Account, tree: Path) -> None:
    """Hand a whole tree to the account (an earlier run may have used another one)."""
    if os.geteuid() != 0:
        return
    owner = account.uid or 0
    if tree.stat().st_uid == owner:
        return
    for folder, folders, files in os.walk(tree):
        for name in (*folders, *files):
            os.chown(Path(folder) / name, owner, owner, follow_symlinks=False)
    os.chown(tree, owner, owner)


def _may_write(account: Account, directory: Path) -> bool:
    return _runs(account, "/bin/sh", "-c", 'cd "$0" && test -w .', str(directory))


def _runs(account: Account, *argv: str) -> bool:
    try:
        done = subprocess.run(
            [*account.prefix, *argv],
            cwd="/",
            env={"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TRY_TIMEOUT_S,
            check=False,
            user=account.uid,
            group=account.uid,
            extra_groups=None if account.uid is None else (),
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
