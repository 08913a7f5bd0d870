"""`em approvals approve|decline|modify|cancel|revoke`: a person's decision, by the same API as everybody's."""

import os
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from em.commands.environment import adopt_stack
from em.commands.token import mint
from em.errors import EmError
from em.screen import SCREEN

if TYPE_CHECKING:
    import httpx

URL = "http://127.0.0.1:{port}"
TIMEOUT_S = 15.0
TRIES = 3
PAUSE_S = 0.5

Number = Annotated[int, typer.Argument(min=1, help="As `em approvals list` names it.")]
Reason = Annotated[str, typer.Option(help="Why; people read it, and the audit keeps it.")]
Revision = Annotated[int | None, typer.Option(min=1, help="Only if this revision is still the current one.")]
Person = Annotated[
    str, typer.Option("--as", help="A person of the catalog; mints a token with this stack's key instead of EM_TOKEN.")
]
Key = Annotated[str, typer.Option(help="Idempotency-Key, to say the same again; by default a new one.")]
Url = Annotated[str, typer.Option("--url", help="Of approvals-svc; by default the stack that runs here.")]


def approve(
    number: Number, reason: Reason = "", revision: Revision = None, person: Person = "", key: Key = "", url: Url = ""
) -> None:
    """Vote for an approval. Exit code: 0 it counts, 1 refused."""
    _decide(number, person, url, key, decision="approve", reason=reason, revision=revision)


def decline(
    number: Number, reason: Reason = "", revision: Revision = None, person: Person = "", key: Key = "", url: Url = ""
) -> None:
    """Vote against an approval. Exit code: 0 it counts, 1 refused."""
    _decide(number, person, url, key, decision="decline", reason=reason, revision=revision)


def modify(
    number: Number,
    patch: Annotated[list[str], typer.Option("--set", help="field=value of what is proposed; repeat for more.")],
    revision: Revision = None,
    person: Person = "",
    key: Key = "",
    url: Url = "",
) -> None:
    """Change what is proposed: a new revision, whose votes start at none. Exit code: 0 changed, 1 refused."""
    pairs = [each.partition("=") for each in patch]
    if wrong := next((name for name, equals, _ in pairs if not name or not equals), None):
        raise EmError(f"--set {wrong} has no value", hint="say: --set field=value")
    fields = {name: value for name, _, value in pairs}
    _decide(number, person, url, key, decision="modify", patch=fields, revision=revision)


def cancel(number: Number, reason: Reason = "", person: Person = "", url: Url = "") -> None:
    """Take back what waits. Exit code: 0 taken back, 1 refused."""
    _post(f"{number}/cancel", {"reason": reason}, person, url, role="viewer")


def revoke(number: Number, reason: Reason = "", person: Person = "", url: Url = "") -> None:
    """Take back a yes that nobody carries out yet. Exit code: 0 taken back, 1 too late."""
    _post(f"{number}/revoke", {"reason": reason}, person, url, role="approver")


def _decide(number: int, person: str, url: str, key: str, **asked: Any) -> None:
    body = {name: value for name, value in asked.items() if value is not None}
    _post(f"{number}/decision", body, person, url, role="approver", key=key or str(uuid4()))


def _post(path: str, body: dict[str, Any], person: str, url: str, *, role: str, key: str = "") -> None:
    told = ask("POST", f"approvals/{path}", body, person, url, role=role, key=key)
    again = ", as said before" if told.get("replayed") else ""
    lacking = f", {told['missing']} more needed" if told.get("missing") else ""
    SCREEN.line(f"#{told['id']} is {told['status']}{lacking}{again}")


def ask(
    method: str, path: str, body: dict[str, Any] | None, person: str, url: str, *, role: str, key: str = ""
) -> dict[str, Any]:
    """The answer of approvals-svc. Raises EmError with its reason where it refuses."""
    adopt_stack()
    headers = {"Authorization": f"Bearer {_token(person, role)}", **({"Idempotency-Key": key} if key else {})}
    answer = _answered(method, f"{_base(url)}/v1/{path}", body, headers, tries=TRIES if key else 1)
    told: dict[str, Any] = answer.json() if answer.headers.get("content-type", "").endswith("json") else {}
    if not answer.is_success:
        raise EmError(f"refused ({answer.status_code}): {told.get('detail') or answer.text or 'no reason given'}")
    return told


def _answered(
    method: str, url: str, body: dict[str, Any] | None, headers: dict[str, str], *, tries: int
) -> "httpx.Response":
    """Said again under the same key where no answer came: it counts once."""
    import httpx
    from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

    again = Retrying(
        retry=retry_if_exception_type(httpx.HTTPError), stop=stop_after_attempt(tries), wait=wait_fixed(PAUSE_S)
    )
    try:
        return again(httpx.request, method, url, json=body, headers=headers, timeout=TIMEOUT_S, trust_env=False)
    except RetryError as error:
        raise EmError(
            f"{url} does not answer: {error.last_attempt.exception()}", hint="start the stack with: em up"
        ) from None


def _token(person: str, role: str) -> str:
    """Whoever holds the key that signs tokens may speak for anybody: an operator at this machine."""
    if person:
        return mint(person, role, lifetime_s=60)
    given = os.environ.get("EM_TOKEN", "")
    if not given:
        raise EmError("who decides? EM_TOKEN is not set", hint="get one at POST /v1/auth/token, or say --as PERSON")
    return given


def _base(url: str) -> str:
    return (url or URL.format(port=os.environ.get("APPROVALS_SVC_PORT") or "8003")).rstrip("/")
