"""SQL of Slack accounts that were linked to people of the catalog."""

from approvals_svc.links import SOURCE, Link
from approvals_svc.tasks import LinkAccount
from shared.db import Connection

_COLUMNS = "team, account, person, approval_id AS approval"


async def links(tx: Connection) -> tuple[Link, ...]:
    rows = await tx.fetch(f"SELECT {_COLUMNS} FROM slack_link ORDER BY team, account")  # noqa: S608  # a constant
    return tuple(Link(**row) for row in rows)


async def link(tx: Connection, task: LinkAccount) -> str:
    """Whose it is from now on: who was first stays."""
    await tx.execute(
        "INSERT INTO slack_link (team, account, person, approval_id) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        *(task.team, task.account, task.person, task.approval),
    )
    person: str = await tx.fetchval(
        "SELECT person FROM slack_link WHERE (team, account) = ($1, $2)", task.team, task.account
    )
    return person


async def unlink(tx: Connection, account: str) -> tuple[Link, ...]:
    """Those that there were."""
    rows = await tx.fetch(f"DELETE FROM slack_link WHERE account = $1 RETURNING {_COLUMNS}", account)  # noqa: S608
    return tuple(Link(**row) for row in rows)


async def decided(tx: Connection, team: str, account: str) -> int:
    """How many claims of the account were decided."""
    number: int = await tx.fetchval(
        "SELECT count(*) FROM approval WHERE starts_with(external_key, $1) AND status <> 'pending'",
        f"{SOURCE}:{team}:{account}:",
    )
    return number
