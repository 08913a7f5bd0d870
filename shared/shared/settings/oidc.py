"""Issuers of tokens other than ourselves: whom `OIDC_ISSUERS` trusts, and which claims give which role."""

import json
from collections.abc import Mapping
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, field_validator
from pydantic_settings import NoDecode

Role = Literal["viewer", "operator", "approver", "admin"]
ROLES: tuple[str, ...] = get_args(Role)  # each may do what those before it may


class OidcIssuer(BaseModel):
    """`roles`: claim → pattern of its value → role; of several that match, the highest counts, and none is no access.

    `jwks_url`: for an issuer whose keys lie on another host than itself; without it its discovery document is asked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str
    audience: str
    roles: Mapping[str, Mapping[str, Role]]
    subject: str = "sub"
    jwks_url: str = ""

    @field_validator("issuer", "jwks_url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (parts.scheme != "https" or not parts.hostname or parts.username or parts.query or parts.fragment):
            raise ValueError("must look like https://login.example.com")
        return url

    @field_validator("issuer", "audience")
    @classmethod
    def _check_presence(cls, value: str) -> str:
        if not value:
            raise ValueError("must not be empty")
        return value


def _from_json(value: object) -> object:
    """The value itself is not shown: who mistakes this variable for another may have put a secret there."""
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    if not isinstance(found, list):
        raise ValueError('must be a JSON list: [{"issuer": …, "audience": …, "roles": …}]')
    return tuple(found)


OidcIssuers = Annotated[tuple[OidcIssuer, ...], NoDecode, BeforeValidator(_from_json)]
