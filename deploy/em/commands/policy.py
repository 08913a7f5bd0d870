"""`em policy`: what the policy would ask, and why, without asking anybody."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from em import operator
from em.commands.environment import adopt_stack
from em.errors import EmError
from em.screen import SCREEN

if TYPE_CHECKING:
    from approvals_svc.eligibility import Account
    from approvals_svc.simulation import Simulated
    from shared.catalog import Catalog

app = typer.Typer(help="The policy: who has to agree to what.", no_args_is_help=True)


@app.command()
def explain(
    number: Annotated[int | None, typer.Argument(help="An approval's number; without it, facts are given.")] = None,
    action: Annotated[str, typer.Option(help="What is proposed.")] = "deploy",
    environment: Annotated[str, typer.Option(help="Where.")] = "",
    service: Annotated[str, typer.Option(help="A service of the catalog.")] = "",
    team: Annotated[str, typer.Option(help="By default the service's, by the catalog.")] = "",
    repository: Annotated[str, typer.Option(help="owner/name.")] = "",
    branch: Annotated[str, typer.Option(help="Without refs/heads/.")] = "",
    risk: Annotated[str, typer.Option(help="As whoever asks calls it.")] = "",
    author_class: Annotated[str, typer.Option(help="human, bot or ai_agent.")] = "",
    label: Annotated[list[str] | None, typer.Option("--label", help="Repeat for more.")] = None,
    path: Annotated[list[str] | None, typer.Option("--path", help="A changed file; repeat for more.")] = None,
    size: Annotated[int | None, typer.Option(min=0, help="Lines changed.")] = None,
    requester: Annotated[list[str] | None, typer.Option("--requester", help="Who asks, as GitHub calls them.")] = None,
    author: Annotated[list[str] | None, typer.Option("--author", help="Who wrote it, as GitHub calls them.")] = None,
    file: Annotated[Path | None, typer.Option(help="A policy.yaml; by default POLICY_PATH.")] = None,
    catalog: Annotated[Path | None, typer.Option(help="A catalog.yaml; by default CATALOG_PATH.")] = None,
    at: Annotated[datetime | None, typer.Option(help="For freezes: a moment in UTC; by default now.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Say what the policy asks of a proposal, rule by rule. What isn't given is not known.

    With a number: of an approval, under the version that it was asked under, with the votes that stand.
    """
    adopt_stack()
    import msgspec

    now = at.replace(tzinfo=UTC) if at else datetime.now(UTC)
    known = _catalog(catalog or _path("CATALOG_PATH"))
    if number is not None:
        told = operator.run(lambda: _of_approval(number, known, now))
    else:
        facts = {
            **{"action": action, "environment": environment, "service": service, "repository": repository},
            **{"team": team or known.team_of(service), "branch": branch, "risk": risk, "author_class": author_class},
            **{"labels": label or None, "paths": path or None, "size": size},
        }
        accounts = [*_accounts("requester", requester), *_accounts("commit_authors", author)]
        told = _of_facts(facts, accounts, known, file or _path("POLICY_PATH"), now)
    if as_json:
        SCREEN.out.out(json.dumps(msgspec.to_builtins(told), indent=2))
    else:
        _print(told)


def _duration(seconds: int) -> str:
    return f"{seconds // 3600} h" if seconds % 3600 == 0 else f"{seconds // 60} min"


def _path(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None


def _catalog(path: Path | None) -> "Catalog":
    from shared import catalog
    from shared.settings import InvalidConfiguration

    try:
        return catalog.load(path)
    except InvalidConfiguration as error:
        raise EmError(str(error)) from None


def _accounts(role: Any, names: list[str] | None) -> "list[Account]":
    from approvals_svc.eligibility import Account

    return [Account(role=role, platform="github", name=name) for name in names or ()]


def _of_facts(
    facts: dict[str, Any], accounts: "list[Account]", catalog: "Catalog", path: Path | None, now: datetime
) -> "Simulated":
    import msgspec

    from approvals_svc.policy import Facts
    from approvals_svc.policy_file import InvalidPolicy, load
    from approvals_svc.simulation import simulate

    try:
        policy = load(path, catalog)
        return simulate(policy, msgspec.convert(facts, Facts), accounts, catalog, version=0, now=now)
    except (InvalidPolicy, msgspec.ValidationError) as error:
        raise EmError(str(error)) from None


async def _of_approval(number: int, catalog: "Catalog", now: datetime) -> "Simulated":
    from approvals_svc import store
    from approvals_svc.simulation import explain as explain_approval
    from shared.contracts.services import APPROVALS_SVC

    async with operator.open_database(APPROVALS_SVC.schema or "") as tx:
        approval = await store.approval(tx, number)
    if approval is None:
        raise EmError(f"there is no approval #{number}", hint="list them: GET /v1/approvals")
    return explain_approval(approval, catalog, now=now)


def _print(told: "Simulated") -> None:
    version = f", policy version {told.policy_version}" if told.policy_version else ""
    SCREEN.line(f"{told.outcome}, by rule {told.rule}{version}")
    SCREEN.line()
    steps = [step.partition(": ") for step in told.trace]
    width = max(len(rule) for rule, _, _ in steps)
    for rule, _, why in steps:
        SCREEN.line(f"{'✓' if rule == told.rule else '·'} {rule:<{width}}  {why}")
    if told.outcome != "require":
        return
    SCREEN.line()
    rejects = f"{told.rejects} declines end it" if told.rejects > 1 else "one decline ends it"
    reason = ", with its reason" if told.reason_required else ""
    lines = {
        "needs": f"{told.requires}, within {_duration(told.expires_after_s)}; {rejects}{reason}",
        "missing": ", ".join(told.missing) or "nothing",
        "could approve": ", ".join(told.could_approve) or "nobody",
        "in vain": "" if told.is_possible else "without those who may not decide, too few are left",
        "frozen": f"by {told.frozen_by} until {told.frozen_until:%Y-%m-%d %H:%M} UTC" if told.frozen_until else "",
    }
    for name, value in lines.items():
        if value:
            SCREEN.line(f"{name:<14} {value}")
    for person, why in told.could_not.items():
        SCREEN.line(f"{'not ' + person:<14} {why}")
