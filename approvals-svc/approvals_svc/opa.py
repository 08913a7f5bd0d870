"""Asks Open Policy Agent. Whatever is not a plain yes to what was asked lets nothing through."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec

from approvals_svc.audit import Actor
from approvals_svc.calls import CallFailed, call
from approvals_svc.policy import Facts
from shared.telemetry import logs, metrics

log = logs.get(__name__)

OPA = Actor(person="", identity="opa", surface="opa")
PATH = "/v1/data/em_agent/decision"
BUDGET_S = 0.5  # of one question, all in all


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """`said` in words, for the trace and the audit."""

    said: str
    allows: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """`action` is what it allows, or would do; empty: what it was asked about."""

    allow: bool
    action: str = ""


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    """OPA leaves `result` out where the rule is undefined."""

    result: Answer


class NoAnswer(Exception):
    """None that can be used; the text says why."""


class Opa:
    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self._url = f"{url.rstrip('/')}{PATH}"
        self._client = client

    async def advice(self, facts: Facts) -> Advice:
        """About an action of which these facts are known."""
        try:
            answer = await self._ask(known(facts))
        except NoAnswer as why:
            return Advice(said=f"no answer, {why}")
        if not answer.allow:
            return Advice(said="did not allow it")
        if answer.action not in ("", facts.action):
            return Advice(said="allowed another action")
        return Advice(said="allowed it", allows=True)

    async def action(self, rule: str) -> str:
        """What it would do for a rule of signals; empty where it doesn't say. That it may be done it doesn't say."""
        try:
            return (await self._ask({"rule": rule})).action
        except NoAnswer:
            return ""

    async def _ask(self, about: Mapping[str, Any]) -> Answer:
        """Raises NoAnswer."""
        try:
            answer = await self._answer(about)
        except NoAnswer as why:
            metrics.approvals_opa_answers.labels(result="failed").inc()
            log.warning("opa.failed", reason=str(why))
            raise
        metrics.approvals_opa_answers.labels(result="allowed" if answer.allow else "refused").inc()
        return answer

    async def _answer(self, about: Mapping[str, Any]) -> Answer:
        body = msgspec.json.encode({"input": about})
        headers = {"Content-Type": "application/json"}
        try:
            async with asyncio.timeout(BUDGET_S):
                answer = await call(self._client, "POST", self._url, headers=headers, body=body)
        except TimeoutError:
            raise NoAnswer("none within 500 ms") from None
        except CallFailed as problem:
            raise NoAnswer(problem.outcome.reason) from None
        try:
            return msgspec.json.decode(answer.body, type=_Document).result
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise NoAnswer("it is not {result: {allow, action}}") from None


class NoOpa:
    """Where OPA_URL is not set."""

    async def advice(self, facts: Facts) -> Advice:
        return Advice(said="no answer, OPA_URL is not set")

    async def action(self, rule: str) -> str:
        return ""


def known(facts: Facts) -> dict[str, Any]:
    """Only what is known, so that whatever a policy asks of the rest is undefined."""
    return {name: value for name, value in msgspec.to_builtins(facts).items() if value not in ("", None)}
