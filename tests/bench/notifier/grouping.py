"""How many posts a backlog becomes where routes group it."""

import asyncio
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from em.sandbox.workspace import SlackSettings
from notifier.gathering import Gathering
from notifier.handlers import Handlers, Rules
from notifier.living import Acting
from notifier.render import OURS
from notifier.route_versions import RouteVersions
from notifier.settings import Settings
from shared.catalog import Catalog, Service
from shared.contracts.events import IncidentOpened
from shared.contracts.services import NOTIFIER
from shared.contracts.subjects import Subjects
from shared.db import Pool
from shared.db.catalogs import Pinned
from shared.db.pool import open_pool
from tests.sending import open_sending
from tests.waiting import until

CHANNELS = 20
BATCH = 200
CATALOG = Catalog(
    services=tuple(Service(name=f"service-{number}", slack_channel=f"#team-{number}") for number in range(CHANNELS))
)
# The default's thirty seconds and five minutes, as much faster as the backlog comes.
ROUTES = """\
version: 1
routes:
  - {name: storms, if: {kind: incident}, group: {by: [kind, service], wait: 1s, interval: 5s}}
"""


async def grouped(postgres_url: str, *, backlog: int) -> dict[str, float]:
    """`grouped_posts`: posts that Slack took for a backlog over 20 channels; `ungrouped`: things that none of them
    told."""
    slack = SlackSettings(token="xoxb-sandbox", auto_create=True, posts_per_s=50, post_burst=50)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "routes.yaml"
        path.write_text(ROUTES, encoding="utf-8")
        async with open_sending(postgres_url, slack) as sending:
            settings = Settings.model_validate({"database_url": sending.database_url})
            async with open_pool(settings, NOTIFIER) as pool, sending.senders(catalog=CATALOG):
                routes = RouteVersions(pool, path)
                await routes.look()
                await _told(pool, routes, backlog)

                async def is_told() -> bool:
                    states = await sending.states()
                    waits = await sending.fetch("SELECT FROM gathered LIMIT 1")
                    return not waits and set(states) == {"shown"}

                await until(is_told, timeout_s=300, what="the backlog was not told")
            [row] = await sending.fetch("SELECT count(DISTINCT thing) AS things FROM listed")
            [alone] = await sending.fetch("SELECT count(*) AS things FROM message WHERE thing IS NOT NULL")
            posts = len(await sending.posts())
    return {"grouped_posts": posts, "ungrouped": backlog - row["things"] - alone["things"]}


async def _told(pool: Pool, routes: RouteVersions, backlog: int) -> None:
    """Handled as a consumer does, while what is due is gathered beside it."""
    acting = Acting(origins=frozenset({"live"}), fresh_for=timedelta(hours=1))
    catalogs = Pinned(CATALOG)
    rules = Rules(
        catalogs=catalogs, routes=routes, acting=acting, default_channel="#all", subjects=Subjects("em"), templates=OURS
    )
    handlers, stop = Handlers(rules), asyncio.Event()
    gathering = Gathering(pool, catalogs, routes, OURS, default_channel="")
    async with asyncio.TaskGroup() as group:
        group.create_task(gathering.run(stop))
        for start in range(0, backlog, BATCH):
            events = [_incident(number) for number in range(start, min(start + BATCH, backlog))]
            async with pool.acquire() as connection, connection.transaction():
                await handlers.on_thing(events, connection)

        async def is_gathered() -> bool:
            return not await pool.fetchval("SELECT count(*) FROM gathered")

        await until(is_gathered, timeout_s=120, what="something waits still")
        stop.set()


def _incident(number: int) -> IncidentOpened:
    now = datetime.now(UTC)
    service = f"service-{number % CHANNELS}"
    event = IncidentOpened(occurred_at=now, incident_id=str(number), title=f"Down {number}", service_name=service)
    return event.stamped(id=f"storm-{number}", source="pagerduty", origin="live", received_at=now)
