"""What facts refer to, as far as a catalog can give it a meaning; read when a new version comes."""

from collections.abc import Sequence

import msgspec

from shared.db import Connection


class Place(msgspec.Struct, frozen=True):
    """Where something was deployed with success."""

    repository: str
    environment: str
    outcome: str = "succeeded"


class Deployed(msgspec.Struct, frozen=True):
    id: str
    repository: str
    environment: str
    outcome: str | None


class Sufferer(msgspec.Struct, frozen=True):
    """An on-call platform's service, as incidents name it."""

    source: str
    service_id: str
    service_name: str


class Suffered(msgspec.Struct, frozen=True):
    id: str
    source: str
    service_id: str
    service_name: str


async def repositories(tx: Connection) -> list[str]:
    return [row["name"] for row in await tx.fetch("SELECT name FROM repository ORDER BY name")]


async def places(tx: Connection) -> list[Place]:
    rows = await tx.fetch("SELECT DISTINCT repository, environment FROM deployment WHERE outcome = 'succeeded'")
    return [Place(row["repository"], row["environment"]) for row in rows]


async def sufferers(tx: Connection) -> list[Sufferer]:
    rows = await tx.fetch("SELECT DISTINCT source, service_id, service_name FROM incident")
    return [Sufferer(row["source"], row["service_id"], row["service_name"]) for row in rows]


async def deployments_at(tx: Connection, where: Sequence[Place]) -> list[Deployed]:
    rows = await tx.fetch(
        """
        SELECT id, deployment.repository, deployment.environment, outcome FROM deployment
        JOIN unnest($1::text[], $2::text[]) AS place (repository, environment)
          ON place.repository = deployment.repository AND place.environment = deployment.environment
        WHERE outcome = 'succeeded' ORDER BY id
        """,
        [place.repository for place in where],
        [place.environment for place in where],
    )
    return [Deployed(row["id"], row["repository"], row["environment"], row["outcome"]) for row in rows]


async def incidents_of(tx: Connection, who: Sequence[Sufferer]) -> list[Suffered]:
    rows = await tx.fetch(
        """
        SELECT id, incident.source, incident.service_id, incident.service_name FROM incident
        JOIN unnest($1::text[], $2::text[], $3::text[]) AS wanted (source, service_id, service_name)
          ON (wanted.source, wanted.service_id, wanted.service_name)
           = (incident.source, incident.service_id, incident.service_name)
        ORDER BY id
        """,
        [each.source for each in who],
        [each.service_id for each in who],
        [each.service_name for each in who],
    )
    return [Suffered(row["id"], row["source"], row["service_id"], row["service_name"]) for row in rows]


async def changes_of(tx: Connection, names: Sequence[str]) -> list[str]:
    rows = await tx.fetch("SELECT id FROM change WHERE repository = ANY($1::text[]) ORDER BY id", list(names))
    return [row["id"] for row in rows]
