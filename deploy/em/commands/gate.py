"""`em gate`: asks for a deployment and waits until people have decided, as one step of a script."""

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from em.errors import EmError
from em.screen import SCREEN

if TYPE_CHECKING:
    import httpx

NO, TROUBLE = 1, 2
AUDIENCE = "em-agent"
WAIT_MIN_S, WAIT_MAX_S = 1, 50
REQUEST_TIMEOUT_S = 70.0
PAUSE_S = 2.0
MINUTE_S = 60
GO, NOT_YET, REFUSALS = 200, 202, (403, 409)
AGAIN = frozenset({408, 429, 500, 502, 503, 504})

Client = Callable[[str, str, Mapping[str, Any]], "httpx.Response"]
Json = dict[str, Any]


def gate(
    url: Annotated[str, typer.Option(envvar="EM_URL", help="Of approvals-svc.")],
    environment: Annotated[str, typer.Option(help="Where to, where the CI's token doesn't say it.")] = "",
    repository: Annotated[str, typer.Option(help="owner/name, where no token says it.")] = "",
    sha: Annotated[str, typer.Option(help="The commit, where no token says it.")] = "",
    requester: Annotated[str, typer.Option(help="Who asks: a name, account or address of the catalog.")] = "",
    run: Annotated[str, typer.Option(help="The build: under one name it is one question. By default a new one.")] = "",
    reason: Annotated[str, typer.Option(help="For the people who decide.")] = "",
    callback: Annotated[str, typer.Option(help="A target of WEBHOOK_TARGETS that is told how it ends.")] = "",
    within: Annotated[float, typer.Option(min=0, help="Minutes after which to give up.")] = 24 * 60,
) -> None:
    """Ask for a deployment and wait for the decision. Exit code: 0 yes, 1 no, 2 trouble, or no decision in time.

    Who asks is proven by EM_TOKEN, by GitHub Actions (id-token: write), or by EM_CLIENT_ID and EM_CLIENT_SECRET.
    """
    told = {"environment": environment, "repository": repository, "sha": sha, "requester": requester}
    told |= {"run": run, "reason": reason, "callback": callback}
    body = {name: value for name, value in told.items() if value}
    until = time.monotonic() + within * MINUTE_S
    try:
        is_yes = _decided(url.rstrip("/"), body, os.environ, until=until)
    except EmError as error:
        SCREEN.error(error)
        raise typer.Exit(TROUBLE) from None
    raise typer.Exit(0 if is_yes else NO)


def _decided(url: str, body: dict[str, str], environ: Mapping[str, str], *, until: float) -> bool:
    """Whether it is a yes. Raises EmError."""
    import httpx

    if not _is_run(environ):
        body.setdefault("run", str(uuid4()))
    told = ""
    with httpx.Client(timeout=REQUEST_TIMEOUT_S) as client:
        while True:
            answer = _asked_again(lambda: _asked(client, url, body, environ, until=until), until=until)
            found = _read(answer)
            if answer.status_code == GO:
                SCREEN.line(f"yes: {found['said']}")
                return True
            if answer.status_code in REFUSALS:
                SCREEN.line(f"no: {found.get('detail') or answer.text}")
                return False
            if answer.status_code != NOT_YET:
                raise EmError(f"refused ({answer.status_code}): {found.get('detail') or answer.text}")
            told = told or _waiting(found)
            if time.monotonic() > until:
                raise EmError("nobody decided in time")


def _asked_again(ask: "Callable[[], httpx.Response]", *, until: float) -> "httpx.Response":
    """Until there is an answer that is one: services restart, and the question stays the same. Raises EmError."""
    import httpx

    while True:
        try:
            answer = ask()
            problem = f"answer {answer.status_code}"
        except httpx.HTTPError as error:
            answer, problem = None, repr(error)
        if answer is not None and answer.status_code not in AGAIN:
            return answer
        if time.monotonic() > until:
            raise EmError(f"no answer: {problem}")
        time.sleep(PAUSE_S)


def _asked(
    client: "httpx.Client", url: str, body: dict[str, str], environ: Mapping[str, str], *, until: float
) -> "httpx.Response":
    """A CI's tokens live shorter than people think: each question has its own."""
    wait_s = min(WAIT_MAX_S, max(WAIT_MIN_S, until - time.monotonic()))
    headers = {"Authorization": f"Bearer {_token(client, url, environ)}"}
    return client.post(f"{url}/v1/approvals", params={"wait_s": wait_s}, json=body, headers=headers)


def _is_run(environ: Mapping[str, str]) -> bool:
    return "EM_CLIENT_ID" not in environ


def _token(client: "httpx.Client", url: str, environ: Mapping[str, str]) -> str:
    if given := environ.get("EM_TOKEN"):
        return given
    if login := environ.get("EM_CLIENT_ID"):
        form = {"grant_type": "client_credentials", "client_id": login}
        answer = client.post(
            f"{url}/v1/auth/token", data={**form, "client_secret": environ.get("EM_CLIENT_SECRET", "")}
        )
        return str(_field(answer, "access_token"))
    if asked := environ.get("ACTIONS_ID_TOKEN_REQUEST_URL"):
        headers = {"Authorization": f"Bearer {environ.get('ACTIONS_ID_TOKEN_REQUEST_TOKEN', '')}"}
        return str(_field(client.get(f"{asked}&audience={AUDIENCE}", headers=headers), "value"))
    raise EmError("who asks? there is no token", hint="set EM_TOKEN, or EM_CLIENT_ID and EM_CLIENT_SECRET")


def _field(answer: "httpx.Response", name: str) -> Any:
    """Raises EmError, and HTTPStatusError for what may work later."""
    if answer.status_code in AGAIN:
        answer.raise_for_status()
    found = _read(answer).get(name)
    if not answer.is_success or not found:
        raise EmError(f"no token ({answer.status_code}): {_read(answer).get('detail') or 'no reason given'}")
    return found


def _read(answer: "httpx.Response") -> Json:
    is_json = answer.headers.get("content-type", "").partition(";")[0].endswith("json")
    return dict(answer.json()) if is_json else {}


def _waiting(found: Json) -> str:
    line = f"#{found['id']} waits for {found['missing']} until {found['expires_at']}"
    SCREEN.line(line)
    return line
