"""`em approvals delegate|delegations|undelegate`: who votes for whom while they are away."""

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from em.commands import voting
from em.commands.voting import Person, Url
from em.screen import SCREEN


def delegate(
    to: Annotated[str, typer.Argument(help="A person of the catalog, who votes for you.")],
    days: Annotated[float, typer.Option(min=0.01, max=30, help="For so long, from now on.")],
    group: Annotated[list[str] | None, typer.Option(help="Only where this group is asked; repeat for more.")] = None,
    service: Annotated[list[str] | None, typer.Option(help="Only for this service; repeat for more.")] = None,
    person: Person = "",
    url: Url = "",
) -> None:
    """Let somebody else vote for you while you are away. Exit code: 0 given, 1 refused."""
    starts_at = datetime.now(UTC)
    body = {
        "delegate": to,
        "groups": group or [],
        "services": service or [],
        "starts_at": starts_at.isoformat(),
        "ends_at": (starts_at + timedelta(days=days)).isoformat(),
    }
    SCREEN.line(_line(voting.ask("POST", "delegations", body, person, url, role="approver")))


def delegations(
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False, person: Person = "", url: Url = ""
) -> None:
    """List the delegations that hold or will."""
    found = voting.ask("GET", "delegations", None, person, url, role="viewer")["items"]
    if as_json:
        SCREEN.out.out(json.dumps(found, indent=2))
        return
    for line in map(_line, found):
        SCREEN.line(line)
    if not found:
        SCREEN.line("no delegations")


def undelegate(
    number: Annotated[int, typer.Argument(min=1, help="As `em approvals delegations` names it.")],
    person: Person = "",
    url: Url = "",
) -> None:
    """End a delegation of yours at once. Exit code: 0 ended, 1 refused."""
    voting.ask("DELETE", f"delegations/{number}", None, person, url, role="approver")
    SCREEN.line(f"#{number} is over")


def _line(told: dict[str, Any]) -> str:
    where = [*(f"group {name}" for name in told["groups"]), *(f"service {name}" for name in told["services"])]
    until = f"{datetime.fromisoformat(told['ends_at']):%Y-%m-%d %H:%M} UTC"
    return f"#{told['id']} {told['delegate']} votes for {told['giver']} until {until}: {', '.join(where) or 'all'}"
