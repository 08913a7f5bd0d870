"""What people said of changes, and how each change moved until it was merged."""

from alembic import op

revision = "0007"
down_revision = "0006"

# ---- facts ----------------------------------------------------------------------------------------------------

# `occurred_at` is when it was said first; the newest report tells whether it was dismissed since.
REVIEW = """
CREATE TABLE review (
    change text NOT NULL,
    id text NOT NULL,
    author text NOT NULL,
    author_kind text NOT NULL,
    state text NOT NULL,
    occurred_at timestamptz NOT NULL,
    source text NOT NULL,
    delivery text NOT NULL,
    version text COLLATE "C" NOT NULL,
    PRIMARY KEY (change, id)
)
"""
# `trailers`: those of the commit's message that tell who wrote it. Changes of a branch, in
# the order they ended: the branch first, or it would serve for all that only names a repository.
FACTS = (
    "CREATE INDEX review_occurred ON review (occurred_at)",
    "ALTER TABLE commit ADD COLUMN trailers text[] NOT NULL DEFAULT '{}'",
    "CREATE INDEX change_ended ON change"
    " (head_ref, repository, coalesce(merged_at, closed_at, timestamptz 'infinity'), id)",
)

# ---- derived --------------------------------------------------------------------------------------------------

# One row per change. `ended_at` is empty while it is open; a draft is not ready.
CHANGE_FLOW = """
CREATE TABLE change_flow (
    change text PRIMARY KEY,
    service text NOT NULL,
    repository text NOT NULL,
    author_class text NOT NULL CHECK (author_class IN ('human', 'bot', 'ai_assisted', 'ai_agent')),
    evidence text[] NOT NULL,
    opened_at timestamptz,
    ready_at timestamptz,
    first_review_at timestamptz,
    approved_at timestamptz,
    last_activity_at timestamptz,
    merged_at timestamptz,
    ended_at timestamptz,
    review_rounds integer NOT NULL,
    size text NOT NULL CHECK (size IN ('', 'XS', 'S', 'M', 'L', 'XL')),
    ticket text NOT NULL,
    catalog_version bigint NOT NULL DEFAULT 0
)
"""
DERIVED_INDEXES = (
    "CREATE INDEX change_flow_ended ON change_flow (service, ended_at)",
    "CREATE INDEX change_flow_merged ON change_flow (service, merged_at) WHERE merged_at IS NOT NULL",
    "CREATE INDEX change_flow_first_review ON change_flow (service, first_review_at) WHERE first_review_at IS NOT NULL",
)


def upgrade() -> None:
    for statement in (REVIEW, *FACTS, CHANGE_FLOW, *DERIVED_INDEXES):
        op.execute(statement)
    op.execute(
        "CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON change_flow"
        " FOR EACH ROW EXECUTE FUNCTION stamp_catalog_version()"
    )
