"""What happens to gates without us: runs that end, deployments that begin, people who answer at the platform itself."""

from collections.abc import Collection, Sequence

from approvals_svc import passed_store
from approvals_svc.audit import Actor
from approvals_svc.desk import Desk
from approvals_svc.gates import PLATFORMS
from approvals_svc.passed import Passing, passed
from approvals_svc.plain import REASON_MAX_CHARACTERS, plain
from shared.contracts.events import DeploymentReviewed
from shared.db import Connection
from shared.telemetry import logs

log = logs.get(__name__)

NAME_MAX_CHARACTERS = 255


class Elsewhere:
    """It only ever ends what is pending; nothing that is said elsewhere approves here."""

    def __init__(self, desk: Desk, acting_origins: Collection[str]) -> None:
        self._desk = desk
        self._acting_origins = acting_origins

    async def on_passing(self, events: Sequence[Passing], tx: Connection) -> None:
        """Kept for a while as well: the gate's own event may come after what ended it."""
        found = passed([event for event in events if self._acts(event.source, event.origin)])
        if not found:
            return
        await self._desk.current_catalog(tx)
        await passed_store.record(tx, found)
        await passed_store.hold(tx, [(each.source, each.repository, each.reference) for each in found])
        for number, cause in await passed_store.waiting_for(tx, found):
            await self._desk.lapse(tx, number, self._actor(cause.source, cause.actor), cause=cause.cause)
            log.info("approval.lapsed", approval_id=number, cause=cause.cause)

    async def on_reviewed(self, reviews: Sequence[DeploymentReviewed], tx: Connection) -> None:
        """A no there ends it. A yes there may be one of several that the deployment needs: it is only noted, and when
        the deployment begins in spite of us, that ends it."""
        await self._desk.current_catalog(tx)
        for review in reviews:
            if not self._acts(review.source, review.origin):
                continue
            for number in await passed_store.waiting_in_run(
                tx,
                source=review.source,
                repository=review.repository,
                run_id=review.run_id,
                environments=review.environments,
                at=review.occurred_at,
            ):
                await self._review(tx, number, review)

    async def _review(self, tx: Connection, number: int, review: DeploymentReviewed) -> None:
        actor = self._actor(review.source, plain(review.reviewer, characters_max=NAME_MAX_CHARACTERS))
        if review.state == "rejected":
            cause = f"{actor.identity or 'somebody'} rejected it at {review.source}"
            await self._desk.lapse(tx, number, actor, cause=cause)
        else:
            comment = plain(review.comment, characters_max=REASON_MAX_CHARACTERS)
            state = plain(review.state, characters_max=NAME_MAX_CHARACTERS)
            await self._desk.note_review(tx, number, actor, state=state, comment=comment)

    def _acts(self, source: str, origin: str) -> bool:
        return source in PLATFORMS and origin in self._acting_origins

    def _actor(self, source: str, account: str) -> Actor:
        person = self._desk.catalog.person(source, account) if account else None
        return Actor(person=person.name if person else "", identity=account, surface=source)
