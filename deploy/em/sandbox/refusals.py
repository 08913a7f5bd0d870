"""Requests of the GitHub counterpart as routes read them, and the answers that refuse them."""

from typing import Any

import msgspec

from em.sandbox.exchange import Reply

DOCS = "https://docs.github.com/rest"

Body = dict[str, Any]


class GithubRefusal(Exception):
    def __init__(self, status: int, message: str, errors: list[dict[str, str]] | None = None) -> None:
        super().__init__(message)
        self.reply = refused(status, message, errors)


class Call(msgspec.Struct, frozen=True):
    """What a route needs of a request, read before it takes effect."""

    path: dict[str, str]
    query: dict[str, str]
    authorization: str
    body: Body

    @property
    def repository(self) -> str:
        return f"{self.path['owner']}/{self.path['repo']}"


def invalid(resource: str, field: str, reason: str) -> GithubRefusal:
    error = {"resource": resource, "field": field, "code": "custom", "message": f"{field} {reason}"}
    return GithubRefusal(422, "Validation Failed", [error])


def refused(status: int, message: str, errors: list[dict[str, str]] | None = None) -> Reply:
    body: Body = {"message": message, "documentation_url": DOCS, "status": str(status)}
    return Reply(status=status, body=body | ({"errors": errors} if errors else {}))
