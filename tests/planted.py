"""Families of like changes, planted in a history: which of them a search finds again can be counted."""

import random
from collections.abc import Callable, Iterator, Sequence

import msgspec

from approvals_svc.document import Document, document

# (service, folders, labels, what its changes speak of)
FAMILIES = (
    ("checkout", ("src/charge", "src/cards"), ("payments",), "retry card charge declined issuer timeout backoff"),
    ("checkout", ("src/tax", "config/tax"), ("compliance",), "vat rate table reverse charge invoice rounding"),
    ("checkout", ("migrations",), ("database",), "add column backfill index orders concurrently lock"),
    ("search", ("index/build",), ("performance",), "rebuild shard segment merge heap analyzer latency"),
    ("search", ("query/rank",), ("relevance",), "ranking boost synonym stemming score click feedback"),
    ("identity", ("auth/oidc",), ("security",), "rotate signing keys issuer audience token expiry jwks"),
    ("identity", ("auth/session",), ("security",), "session cookie samesite logout csrf idle renewal"),
    ("mailer", ("templates",), ("copy",), "welcome mail subject wording footer translation german"),
    ("mailer", ("smtp",), ("reliability",), "bounce handling suppression list retry queue greylist"),
    ("billing", ("export",), ("finance",), "ledger export csv datev month close reconciliation"),
    ("gateway", ("limits",), ("reliability",), "rate limit bucket burst quota header client throttle"),
    ("gateway", ("tls",), ("security",), "certificate renewal cipher suite handshake mtls chain"),
)
VERBS = ("Fix", "Add", "Tune", "Refactor", "Bump", "Remove", "Speed up", "Document", "Guard", "Simplify")
_TELLS_NOTHING = (
    "small cleanup after review follow up flaky test rename helper dependency upgrade logging metric config default "
    "comment typo lint build cache version release note toggle feature flag"
)
NOISE = _TELLS_NOTHING.split()


class Planted(msgspec.Struct, frozen=True):
    family: int
    document: Document


def planted(*, seed: int, per_family: int) -> list[Planted]:
    """Shuffled; each tells of its family by two or three of its words, among as many and more that tell nothing."""
    rng = random.Random(seed)
    made = [Planted(family, _member(rng, family)) for family in range(len(FAMILIES)) for _ in range(per_family)]
    rng.shuffle(made)
    return made


def question(rng: random.Random, document: Document) -> str:
    """As a person asks for one of them: four of its words, some misspelt, some in another form."""
    words = document.title.split()[1:]
    return " ".join(_bent(rng, word) for word in rng.sample(words, min(4, len(words))))


def noise(*, seed: int) -> Iterator[Document]:
    """Changes of no family, without end."""
    rng = random.Random(seed)
    while True:
        service = f"service-{rng.randrange(400)}"
        title = f"{rng.choice(VERBS)} {' '.join(rng.sample(NOISE, 3))} {rng.randrange(10_000)}"
        yield _shipped(rng, service, title, (f"pkg{rng.randrange(50)}/mod{rng.randrange(50)}",), (rng.choice(NOISE),))


def precision_at_5(rows: Sequence[Planted], nearness: Callable[[int, int], float], *, every: int = 4) -> float:
    """The share of the five nearest of each that are of its family; `nearness` of two by their places."""
    asked = range(0, len(rows), every)
    right = 0
    for i in asked:
        nearest = sorted((j for j in range(len(rows)) if j != i), key=lambda j: -nearness(i, j))[:5]
        right += sum(rows[j].family == rows[i].family for j in nearest)
    return right / (5 * len(asked))


def trigrams(text: str) -> set[str]:
    """The baseline: runs of three characters."""
    padded = f"  {text.lower()} "
    return {padded[at : at + 3] for at in range(len(padded) - 2)}


def _member(rng: random.Random, family: int) -> Document:
    service, folders, labels, words = FAMILIES[family]
    said = [*rng.sample(words.split(), rng.choice((2, 3))), *rng.sample(NOISE, rng.choice((3, 4)))]
    rng.shuffle(said)
    title = f"{rng.choice(VERBS)} {' '.join(said)}"
    labels = labels if rng.random() < 0.4 else (rng.choice(NOISE),)
    paths = tuple(f"{rng.choice(folders)}/f{n}.py" for n in range(3)) if rng.random() < 0.4 else ()
    return _shipped(rng, service, title, paths, labels)


def _shipped(rng: random.Random, service: str, title: str, paths: tuple[str, ...], labels: tuple[str, ...]) -> Document:
    return document(
        title=title,
        action="deploy",
        service=service,
        environment="production",
        paths=paths,
        labels=labels,
        size=rng.choice(("XS", "S", "M", "L")),
        author_class=rng.choice(("human", "human", "bot")),
        hour=rng.choice(("morning", "afternoon", "evening")),
    )


def _bent(rng: random.Random, word: str) -> str:
    kind = rng.random()
    if kind < 0.3 and len(word) > 4:
        at = rng.randrange(1, len(word) - 2)
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return f"{word}s" if kind < 0.6 else word
