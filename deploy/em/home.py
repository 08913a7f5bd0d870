"""The state directory `.em/`: where everything is, who may read it, and how files in it are replaced."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from em.errors import AlreadyRunning, NotPermitted

# Passable but not listable: an unprivileged PostgreSQL must reach its own directory, and nothing else.
PASSABLE = 0o711
PRIVATE = 0o700
SECRET = 0o600


@dataclass(frozen=True)
class Home:
    """`data`: where the embedded servers keep theirs, when not in the root."""

    root: Path
    data: Path | None = None

    @classmethod
    def find(cls, environ: Mapping[str, str]) -> "Home":
        return cls(Path(environ.get("EM_HOME") or ".em").absolute())

    @property
    def logs(self) -> Path:
        return self.root / "log"

    @property
    def nats(self) -> Path:
        return (self.data or self.root) / "nats"

    @property
    def postgres(self) -> Path:
        return (self.data or self.root) / "postgres"

    @property
    def demo(self) -> Path:
        """The demo's own files, written before its stack starts."""
        return self.root / "demo"

    @property
    def state(self) -> Path:
        return self.root / "state.json"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets.json"

    @property
    def users(self) -> Path:
        """Who may log in, unless USERS_PATH names another file."""
        return self.root / "users"

    @property
    def environment(self) -> Path:
        """What the running stack's services were given; the commands of em use it too."""
        return self.root / "environment.json"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def prepare(self) -> None:
        try:
            for path, mode in ((self.root, PASSABLE), (self.logs, PRIVATE), (self.nats, PRIVATE)):
                path.mkdir(parents=True, exist_ok=True)
                path.chmod(mode)
            self.users.touch(SECRET)
        except PermissionError as error:
            raise self._of_another_user() from error

    @contextlib.contextmanager
    def lock(self) -> Iterator[int]:
        """A descriptor whose lock lives as long as any process that inherited it."""
        try:
            descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT, SECRET)
        except PermissionError as error:
            raise self._of_another_user() from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield descriptor
        except BlockingIOError as error:
            raise AlreadyRunning(
                f"a supervisor already works in {self.root}", hint="look with: em status; stop it with: em down"
            ) from error
        finally:
            os.close(descriptor)

    def _of_another_user(self) -> NotPermitted:
        return NotPermitted(
            f"{self.root} belongs to another user", hint="run em as that user, or set EM_HOME to another directory"
        )


def read_json(path: Path) -> dict[str, Any]:
    """Empty when there is no such file."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except PermissionError as error:
        raise NotPermitted(f"{path} belongs to another user", hint="run em as that user") from error
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace a file as a whole; only its owner may read it."""
    new = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, SECRET), "w") as file:
        json.dump(content, file, indent=1)
    new.replace(path)
