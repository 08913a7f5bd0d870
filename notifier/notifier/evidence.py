"""What speaks for and against a question, in one line of its card. Pure."""

from collections import Counter
from collections.abc import Iterator

from notifier.blocks import name
from shared.contracts.events import Evidence


def in_words(evidence: Evidence | None) -> str:
    """`2 changes, 84 lines (S) · 1 of 20 deployments failed · 1 incident open · 5 similar: 4 healthy, 1 failed`."""
    return " · ".join(_parts(evidence)) if evidence else ""


def _parts(evidence: Evidence) -> Iterator[str]:
    if evidence.is_back:
        yield "goes back to an earlier commit"
    elif ships := _ships(evidence):
        yield ships
    if evidence.deployments:
        yield f"{evidence.failed} of {_counted(evidence.deployments, 'deployment')} failed"
    if evidence.incidents_n:
        yield f":fire: {_counted(evidence.incidents_n, 'incident')} open"
    if evidence.coverage is not None:
        yield f"coverage {evidence.coverage:.1f} %{_moved(evidence)}"
    if evidence.gate and evidence.gate != "none":
        yield f"quality gate {name(evidence.gate)}"
    if evidence.precedents:
        outcomes = Counter(each.outcome.replace("_", " ") for each in evidence.precedents)
        went = ", ".join(f"{count} {name(outcome)}" for outcome, count in outcomes.most_common())
        yield f"{len(evidence.precedents)} similar: {went}"


def _ships(evidence: Evidence) -> str:
    many = "more than " if evidence.is_cut else ""
    if not evidence.changes_n:
        return many + _counted(evidence.commits, "commit") if evidence.commits else ""
    lines = f", {evidence.lines} lines ({name(evidence.size)})" if evidence.lines is not None else ""
    direct = f" and {_counted(evidence.direct_commits, 'direct commit')}" if evidence.direct_commits else ""
    return f"{many}{_counted(evidence.changes_n, 'change')}{lines}{direct}"


def _moved(evidence: Evidence) -> str:
    """Against what it is measured from."""
    if evidence.coverage is None or evidence.coverage_base is None:
        return ""
    return f" ({evidence.coverage - evidence.coverage_base:+.1f})"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
