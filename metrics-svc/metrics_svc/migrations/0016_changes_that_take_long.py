"""Changes that were open for more than 30 days have an index of spans: the others of a past window ended soon after."""

from alembic import op

revision = "0016"
down_revision = "0015"

# Expressions of metrics_svc/store/moving.py, word for word: they are what it is found by.
BEGUN = "least(opened_at, ready_at, first_review_at, approved_at, ended_at)"
LONG = f"""
CREATE INDEX change_flow_long ON change_flow
USING gist (tstzrange({BEGUN}, ended_at, '[]'))
WHERE ended_at - {BEGUN} > interval '720 hours'
"""


def upgrade() -> None:
    op.execute(LONG)
