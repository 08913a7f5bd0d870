"""A service process: settings, logs and traces first, then `run`; the same for all five."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import shared
from shared.contracts.services import Service
from shared.settings import InvalidConfiguration, ServiceSettings, load
from shared.telemetry import logs, tracing

S = TypeVar("S", bound=ServiceSettings)

log = logs.get(__name__)

EX_SOFTWARE = 70
EX_CONFIG = 78


def main(service: Service, settings_type: type[S], run: Callable[[S], Awaitable[None]]) -> None:
    """Returns when stopped by SIGTERM.

    Exits 78 where settings, catalog, policy, a login or the database's own settings can't be used, and says why; 70
    where only a new process can go on.
    """
    exit_code = 0
    try:
        _start(service, load(settings_type), run)
    except* InvalidConfiguration as unusable:
        exit_code = EX_CONFIG
        print(f"{service.folder}: {_first(unusable)}", file=sys.stderr)
    except* Exception as failure:
        exit_code = exit_code or EX_SOFTWARE
        log.critical("service.failed", error=repr(_first(failure)), exc_info=failure)
    if exit_code:
        sys.exit(exit_code)


def _first(group: ExceptionGroup[Exception]) -> Exception:
    [first, *_] = group.exceptions
    return _first(first) if isinstance(first, ExceptionGroup) else first


def _start(service: Service, settings: S, run: Callable[[S], Awaitable[None]]) -> None:
    version = settings.app_version or shared.__version__
    logs.configure(service=service.folder, version=version, log_format=settings.log_format, level=settings.log_level)
    endpoint = settings.otel_exporter_otlp_endpoint if settings.otel_enabled else ""
    share = settings.otel_traces_sampler_arg
    tracing.configure(service=service.folder, version=version, endpoint=endpoint, share=share)
    _run(run(settings))


def _run(service: Awaitable[None]) -> None:
    try:
        import uvloop
    except ImportError:  # not on every platform; asyncio's own loop does
        loop_factory = None
    else:
        loop_factory = uvloop.new_event_loop

    async def until_stopped() -> None:
        await service

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(until_stopped())
