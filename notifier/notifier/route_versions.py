"""The routes' versions: reloaded while the service runs, and a bad file never replaces a good one."""

from pathlib import Path

from notifier import route_file
from notifier.route_file import InvalidRoutes
from notifier.routes import Route
from shared.db import Pool, versions
from shared.db.versions import Versions
from shared.telemetry import metrics

KIND = versions.Kind(
    name="routes",
    look="SELECT max(number) FROM route_version",
    newest="SELECT number, sha256, content FROM route_version ORDER BY number DESC LIMIT 1",
    insert="""
    INSERT INTO route_version (number, sha256, content)
    SELECT coalesce(max(number), 0) + 1, $1, $2 FROM route_version RETURNING number
    """,
    read=route_file.read,
    invalid=metrics.routes_invalid,
    without_file="production deployments, incidents and approvals at once, the rest once a day",
)


class RouteVersions(Versions[Route]):
    """`path` None: what holds without a file is the only version."""

    def __init__(self, pool: Pool, path: Path | None) -> None:
        """Raises InvalidConfiguration."""
        super().__init__(pool, path, KIND)

    def _read(self) -> str:
        """A file that is just being written must not count as no file."""
        text = super()._read()
        if self._path is None:
            return text
        if not text.strip():
            raise InvalidRoutes(f"{self._path}: the file is empty")
        return route_file.inlined(text, self._path.parent)
