"""Numbers in words, and the words of `/em dora`. Pure."""

from collections.abc import Mapping, Sequence

from metrics_svc.dora import FAIL_RATE, FREQUENCY, LEAD_TIME, RECOVERY_TIME, REWORK_RATE, Metric

LINES_MAX = 30
NAMES_MAX = 10

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def unknown_service(wanted: str, services: Sequence[str]) -> str:
    if not services:
        return f"No service is called {wanted}: nothing has been seen yet."
    more = ", …" if len(services) > NAMES_MAX else ""
    return f"No service is called {wanted}. There are: {', '.join(services[:NAMES_MAX])}{more}"


def summary(measured: Sequence[Mapping[str, Metric]], services: Sequence[str], days: int) -> str:
    """One line per service."""
    if not services:
        return "Nothing has been seen yet."
    lines = [_line(service, metrics) for service, metrics in zip(services, measured, strict=True)]
    if len(lines) > LINES_MAX:
        lines = [*lines[:LINES_MAX], f"and {len(lines) - LINES_MAX} more: name one"]
    return "\n".join([f"Delivery in the last {days} days", *lines])


def _line(service: str, metrics: Mapping[str, Metric]) -> str:
    if metrics[FREQUENCY].n == 0:
        return f"*{service}*: no production deployment"
    parts = (
        f"lead time {_span(metrics[LEAD_TIME])}",
        f"{metrics[FREQUENCY].n} deployments ({metrics[FREQUENCY].value:.2f} a day)",
        f"change fail rate {_share(metrics[FAIL_RATE])}",
        f"recovery {_span(metrics[RECOVERY_TIME])}",
        f"rework {_share(metrics[REWORK_RATE])}",
    )
    return f"*{service}*: {' · '.join(parts)}"


def _span(metric: Metric) -> str:
    return span(metric.value) if metric.value is None else f"{span(metric.value)} (n {metric.n})"


def _share(metric: Metric) -> str:
    return share(metric.value)


def amount(value: float | None, unit: str) -> str:
    """In the words of its unit, as the API names them."""
    match unit:
        case "seconds":
            return span(value)
        case "ratio":
            return share(value)
        case "per_day":
            return "none" if value is None else f"{value:.2f} a day"
        case _:
            return "none" if value is None else f"{value:.2f} {unit.replace('_', ' ')}".rstrip()


def span(seconds: float | None) -> str:
    """The two largest units: `1 d 4 h`."""
    if seconds is None:
        return "none"
    rest = round(seconds)
    parts: list[str] = []
    for length, unit in _UNITS:
        count, rest = divmod(rest, length)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def share(ratio: float | None) -> str:
    return "none" if ratio is None else f"{ratio:.0%}"
