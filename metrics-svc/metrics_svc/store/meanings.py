"""What facts refer to, as far as a catalog can give it a meaning; read when a new version comes."""

from collections.abc import Sequence

import msgspec

from metrics_svc.store.facts import StoredDeployment
from shared.db import Connection


class Place(msgspec.Struct, frozen=True):
    """What was deployed where, with success."""

    source: str
    repository: str
    service_name: str
    environment: str
    outcome: str = "succeeded"


class Sufferer(msgspec.Struct, frozen=True):
    """An on-call platform's service, as incidents name it; or a rule, as alerts do."""

    source: str
    service_id: str
    service_name: str
    rule: str | None


class Suffered(msgspec.Struct, frozen=True):
    id: str
    source: str
    service_id: str
    service_name: str
    rule: str | None


async def repositories(tx: Connection) -> list[str]:
    return [row["name"] for row in await tx.fetch("SELECT DISTINCT name FROM repository ORDER BY name")]


async def places(tx: Connection) -> list[Place]:
    rows = await tx.fetch(
        "SELECT DISTINCT source, repository, service_name, environment FROM deployment WHERE outcome = 'succeeded'"
    )
    return [Place(*row.values()) for row in rows]


async def sufferers(tx: Connection) -> list[Sufferer]:
    rows = await tx.fetch("SELECT DISTINCT source, service_id, service_name, rule FROM incident")
    return [Sufferer(row["source"], row["service_id"], row["service_name"], row["rule"]) for row in rows]


async def deployments_at(tx: Connection, where: Sequence[Place]) -> list[StoredDeployment]:
    rows = await tx.fetch(
        """
        SELECT id, source, repository, service_name, environment, commit_sha AS sha, outcome, finished_at
        FROM deployment
        JOIN unnest($1::text[], $2::text[], $3::text[], $4::text[])
          AS place (source, repository, service_name, environment)
          USING (source, repository, service_name, environment)
        WHERE outcome = 'succeeded' ORDER BY id
        """,
        [place.source for place in where],
        [place.repository for place in where],
        [place.service_name for place in where],
        [place.environment for place in where],
    )
    return [StoredDeployment(**row) for row in rows]


async def incidents_of(tx: Connection, who: Sequence[Sufferer]) -> list[Suffered]:
    rows = await tx.fetch(
        """
        SELECT id, incident.source, incident.service_id, incident.service_name, incident.rule FROM incident
        JOIN unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS wanted (source, service_id, service_name, rule)
          ON (wanted.source, wanted.service_id, wanted.service_name)
           = (incident.source, incident.service_id, incident.service_name)
          AND wanted.rule IS NOT DISTINCT FROM incident.rule
        ORDER BY id
        """,
        [each.source for each in who],
        [each.service_id for each in who],
        [each.service_name for each in who],
        [each.rule for each in who],
    )
    return [Suffered(row["id"], row["source"], row["service_id"], row["service_name"], row["rule"]) for row in rows]


async def changes_of(tx: Connection, names: Sequence[str]) -> list[str]:
    rows = await tx.fetch("SELECT id FROM change WHERE repository = ANY($1::text[]) ORDER BY id", list(names))
    return [row["id"] for row in rows]


async def services(tx: Connection) -> list[str]:
    return [row["name"] for row in await tx.fetch("SELECT name FROM service ORDER BY name")]


async def forget_services(tx: Connection) -> None:
    """Those that no repository or application stands for any more."""
    await tx.execute("DELETE FROM service s WHERE NOT EXISTS (SELECT FROM repository r WHERE r.service = s.name)")


async def origins(tx: Connection) -> list[tuple[str, int]]:
    """Every repository and application that facts name, with the number of its changes."""
    rows = await tx.fetch(
        """
        SELECT name, sum(changes)::int AS changes FROM (
            SELECT repository AS name, count(*) AS changes FROM change GROUP BY 1
            UNION ALL SELECT DISTINCT repository, 0 FROM commit
            UNION ALL SELECT DISTINCT origin, 0 FROM deployment
        ) AS told GROUP BY 1 ORDER BY 1
        """
    )
    return [(row["name"], row["changes"]) for row in rows]


async def brought(tx: Connection) -> list[str]:
    """Repositories of which deployments say that they brought a commit, beside their own."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT v.repository FROM deployment f
        CROSS JOIN LATERAL jsonb_to_recordset(f.revisions) AS v(repository text)
        WHERE f.revisions IS NOT NULL AND v.repository <> '' ORDER BY 1
        """
    )
    return [row["repository"] for row in rows]


async def bringing(tx: Connection, names: Sequence[str]) -> list[StoredDeployment]:
    """All that succeeded and may have brought a commit of these repositories, whatever the platform calls them."""
    rows = await tx.fetch(
        """
        SELECT id, source, repository, service_name, environment, commit_sha AS sha, outcome, finished_at
        FROM deployment f
        WHERE outcome = 'succeeded' AND (
            repository <> ALL($1::text[])
                AND EXISTS (SELECT FROM commit c WHERE c.repository = ANY($1::text[]) AND c.sha = f.commit_sha)
            OR EXISTS (SELECT FROM jsonb_to_recordset(f.revisions) AS v(repository text, sha text)
                       WHERE v.repository = ANY($1::text[]) OR v.repository = '' AND EXISTS (
                           SELECT FROM commit c WHERE c.repository = ANY($1::text[]) AND c.sha = v.sha)))
        ORDER BY id
        """,
        list(names),
    )
    return [StoredDeployment(**row) for row in rows]


async def succeeded(tx: Connection, names: Sequence[str]) -> list[StoredDeployment]:
    """All that succeeded of these repositories and applications."""
    rows = await tx.fetch(
        """
        SELECT id, source, repository, service_name, environment, commit_sha AS sha, outcome, finished_at
        FROM deployment
        WHERE origin = ANY($1::text[]) AND outcome = 'succeeded' ORDER BY id
        """,
        list(names),
    )
    return [StoredDeployment(**row) for row in rows]


async def incidents(tx: Connection) -> list[Suffered]:
    rows = await tx.fetch("SELECT id, source, service_id, service_name, rule FROM incident ORDER BY id")
    return [Suffered(row["id"], row["source"], row["service_id"], row["service_name"], row["rule"]) for row in rows]
