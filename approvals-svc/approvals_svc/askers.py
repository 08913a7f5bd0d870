"""Who asks for a gate: a CI's run by the token of its CI, or whoever holds a token with a role here."""

import time
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Header, Request

from approvals_svc.ci_gates import Asker
from approvals_svc.settings import Settings
from shared.http.auth import DOCUMENTS_MAX, bearer, identified, unauthorized, unavailable
from shared.http.keys import Keys, KeyUnavailable
from shared.identity.issuers import KeyNeeded, Unproven, issuer_of
from shared.identity.runs import Run, TrustedRuns, are_trusted

ROLE = "operator"  # of whoever asks with a token that says nothing of a run


def asking(settings: Settings) -> Any:
    """A dependency. A token of an issuer in REPORT_OIDC_TRUST is a run's or nobody's: no role rescues it."""
    runs, keys = TrustedRuns(), Keys(settings)
    identify = identified(settings, ROLE)

    async def asker(request: Request, authorization: Annotated[str, Header()] = "") -> Asker:
        if authorization and _is_run(token := bearer(request, authorization), settings):
            run = await _proven(lambda: runs.prove(token, settings.report_oidc_trust, time.time()), keys)
            return Asker(issuer=run.issuer, platform=run.platform, said=run.said)
        identity = await identify(request, authorization)
        return Asker(issuer=identity.issuer, subject=identity.subject)

    return Depends(asker)


def _is_run(token: str, settings: Settings) -> bool:
    try:
        return are_trusted(issuer_of(token), settings.report_oidc_trust)
    except Unproven as error:
        raise unauthorized(str(error)) from None


async def _proven(prove: Callable[[], Run], keys: Keys) -> Run:
    try:
        return await _with_keys(prove, keys.learn)
    except Unproven as error:
        raise unauthorized(str(error)) from None
    except KeyUnavailable as error:
        raise unavailable(str(error)) from None


async def _with_keys(prove: Callable[[], Run], learn: Callable[[KeyNeeded], Coroutine[None, None, None]]) -> Run:
    for _ in range(DOCUMENTS_MAX):
        try:
            return prove()
        except KeyNeeded as needed:
            await learn(needed)
    try:
        return prove()
    except KeyNeeded as needed:
        raise KeyUnavailable(needed.url) from None
