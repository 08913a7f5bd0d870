"""W3C trace context: one trace from the delivery to the Slack message, through headers and tables."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROPAGATOR = TraceContextTextMapPropagator()


def configure(*, service: str, version: str, endpoint: str) -> None:
    """Spans get ids always, so that context propagates; they are exported only when `endpoint` is set."""
    provider = TracerProvider(resource=Resource.create({"service.name": service, "service.version": version}))
    if endpoint:
        provider.add_span_processor(_exporter(endpoint))
    trace.set_tracer_provider(provider)


def _exporter(endpoint: str):  # type: ignore[no-untyped-def]  # the type would import the exporter in every process
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    host = endpoint.rstrip("/").split("://", 1)[-1]
    url = endpoint if "/" in host else f"{endpoint.rstrip('/')}/v1/traces"
    return BatchSpanProcessor(OTLPSpanExporter(endpoint=url))


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
