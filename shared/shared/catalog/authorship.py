"""Who wrote a change: a human, a bot, a human with an AI's help, or an AI agent, each with its evidence. Pure.

There is no standard for it. The names below are how the tools sign: an account's login, the e-mail of a
`Co-authored-by` trailer, or their own trailer. Exact names only: people are called Claude, too.
"""

import re
from collections.abc import Collection, Iterator, Sequence

import msgspec

HUMAN, BOT, ASSISTED, AGENT = "human", "bot", "ai_assisted", "ai_agent"

TRAILERS_MAX = 20
TRAILER_MAX_LENGTH = 200
_TRAILER = re.compile(r"^(co-authored-by|assisted-by|generated-by|generated-with):[ \t]*(\S.*)$", re.IGNORECASE)

# Logins of agents that open changes by themselves, without `[bot]`: from the tools' own documentation or by how their
# changes look on GitHub. The catalog's `ai_agents` adds to them.
_AGENT_LOGINS = frozenset(
    {
        "copilot",  # GitHub's coding agent, as the API names it
        "copilot-swe-agent",
        "devin-ai-integration",
        "claude",
        "cursoragent",
        "cursor",
        "google-labs-jules",
        "chatgpt-codex-connector",
        "codegen-sh",
        "sweep-ai",
        "openhands-agent",
    }
)
# Branches that agents name so; only together with a bot as author.
_AGENT_BRANCH = re.compile(r"^(copilot|devin|codex|claude|cursor|jules|sweep)/")
# Of a trailer: the address between < and >, else the whole text in lower case.
_ASSISTANT_MAILS = frozenset(
    {
        "noreply@anthropic.com",
        "cursoragent@cursor.com",
        "noreply@aider.chat",
        "aider@aider.chat",
        "copilot@github.com",
        "175728472+copilot@users.noreply.github.com",
        "198982749+copilot@users.noreply.github.com",
        "codex@openai.com",
        "noreply@openai.com",
        "noreply@windsurf.com",
        "gemini-code-assist@google.com",
    }
)
_ASSISTANTS = frozenset(
    {"claude", "claude code", "github copilot", "copilot", "cursor", "aider", "codex", "gemini", "windsurf", "amp"}
)
_ASSISTED_LABELS = frozenset({"ai-assisted", "ai-generated", "ai", "copilot", "claude", "cursor"})
_MAIL = re.compile(r"<([^<>\s]+)>\s*$")


class Authorship(msgspec.Struct, frozen=True):
    """`evidence` names field and value of what decided."""

    author_class: str
    evidence: tuple[str, ...] = ()


def classify(
    *,
    author: str,
    author_kind: str,
    labels: Sequence[str],
    head_ref: str,
    trailers: Sequence[str],
    bots: Collection[str],
    ai_agents: Collection[str],
) -> Authorship:
    """The first that applies: agent, bot, assisted, human. `author_kind` is the platform's word: human or bot."""
    login = author.lower().removesuffix("[bot]")
    is_bot = author_kind == "bot" or author.endswith("[bot]")
    if author in ai_agents:
        return Authorship(AGENT, (f"catalog: ai_agents has {author}",))
    if login in _AGENT_LOGINS and (is_bot or login != "claude"):  # a person may have had that login first
        return Authorship(AGENT, (f"author: {author}",))
    if is_bot and (branch := _AGENT_BRANCH.match(head_ref)):
        return Authorship(AGENT, (f"author: {author}", f"branch: {branch[0]}"))
    if author in bots:
        return Authorship(BOT, (f"catalog: bots has {author}",))
    if is_bot:
        return Authorship(BOT, (f"author: {author}",))
    found = (*_by_trailers(trailers), *(f"label: {label}" for label in labels if label.lower() in _ASSISTED_LABELS))
    return Authorship(ASSISTED, found) if found else Authorship(HUMAN)


def trailers(message: str) -> tuple[str, ...]:
    """Those of the last paragraph that say something of authorship, as git reads trailers; at most 20 of 200 each."""
    last = message.replace("\r\n", "\n").rstrip("\n").rpartition("\n\n")[2]
    found = [line.strip() for line in last.split("\n") if _TRAILER.match(line.strip())]
    return tuple(line[:TRAILER_MAX_LENGTH] for line in found[:TRAILERS_MAX])


def _by_trailers(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        if not (found := _TRAILER.match(line)):
            continue
        told = found[2].strip()
        mail = _MAIL.search(told)
        name = _MAIL.sub("", told).strip().lower()
        if (mail and mail[1].lower() in _ASSISTANT_MAILS) or (not mail and name in _ASSISTANTS):
            yield f"trailer: {line}"
