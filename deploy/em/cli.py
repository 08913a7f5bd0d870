"""The command `em`. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not running (status), 130 interrupted."""

from typing import Any

import typer
from typer.core import TyperGroup

from em.commands import (
    approvals,
    credentials,
    database,
    dead,
    demo,
    doctor,
    gate,
    init,
    logs,
    notify,
    policy,
    provision,
    rebuild,
    reconcile,
    replay,
    routes,
    sources,
    spool,
    stack,
    status,
    token,
    users,
    watch,
)
from em.errors import EmError
from em.screen import SCREEN

INTERRUPTED = 130


class Group(TyperGroup):
    """An expected failure is told in words; a bug keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except EmError as error:
            SCREEN.error(error)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            SCREEN.err.print("interrupted")
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    cls=Group,
    name="em",
    help="Run and operate EM Agent. State lives in .em/ of the current directory (EM_HOME moves it).",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(stack.up)
app.command()(stack.down)
app.command()(status.status)
app.command()(logs.logs)
app.command()(demo.demo)
app.command()(database.migrate)
app.command()(provision.provision)
app.command()(watch.watch)
app.command()(doctor.doctor)
app.command()(gate.gate)
app.command()(token.token)
app.command()(credentials.credentials)
app.command()(replay.replay)
app.command()(reconcile.reconcile)
app.command()(rebuild.rebuild)
app.command()(sources.send)
app.command(name="new-source")(sources.new_source)
app.add_typer(sources.report, name="report")
app.add_typer(sources.fixture, name="fixture")
app.add_typer(init.app, name="init")
app.add_typer(notify.app, name="notify")
app.add_typer(approvals.app, name="approvals")
app.add_typer(dead.app, name="dead")
app.add_typer(spool.app, name="spool")
app.add_typer(users.app, name="users")
app.add_typer(policy.app, name="policy")
app.add_typer(routes.app, name="routes")
