"""W3C trace context: one trace from the delivery to the Slack message, through headers and tables."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Link, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROPAGATOR = TraceContextTextMapPropagator()
_share = 1.0


def configure(*, service: str, version: str, endpoint: str, share: float = 1.0) -> None:
    """Spans get ids always, so that context propagates; `share` of the traces are exported, when `endpoint` is set."""
    global _share  # of this process
    _share = share if endpoint else 0.0
    resource = Resource.create({"service.name": service, "service.version": version})
    provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(share)))
    if endpoint:
        provider.add_span_processor(_exporter(endpoint))
    trace.set_tracer_provider(provider)


def _exporter(endpoint: str):  # type: ignore[no-untyped-def]  # the type would import the exporter in every process
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    host = endpoint.rstrip("/").split("://", 1)[-1]
    url = endpoint if "/" in host else f"{endpoint.rstrip('/')}/v1/traces"
    return BatchSpanProcessor(OTLPSpanExporter(endpoint=url))


def is_sampled() -> bool:
    """Chosen where a trace begins."""
    return random.random() < _share  # noqa: S311  # not a secret


def unsampled() -> str:
    """A `traceparent` that nobody records: ids for the logs, at the price of two random numbers."""
    return f"00-{random.getrandbits(128) or 1:032x}-{random.getrandbits(64) or 1:016x}-00"  # not secrets


@contextmanager
def span(name: str, *, parent: str = "", link: str = "", kind: SpanKind = SpanKind.INTERNAL) -> Iterator[str]:
    """A span below the `traceparent` given, yielding its own. `link`: one from the internet, never taken as parent."""
    context = _PROPAGATOR.extract({"traceparent": parent}) if parent else None
    links = [Link(linked)] if link and (linked := _context_of(link)).is_valid else []
    with trace.get_tracer("em").start_as_current_span(name, context=context, links=links, kind=kind):
        yield current()


def current() -> str:
    """`traceparent` of the span around us, or nothing."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def trace_id() -> str:
    parts = current().split("-")
    return parts[1] if len(parts) == 4 else ""


def _context_of(traceparent: str) -> trace.SpanContext:
    return trace.get_current_span(_PROPAGATOR.extract({"traceparent": traceparent})).get_span_context()
