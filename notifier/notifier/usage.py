"""What notifier itself answers in chat: the list of commands, one explained, and the nearest to a word that is none.
Pure."""

from notifier.mrkdwn import text
from shared.contracts.commands import COMMANDS, GONE, ROLES, Command, Invocation, named, parse

WORD_MAX_CHARACTERS = 60


def answer(invocation: Invocation, *, typed: str) -> str:
    """In mrkdwn. `typed`: the text after `/em`."""
    if invocation.command is None:
        return _unknown(typed.split()[0], invocation.nearest)
    about = invocation.given.get("command", "")
    if not about:
        return _commands()
    found = named(about)
    return "\n".join(map(_explained, found)) if found else _unknown(about, parse(about).nearest)


def _unknown(typed: str, nearest: str = "") -> str:
    word = text(typed, characters_max=WORD_MAX_CHARACTERS)
    guess = f" Did you mean `/em {nearest}`?" if nearest else ""
    gone = f" It is gone: {text(GONE[typed.lower()], characters_max=300)}." if typed.lower() in GONE else ""
    return f"There is no command {word}.{gone}{guess}\n{_commands()}"


def _commands() -> str:
    return "\n".join(["*Commands*", *map(_line, COMMANDS)])


def _line(command: Command) -> str:
    return f"• `{text(command.usage, characters_max=200)}` {text(command.help, characters_max=300)}"


def _explained(command: Command) -> str:
    also = f" Also: {', '.join(f'`{word}`' for word in command.also)}." if command.also else ""
    return f"{_line(command)}.{also} For {ROLES[command.role]}."
