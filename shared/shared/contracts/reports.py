"""What a shell script may report with one request: a deployment or an incident, as one flat JSON object.

ingest checks it while the sender can still hear what is wrong, and normalizer reads the same struct.
"""

from typing import Annotated, Any, Literal

import msgspec

from shared.contracts.events.base import Instant

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Sha = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{7,64}$")]
Text = Annotated[str, msgspec.Meta(max_length=500)]
Repository = Annotated[str, msgspec.Meta(pattern=r"^[^\s#]+/[^\s#]+$", max_length=200)]
ChangeOf = Annotated[str, msgspec.Meta(pattern=r"^[^\s#]+/[^\s#]+#[0-9]{1,9}$", max_length=210)]
Url = Annotated[str, msgspec.Meta(pattern=r"^https?://", max_length=2000)]


class DeploymentReport(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="deployment", tag_field="report"
):
    """Without `outcome` it has started. Without `id` what it says is its identity.

    `commits` and `changes` (numbers; `owner/name#12` of another repository) are what it carries; without them that
    follows from pushes. `revisions`: of each repository, the commit that it brought; the first is its own where it
    names neither `repository` nor `sha`.
    """

    environment: Name
    service: Name | None = None
    repository: Name | None = None
    sha: Sha | None = None
    outcome: Literal["succeeded", "failed", "cancelled"] | None = None
    started_at: Instant | None = None
    finished_at: Instant | None = None
    url: Url | None = None
    id: Name | None = None
    commits: Annotated[tuple[Sha, ...], msgspec.Meta(max_length=1000)] = ()
    changes: Annotated[tuple[int | ChangeOf, ...], msgspec.Meta(max_length=1000)] = ()
    revisions: Annotated[dict[Repository, Sha], msgspec.Meta(max_length=100)] = {}


class IncidentReport(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="incident", tag_field="report"
):
    """`id` is equal in what opens and what resolves it. `caused_by`: id or commit of the deployment that caused it."""

    id: Name
    service: Name
    status: Literal["opened", "resolved"]
    severity: Text | None = None
    title: Text | None = None
    at: Instant | None = None
    url: Url | None = None
    caused_by: Name | None = None


Report = DeploymentReport | IncidentReport


class Unreadable(ValueError):
    """The text says which field is wrong."""


def read_report(body: bytes, claims: str) -> Report:
    """`claims` is what the proof of origin says of the run (JSON or ""): it wins over the body. Raises Unreadable."""
    try:
        told: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"the body is not JSON: {error}") from None
    if not isinstance(told, dict):
        raise Unreadable("the body is not an object")
    if told.get("report") == "deployment":
        told |= _of_run(claims)
    try:
        report: Report = msgspec.convert(told, Report)
    except msgspec.ValidationError as error:
        raise Unreadable(str(error)) from None
    if isinstance(report, DeploymentReport):
        _check(report)
    return report


def _of_run(claims: str) -> dict[str, str]:
    """A run speaks for its own repository and commit, whatever the body says."""
    known = read_claims(claims)
    return {name: known[name] for name in ("repository", "sha") if known.get(name)}


def read_claims(claims: str) -> dict[str, str]:
    found: dict[str, str] = msgspec.json.decode(claims) if claims.startswith("{") else {}
    return found


def _check(report: DeploymentReport) -> None:
    if not report.service and not report.repository and not report.revisions:
        raise Unreadable("service or repository is needed")
    if report.finished_at and not report.outcome:
        raise Unreadable("finished_at needs an outcome: succeeded, failed or cancelled")
    if report.started_at and report.finished_at and report.finished_at < report.started_at:
        raise Unreadable("finished_at is before started_at")
