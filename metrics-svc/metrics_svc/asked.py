"""The query parameters that all reading endpoints share, checked by name."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from fastapi import Query, Request

from metrics_svc import dora, question
from metrics_svc.definitions import FOREIGN
from metrics_svc.question import AUTHORLESS, ONCE, REPEATABLE, Question
from metrics_svc.store import reading
from metrics_svc.store.paging import Place, Wanted
from metrics_svc.window import InvalidParameter
from shared.catalog import Catalog
from shared.db import Connection
from shared.http.problems import Problem

PAGING = ("limit", "cursor")
LIMIT, LIMIT_MAX = 100, 1_000
DEFINITIONS = (dora.DEFINITION, *FOREIGN)


class Asked:
    """A dependency: FastAPI documents the parameters, `Asked.question` reads them. Raises InvalidParameter."""

    def __init__(
        self,
        request: Request,
        service: Annotated[list[str] | None, Query(description="Repeat it for several; all without it")] = None,
        team: Annotated[str | None, Query(description="All services of a team, and the team as a whole")] = None,
        repo: Annotated[str | None, Query(description="owner/name", examples=["acme/checkout"])] = None,
        environment: Annotated[str | None, Query(description="One production environment; all without it")] = None,
        label: Annotated[str | None, Query(description="Changes with this label, deployments that carried one")] = None,
        author_class: Annotated[str | None, Query(description="human, bot, ai_assisted or ai_agent")] = None,
        author_team: Annotated[str | None, Query(description="Changes that people of this team wrote")] = None,
        start: Annotated[str | None, Query(alias="from", description="ISO date or instant, included")] = None,
        end: Annotated[str | None, Query(alias="to", description="ISO date or instant, excluded")] = None,
        bucket: Annotated[str | None, Query(description="day, week or month; the whole window without it")] = None,
        tz: Annotated[str | None, Query(description="IANA zone of the buckets", examples=["Europe/Berlin"])] = None,
        agg: Annotated[str | None, Query(description="p50 (default), p75, p90, p95 or mean")] = None,
        definition: Annotated[str | None, Query(description=f"One of {', '.join(DEFINITIONS)}")] = None,
        as_of: Annotated[str | None, Query(description="As it was known at this instant")] = None,
        min_confidence: Annotated[str | None, Query(description="Least confidence of a link, 0 to 1")] = None,
    ) -> None:
        self._request = request
        self.services = service
        self.team = team

    async def question(
        self,
        tx: Connection,
        catalog: Catalog,
        *,
        beside: Sequence[str] = (),
        then: bool = True,
        of_changes: bool = True,
    ) -> Question:
        """`beside` are parameters of this endpoint alone. Of a team what it had when; not `then`: what it has.

        `of_changes`: whether there are authors that can be asked for.

        Raises InvalidParameter, Problem (404).
        """
        found = await self.ever(tx, catalog, beside=beside, then=then)
        if not of_changes:
            found.refuse(("authors",), AUTHORLESS)
        return self.of_team(found, catalog) if then and found.definition == dora.DEFINITION else found

    async def ever(
        self, tx: Connection, catalog: Catalog, *, beside: Sequence[str] = (), then: bool = True
    ) -> Question:
        """As `question`, but of everything that the team had at any time, the whole window."""
        given = check(self._request, once=(*ONCE, *beside), repeated=REPEATABLE)
        then = then and given.get("definition", dora.DEFINITION) == dora.DEFINITION
        services = await meant(tx, catalog, self.services, self.team, then=then)
        found = question.read(given, services=services, now=await reading.now(tx), definitions=DEFINITIONS)
        return msgspec.structs.replace(found, authors=_authors(given.get("author_team"), catalog))

    def of_team(self, ever: Question, catalog: Catalog) -> Question:
        return ever if self.team is None else question.of_team(ever, self.team, catalog)

    def page(self) -> Wanted:
        """Raises InvalidParameter."""
        given = self._request.query_params
        return Wanted(after=_after(given.get("cursor")), limit=_limit(given.get("limit")))


async def meant(
    tx: Connection, catalog: Catalog, services: Sequence[str] | None, team: str | None, *, then: bool = False
) -> list[str]:
    """Those asked for, or all, of the team (`then`: ever), where one is asked for. Raises Problem (404)."""
    found = await reading.meant(tx, catalog, services)
    if team is None:
        return found
    _known_team("team", team, catalog)
    return [name for name in found if catalog.team_of(name) == team or (then and catalog.tenures(team, name))]


def _authors(team: str | None, catalog: Catalog) -> Sequence[str] | None:
    if team is None:
        return None
    _known_team("author_team", team, catalog)
    return question.authors_of(team, catalog)


def _known_team(parameter: str, team: str, catalog: Catalog) -> None:
    if team not in {each.name for each in catalog.teams}:
        raise Problem(404, "unknown-team", f"{parameter}: nothing is known of {team}")


def check(request: Request, *, once: Sequence[str], repeated: Sequence[str] = ()) -> Mapping[str, str]:
    """A misspelt filter must not answer for everything. Raises InvalidParameter."""
    given = request.query_params.multi_items()
    names = [name for name, _ in given]
    for name, value in given:
        if name not in (*once, *repeated):
            raise InvalidParameter(name, f"unknown; there are {', '.join((*repeated, *once))}")
        if name in once and names.count(name) > 1:
            raise InvalidParameter(name, "given more than once")
        if "\x00" in value:
            raise InvalidParameter(name, "holds a NUL")
    return dict(given)


def cursor(place: Place) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode([place.at, place.id])).decode().rstrip("=")


def _after(text: str | None) -> Place | None:
    if text is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        at, name = msgspec.json.decode(raw, type=tuple[datetime, str])
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise InvalidParameter("cursor", "is none of ours: take it from `next` of the page before") from None
    if at.tzinfo is None or "\x00" in name:
        raise InvalidParameter("cursor", "is none of ours: take it from `next` of the page before")
    return Place(at, name)


def _limit(text: str | None) -> int:
    if text is None:
        return LIMIT
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= LIMIT_MAX):
        raise InvalidParameter("limit", f"must be a number from 1 to {LIMIT_MAX}")
    return int(text)
