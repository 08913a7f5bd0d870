"""What speaks for and against a question: for the line that decides alone, for the card, and for its thread. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence

from notifier.blocks import listed, name
from notifier.mrkdwn import Mrkdwn, link, moment, text
from shared.contracts.events import Approval, Evidence, OpenIncident, Precedent, ShippedChange

RISK_MAX_CHARACTERS = 23  # of the line that decides alone
CLAIM_MAX_CHARACTERS = 40
TITLE_MAX_CHARACTERS = 120
REASONS_SHOWN = 2
THOUSAND = 1_000
ROUND_FROM = 10 * THOUSAND


def size(evidence: Evidence | None) -> str:
    """`84 lines (S)`; of what is not known so well, `3 changes`."""
    if evidence is None:
        return ""
    if evidence.is_back:
        return "back to before"
    if evidence.lines is None:
        return _ships(evidence)
    lines = f"{evidence.lines // THOUSAND}k" if evidence.lines >= ROUND_FROM else f"{evidence.lines}"
    return f"{lines} lines{f' ({name(evidence.size)})' if evidence.size else ''}"


def risk(approval: Approval) -> str:
    """As much as fits of what burns, what failed and what is said of it: `1 incident open, gate failed`."""
    kept: list[str] = []
    for part in _risks(approval):
        if len(", ".join([*kept, part])) <= RISK_MAX_CHARACTERS:
            kept.append(part)
    return ", ".join(kept)


def in_words(approval: Approval) -> str:
    """`2 changes, 84 lines (S) · high risk · 1 of 20 deployments failed · 1 incident open`."""
    return " · ".join(filter(None, _parts(approval)))


def below(approval: Approval) -> str:
    """All of it, for the thread; empty where nothing is known."""
    known = approval.evidence
    if known is None:
        return ""
    parts = (_shipped(known), _tickets(known), _standing(known), _incidents(known), _precedents(known))
    return "\n".join(line for part in parts for line in part)


# ---- in short --------------------------------------------------------------------------------------------------------


def _risks(approval: Approval) -> Iterator[str]:
    known = approval.evidence or Evidence()
    if known.incidents_n:
        yield f"{_counted(known.incidents_n, 'incident')} open"
    if known.gate == "failed":
        yield "gate failed"
    if approval.risk:
        yield f"{text(approval.risk, characters_max=RISK_MAX_CHARACTERS - len(' risk'))} risk"
    if known.failed:
        yield f"{known.failed} of {known.deployments} failed"


def _parts(approval: Approval) -> Iterator[str]:
    known = approval.evidence or Evidence()
    yield "goes back to an earlier commit" if known.is_back else _ships_whole(known)
    if approval.risk:
        yield f"{text(approval.risk, characters_max=CLAIM_MAX_CHARACTERS)} risk"
    if known.deployments:
        yield f"{known.failed} of {_counted(known.deployments, 'deployment')} failed"
    if known.incidents_n:
        yield f":fire: {_counted(known.incidents_n, 'incident')} open"
    if known.gate == "failed":
        yield "quality gate failed"


def _ships_whole(evidence: Evidence) -> str:
    ships = _ships(evidence)
    lines = f", {evidence.lines} lines ({name(evidence.size)})" if ships and evidence.lines is not None else ""
    return f"{ships}{lines}"


def _ships(evidence: Evidence) -> str:
    many = "more than " if evidence.is_cut else ""
    if not evidence.changes_n:
        return many + _counted(evidence.commits, "commit") if evidence.commits else ""
    return many + _counted(evidence.changes_n, "change")


# ---- in the thread ---------------------------------------------------------------------------------------------------


def _shipped(evidence: Evidence) -> Iterator[str]:
    if evidence.is_back:
        yield "It goes back to an earlier commit."
    elif ships := _ships_whole(evidence):
        yield f"*{ships}*"
    yield from map(_change, evidence.changes)
    if (more := evidence.changes_n - len(evidence.changes)) > 0:
        yield f"and {more} more"
    if evidence.direct_commits:
        yield f"and {_counted(evidence.direct_commits, 'commit')} of no change"


def _change(change: ShippedChange) -> str:
    who = listed(" ", [name(change.author), _by_class(change.author_class)])
    lines = f"{change.lines} lines" if change.lines is not None else ""
    titled = link(change.url, f"#{change.number} {change.title}", characters_max=TITLE_MAX_CHARACTERS)
    return f"• {listed(' · ', [titled, who, lines, name(change.ticket)])}"


def _by_class(author_class: str) -> str:
    return "" if author_class in ("", "human") else f"({name(author_class.replace('_', ' '))})"


def _tickets(evidence: Evidence) -> Iterator[str]:
    """Those that a tracker told of; the others stand beside their change."""
    for ticket in evidence.tickets:
        if ticket.title:
            titled = link(ticket.url, f"{ticket.key} {ticket.title}", characters_max=TITLE_MAX_CHARACTERS)
            yield f"• {listed(' · ', [titled, name(ticket.state)])}"


def _standing(evidence: Evidence) -> Iterator[str]:
    deployments = _counted(evidence.deployments, "deployment")
    failed = f"{evidence.failed} of {deployments} in {evidence.window_days} days failed"
    coverage = f"coverage {evidence.coverage:.1f} %{_moved(evidence)}" if evidence.coverage is not None else ""
    gate = f"quality gate {name(evidence.gate)}" if evidence.gate and evidence.gate != "none" else ""
    of = " of its branch" if evidence.checks_of == "branch" else ""
    checks = listed(", ", [coverage, gate])
    if said := listed(" · ", [failed if evidence.deployments else "", f"{checks}{of}" if checks else ""]):
        yield f"*How it stands*: {said}"
    if evidence.frozen_by:
        until = f" until {moment(evidence.frozen_until)}" if evidence.frozen_until else ""
        yield f"*Frozen* by {name(evidence.frozen_by)}{until}"


def _incidents(evidence: Evidence) -> Iterator[str]:
    if evidence.incidents_n:
        yield f"*{_counted(evidence.incidents_n, 'incident')} open*"
    yield from map(_incident, evidence.incidents)


def _incident(incident: OpenIncident) -> str:
    titled = link(incident.url, incident.title or "no title", characters_max=TITLE_MAX_CHARACTERS)
    return f"• {listed(' · ', [titled, name(incident.urgency), f'since {moment(incident.opened_at)}'])}"


def _precedents(evidence: Evidence) -> Iterator[str]:
    if evidence.precedents:
        outcomes = Counter(_outcome(each) for each in evidence.precedents)
        went = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
        yield f"*{len(evidence.precedents)} like it*: {went}"
        yield from map(_precedent, evidence.precedents)
    elif evidence.precedents_note:
        yield text(evidence.precedents_note, characters_max=2 * TITLE_MAX_CHARACTERS)


def _precedent(past: Precedent) -> str:
    titled = link(past.url, f"#{past.approval_id} {past.subject}", characters_max=TITLE_MAX_CHARACTERS)
    why = f"({_cited(past.reasons)})" if past.reasons else ""
    return f"• {listed(' · ', [titled, listed(' ', [name(past.decision), why]), _outcome(past)])}"


def _cited(reasons: Sequence[str]) -> str:
    return "; ".join(text(each, characters_max=TITLE_MAX_CHARACTERS) for each in reasons[:REASONS_SHOWN])


def _outcome(past: Precedent) -> Mrkdwn:
    return name(past.outcome.replace("_", " "))


def _moved(evidence: Evidence) -> str:
    """Against what it is measured from."""
    if evidence.coverage is None or evidence.coverage_base is None:
        return ""
    return f" ({evidence.coverage - evidence.coverage_base:+.1f})"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
