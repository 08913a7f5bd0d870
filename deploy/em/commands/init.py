"""`em init`: what a platform has to be told before it and EM Agent can talk."""

from pathlib import Path
from typing import Annotated

import typer

from em.errors import EmError
from em.screen import SCREEN

app = typer.Typer(help="What platforms have to be told once.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """A group, however few commands it has."""


@app.command()
def slack(
    url: Annotated[str, typer.Option(help="Where ingest is reached from the internet: https://em.example.com.")],
    name: Annotated[str, typer.Option(help="What the app is called in the workspace.")] = "EM Agent",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file instead of the terminal.")] = None,
) -> None:
    """Write the manifest of the Slack app: rights, `/em`, events and buttons.

    Paste it at api.slack.com/apps, Create New App, From a manifest; install the app, then set SLACK_BOT_TOKEN and
    SLACK_SIGNING_SECRET.
    """
    import yaml

    from em.slack_manifest import InvalidUrl, manifest

    try:
        text = yaml.safe_dump(manifest(url, name=name), sort_keys=False, allow_unicode=True, width=1_000)
    except InvalidUrl as error:
        raise EmError(str(error), hint="em init slack --url https://em.example.com") from None
    if output is None:
        SCREEN.out.out(text, end="", highlight=False)
        return
    output.write_text(text)
    SCREEN.line(f"wrote {output}: paste it at https://api.slack.com/apps, Create New App, From a manifest")
