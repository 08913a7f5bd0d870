"""The same as the terminal shows, and more, as one self-contained HTML page."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from em.demo import mrkdwn, pictures
from em.demo.outcome import METRICS, ChatMessage, Outcome, reasons
from em.demo.units import COUNTED, EXPLAINED, TITLES, said, thousands

VOTES = {"approved": "good", "rejected": "bad"}


def page(outcome: Outcome) -> str:
    """Everything from outside is escaped; the page needs no script and asks nobody for anything."""
    return _template().render(
        outcome=outcome,
        deliveries=outcome.deliveries(),
        reasons=reasons(outcome),
        wide=pictures.line_picture(outcome, tall=False),
        tall=pictures.line_picture(outcome, tall=True),
        metrics=METRICS,
        rate=round(outcome.sent.sent / outcome.sent.seconds) if outcome.sent.seconds else 0,
        held=sum(outcome.held_back.values()),
        chart=pictures,
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("em.demo", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(thousands=thousands, mrkdwn=mrkdwn.as_html, speaker=_speaker, mood=_mood)
    environment.globals.update(titles=TITLES, explained=EXPLAINED, counted=COUNTED, said=said)
    return environment.get_template("page.html.j2")


def _speaker(message: ChatMessage) -> str:
    return f"only {mrkdwn.NAMES.get(message.only_for, message.only_for)} sees this" if message.only_for else ""


def _mood(outcome: str) -> str:
    return VOTES.get(outcome, "")
