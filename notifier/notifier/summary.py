"""How a week of approvals is told: what was asked, how fast it was decided, and what to look at. Pure."""

from datetime import timedelta

from notifier.blocks import duration, listed, name
from shared.contracts.events import ApprovalNumbers, ApprovalSummarized

SERVICES_MAX = 10
NAMED_MAX = 10


def title(told: ApprovalSummarized) -> str:
    whose = name(told.team) or "services without a team"
    return f"Approvals of {whose}, week of {told.week:%Y-%m-%d}"


def in_short(told: ApprovalSummarized) -> str:
    """`12 asked · 9 decided, 2 of them declined · 3 by a rule · 1 expired`."""
    numbers = told.numbers
    declined = f", {numbers.declined} of them declined" if numbers.declined else ""
    by_rule = f"{numbers.auto} by a rule" if numbers.auto else ""
    expired = f"{numbers.expired} expired" if numbers.expired else ""
    return listed(" · ", [f"{numbers.asked} asked", f"{numbers.decided} decided{declined}", by_rule, expired])


def lines(told: ApprovalSummarized) -> list[str]:
    numbers = told.numbers
    return [in_short(told), _speed(told), _broken(numbers), _waiting(numbers)]


def services(told: ApprovalSummarized) -> list[str]:
    """Those that kept people waiting first."""
    ordered = sorted(told.services, key=lambda each: (-each.numbers.over_sla, -each.numbers.asked, each.service))
    more = [f"and {len(ordered) - SERVICES_MAX} more"] if len(ordered) > SERVICES_MAX else []
    return [*(_service(each.service, each.numbers) for each in ordered[:SERVICES_MAX]), *more]


def _service(service: str, numbers: ApprovalNumbers) -> str:
    over = f", {numbers.over_sla} too late" if numbers.over_sla else ""
    return f"{name(service) or 'no service'} {numbers.asked} asked{over}"


def _speed(told: ApprovalSummarized) -> str:
    numbers, sla = told.numbers, _in_words(told.sla_s)
    over = f"{numbers.over_sla} waited longer than {sla}" if numbers.over_sla else f"none waited longer than {sla}"
    if numbers.p50_s is None or numbers.p90_s is None:
        return over
    return f"Half decided within {_in_words(numbers.p50_s)}, nine of ten within {_in_words(numbers.p90_s)} · {over}"


def _broken(numbers: ApprovalNumbers) -> str:
    if not numbers.broken_n:
        return ""
    listed_numbers = numbers.broken[:NAMED_MAX]
    rest = numbers.broken_n - len(listed_numbers)
    more = [f"and {rest} more"] if rest else []
    return f":rotating_light: Glass broken: {', '.join([*(f'#{number}' for number in listed_numbers), *more])}"


def _waiting(numbers: ApprovalNumbers) -> str:
    if numbers.oldest is None or numbers.oldest_s is None:
        return ""
    return f"{numbers.pending} waited at its end, #{numbers.oldest} the longest: {_in_words(numbers.oldest_s)}"


def _in_words(seconds: float) -> str:
    return duration(timedelta(seconds=seconds))
