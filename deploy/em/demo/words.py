"""Sentences people write in this story: titles, reviews, comments, notes."""

CHANGE_TITLES = (
    "Speed up {topic}",
    "Cover {topic} with tests",
    "Split {topic} out of the handler",
    "Handle empty input in {topic}",
    "Add a metric for {topic}",
    "Make {topic} configurable",
    "Cache {topic} per tenant",
    "Drop the old path of {topic}",
    "Validate {topic} earlier",
    "Log why {topic} is skipped",
)
COMMIT_MESSAGES = (
    "Start on {topic}",
    "Add tests for {topic}",
    "Name things after what they do",
    "Move the query next to its only caller",
    "Treat a missing value as none",
    "Tidy imports",
    "Measure before caching",
    "Explain the limit",
)
REWORK_MESSAGES = (
    "Answer the review",
    "Rename as suggested",
    "Cover the missed case",
    "Use the shared clock",
)
APPROVALS = (
    "Looks right to me.",
    "Nice, much clearer than before.",
    "Ship it.",
    "Tested locally, works.",
    "",
)
OBJECTIONS = (
    "What happens when the list is empty? Please add a test.",
    "This holds the lock during the call; can we move it out?",
    "The name says cache, the code says queue.",
)
COMMENTS = (
    "Could this live beside its only caller?",
    "Measured it: 38 ms before, 9 ms after.",
    "Follow-up ticket is filed, fine to merge.",
    "Do we need a flag for this?",
    "The failing check is a timeout in the runner, started it again.",
)
LABELS = {
    "enhancement": "a2eeef",
    "bug": "d73a4a",
    "performance": "fbca04",
    "refactor": "c5def5",
    "hotfix": "b60205",
    "dependencies": "0366d6",
}
TICKETS = (
    "{topic}: numbers differ between pages",
    "{topic}: unclear error text",
    "Describe how {topic} works",
    "{topic} is slow for large tenants",
)
INCIDENT_NOTES = (
    "Started right after the deployment, looking at the diff now.",
    "Feature flag is off, error rate is falling.",
    "Customers in one region only.",
)
MENTIONS = (
    "what is waiting for a decision?",
    "how did we do this week?",
    "who can approve the checkout deploy?",
    "show open incidents",
)
CHATTER = (
    "lunch at twelve?",
    "dashboards look calm again",
    "rebasing mine on top of yours",
    "I can take the pager tonight",
    "numbers for the weekly are in the sheet",
)
ZEN = (
    "Say it once, plainly.",
    "Small steps arrive first.",
    "A calm line is a fast line.",
    "Two regions, one release.",
    "What sleeps may still be woken.",
    "One roof, two households.",
    "A script that reports is a platform.",
    "Show, then tell.",
)


def branch_name(prefix: str, number: int, title: str) -> str:
    """A branch like ``feature/41-speed-up-cart-totals``; the number keeps it unique in its repository."""
    words = "".join(c if c.isalnum() else "-" for c in title.lower()).split("-")
    return f"{prefix}/{number}-" + "-".join(word for word in words if word)[:40].strip("-")
