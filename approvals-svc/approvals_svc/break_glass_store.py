"""SQL of broken glass: what somebody is about to confirm."""

import hashlib
from datetime import timedelta

from approvals_svc.model import Approval
from shared.db import Connection


async def remember(tx: Connection, approval: Approval, person: str, *, reason: str, confirm: str) -> None:
    """Asking again starts anew."""
    await tx.execute(
        """
        INSERT INTO breaking (approval_id, revision, person, reason, confirm_sha256) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (approval_id, revision, person)
        DO UPDATE SET reason = $4, confirm_sha256 = $5, asked_at = clock_timestamp()
        """,
        approval.id,
        approval.revision,
        person,
        reason,
        _sha256(confirm),
    )


async def reason(tx: Connection, approval: Approval, person: str, *, confirm: str, within: timedelta) -> str | None:
    """Used up by being right. None: nothing was asked so, or too long ago, or of a revision before."""
    found: str | None = await tx.fetchval(
        """
        DELETE FROM breaking WHERE approval_id = $1 AND revision = $2 AND person = $3 AND confirm_sha256 = $4
            AND asked_at > clock_timestamp() - $5::interval RETURNING reason
        """,
        approval.id,
        approval.revision,
        person,
        _sha256(confirm),
        within,
    )
    return found


def _sha256(confirm: str) -> str:
    return hashlib.sha256(confirm.encode()).hexdigest()
