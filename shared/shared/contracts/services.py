"""The five services: their names on the bus, in the database and on the network."""

import msgspec


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """One deployable service.

    `name` is its package, database role, durable consumer and NATS user; `folder` its place in the repository
    and its name for people; `schema` the Postgres schema that it alone owns (None: no database).
    """

    name: str
    folder: str
    schema: str | None
    port: int

    @property
    def variable(self) -> str:
        """Prefix of its own environment variables, e.g. `METRICS_SVC`."""
        return self.name.upper()


INGEST = Service(name="ingest", folder="ingest", schema=None, port=8000)
NORMALIZER = Service(name="normalizer", folder="normalizer", schema="normalizer", port=8001)
METRICS_SVC = Service(name="metrics_svc", folder="metrics-svc", schema="metrics", port=8002)
APPROVALS_SVC = Service(name="approvals_svc", folder="approvals-svc", schema="approvals", port=8003)
NOTIFIER = Service(name="notifier", folder="notifier", schema="notifier", port=8004)

SERVICES = (INGEST, NORMALIZER, METRICS_SVC, APPROVALS_SVC, NOTIFIER)
