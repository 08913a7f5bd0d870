"""`em approvals`: what waits and why, and whether the audit is as it was written."""

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.progress import Progress
from rich.table import Table

from em import operator
from em.commands import delegating, voting
from em.errors import EmError
from em.screen import SCREEN

if TYPE_CHECKING:
    from approvals_svc.audit import Anchor, Entry
    from approvals_svc.model import Approval
    from approvals_svc.verification import Verified

SCHEMA = "approvals"
BROKEN = 1

app = typer.Typer(help="Approvals: what waits, a person's decision, and the audit.", no_args_is_help=True)
for command in (voting.approve, voting.decline, voting.modify, voting.cancel, voting.revoke):
    app.command()(command)
app.command()(delegating.delegate)
app.command()(delegating.delegations)
app.command()(delegating.undelegate)

Status = Literal[
    "pending",
    "auto_approved",
    "approved",
    "rejected",
    "expired",
    "cancelled",
    "superseded",
    "executing",
    "executed",
    "failed",
    "dead",
    "revoked",
]
SinceOption = Annotated[float | None, typer.Option("--since", min=0, help="Only of the last so many hours.")]
IdOption = Annotated[int | None, typer.Option("--id", min=1, help="Only of the approval with this number.")]
JsonOption = Annotated[bool, typer.Option("--json", help="For scripts.")]


@app.command("list")
def list_(
    status: Annotated[Status | None, typer.Option(help="Only in this state.")] = None,
    before: Annotated[int | None, typer.Option(min=1, help="Only with a smaller number.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, newest first.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List approvals, newest first."""
    found = operator.run(lambda: _list(status, before, limit))
    if as_json:
        SCREEN.out.out(json.dumps([_summary(approval) for approval in found], indent=2))
    elif not found:
        SCREEN.line("no approvals")
    else:
        _show_list(found)


@app.command()
def show(
    number: Annotated[int, typer.Argument(min=1, help="As `em approvals list` names it.")], as_json: JsonOption = False
) -> None:
    """Show one approval: who voted, what became of it, and its audit."""
    approval, entries = operator.run(lambda: _one(number))
    if as_json:
        import msgspec

        SCREEN.out.out(json.dumps({**_summary(approval), "audit": msgspec.to_builtins(entries)}, indent=2))
        return
    for name, value in _summary(approval).items():
        SCREEN.line(f"{name:<14}{value}")
    for entry in entries:
        detail = "  ".join(f"{name}: {value}" for name, value in entry.detail.items())
        who = entry.actor.person or entry.actor.identity
        SCREEN.line(f"{entry.seq:>4}  {entry.at:%Y-%m-%d %H:%M:%S}  {entry.verb:<10}{who:<16}{detail}")


@app.command()
def verify(
    since: SinceOption = None,
    number: IdOption = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Without NATS: don't compare with the anchor published last.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Follow every chain of the audit, and the anchors over them. Exit code: 0 as it was written, 1 not.

    With --since: the chains in which something happened since then, each from its beginning, and the anchors since.
    """
    found = operator.run(lambda: _verify(_moment(since), number, offline=offline))
    if as_json:
        import msgspec

        SCREEN.out.out(json.dumps({**msgspec.to_builtins(found), "whole": not found.problem}, indent=2))
    elif found.problem:
        SCREEN.line(f"NOT as it was written: {found.problem}")
    else:
        SCREEN.line(f"as it was written: {found.rows} rows in {found.chains} chains, {found.anchors} anchors")
    if found.problem:
        raise typer.Exit(BROKEN)


@app.command()
def export(since: SinceOption = None, number: IdOption = None) -> None:
    """Write the audit as JSON Lines, approval by approval, with all that a hash covers."""
    operator.run(lambda: _export(_moment(since), number))


@app.command()
def report(
    start: Annotated[datetime | None, typer.Option("--from", help="A moment in UTC.")] = None,
    end: Annotated[datetime | None, typer.Option("--to", help="A moment in UTC.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say how approvals went, per team and service; by default in the week (UTC) that ended last."""
    found = operator.run(lambda: _report(start, end))
    if as_json:
        SCREEN.out.out(json.dumps(found, indent=2))
        return
    SCREEN.line(f"approvals from {found['from']} to {found['to']}")
    table = Table(box=None, pad_edge=False, header_style="dim")
    counts, rest = ("asked", "decided", "declined", "by rule", "expired"), ("median", "p90", "late", "broken", "waits")
    for column in ("", *counts, *rest):
        table.add_column(column, overflow="fold")
    for team in found["teams"]:
        table.add_row(team["team"] or "no team", *_reported(team))
        for service in team["services"]:
            table.add_row(f"  {service['service'] or 'no service'}", *_reported(service))
    SCREEN.out.print(table)


def _reported(numbers: dict[str, Any]) -> list[str]:
    counts = [str(numbers[name]) for name in ("asked", "decided", "declined", "auto", "expired")]
    times = ["-" if (s := numbers[name]) is None else str(timedelta(seconds=round(s))) for name in ("p50_s", "p90_s")]
    broken = ", ".join(f"#{number}" for number in numbers["broken"]) or "-"
    waits = f"{numbers['pending']}, #{numbers['oldest']} longest" if numbers["pending"] else "-"
    return [*counts, *times, str(numbers["over_sla"]), broken, waits]


def _moment(since: float | None) -> datetime | None:
    return datetime.now(UTC) - timedelta(hours=since) if since is not None else None


async def _list(status: Status | None, before: int | None, limit: int) -> "list[Approval]":
    from approvals_svc import store

    async with operator.open_database(SCHEMA) as tx:
        return await store.approvals(tx, status=status, before=before, limit=limit)


async def _one(number: int) -> "tuple[Approval, list[Entry]]":
    from approvals_svc import store

    async with operator.open_database(SCHEMA) as tx:
        approval = await store.approval(tx, number)
        if approval is None:
            raise EmError(f"there is no approval #{number}", hint="list them with: em approvals list")
        return approval, await store.audit(tx, number)


async def _verify(since: datetime | None, number: int | None, *, offline: bool) -> "Verified":
    from approvals_svc import audit_store
    from approvals_svc.verification import verify as verified

    witness = None if offline or number is not None else await _published()
    async with operator.open_database(SCHEMA) as tx:
        with Progress(console=SCREEN.err, transient=True) as progress:
            task = progress.add_task("following the chains", total=await audit_store.count(tx))
            async with tx.transaction(isolation="repeatable_read", readonly=True):
                found = await verified(
                    tx,
                    approval_id=number,
                    since=since,
                    witness=witness,
                    progress=lambda rows: progress.update(task, completed=rows),
                )
        if number is not None and not found.chains and not found.problem:
            raise EmError(f"there is no approval #{number}", hint="list them with: em approvals list")
        await audit_store.note_check(tx, rows=found.rows, problem=found.problem)
    return found


async def _published() -> "Anchor | None":
    """The newest that EVENTS holds: who can rewrite every table of ours has not rewritten that."""
    from approvals_svc.audit import Anchor
    from shared.bus import browse
    from shared.contracts.envelope import read_event
    from shared.contracts.events import ApprovalAnchored
    from shared.contracts.events.base import kind_of
    from shared.contracts.streams import EVENTS

    async with operator.open_bus() as bus:
        message = await browse.newest(bus, EVENTS.name, bus.subjects.event(kind_of(ApprovalAnchored)))
    event = read_event(message.headers, message.body) if message else None
    if not isinstance(event, ApprovalAnchored):
        return None
    return Anchor(
        number=event.anchor,
        at=event.occurred_at,
        approvals=event.approvals,
        prev_hash=event.prev_hash,
        hash=event.hash,
    )


async def _report(start: datetime | None, end: datetime | None) -> dict[str, Any]:
    from approvals_svc import store, summary, summary_store
    from approvals_svc.settings import Settings
    from shared.db import catalogs
    from shared.settings import load

    sla = timedelta(seconds=load(Settings).approvals_sla_s)
    async with operator.open_database(SCHEMA) as tx, tx.transaction():
        try:
            span = summary.asked(
                start.replace(tzinfo=UTC) if start else None,
                end.replace(tzinfo=UTC) if end else None,
                now=(await store.clock(tx)).astimezone(UTC),
            )
        except summary.InvalidSpan as error:
            raise EmError(str(error)) from None
        catalog = (await catalogs.newest(tx)).content
        found = summary.by_team(await summary_store.rows(tx, span), span, catalog, sla=sla)
    return summary.as_json(found, span, sla=sla)


async def _export(since: datetime | None, number: int | None) -> None:
    import msgspec

    from approvals_svc import audit_store
    from approvals_svc.audit import exported

    encoder = msgspec.json.Encoder(order="sorted")
    async with operator.open_database(SCHEMA) as tx, tx.transaction(isolation="repeatable_read", readonly=True):
        try:
            async for row in audit_store.rows(tx, approval_id=number, since=since):
                sys.stdout.buffer.write(encoder.encode(exported(row)) + b"\n")
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # who reads has enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _summary(approval: "Approval") -> dict[str, Any]:
    subject = approval.subject
    return {
        "id": approval.id,
        "status": approval.status,
        "subject": subject.subject,
        "service": subject.service,
        "environment": subject.environment,
        "requested_by": subject.requested_by,
        "rule": approval.requirement.rule,
        "votes": ", ".join(f"{vote.person} {vote.verb}" for vote in approval.votes),
        "decision": approval.decision,
        "created_at": approval.created_at.isoformat(timespec="seconds"),
        "expires_at": approval.expires_at.isoformat(timespec="seconds"),
        "decided_at": approval.decided_at.isoformat(timespec="seconds") if approval.decided_at else "",
    }


def _show_list(found: "list[Approval]") -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("number", "status", "subject", "requested by", "votes", "created", "expires"):
        table.add_column(column, overflow="fold")
    for approval in found:
        summary = _summary(approval)
        table.add_row(
            f"#{approval.id}",
            approval.status,
            approval.subject.subject,
            approval.subject.requested_by,
            summary["votes"] or "-",
            f"{approval.created_at:%Y-%m-%d %H:%M}",
            f"{approval.expires_at:%Y-%m-%d %H:%M}",
        )
    SCREEN.out.print(table)
