"""`/v1/auth`: log in, refresh, who am I, and the keys that verify our tokens."""

from collections.abc import Awaitable
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import parse_qsl

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from approvals_svc.settings import Settings
from approvals_svc.tokens import Issued, LoginRefused, NotIssuing, RefreshRefused, Tokens, TooManyAttempts
from approvals_svc.users import InvalidUsers
from shared.http.auth import Identity, require
from shared.http.body import read_body
from shared.http.problems import Problem
from shared.identity.own import Keyring
from shared.telemetry import logs

log = logs.get(__name__)

BODY_MAX_BYTES = 8 * 1024
FORM = "application/x-www-form-urlencoded"
NO_STORE = {"Cache-Control": "no-store"}
KEYS_HEADERS = {"Cache-Control": "public, max-age=300"}

Json = dict[str, Any]
Text = Annotated[str, Field(max_length=256)]


class TokenRequest(BaseModel):
    """RFC 6749: `username` and `password`, or `client_id` and `client_secret`."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    grant_type: Literal["password", "client_credentials"] = "password"
    username: Text = ""
    password: SecretStr = SecretStr("")
    client_id: Text = ""
    client_secret: SecretStr = SecretStr("")


class RefreshRequest(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    grant_type: Literal["refresh_token"] = "refresh_token"
    refresh_token: SecretStr


R = TypeVar("R", bound=BaseModel)


def router(settings: Settings, tokens: Tokens) -> APIRouter:
    routes = APIRouter(prefix="/v1/auth")

    @routes.post("/token", openapi_extra=_documented(TokenRequest))
    async def token(request: Request) -> Response:
        """An access token for a name and password of the users file; `password` also gives a refresh token."""
        asked = await _read(request, TokenRequest)
        if asked.grant_type == "client_credentials":
            name, secret = asked.client_id, asked.client_secret
        else:
            name, secret = asked.username, asked.password
        issuing = tokens.log_in(name, secret.get_secret_value(), refreshable=asked.grant_type == "password")
        return await _issue(issuing)

    @routes.post("/refresh", openapi_extra=_documented(RefreshRequest))
    async def refresh(request: Request) -> Response:
        """New tokens for a refresh token, which works once: used again, it ends its session."""
        asked = await _read(request, RefreshRequest)
        return await _issue(tokens.refresh(asked.refresh_token.get_secret_value()))

    @routes.get("/me")
    async def me(identity: Identity = require(settings, "viewer")) -> Json:
        """Whom the token speaks for, as every service understands it."""
        return {"subject": identity.subject, "role": identity.role, "issuer": identity.issuer}

    @routes.get("/jwks")
    async def jwks(response: Response) -> Json:
        """The public keys of our tokens; none with HS256."""
        response.headers.update(KEYS_HEADERS)
        if settings.jwt_algorithm == "EdDSA" and not settings.jwt_public_key:
            return {"keys": []}
        return Keyring.of(settings).jwks()

    return routes


async def _read(request: Request, model: type[R]) -> R:
    """A form, as RFC 6749 has it, or JSON. What came is never part of the answer."""
    body = await read_body(request, bytes_max=BODY_MAX_BYTES)
    is_form = request.headers.get("content-type", "").partition(";")[0].strip().lower() == FORM
    try:
        return model.model_validate(_form(body) if is_form else msgspec.json.decode(body))
    except (ValidationError, msgspec.DecodeError, ValueError):
        fields = ", ".join(model.model_fields)
        raise Problem(422, "invalid-request", f"a form or a JSON object of {fields} is needed") from None


def _form(body: bytes) -> dict[str, str]:
    return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=20))


def _documented(model: type[BaseModel]) -> Json:
    schema = model.model_json_schema()
    content = {media_type: {"schema": schema} for media_type in (FORM, "application/json")}
    return {"requestBody": {"required": True, "content": content}}


async def _issue(issuing: Awaitable[Issued]) -> Response:
    try:
        issued = await issuing
    except LoginRefused:
        raise Problem(401, "invalid-credentials", "name or password is wrong", headers=NO_STORE) from None
    except RefreshRefused:
        raise Problem(401, "invalid-refresh-token", "log in again", headers=NO_STORE) from None
    except TooManyAttempts as refused:
        retry = {"Retry-After": str(refused.retry_after_s), **NO_STORE}
        raise Problem(429, "too-many-attempts", "try again later", headers=retry) from None
    except NotIssuing:
        raise Problem(503, "not-issuing", "this service has no key to sign with") from None
    except InvalidUsers as error:
        log.error("users.unusable", error=str(error))
        raise Problem(503, "not-issuing", "the users file can't be used") from None
    return Response(msgspec.json.encode(issued), headers=NO_STORE, media_type="application/json")
