"""Commands around sources: `em send`, `em report`, `em scrub`, `em new-source`."""

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from em.commands.environment import adopt_stack
from em.errors import EmError
from em.screen import SCREEN

FIXTURES = Path("tests/fixtures")
INGEST_URL = "http://127.0.0.1:{port}"
TIMEOUT_S = 15.0

Url = Annotated[str, typer.Option("--url", help="Of ingest; by default the stack that runs here.")]


# ---- em send -------------------------------------------------------------------------------------------------------


def send(
    source: Annotated[str, typer.Argument(help="A source, as in /webhooks/SOURCE.")],
    file: Annotated[Path | None, typer.Option(help="The body; by default a fixture of this checkout.")] = None,
    header: Annotated[list[str] | None, typer.Option("--header", "-H", help="'Name: value', as the platform.")] = None,
    example: Annotated[str, typer.Option(help=f"Which one of {FIXTURES}/SOURCE; by default the first.")] = "",
    url: Url = "",
) -> None:
    """Sign a body as the platform would, and send it. Exit code: 0 accepted, 1 refused."""
    adopt_stack()
    from em.sandbox.signing import Unsignable, fresh, sign
    from ingest.source import declared

    if source not in declared():
        raise EmError(f"there is no source {source}", hint=f"sources: {', '.join(declared())}")
    declaration = declared()[source]
    secret, route = _secret(declaration)
    headers, body = (_headers(header), file.read_bytes()) if file else _fixture(source, example)
    body = fresh(declaration.scheme, body, time.time())
    try:
        proof = sign(declaration.scheme, body, secret)
    except Unsignable as error:
        raise EmError(str(error)) from None
    _post(f"{_base(url)}/webhooks/{route}", body, {**headers, **_headers(header), **proof})


def _secret(declaration: Any) -> tuple[str, str]:
    """(the first live secret, the route). A source with many senders uses the first of them."""
    from ingest.schemes.base import SIGNING_KEY, TOPIC, TRUST
    from shared.settings.base import read_secret_file

    for variable in declaration.secrets:
        path = os.environ.get(f"{variable}_FILE")
        value = os.environ.get(variable) or (read_secret_file(f"{variable}_FILE", path) if path else "")
        for part in filter(None, (part.strip() for part in value.split(","))):
            if declaration.named:
                name, _, secret = part.partition("=")
                return secret, f"{declaration.named}/{name}"
            if not part.encode().startswith((SIGNING_KEY, TOPIC, TRUST)):
                return part, declaration.name
    raise EmError(f"{declaration.secrets[0]} is not set", hint="set it to the secret that ingest has")


def _fixture(source: str, name: str) -> tuple[dict[str, str], bytes]:
    paths = sorted((FIXTURES / source).glob(f"{name or '*'}.json"))
    if not paths:
        raise EmError(f"no fixture {FIXTURES / source}/{name or '*'}.json here", hint="give a body: --file PATH")
    told = json.loads(paths[0].read_text(encoding="utf-8"))
    body = told["body"] if isinstance(told["body"], str) else json.dumps(told["body"])
    SCREEN.line(f"fixture {paths[0].stem}")
    return dict(told["headers"]), body.encode()


def _headers(given: list[str] | None) -> dict[str, str]:
    pairs = [each.partition(":") for each in given or ()]
    return {name.strip(): value.strip() for name, _, value in pairs}


def _base(url: str) -> str:
    return (url or INGEST_URL.format(port=os.environ.get("INGEST_PORT") or "8000")).rstrip("/")


def _post(url: str, body: bytes, headers: dict[str, str]) -> None:
    import httpx

    try:
        answer = httpx.post(url, content=body, headers=headers, timeout=TIMEOUT_S, trust_env=False)
    except httpx.HTTPError as error:
        raise EmError(f"{url} does not answer: {error}", hint="start the stack with: em up") from None
    SCREEN.line(f"{answer.status_code} {answer.text}".rstrip())
    if not answer.is_success:
        raise typer.Exit(1)


# ---- em report -----------------------------------------------------------------------------------------------------

report = typer.Typer(name="report", help="Report a deployment or an incident, as one request.", no_args_is_help=True)


@report.command()
def deployment(
    environment: Annotated[str, typer.Option(help="Where it went.")],
    service: Annotated[str, typer.Option(help="A service of the catalog.")] = "",
    repository: Annotated[str, typer.Option(help="owner/name, instead of a service.")] = "",
    sha: Annotated[str, typer.Option(help="The commit.")] = "",
    outcome: Annotated[str, typer.Option(help="succeeded, failed or cancelled; without it, it has started.")] = "",
    started_at: Annotated[str, typer.Option(help="RFC 3339 with a zone.")] = "",
    finished_at: Annotated[str, typer.Option(help="RFC 3339 with a zone; by default now.")] = "",
    link: Annotated[str, typer.Option(help="Where to look.")] = "",
    id: Annotated[str, typer.Option(help="The deployment's own id, equal when it starts and ends.")] = "",
    url: Url = "",
) -> None:
    """A deployment that started or ended."""
    _report(
        url,
        report="deployment",
        environment=environment,
        service=service,
        repository=repository,
        sha=sha,
        outcome=outcome,
        started_at=started_at,
        finished_at=finished_at,
        url=link,
        id=id,
    )


@report.command()
def incident(
    id: Annotated[str, typer.Option(help="Equal in what opens and what resolves it.")],
    service: Annotated[str, typer.Option(help="Who suffers, a service of the catalog.")],
    status: Annotated[str, typer.Option(help="opened or resolved.")],
    severity: Annotated[str, typer.Option(help="In your own words.")] = "",
    title: Annotated[str, typer.Option(help="What people see.")] = "",
    at: Annotated[str, typer.Option(help="RFC 3339 with a zone; by default now.")] = "",
    link: Annotated[str, typer.Option(help="Where to look.")] = "",
    url: Url = "",
) -> None:
    """An incident that was opened or resolved."""
    _report(
        url, report="incident", id=id, service=service, status=status, severity=severity, title=title, at=at, url=link
    )


def _report(base: str, **fields: str) -> None:
    adopt_stack()
    from ingest.source import declared

    secret, route = _secret(declared()["report"])
    body = json.dumps({name: value for name, value in fields.items() if value}).encode()
    _post(f"{_base(base)}/webhooks/{route}", body, {"Authorization": f"Bearer {secret}"})


# ---- em scrub ------------------------------------------------------------------------------------------------------

PEOPLE = ("ana", "ben", "cy", "dee", "eli", "fay", "gus", "hal")
NAMES = frozenset({"login", "username", "nickname", "name", "displayName", "display_name", "uniqueName", "actor"})
PERSON = frozenset({"email", "emailAddress", "avatar_url", "avatarUrls", "accountId", "account_id", "gravatar_id"})
SECRET = re.compile(r"secret|token|password|signature|authorization|api_?key|private_?key", re.IGNORECASE)
LOOKS_SECRET = re.compile(r"gh[pousr]_\w{20,}|xox[abprs]-[\w-]{10,}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*|AKIA\w{16}")
EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+")
PROSE = frozenset({"body", "description", "message", "text", "comment", "content", "summary", "bio"})


fixture = typer.Typer(name="fixture", help="Payloads for tests.", no_args_is_help=True)


@fixture.callback()
def _() -> None:
    """Payloads for tests."""  # without a callback Typer makes a group of one command that command


@fixture.command()
def scrub(
    file: Annotated[Path | None, typer.Argument(help="A captured body; standard input without it.")] = None,
) -> None:
    """Take people, prose and secrets out of a captured JSON payload, for a fixture. Read the result first."""
    text = file.read_text(encoding="utf-8") if file else sys.stdin.read()
    try:
        told = json.loads(text)
    except ValueError as error:
        raise EmError(f"not JSON: {error}") from None
    SCREEN.out.out(json.dumps(Scrubber().scrub(told), indent=2, ensure_ascii=False), highlight=False)


class Scrubber:
    """The same person gets the same invented name everywhere."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def scrub(self, node: Any, name: str = "", *, person: bool = False) -> Any:
        if isinstance(node, dict):
            is_person = not PERSON.isdisjoint(node) or "login" in node
            return {key: self.scrub(value, key, person=is_person) for key, value in node.items()}
        if isinstance(node, list):
            return [self.scrub(each, name, person=person) for each in node]
        return self._text(node, name, person=person) if isinstance(node, str) else node

    def _text(self, text: str, name: str, *, person: bool) -> str:
        if SECRET.search(name) or LOOKS_SECRET.search(text):
            return "removed"
        if person and (name in NAMES or name in PERSON):
            invented = self._invented(text)
            return f"{invented}@acme.example" if "@" in text else invented
        if name in PROSE and " " in text:
            return "Text"
        return EMAIL.sub(lambda found: f"{self._invented(found[0])}@acme.example", text)

    def _invented(self, real: str) -> str:
        index = len(self._known)
        return self._known.setdefault(real, PEOPLE[index] if index < len(PEOPLE) else f"person{index}")


# ---- em new-source -------------------------------------------------------------------------------------------------

DECLARATION = '''"""{title}."""

from ingest.readers import body_hash, field
from ingest.schemes import Token
from ingest.source import Source

SOURCE = Source(
    name="{name}",
    title="{title}",
    scheme=Token(),  # how it proves origin: one of ingest.schemes
    delivery_id=body_hash,  # what it calls a delivery, unique per delivery; never the id of a thing, never a clock
    event_name=field("type"),
    limit_s=10,  # how long it waits for an answer
)
'''
TRANSLATION = '''"""{title}."""

import msgspec

from normalizer.bodies import moment, read
from normalizer.disposition import Disposition, Events, Ignored
from normalizer.times import Spelling
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import AlertFired


class _Body(msgspec.Struct):
    """Name the needed fields alone; what the platform may leave out is optional."""

    type: str | None = None
    id: str | None = None
    title: str | None = None
    at: Spelling = None


def translate(delivery: RawDelivery) -> Disposition:
    """Raises Untranslatable."""
    body = read(delivery.body, _Body)
    if body.type != "fired" or body.id is None:
        return Ignored("unknown_event")
    at = moment("at", body.at)
    return Events(
        (
            AlertFired(
                occurred_at=at or delivery.received_at,
                time_is_received=at is None,
                alert_id=body.id,
                title=body.title or "",
                fired_at=at,
            ),
        )
    )
'''
PAGE = """# {title}

**Where to click.**

**Secret.** `{variable}_WEBHOOK_SECRET`.

**What arrives.**

| event | becomes |
|---|---|
| `fired` | `alert.fired` |

**What {title} can't do.**
"""
EXAMPLES: dict[str, dict[str, Any]] = {
    "fired": {
        "headers": {"Content-Type": "application/json"},
        "body": {"type": "fired", "id": "a1", "title": "Checkout is slow", "at": "2026-02-27T10:00:00Z"},
        "becomes": {
            "events": [
                {
                    "kind": "alert.fired",
                    "occurred_at": "2026-02-27T10:00:00Z",
                    "alert_id": "a1",
                    "title": "Checkout is slow",
                    "fired_at": "2026-02-27T10:00:00Z",
                }
            ]
        },
    },
    "unknown": {"headers": {}, "body": {"type": "unheard"}, "becomes": {"ignored": "unknown_event"}},
}


def new_source(
    name: Annotated[str, typer.Argument(help="As in /webhooks/NAME: a-z, 0-9 and _.")],
    title: Annotated[str, typer.Option(help="The platform's own name.")] = "",
) -> None:
    """Scaffold a source that passes the conformance suite: a declaration, a translation, fixtures and a page."""
    from ingest.source import declared
    from shared.contracts.subjects import TOKEN

    if not TOKEN.fullmatch(name) or not name[0].isalpha():
        raise EmError(f"{name!r} can't be a source's name", hint="a-z, 0-9 and _, beginning with a letter")
    if name in declared():
        raise EmError(f"there is a source {name} already")
    if not FIXTURES.is_dir():
        raise EmError("this is no checkout of EM Agent", hint="run it where README.md lies")
    words = {"name": name, "title": title or name.replace("_", " ").title(), "variable": name.upper()}
    files = {
        Path("ingest/ingest/sources") / f"{name}.py": DECLARATION.format(**words),
        Path("normalizer/normalizer/sources") / f"{name}.py": TRANSLATION.format(**words),
        Path("docs/sources") / f"{name}.md": PAGE.format(**words),
        **{FIXTURES / name / f"{stem}.json": json.dumps(told, indent=2) + "\n" for stem, told in EXAMPLES.items()},
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        SCREEN.line(f"wrote {path}")
    SCREEN.line(f"then: make test-source NAME={name} and make docs (docs/contributing.md says the rest)")
