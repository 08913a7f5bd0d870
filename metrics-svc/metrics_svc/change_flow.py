"""How a change moved: who wrote it, when it was ready, reviewed and approved, how often it came back. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from shared.catalog import Catalog
from shared.catalog.authorship import classify
from shared.catalog.changes import size_of, ticket_of


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """Or a comment: its state is `commented`, as that of a review that says no more."""

    id: str
    at: datetime
    author: str
    author_kind: str
    state: str

    @property
    def is_comment(self) -> bool:
        return self.id.startswith("comment ")


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """A commit that came with a push to the change's branch; `author` as the commit names them."""

    at: datetime
    author: str
    trailers: Sequence[str]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """All that facts say of a change. `merge_…` is said of the commit that it was merged as.

    `files` are those of each commit of its own, None of one that nobody knows them of.
    """

    id: str
    repository: str
    title: str
    author: str
    author_kind: str
    draft: bool
    head_ref: str
    labels: Sequence[str]
    opened_at: datetime | None
    ready_at: datetime | None
    merged_at: datetime | None
    ended_at: datetime | None
    additions: int | None
    deletions: int | None
    merge_trailers: Sequence[str]
    merge_files: Sequence[str] | None = None
    files: Sequence[Sequence[str] | None] = ()
    reviews: Sequence[Review]
    pushes: Sequence[Push]


class ChangeFlow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `change_flow`. `self_reviewed`: whoever wrote it reviewed it as well, or seems to."""

    change: str
    service: str
    repository: str
    author_class: str
    self_reviewed: bool
    evidence: Sequence[str]
    opened_at: datetime | None
    ready_at: datetime | None
    first_review_at: datetime | None
    approved_at: datetime | None
    last_activity_at: datetime | None
    merged_at: datetime | None
    ended_at: datetime | None
    review_rounds: int
    size: str
    lines: int | None
    ticket: str


def flows_of(told: Told, catalog: Catalog) -> list[ChangeFlow]:
    """One for each service that it is of."""
    services = catalog.services_of_change(told.repository, files_of(told))
    return [_flow_of(told, service, catalog) for service in services]


def files_of(told: Told) -> frozenset[str] | None:
    """By its own commits, or where these don't say by the one that it was merged as."""
    known = [files for files in told.files if files is not None]
    own = known if len(known) == len(told.files) else ()
    return frozenset().union(*own) or frozenset(told.merge_files or ()) or None


def _flow_of(told: Told, service: str, catalog: Catalog) -> ChangeFlow:
    authorship = classify(
        author=told.author,
        author_kind=told.author_kind,
        labels=told.labels,
        head_ref=told.head_ref,
        trailers=sorted({*told.merge_trailers, *(trailer for push in told.pushes for trailer in push.trailers)}),
        bots=catalog.bots,
        ai_agents=catalog.ai_agents,
    )
    reviews = [review for review in told.reviews if _counts(review, told, catalog)]
    lines = _lines(told)
    return ChangeFlow(
        change=told.id,
        service=service,
        repository=told.repository,
        author_class=authorship.author_class,
        self_reviewed=told.author.casefold() in {r.author.casefold() for r in told.reviews if not r.is_comment},
        evidence=authorship.evidence,
        opened_at=told.opened_at,
        ready_at=None if told.draft else told.ready_at or told.opened_at,
        first_review_at=min((review.at for review in reviews), default=None),
        approved_at=_approved_at(reviews),
        last_activity_at=max(_activity(told, catalog), default=None),
        merged_at=told.merged_at,
        ended_at=told.ended_at,
        review_rounds=review_rounds(reviews, [push.at for push in told.pushes]),
        size=size_of(lines),
        lines=lines,
        ticket=ticket_of(told.title, told.head_ref, catalog.ticket_keys(service)),
    )


def review_rounds(reviews: Sequence[Review], pushes: Sequence[datetime]) -> int:
    """How often changes were asked for: what several ask before the next push is one round."""
    rounds, answered = 0, True
    asked = [(review.at, 1) for review in reviews if review.state == "changes_requested"]
    for _, asks in sorted([*asked, *((at, 0) for at in pushes)]):
        rounds += asks and answered
        answered = not asks
    return rounds


def _lines(told: Told) -> int | None:
    if told.additions is None or told.deletions is None:
        return None
    return told.additions + told.deletions


def _counts(review: Review, told: Told, catalog: Catalog) -> bool:
    """By a human other than the author, while it was open. A platform that names no reviewer lets no author review."""
    if not _while_open(review.at, told):
        return False
    if not review.author:
        return not review.is_comment
    return review.author.lower() != told.author.lower() and is_human(review.author, review.author_kind, catalog)


def _approved_at(reviews: Sequence[Review]) -> datetime | None:
    """The last approval that its author did not take back: some platforms tell that as a review of its own."""
    taken_back: dict[str, datetime] = {}
    for review in reviews:
        if review.state == "dismissed":
            taken_back[review.author] = max(review.at, taken_back.get(review.author, review.at))
    approved = [r.at for r in reviews if r.state == "approved" and not _until(r.at, taken_back.get(r.author))]
    return max(approved, default=None)


def _until(at: datetime, end: datetime | None) -> bool:
    return end is not None and at <= end


def _activity(told: Told, catalog: Catalog) -> Iterator[datetime]:
    """Of humans, the author among them, until it ended; its opening whoever opened it."""
    if told.opened_at:
        yield told.opened_at
    for review in told.reviews:
        if _while_open(review.at, told) and is_human(review.author, review.author_kind, catalog):
            yield review.at
    for push in told.pushes:
        if _while_open(push.at, told) and is_human(push.author, "human", catalog):
            yield push.at


def _while_open(at: datetime, told: Told) -> bool:
    return (told.opened_at is None or at >= told.opened_at) and (told.ended_at is None or at <= told.ended_at)


def is_human(author: str, author_kind: str, catalog: Catalog) -> bool:
    found = classify(
        author=author,
        author_kind=author_kind,
        labels=(),
        head_ref="",
        trailers=(),
        bots=catalog.bots,
        ai_agents=catalog.ai_agents,
    )
    return found.author_class == "human"
