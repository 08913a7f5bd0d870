"""The policy's versions: reloaded while the service runs, and a bad file never replaces a good one."""

from pathlib import Path

from approvals_svc import policy_file
from approvals_svc.policy import Policy
from approvals_svc.policy_file import InvalidPolicy
from shared.db import Pool, versions
from shared.db.catalogs import Catalogs
from shared.db.versions import Versions
from shared.telemetry import metrics

KIND = versions.Kind(
    name="policy",
    look="SELECT max(number) FROM policy_version",
    newest="SELECT number, sha256, content FROM policy_version ORDER BY number DESC LIMIT 1",
    insert="""
    INSERT INTO policy_version (number, sha256, content)
    SELECT coalesce(max(number), 0) + 1, $1, $2 FROM policy_version RETURNING number
    """,
    read=policy_file.read,
    invalid=metrics.policy_invalid,
    without_file="one person who didn't ask must agree",
)


class Policies(Versions[Policy]):
    """`path` None: what holds without a file is the only version."""

    def __init__(self, pool: Pool, path: Path | None, catalogs: Catalogs) -> None:
        """Raises InvalidConfiguration."""
        super().__init__(pool, path, KIND, check=lambda text, policy: policy_file.check(text, policy, catalogs.catalog))

    def _read(self) -> str:
        """A file that is just being written must not count as no file."""
        text = super()._read()
        if self._path and not text.strip():
            raise InvalidPolicy(f"{self._path}: the file is empty")
        if self._path is None:
            return text
        try:
            return policy_file.inlined(text, self._path.parent)
        except InvalidPolicy as error:
            raise InvalidPolicy(f"{self._path}: {error}") from None
