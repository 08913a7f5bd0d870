"""Sends signed webhooks to registered targets, as Standard Webhooks has it: https://www.standardwebhooks.com."""

import base64
import hmac
import time
from collections.abc import Callable, Mapping, Sequence

import httpx

from approvals_svc.calls import CallFailed, call
from approvals_svc.targets import Target
from approvals_svc.tasks import Confirmed, Delivered, GivenUp, Unknown, Webhook


class Webhooks:
    """`client` goes to public addresses only, whatever a name resolves to by now."""

    def __init__(
        self, targets: Mapping[str, Target], client: httpx.AsyncClient, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._targets = targets
        self._client = client
        self._clock = clock

    async def deliver(self, task: Webhook, *, look_first: bool) -> Delivered:
        """There is nowhere to look: the receiver knows a repeated message by its id."""
        target = self._targets.get(task.target)
        if target is None:
            return Unknown(f"WEBHOOK_TARGETS names no {task.target}")
        body = task.body.encode()
        headers = {"Content-Type": "application/json", **signed(task.message_id, body, target.keys, self._clock())}
        try:
            answer = await call(self._client, "POST", target.url, headers=headers, body=body)
        except CallFailed as failed:
            return _meaning(failed)
        return Confirmed(str(answer.status))


def signed(message_id: str, body: bytes, keys: Sequence[bytes], now: float) -> dict[str, str]:
    """One signature per key: whoever knows either secret can verify."""
    at = str(int(now))
    content = b".".join((message_id.encode(), at.encode(), body))
    signatures = (base64.b64encode(hmac.digest(key, content, "sha256")).decode() for key in keys)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": at,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def _meaning(failed: CallFailed) -> Delivered:
    """Whatever is not 2xx is tried again; but for 410, by which a receiver unsubscribes."""
    if failed.status == httpx.codes.GONE:
        return GivenUp("answer 410")
    after_s = failed.outcome.after_s if isinstance(failed.outcome, Unknown) else None
    return Unknown(failed.outcome.reason, after_s=after_s)
