"""What notifier itself answers in chat: the list of commands, and the nearest to a word that is none. Pure."""

from notifier.mrkdwn import text
from shared.contracts.commands import COMMANDS, Command, Invocation

WORD_MAX_CHARACTERS = 60


def answer(invocation: Invocation, *, typed: str) -> str:
    """In mrkdwn. `typed`: the text after `/em`."""
    if invocation.command is not None:
        return _commands()
    word = text(typed.split()[0], characters_max=WORD_MAX_CHARACTERS)
    nearest = f" Did you mean `/em {invocation.nearest}`?" if invocation.nearest else ""
    return f"There is no command {word}.{nearest}\n{_commands()}"


def _commands() -> str:
    return "\n".join(["*Commands*", *map(_line, COMMANDS)])


def _line(command: Command) -> str:
    usage = text(f"/em {command.name} {command.arguments}", characters_max=200)
    return f"• `{usage}` {text(command.help, characters_max=300)}"
