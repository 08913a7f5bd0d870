"""Our own source: whoever deploys with a script, or pages by hand, reports it with one request."""

import msgspec

from ingest.readers import body_hash, field
from ingest.schemes import Evidence, Oidc, SignedOrToken, Token
from ingest.source import Answer, Source, Status
from shared.contracts.envelope import RawDelivery
from shared.contracts.reports import Unreadable, read_report
from shared.http import problems


def _unacceptable(body: bytes, evidence: Evidence) -> Answer | None:
    """The sender reads our answer: what can't be understood is refused while it can still be said."""
    try:
        read_report(body, evidence.sender)
    except Unreadable as error:
        told = problems.body(422, "unreadable-report", str(error))
        return Answer(status=422, body=told, content_type=problems.MEDIA_TYPE)
    return None


def _understood(delivery: RawDelivery, status: Status) -> Answer | None:
    told = {"status": status, "delivery": delivery.delivery, "understood": read_report(delivery.body, delivery.name)}
    return Answer(status=202, body=msgspec.json.encode(told))


SOURCE = Source(
    name="report",
    title="Reports of deployments and incidents by anybody with a token",
    scheme=SignedOrToken(signed=Oidc(), token=Token()),
    secret_variables=("REPORT_WEBHOOK_SECRET", "REPORT_OIDC_TRUST"),
    delivery_id=body_hash,
    event_name=field("report"),
    limit_s=30,
    handshake=_unacceptable,
    accepted=_understood,
    grades=frozenset({"sequence", "tried"}),
)
